//! The options that decide what the result looks like, and how they become settings.

mod start;

use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use impasto::Error;
use impasto::engine::precision::Precision;
use impasto::painting::choices::{Colours, Optimizer, StyleLoss, TileStatistics};
use impasto::painting::preset::Preset;
use impasto::painting::provenance::{Record, Start};
use impasto::painting::settings::Settings;
use impasto::painting::steering::Change;
use impasto::{Edge, Pooling, Tap};

use self::start::Init;
use super::numbers;
use super::regions::RegionFiles;

/// What the result looks like: the settings of the optimisation, and where it starts.
#[derive(clap::Args)]
#[command(next_help_heading = "Look")]
pub struct Look {
    /// Take the settings from a picture that this program made, for every option not given here
    #[arg(long, value_name = "FILE")]
    pub settings_from: Option<PathBuf>,

    /// Take the settings from a preset, for every option not given here: a TOML file, or bold, book, broad,
    /// fine, painterly, portrait, quick or subtle [default: painterly]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "settings_from")]
    preset: Option<PathBuf>,

    /// How much of the painting, from 0 (hardly any) to 1 (all); sets the content weight [default: 0.5]
    #[arg(long, value_name = "0..1", conflicts_with = "content_weight", allow_hyphen_values = true,
          value_parser = numbers::share)]
    strength: Option<f64>,

    /// How much each painting counts, in order: 2,1 counts the first one twice [default: all the same]
    #[arg(long, value_name = "X,..", value_delimiter = ',', allow_negative_numbers = true, value_parser = numbers::real)]
    style_weights: Vec<f64>,

    /// Weights of the style layers, in the order of --style-layers; in the painterly recipe only their ratios
    /// matter [default: 16,8,4,2,1; with the book 1 each]
    #[arg(long, value_name = "X,..", value_delimiter = ',', allow_negative_numbers = true, value_parser = numbers::real)]
    layer_weights: Vec<f64>,

    /// Steps of the optimiser at each size, smallest first; the last number applies to all further sizes
    /// [default: 500,400,300,250,200,150; with the book 500]
    #[arg(long, value_name = "N,..", value_delimiter = ',', allow_negative_numbers = true, value_parser = numbers::count)]
    iterations: Vec<usize>,

    /// Longest side of the first and smallest size; if it is as large as the result, there is only one size
    /// [default: 96; with the book one size]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = numbers::count)]
    first_size: Option<usize>,

    /// How style is compared: by the distance between Gaussians of features, or by Gram matrices [default:
    /// wasserstein; with the book gram]
    #[arg(long, value_name = "wasserstein|gram",
          value_parser = PossibleValuesParser::new(StyleLoss::ALL.map(StyleLoss::name)).try_map(|name| name.parse::<StyleLoss>()))]
    style_loss: Option<StyleLoss>,

    /// Share that the running average of all steps keeps at each step; the average is the result; 0 for none
    /// [default: 0.9; with the book 0]
    #[arg(long, value_name = "0..1", allow_hyphen_values = true, value_parser = numbers::share)]
    average: Option<f64>,

    /// Share of the last size's iterations that make strokes crisp, by their nearest neighbours in the
    /// painting; 0 for none [default: 0.67; with the book 0]
    #[arg(long, value_name = "0..1", allow_hyphen_values = true, value_parser = numbers::share)]
    finish: Option<f64>,

    /// Share of the last size's iterations over which steps shrink to a tenth; 0 for none [default: 0.4; with
    /// the book 0]
    #[arg(long, value_name = "0..1", allow_hyphen_values = true, value_parser = numbers::share)]
    settle: Option<f64>,

    /// The colours of the result: the painting's, or the photograph's under the painting's strokes
    /// [default: painting]
    #[arg(long, value_name = "painting|photo",
          value_parser = PossibleValuesParser::new(Colours::ALL.map(Colours::name)).try_map(|name| name.parse::<Colours>()))]
    colours: Option<Colours>,

    /// Weight of the content loss; higher keeps more of the photograph [default: 0.08; with the book 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    content_weight: Option<f64>,

    /// Weight of the style loss; higher looks more like the painting [default: 1; with the book 10000]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    style_weight: Option<f64>,

    /// Weight of the total variation loss; higher is smoother [default: 0.5; with the book 10]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    tv_weight: Option<f64>,

    /// The optimiser: Adam, or L-BFGS, which remembers the last ten steps and gains more with each, but is
    /// riskier [default: adam]
    #[arg(long, value_name = "adam|lbfgs",
          value_parser = PossibleValuesParser::new(Optimizer::ALL.map(Optimizer::name)).try_map(|name| name.parse::<Optimizer>()))]
    optimizer: Option<Optimizer>,

    /// Adam's learning rate, in units of the optimised picture: red, green and blue from 0 to 1, or with the
    /// book ImageNet's standard deviations, multiplied by 0.8 every 50 iterations. With L-BFGS, a factor on
    /// its steps, by default 1 [default: 0.02; with the book 0.3]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = numbers::real)]
    learning_rate: Option<f64>,

    /// Start from the content in the colours of the painting, from the content itself, from noise, from gray,
    /// or from a picture file [default: matched; with the book, or the photograph's colours, content]
    #[arg(long, value_name = "matched|content|noise|gray|FILE", value_parser = OsStringValueParser::new().map(Init::from))]
    init: Option<Init>,

    /// Which noise `--init noise` starts from [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::seed)]
    seed: Option<u64>,

    /// Store the network's maps in 32 bits, or in 16, which takes half the memory on devices that support it
    /// (see `impasto devices`); results then differ a little [default: single]
    #[arg(long, value_name = "single|half",
          value_parser = PossibleValuesParser::new(["single", "half"]).try_map(|name| name.parse::<Precision>()))]
    precision: Option<Precision>,

    /// Layers at which photograph and result are compared: relu4_1 after the ReLU, conv4_1 before it
    /// [default: relu4_2; with the book relu4_4]
    #[arg(long, value_name = "LAYER,..", value_delimiter = ',')]
    content_layers: Vec<Tap>,

    /// Layers at which painting and result are compared, from fine to large
    /// [default: relu1_1,relu2_1,relu3_1,relu4_1,relu5_1; with the book conv5_1 as the last]
    #[arg(long, value_name = "LAYER,..", value_delimiter = ',')]
    style_layers: Vec<Tap>,

    /// How the network halves its maps: by the maximum, as it was trained, or by the average or the root of
    /// squares, which paint more smoothly [default: max]
    #[arg(long, value_name = "max|average|l2",
          value_parser = PossibleValuesParser::new(Pooling::ALL.map(Pooling::name)).try_map(|name| name.parse::<Pooling>()))]
    pooling: Option<Pooling>,

    /// What the network sees beyond the picture's edge: zeros, as it was trained; the nearest pixel; or a margin of
    /// such pixels, which is painted as well and then cropped off, and leaves no rim [default: replicate; with the
    /// book zeros]
    #[arg(long, value_name = "zeros|replicate|margin",
          value_parser = PossibleValuesParser::new(["zeros", "replicate", "margin"]).map(|name| Surround::named(&name)))]
    edge: Option<Surround>,

    /// How gradients are computed at sizes that are painted in tiles: exact, from the statistics of the current
    /// picture, with the same result as painting it as a whole; or quick, from those of the iteration before, which
    /// takes less time [default: exact]
    #[arg(long, value_name = "exact|quick", help_heading = "Machine",
          value_parser = PossibleValuesParser::new(TileStatistics::ALL.map(TileStatistics::name))
              .try_map(|name| name.parse::<TileStatistics>()))]
    tiling: Option<TileStatistics>,

    #[command(flatten)]
    pub regions: RegionFiles,

    /// The settings that the options above change.
    #[arg(skip)]
    base: Settings,

    /// The paintings' weights in the picture whose settings are taken.
    #[arg(skip)]
    recorded_weights: Vec<f64>,

    /// The changes made while that picture was painted.
    #[arg(skip)]
    recorded_changes: Vec<Change>,

    /// After how many iterations that picture was interrupted, if it was. The changes end with it.
    #[arg(skip)]
    recorded_end: Option<usize>,
}

