//! The options, grouped by purpose; each group turns itself into what the run needs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgAction;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use impasto::Error;
use impasto::gpu::Gpu;
use impasto::picture::{Picture, SaveOptions, Size, name_of};
use impasto::precision::Precision;
use impasto::record::{Input, Start};
use impasto::settings::Settings;
use impasto::tune::Tuning;
use impasto::vgg::{Network, Vgg};
use impasto::weights::Weights;

use super::many::Many;
use crate::cli::talk;

/// Longest side where none is asked for.
const DEFAULT_SIDE: usize = 512;

/// Repaint photographs in the style of a painting
#[derive(clap::Args)]
pub struct Options {
    /// The photograph. With `-o DIR` also many: files, a folder, or a quoted pattern such as "photos/*.jpg"
    pub content: PathBuf,

    /// The painting; of several, the mean style is taken. With `-o DIR` only the last name is one, or what --style names
    #[arg(required_unless_present = "named_styles", value_name = "STYLE")]
    pub styles: Vec<PathBuf>,

    /// Where to write the result; the ending chooses the format (.png, .jpg, .tif, .webp). In a folder, results are called
    /// as their photographs
    #[arg(short, long, value_name = "FILE|DIR")]
    pub output: PathBuf,

    #[command(flatten)]
    pub many: Many,
    #[command(flatten)]
    pub sizes: Sizes,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub record: Record,
    #[command(flatten)]
    pub keep: Keep,
}

impl Options {
    /// Every file that the run reads, but the photographs.
    pub fn inputs(&self) -> Vec<&Path> {
        let styles = self.styles.iter().map(PathBuf::as_path);
        let machine = self.machine.weights.as_deref();
        let look = self.look.init_file().into_iter().chain(self.look.settings_from.as_deref());
        styles.chain(machine).chain(look).collect()
    }

    /// Takes over what made another picture, where nothing else is asked for.
    ///
    /// # Errors
    /// If that picture was started from a file that is not named now.
    pub fn adopt(&mut self, record: &impasto::record::Record) -> anyhow::Result<()> {
        self.sizes.size = self.sizes.size.or(record.size);
        self.sizes.style_size = self.sizes.style_size.or(record.style_size);
        self.look.adopt(record)?;
        if let (None, Some(variant)) = (self.machine.variant, &record.variant) {
            self.machine.variant = Some(variant.parse()?);
        }
        Ok(())
    }
}

/// How large the pictures are made.
#[derive(clap::Args)]
#[command(next_help_heading = "Size")]
pub struct Sizes {
    /// Size of the result: N for the longest side, or WxH exactly [default: longest side 512, never enlarged]
    #[arg(long, value_name = "N|WxH")]
    pub size: Option<Size>,

    /// Size of the painting, on which the size of its strokes depends [default: the result's longest side]
    #[arg(long, value_name = "N|WxH")]
    pub style_size: Option<Size>,
}

impl Sizes {
    /// Width and height that the content gets.
    pub fn of_content(&self, content: &Picture) -> (usize, usize) {
        let size = self.size.unwrap_or(Size::Longest(DEFAULT_SIDE));
        size.of(content.width, content.height, self.size.is_some())
    }

    /// What the styles are brought to beside a content of `width x height`.
    pub fn of_styles(&self, (width, height): (usize, usize)) -> Size {
        self.style_size.unwrap_or(Size::Longest(width.max(height)))
    }
}

/// What the result looks like: the settings of the optimisation, and where it starts.
#[derive(clap::Args)]
#[command(next_help_heading = "Look")]
pub struct Look {
    /// Take all that is not given here from a picture that this program made
    #[arg(long, value_name = "FILE")]
    pub settings_from: Option<PathBuf>,

    /// Steps of the optimiser [default: 500]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,

    /// Weight of the content loss; more keeps the photograph [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    content_weight: Option<f64>,

    /// Weight of the style loss; more looks like the painting [default: 10000]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    style_weight: Option<f64>,

    /// Weight of the total variation loss; more is smoother [default: 10]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tv_weight: Option<f64>,

    /// Adam's learning rate; it falls to 0.8 of itself every 50 iterations [default: 0.3]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    learning_rate: Option<f64>,

    /// Start from the content, from noise, or from a picture file [default: content]
    #[arg(long, value_name = "content|noise|FILE", value_parser = OsStringValueParser::new().map(Init::from))]
    init: Option<Init>,

