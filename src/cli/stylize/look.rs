//! The options that decide what the result looks like, and how they become settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use impasto::Error;
use impasto::picture::{Picture, Size, name_of};
use impasto::precision::Precision;
use impasto::preset::Preset;
use impasto::record::{Input, Start};
use impasto::settings::Settings;

use super::numbers;

/// What the result looks like: the settings of the optimisation, and where it starts.
#[derive(clap::Args)]
#[command(next_help_heading = "Look")]
pub struct Look {
    /// Use the settings of a picture that this program made, for every option not given here
    #[arg(long, value_name = "FILE")]
    pub settings_from: Option<PathBuf>,

    /// Use the settings of a preset, for every option not given here: a TOML file, or balanced, bold, broad, fine, quick or subtle
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "settings_from")]
    preset: Option<PathBuf>,

    /// From 0, hardly the painting, to 1, wholly the painting; it sets the content weight and the learning rate [default: 0.5]
    #[arg(long, value_name = "0..1", conflicts_with = "content_weight", allow_negative_numbers = true,
          value_parser = numbers::share)]
    strength: Option<f64>,

    /// How much each painting counts, in their order: 2,1 for twice as much of the first [default: all the same]
    #[arg(long, value_name = "X,..", value_delimiter = ',', allow_negative_numbers = true)]
    style_weights: Vec<f64>,

    /// Factors on the style layers, from fine to large: relu1_1,relu2_1,relu3_1,relu4_1,conv5_1 [default: 1 each]
    #[arg(long, value_name = "X,..", value_delimiter = ',', allow_negative_numbers = true)]
    layer_weights: Vec<f64>,

    /// Steps of the optimiser [default: 500]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::count)]
    iterations: Option<usize>,

    /// Weight of the content loss; more keeps the photograph [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    content_weight: Option<f64>,

    /// Weight of the style loss; more looks like the painting [default: 10000]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    style_weight: Option<f64>,

    /// Weight of the total variation loss; more is smoother [default: 10]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    tv_weight: Option<f64>,

    /// Adam's learning rate; it falls to 0.8 of itself every 50 iterations [default: 0.3]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    learning_rate: Option<f64>,

    /// Start from the content, from noise, or from a picture file [default: content]
    #[arg(long, value_name = "content|noise|FILE", value_parser = OsStringValueParser::new().map(Init::from))]
    init: Option<Init>,

    /// Which noise `--init noise` starts from [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::seed)]
    seed: Option<u64>,

    /// Store the network's maps in 32 bits, or in 16: half the memory, on devices that can (see `impasto devices`), for
    /// results that differ a little [default: single]
    #[arg(long, value_name = "single|half",
          value_parser = PossibleValuesParser::new(["single", "half"]).try_map(|name| name.parse::<Precision>()))]
    precision: Option<Precision>,

    /// What the options above change.
    #[arg(skip)]
    base: Settings,

    /// The paintings' weights in the picture whose settings are taken.
    #[arg(skip)]
    recorded_weights: Vec<f64>,
}

/// Where a run starts, as it is asked for.
#[derive(Clone, Debug)]
enum Init {
    Content,
    Noise,
    File(PathBuf),
}

impl From<OsString> for Init {
    fn from(text: OsString) -> Self {
        match text.to_str() {
            Some("content") => Self::Content,
            Some("noise") => Self::Noise,
            _ => Self::File(text.into()),
        }
    }
}

impl Look {
    /// The settings of the run.
    ///
    /// # Errors
    /// Those of [`Settings::validate`].
    pub fn settings(&self) -> impasto::Result<Settings> {
        if self.seed.is_some() && !matches!(self.init, Some(Init::Noise)) {
            let why = "--seed chooses the noise that --init noise starts from; add that, or leave it out";
            return Err(Error::Setting(why.into()));
        }
        let mut settings = self.base.clone();
        let set = |target: &mut f64, asked: Option<f64>| *target = asked.unwrap_or(*target);
        settings.iterations = self.iterations.unwrap_or(settings.iterations);
        if let Some(strength) = self.strength {
            settings.set_strength(strength)?;
        }
        set(&mut settings.content_weight, self.content_weight);
        set(&mut settings.style_weight, self.style_weight);
        set(&mut settings.tv_weight, self.tv_weight);
        set(&mut settings.learning_rate, self.learning_rate);
        settings.precision = self.precision.unwrap_or(settings.precision);
        if !self.layer_weights.is_empty() {
            settings.style_layer_weights = self.layer_weights.clone();
        }
        settings.validate()?;
        Ok(settings)
    }