/// Pixels of the margin of `--edge margin`: more than the rim that an edge leaves in results.
const MARGIN: usize = 16;

/// What lies around the picture.
#[derive(Clone, Copy, Debug)]
struct Surround {
    edge: Edge,
    margin: usize,
}

impl Surround {
    fn named(name: &str) -> Self {
        match name {
            "zeros" => Self { edge: Edge::Zeros, margin: 0 },
            "margin" => Self { edge: Edge::Replicate, margin: MARGIN },
            _ => Self { edge: Edge::Replicate, margin: 0 },
        }
    }
}

impl Look {
    /// The settings of the run.
    ///
    /// # Errors
    /// As [`Settings::validate`].
    pub fn settings(&self) -> impasto::Result<Settings> {
        if self.seed.is_some() && !matches!(self.init, Some(Init::Noise)) {
            let why = "--seed chooses the noise that --init noise starts from; add that, or leave it out";
            return Err(Error::Setting(why.into()));
        }
        let mut settings = self.base.clone();
        let set = |target: &mut f64, asked: Option<f64>| *target = asked.unwrap_or(*target);
        if let Some((last, first)) = self.iterations.split_last() {
            settings.iterations = *last;
            settings.first_iterations = first.to_vec();
        }
        settings.first_size = self.first_size.unwrap_or(settings.first_size);
        settings.style_loss = self.style_loss.unwrap_or(settings.style_loss);
        settings.colours = self.colours.unwrap_or(settings.colours);
        set(&mut settings.average, self.average);
        set(&mut settings.finish, self.finish);
        set(&mut settings.settle, self.settle);
        self.optimizer.into_iter().for_each(|optimizer| settings.set_optimizer(optimizer));
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
        if !self.content_layers.is_empty() {
            settings.content_layers = self.content_layers.clone();
        }
        if !self.style_layers.is_empty() {
            settings.style_layers = self.style_layers.clone();
        }
        settings.tile_statistics = self.tiling.unwrap_or(settings.tile_statistics);
        settings.pooling = self.pooling.unwrap_or(settings.pooling);
        if let Some(Surround { edge, margin }) = self.edge {
            (settings.edge, settings.margin) = (edge, margin);
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
                "the style weights must be 0 or more, and one of them above 0; only their ratios matter";
            return Err(Error::Setting(why.into()));
        }
        Ok(asked.clone())
    }