    /// Which noise `--init noise` starts from [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Store the network's maps in 32 bits, or in 16: half the memory, on devices that can (see `impasto devices`), for
    /// results that differ a little [default: single]
    #[arg(long, value_name = "single|half",
          value_parser = PossibleValuesParser::new(["single", "half"]).try_map(|name| name.parse::<Precision>()))]
    precision: Option<Precision>,

    /// What the options above change.
    #[arg(skip)]
    base: Settings,
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
    /// The settings of the run; whether they make sense is [`Settings::validate`]'s question.
    pub fn settings(&self) -> Settings {
        let mut settings = self.base.clone();
        let set = |target: &mut f64, asked: Option<f64>| *target = asked.unwrap_or(*target);
        settings.iterations = self.iterations.unwrap_or(settings.iterations);
        set(&mut settings.content_weight, self.content_weight);
        set(&mut settings.style_weight, self.style_weight);
        set(&mut settings.tv_weight, self.tv_weight);
        set(&mut settings.learning_rate, self.learning_rate);
        settings.precision = self.precision.unwrap_or(settings.precision);
        settings
    }

    /// The picture to start from, if it is not the content; as large as that.
    pub fn start(&self, content: &Picture) -> anyhow::Result<Option<Picture>> {
        let size = Size::Exact { width: content.width, height: content.height };
        Ok(match &self.init {
            None | Some(Init::Content) => None,
            Some(Init::Noise) => Some(Picture::noise(content.width, content.height, self.seed())),
            Some(Init::File(file)) => Some(Picture::open(file)?.resized(size, true)),
        })
    }

    /// The start as it is recorded, `picture` being what [`Look::start`] gave.
    pub fn recorded(&self, picture: Option<&Picture>) -> Start {
        match (&self.init, picture.and_then(|p| p.source.clone())) {
            (Some(Init::Noise), _) => Start::Noise { seed: self.seed() },
            (Some(Init::File(_)), Some(file)) => Start::Picture(file),
            _ => Start::Content,
        }
    }

    fn adopt(&mut self, record: &impasto::record::Record) -> anyhow::Result<()> {
        self.base = record.settings.clone();
        match (&self.init, &record.start) {
            (Some(Init::Noise), Start::Noise { seed }) => self.seed = self.seed.or(Some(*seed)),
            (Some(_), _) => {}
            (None, Start::Content) => self.init = Some(Init::Content),
            (None, Start::Noise { seed }) => {
                self.init = Some(Init::Noise);
                self.seed = self.seed.or(Some(*seed));
            }
            (None, Start::Picture(file)) => {
                return Err(Error::Setting(format!(
                    "those settings start from the picture {:?}, which is not kept with them; name it with --init FILE",
                    file.name
                ))
                .into());
            }
        }
        Ok(())
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// The file to start from, if it is one.
    fn init_file(&self) -> Option<&Path> {
        match &self.init {
            Some(Init::File(file)) => Some(file),
            _ => None,
        }
    }
}

/// What computes.
#[derive(clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// VGG-19 as a safetensors file with torchvision's tensor names, instead of the built-in one
    #[arg(long, value_name = "FILE", env = "IMPASTO_WEIGHTS")]
    weights: Option<PathBuf>,

    /// Use the first adapter whose name contains this (see `impasto devices`)
    #[arg(long, value_name = "NAME", env = "IMPASTO_ADAPTER")]
    adapter: Option<String>,

    /// Compute convolutions with this variant where it can, for measurements: naive, tiled, first or winograd
    #[arg(long, value_name = "conv3x3=NAME")]
    pub variant: Option<Tuning>,
}

impl Machine {
    /// Opens the adapter and uploads the network, as far as `settings` look at it.
    pub fn open(&self, settings: &Settings) -> anyhow::Result<(Gpu, Vgg)> {
        let network = Network::vgg19();
        let specs = network.specs(&settings.taps())?;
        let weights = match &self.weights {
            None => Weights::embedded(&specs)?,
            Some(file) => Weights::from_file(file, &specs)?,
        };
        let gpu = Gpu::new(self.adapter.as_deref())?;
        let vgg = Vgg::new(&gpu, network, &weights, &self.variant.unwrap_or_default())?;
        Ok((gpu, vgg))
    }

    /// The network as it is recorded.
    pub fn recorded(&self, vgg: &Vgg) -> Input {
        let name = self.weights.as_deref().map_or("built-in".into(), name_of);
        Input { name, sha256: vgg.digest().to_owned() }
    }
}

/// What is written and told beside the result.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Record {
    /// Also write every iteration's weighted losses, one JSON object per line
    #[arg(long, value_name = "FILE|DIR")]
    pub losses: Option<PathBuf>,

    /// Also write a picture of content, style and result side by side
    #[arg(long, value_name = "FILE|DIR")]
    pub contact_sheet: Option<PathBuf>,

    /// Bits per sample of the result; 16 for .png and .tif only
    #[arg(long = "depth", value_name = "BITS", default_value = "8", action = ArgAction::Set,
          value_parser = PossibleValuesParser::new(["8", "16"]).map(|bits| bits == "16"))]
    depth16: bool,

    /// Quality of a .jpg or .webp, 1 (small) to 100 (best) [default: 92 for .jpg, .webp without loss]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,

    /// Write nothing but pixels: no EXIF of the photograph (camera, date, place), no settings
    #[arg(long)]
    pub no_metadata: bool,

    /// Print starts, iterations and results as JSON lines on stdout
    #[arg(long)]
    pub json: bool,

    /// No progress and no notes
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Tell what was resolved: adapter, sizes, memory
    #[arg(short, long)]
    pub verbose: bool,
}

impl Record {
    /// How the result is written, as far as it is known before the run.
    pub fn save_options(&self) -> SaveOptions {
        let mut options = SaveOptions::default();
        options.depth16 = self.depth16;
        options.quality = self.quality;
        options
    }

    /// Says what the user should know about a file.
    pub fn note(&self, file: &Path, text: &str) {
        if !self.quiet {
            talk(&format!("note: {}: {text}", file.display()));
        }
    }
}

/// What is kept of a long run before it ends.
#[derive(clap::Args)]
#[command(next_help_heading = "Long runs")]
pub struct Keep {
    /// Also write the result after every N iterations
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub save_every: Option<u64>,

    /// Write here all that is needed to go on later: every minute, along with --save-every, when interrupted, and at the end
    #[arg(long, value_name = "FILE|DIR")]
    pub checkpoint: Option<PathBuf>,

    /// Go on from a checkpoint, with the same pictures and settings; --iterations may be more
    #[arg(long, value_name = "FILE|DIR")]
    pub resume: Option<PathBuf>,
}
