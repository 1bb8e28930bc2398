//! Building a session: its inputs, and the recording of its iteration.

use std::collections::VecDeque;

use super::pace::Pace;
use super::{HISTORY, Session};
use crate::disk::sha256;
use crate::engine::gpu::Gpu;
use crate::engine::tape::Shape;
use crate::network::vgg::Vgg;
use crate::painting::checkpoint::{Origin, Snapshot};
use crate::painting::objective::{Recipe, Recorded, Targets, normalize};
use crate::painting::settings::Settings;
use crate::painting::style::Style;
use crate::picture::Picture;
use crate::{Error, Result};

/// The description of a session; see [`Session::builder`].
pub struct Builder<'g, 'a> {
    gpu: &'g Gpu,
    vgg: &'a Vgg,
    content: Option<&'a Picture>,
    styles: Vec<(&'a Picture, f64)>,
    measured: Option<&'a Style>,
    start: Option<&'a Picture>,
    settings: Settings,
    snapshot: Option<&'a Snapshot>,
}

impl<'g, 'a> Builder<'g, 'a> {
    pub(super) fn new(gpu: &'g Gpu, vgg: &'a Vgg) -> Self {
        let (content, styles, measured, start, settings, snapshot) = Default::default();
        Self { gpu, vgg, content, styles, measured, start, settings, snapshot }
    }

    /// The photograph. It determines what the result shows, and its size.
    pub fn content(mut self, picture: &'a Picture) -> Self {
        self.content = Some(picture);
        self
    }

    /// The picture to start from, of the content's size. The default is the content itself.
    pub fn start(mut self, picture: &'a Picture) -> Self {
        self.start = Some(picture);
        self
    }

    /// A painting whose Gram matrices the result should have. If there are several, their weighted mean is
    /// used.
    pub fn style(mut self, picture: &'a Picture, weight: f64) -> Self {
        self.styles.push((picture, weight));
        self
    }

    /// A style that was measured before, instead of paintings. Measure a style once if many pictures should
    /// have it.
    pub fn measured(mut self, style: &'a Style) -> Self {
        self.measured = Some(style);
        self
    }

    /// Continues from a checkpoint of a run with the same pictures, network and settings. Only the number of
    /// iterations may be larger.
    pub fn resume(mut self, snapshot: &'a Snapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// All other settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Measures the paintings and the photograph on the device, and records the iteration.
    ///
    /// # Errors
    /// [`Error::Setting`] if a picture or a weight is missing or unusable, [`Error::TooLarge`] if the device
    /// has no room, [`Error::Checkpoint`] if the checkpoint is of another run, and [`Error::Device`] if the
    /// device fails.
    pub fn build(self) -> Result<Session<'g>> {
        let Self { gpu, vgg, content, styles, measured, start, settings, snapshot } = self;
        settings.validate()?;
        let content = content.ok_or_else(|| Error::Setting("no content picture".into()))?;
        let start = start.unwrap_or(content);
        if (start.width, start.height) != (content.width, content.height) {
            return Err(Error::Setting("the picture to start from is not as large as the content".into()));
        }
        let recipe = Recipe { gpu, vgg, settings: &settings };
        let shape = Shape::new(3, content.height, content.width);
        recipe.fits_content(shape)?;
        let own;
        let style = match measured {
            Some(style) if styles.is_empty() => style,
            Some(_) => return Err(Error::Setting("a measured style and paintings were both given".into())),
            None => {
                own = Style::measure(gpu, vgg, &settings, &styles)?;
                &own
            }
        };
        if style.taps != settings.style_layers || style.network != vgg.digest() {
            return Err(Error::Setting(
                "the style was measured at other layers or by another network".into(),
            ));
        }
        if style.options != settings.network_options() {
            return Err(Error::Setting(
                "the style was measured with another pooling or edge; measure it with these settings".into(),
            ));
        }
        let features = recipe.measure(content, &settings.content_layers, |_, x| x)?;
        let targets = Targets {
            content: features.iter().map(|f| gpu.upload("target", f)).collect::<Result<_>>()?,
            style: style.grams.clone(),
        };
        let Recorded { tape, picture, exact, real, adam, log } =
            recipe.record(shape, Some(&targets), HISTORY);
        let plan = tape.finish()?;
        let origin = Origin {
            width: content.width,
            height: content.height,
            content: content.digest(),
            start: start.digest(),
            styles: style.paintings.clone(),
            network: vgg.digest().to_owned(),
            real,
            adapter: gpu.description(),
            shaders: sha256::words(&plan.describe_steps()),
            settings,
        };
        let mut session = Session {
            gpu,
            plan,
            picture,
            exact,
            real,
            adam,
            tensors: log,
            target_bytes: targets.content.iter().chain(&targets.style).map(wgpu::Buffer::size).sum(),
            same_bits: snapshot.is_none_or(|snapshot| snapshot.same_arithmetic(&origin)),
            slots: origin.settings.losses(),
            content_slots: origin.settings.content_layers.len(),
            iterations: origin.settings.iterations,
            origin,
            submitted: 0,
            in_flight: VecDeque::new(),
            spare: Vec::new(),
            log: Vec::new(),
            reported: 0,
            copy_every: None,
            copies: VecDeque::new(),
            spare_copy: None,
            pace: Pace::new(gpu.unknown_pieces()),
        };
        match snapshot {
            Some(snapshot) => session.restore(snapshot)?,
            None => session.place(&real.encode(&normalize(start))),
        }
        Ok(session)
    }
}