    /// Takes over the preset's settings and start, and returns the rest of it.
    pub fn take_preset(&mut self) -> impasto::Result<Option<Preset>> {
        let Some(name) = &self.preset else { return Ok(None) };
        let preset = Preset::open(name)?;
        self.base = preset.settings.clone();
        preset.start.iter().for_each(|start| self.take_start(start));
        Ok(Some(preset))
    }

    /// Uses `iterations` where none are asked for, and lets the learning rate fall sooner.
    pub fn hurry(&mut self, iterations: usize) {
        let base = &mut self.base;
        if self.iterations.is_empty() && base.iterations > iterations {
            base.decay_every = (base.decay_every.saturating_mul(iterations) / base.iterations).max(1);
            base.iterations = iterations;
        }
        if self.iterations.is_empty() && !base.first_iterations.is_empty() {
            base.first_iterations.iter_mut().for_each(|n| *n = iterations.min(*n));
        }
    }

    /// Takes over the settings of another picture, for every option that is not given.
    pub fn adopt(&mut self, record: &Record) -> anyhow::Result<()> {
        self.base = record.settings.clone();
        // The weights belong to paintings, which have to be named again.
        self.base.regions = 0;
        if let (Some(file), false) = (&record.content_regions, self.regions.are_given()) {
            return Err(Error::Setting(format!(
                "those settings have regions, drawn in {:?}, which are not stored with them; name the files with \
                 --content-regions \
                 and --style-regions",
                file.name
            ))
            .into());
        }
        self.recorded_weights = record.style_weights.clone();
        // With iterations of its own, a run is painted to its end.
        let whole = !self.iterations.is_empty();
        self.recorded_changes = if whole { record.changes.clone() } else { record.repeated() };
        self.recorded_end = record.interrupted().filter(|_| !whole);
        if let (None, Start::Picture(file)) = (&self.init, &record.start) {
            return Err(Error::Setting(format!(
                "those settings start from the picture {:?}, which is not stored with them; name it with --init FILE",
                file.name
            ))
            .into());
        }
        self.take_start(&record.start);
        Ok(())
    }

    /// The changes made while the other picture was painted; they are repeated.
    pub fn changes(&self) -> &[Change] {
        &self.recorded_changes
    }

    /// What is said of these changes, if there are any.
    pub fn note_on_changes(&self) -> Option<String> {
        let changes = self.recorded_changes.len() - usize::from(self.recorded_end.is_some());
        let times = if changes == 1 { "once".into() } else { format!("{changes} times") };
        let changed = (changes > 0).then(|| {
            format!("its run was changed {times} while it was painted; the changes are repeated at the same iterations")
        });
        let ended = self.recorded_end.map(|done| {
            format!("its run was interrupted at iteration {done}, where this one ends, too; --iterations paints on")
        });
        let notes: Vec<String> = changed.into_iter().chain(ended).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// The same names, to be replaced.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let init = match &mut self.init {
            Some(Init::File(file)) => Some(file),
            _ => None,
        };
        let settings = self.settings_from.iter_mut().chain(&mut self.preset);
        init.into_iter().chain(settings).chain(self.regions.files_mut())
    }

    /// The files that are read for the settings and the start.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let init = match &self.init {
            Some(Init::File(file)) => Some(file.as_path()),
            _ => None,
        };
        // A bundled preset is not a file, but a file may have the same name.
        let preset = self.preset.as_deref();
        init.into_iter().chain(self.settings_from.as_deref()).chain(preset).chain(self.regions.files())
    }
}
