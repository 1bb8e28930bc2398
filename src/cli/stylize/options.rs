//! The options, grouped by purpose; each group turns itself into what the run needs.

use std::path::{Path, PathBuf};

use impasto::gpu::Gpu;
use impasto::picture::{Picture, Size};
use impasto::settings::Settings;
use impasto::tune::Tuning;
use impasto::vgg::{Network, Vgg};
use impasto::weights::Weights;

/// Longest side where none is asked for.
const DEFAULT_SIDE: usize = 512;

/// Repaint a photograph in the style of a painting
#[derive(clap::Args)]
pub struct Options {
    /// The photograph
    pub content: PathBuf,

    /// The painting; of several, the mean style is taken
    #[arg(required = true)]
    pub styles: Vec<PathBuf>,

    /// Where to write the result; the ending chooses the format (.png, .jpg, .tif, .webp)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

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
    /// Every file that the run reads.
    pub fn inputs(&self) -> Vec<&Path> {
        let one = std::iter::once(self.content.as_path());
        let styles = self.styles.iter().map(PathBuf::as_path);
        one.chain(styles).chain(self.machine.weights.as_deref()).chain(self.look.init_file()).collect()
    }
}

/// How large the pictures are made.
#[derive(clap::Args)]
#[command(next_help_heading = "Size")]
pub struct Sizes {
    /// Size of the result: N for the longest side, or WxH exactly [default: longest side 512, never enlarged]
    #[arg(long, value_name = "N|WxH")]
    size: Option<Size>,

    /// Size of the painting, on which the size of its strokes depends [default: the result's longest side]
    #[arg(long, value_name = "N|WxH")]
    style_size: Option<Size>,
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
    /// Steps of the optimiser
    #[arg(long, value_name = "N", default_value_t = Settings::default().iterations)]
    iterations: usize,

    /// Weight of the content loss; more keeps the photograph
    #[arg(long, value_name = "X", default_value_t = Settings::default().content_weight,
          allow_negative_numbers = true)]
    content_weight: f64,

    /// Weight of the style loss; more looks like the painting
    #[arg(long, value_name = "X", default_value_t = Settings::default().style_weight,
          allow_negative_numbers = true)]
    style_weight: f64,

    /// Weight of the total variation loss; more is smoother
    #[arg(long, value_name = "X", default_value_t = Settings::default().tv_weight,
          allow_negative_numbers = true)]
    tv_weight: f64,

    /// Adam's learning rate; it falls to 0.8 of itself every 50 iterations
    #[arg(long, value_name = "X", default_value_t = Settings::default().learning_rate,
          allow_negative_numbers = true)]
    learning_rate: f64,

    /// Start from the content, from noise, or from a picture file
    #[arg(long, value_name = "content|noise|FILE", default_value = "content")]
    init: String,

    /// Which noise `--init noise` starts from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl Look {
    /// The settings of the run; whether they make sense is [`Settings::validate`]'s question.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.iterations = self.iterations;
        settings.content_weight = self.content_weight;
        settings.style_weight = self.style_weight;
        settings.tv_weight = self.tv_weight;
        settings.learning_rate = self.learning_rate;
        settings
    }

    /// The picture to start from, if it is not the content; as large as that.
    pub fn start(&self, content: &Picture) -> anyhow::Result<Option<Picture>> {
        let size = Size::Exact { width: content.width, height: content.height };
        Ok(match (self.init.as_str(), self.init_file()) {
            (_, Some(file)) => Some(Picture::open(file)?.resized(size, true)),
            ("noise", _) => Some(Picture::noise(content.width, content.height, self.seed)),
            _ => None,
        })
    }

    /// The file to start from, if it is one.
    fn init_file(&self) -> Option<&Path> {
        (!matches!(self.init.as_str(), "content" | "noise")).then(|| Path::new(&self.init))
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
    variant: Option<Tuning>,
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
}

/// What is written and told beside the result.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Record {
    /// Also write every iteration's weighted losses, one JSON object per line
    #[arg(long, value_name = "FILE")]
    pub losses: Option<PathBuf>,

    /// Also write a picture of content, style and result side by side
    #[arg(long, value_name = "FILE")]
    pub contact_sheet: Option<PathBuf>,

    /// Print iterations and result as JSON lines on stdout
    #[arg(long)]
    pub json: bool,

    /// No progress
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Tell what was resolved: adapter, sizes, memory
    #[arg(short, long)]
    pub verbose: bool,
}

/// What is kept of a long run before it ends.
#[derive(clap::Args)]
#[command(next_help_heading = "Long runs")]
pub struct Keep {
    /// Also write the result after every N iterations
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub save_every: Option<u64>,

    /// Write here all that is needed to go on later: every minute, along with --save-every, when interrupted, and at the end
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,

    /// Go on from a checkpoint, with the same pictures and settings; --iterations may be more
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
}