    /// How much each of `count` paintings counts.
    ///
    /// # Errors
    /// If there are not as many weights as paintings, or if no mean can be made with them.
    pub fn weights(&self, count: usize) -> impasto::Result<Vec<f64>> {
        let asked = &self.style_weights;
        if asked.is_empty() {
            let recorded = &self.recorded_weights;
            return Ok(if recorded.len() == count { recorded.clone() } else { vec![1.0; count] });
        }
        if asked.len() != count {
            let paintings = if count == 1 { "painting" } else { "paintings" };
            let why = format!("{} style weights for {count} {paintings}; give one for each", asked.len());
            return Err(Error::Setting(why));
        }
        let sum: f64 = asked.iter().sum();
        if asked.iter().any(|w| *w < 0.0) || !sum.is_finite() || sum <= 0.0 {
            let why =
                "the style weights must be 0 or more, and one of them above 0; only their proportions count";
            return Err(Error::Setting(why.into()));
        }
        Ok(asked.clone())
    }

    /// Takes over the preset's settings and start; what is left of it is returned.
    pub fn take_preset(&mut self) -> impasto::Result<Option<Preset>> {
        let Some(name) = &self.preset else { return Ok(None) };
        let preset = Preset::open(name)?;
        self.base = preset.settings.clone();
        preset.start.iter().for_each(|start| self.take_start(start));
        Ok(Some(preset))
    }

    /// Makes do with `iterations` where none are asked for, with the learning rate falling sooner.
    pub fn hurry(&mut self, iterations: usize) {
        let base = &mut self.base;
        if self.iterations.is_none() && base.iterations > iterations {
            base.decay_every = (base.decay_every.saturating_mul(iterations) / base.iterations).max(1);
            base.iterations = iterations;
        }
    }

    /// The start as a preset has it.
    pub fn preset_start(&self) -> Start {
        match &self.init {
            Some(Init::File(file)) => Start::Picture(Input::new(name_of(file), &[])),
            Some(Init::Noise) => Start::Noise { seed: self.seed() },
            None | Some(Init::Content) => Start::Content,
        }
    }

    /// Takes over a start that needs no file, as far as nothing else is asked for.
    fn take_start(&mut self, start: &Start) {
        match (&self.init, start) {
            (None | Some(Init::Noise), Start::Noise { seed }) => {
                self.init = Some(Init::Noise);
                self.seed = self.seed.or(Some(*seed));
            }
            (None, Start::Content) => self.init = Some(Init::Content),
            _ => {}
        }
    }

    /// Reads the picture to start from, if it is a file.
    pub fn read_start(&self) -> impasto::Result<Option<Picture>> {
        match &self.init {
            Some(Init::File(file)) => Picture::open(file).map(Some),
            _ => Ok(None),
        }
    }

    /// The picture to start from, if it is not the content; as large as that. `read` is what [`Look::read_start`] gave.
    pub fn start(&self, content: &Picture, read: Option<&Picture>) -> Option<Picture> {
        let Picture { width, height, .. } = *content;
        match &self.init {
            Some(Init::Noise) => Some(Picture::noise(width, height, self.seed())),
            _ => read.map(|start| start.resized(Size::Exact { width, height }, true)),
        }
    }

    /// The start as it is recorded, `picture` being what [`Look::start`] gave.
    pub fn recorded(&self, picture: Option<&Picture>) -> Start {
        match (&self.init, picture.and_then(|p| p.source.clone())) {
            (Some(Init::Noise), _) => Start::Noise { seed: self.seed() },
            (Some(Init::File(_)), Some(file)) => Start::Picture(file),
            _ => Start::Content,
        }
    }

    /// Takes over what made another picture, where nothing else is asked for.
    pub fn adopt(&mut self, record: &impasto::record::Record) -> anyhow::Result<()> {
        self.base = record.settings.clone();
        self.recorded_weights = record.style_weights.clone();
        if let (None, Start::Picture(file)) = (&self.init, &record.start) {
            return Err(Error::Setting(format!(
                "those settings start from the picture {:?}, which is not kept with them; name it with --init FILE",
                file.name
            ))
            .into());
        }
        self.take_start(&record.start);
        Ok(())
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// The files that are read for the settings and the start.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let init = match &self.init {
            Some(Init::File(file)) => Some(file.as_path()),
            _ => None,
        };
        // A bundled preset is no file, but a file may be called like one.
        let preset = self.preset.as_deref();
        init.into_iter().chain(self.settings_from.as_deref()).chain(preset)
    }
}
