//! A device with the network that ships, and the pictures of the references' figures.

use impasto::engine::precision::Precision;
use impasto::painting::session::{Builder, Losses};
use impasto::{Gpu, Network, Picture, Session, Settings, Tuning, Vgg, Weights};

use super::figures;

/// The network that ships, as far as `settings` look at it.
pub fn vgg(gpu: &Gpu, settings: &Settings) -> Vgg {
    tuned(gpu, settings, &Tuning::default())
}

fn tuned(gpu: &Gpu, settings: &Settings, tuning: &Tuning) -> Vgg {
    let network = Network::vgg19();
    let weights = Weights::embedded(&network.specs(&settings.taps()).unwrap()).unwrap();
    Vgg::new(gpu, network, &weights, tuning).unwrap()
}

/// What the runs of a test have in common.
pub struct Setup {
    pub gpu: Gpu,
    pub vgg: Vgg,
    pub content: Picture,
    pub style: Picture,
}

impl Setup {
    pub fn new(settings: &Settings) -> Self {
        Self::on(Gpu::new(None).expect("an adapter"), settings)
    }

    pub fn on(gpu: Gpu, settings: &Settings) -> Self {
        Self::with(gpu, settings, &Tuning::default())
    }

    pub fn with(gpu: Gpu, settings: &Settings, tuning: &Tuning) -> Self {
        let vgg = tuned(&gpu, settings, tuning);
        let (content, style) = (figures::open("content_70x101.png"), figures::open("style_83x64.png"));
        Self { gpu, vgg, content, style }
    }

    pub fn builder(&self, settings: &Settings) -> Builder<'_, '_> {
        let builder = Session::builder(&self.gpu, &self.vgg).content(&self.content).style(&self.style, 1.0);
        builder.settings(settings.clone())
    }

    pub fn session(&self, settings: &Settings) -> Session<'_> {
        self.builder(settings).build().unwrap()
    }
}

/// The same settings with maps in half precision.
pub fn in_half_precision(mut settings: Settings) -> Settings {
    settings.precision = Precision::Half;
    settings
}

/// Runs a session to its end.
pub fn run(session: &mut Session) -> Vec<Losses> {
    std::iter::from_fn(|| session.step().unwrap()).collect()
}
