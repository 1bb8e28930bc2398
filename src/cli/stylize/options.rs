//! The options, grouped by purpose; each group turns itself into what the run needs.

use std::path::{Path, PathBuf};

use clap::ArgAction;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use impasto::Error;
use impasto::gpu::Gpu;
use impasto::picture::{self, Picture, SaveOptions, Size, name_of};
use impasto::preset::{Preset, check_scale};
use impasto::record::{Input, Record};
use impasto::settings::Settings;
use impasto::tune::{Tuning, When};
use impasto::vgg::{Network, Vgg};
use impasto::weights::{LayerSpec, Weights};

use super::look::Look;
use super::many::Many;
use super::numbers;
use super::streams::is_stream;
use crate::cli::preview::Way;
use crate::cli::talk;

/// Longest side where none is asked for.
const DEFAULT_SIDE: usize = 512;

/// Repaint photographs in the style of a painting
#[derive(clap::Args)]
pub struct Options {
    /// The photograph; `-` for standard input. With `-o DIR` also many: files, a folder, or a quoted pattern such as
    /// "photos/*.jpg"
    pub content: PathBuf,

    /// The painting; of several, the mean style is taken. With `-o DIR` only the last name is one, or what --style names
    #[arg(required_unless_present = "named_styles", value_name = "STYLE")]
    pub styles: Vec<PathBuf>,

    /// Where to write the result; the ending chooses the format (.png, .jpg, .tif, .webp). In a folder, results are called
    /// as their photographs. `-` is standard output
    #[arg(short, long, value_name = "FILE|DIR|-")]
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
    pub reporting: Reporting,
    #[command(flatten)]
    pub keep: Keep,
}

impl Options {
    /// Every file that the run reads, but the photographs.
    pub fn inputs(&self) -> Vec<&Path> {
        let styles = self.styles.iter().map(PathBuf::as_path);
        let machine = self.machine.weights.as_deref();
        let look = self.look.files();
        styles.chain(machine).chain(look).filter(|file| !is_stream(file)).collect()
    }

    /// Writes the preset that the run follows, if it is asked for, but over none of the `contents`.
    ///
    /// # Errors
    /// If it cannot be written, or if it cannot hold what was asked for.
    pub fn write_preset(&self, contents: &[PathBuf]) -> impasto::Result<()> {
        let Some(path) = &self.reporting.write_preset else { return Ok(()) };
        let mut inputs = self.inputs();
        inputs.extend(contents.iter().map(PathBuf::as_path));
        inputs.push(&self.output);
        inputs.extend(self.beside().chain(self.keep.resume.as_deref()));
        if let Some(other) = inputs.into_iter().find(|file| *file == path || picture::same_file(file, path)) {
            return Err(Error::Setting(format!(
                "{} is an input or another output, and cannot be the preset, too; name another file",
                other.display()
            )));
        }
        let preset = Preset::new(self.look.settings()?, self.sizes.style_scale, self.look.preset_start())?;
        picture::replace_file(path, preset.to_toml().as_bytes())
    }
}

/// Takes over, where nothing else is asked for, what made the picture of `--settings-from`, whose record it gives, and then
/// what the preset says.
///
/// # Errors
/// If one of them cannot be read, or if that picture was started from a file that is not named now.
pub fn resolve(sizes: &mut Sizes, look: &mut Look, machine: &mut Machine) -> anyhow::Result<Option<Record>> {
    let repeated = look.settings_from.as_deref().map(Record::open).transpose()?;
    if let Some(record) = &repeated {
        sizes.adopt(record);
        look.adopt(record)?;
        machine.adopt(record)?;
    }
    if let Some(preset) = look.take_preset()? {
        sizes.take_preset(&preset);
    }
    Ok(repeated)
}

/// How large the pictures are made.
#[derive(clap::Args)]
#[command(next_help_heading = "Size")]
pub struct Sizes {
    /// Size of the result: N for the longest side, or WxH exactly [default: longest side 512, never enlarged]
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true)]
    pub size: Option<Size>,

    /// Size of the painting, on which the size of its strokes depends [default: the result's longest side]
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true)]
    pub style_size: Option<Size>,

    /// The same in longest sides of the result: 2 for strokes twice as broad, 0.5 for finer ones [default: 1]
    #[arg(long, value_name = "X", conflicts_with = "style_size", allow_negative_numbers = true, value_parser = scale)]
    pub style_scale: Option<f64>,
}

fn scale(text: &str) -> anyhow::Result<f64> {
    Ok(check_scale(numbers::real(text).map_err(anyhow::Error::msg)?)?)
}

impl Sizes {
    /// Width and height that the content gets.
    pub fn of_content(&self, content: &Picture) -> (usize, usize) {
        let size = self.size.unwrap_or(Size::Longest(DEFAULT_SIDE));
        size.of(content.width, content.height, self.size.is_some())
    }

    /// What the styles are brought to beside a content of `width x height`.
    pub fn of_styles(&self, (width, height): (usize, usize)) -> Size {
        let scaled = (width.max(height) as f64 * self.style_scale.unwrap_or(1.0)).round() as usize;
        self.style_size.unwrap_or(Size::Longest(scaled.max(1)))
    }

    /// Refuses sizes whose shorter sides are below `least`, naming the smallest that work.
    ///
    /// # Errors
    /// [`Error::Setting`] if the content or one of `styles` would be too small for the network.
    pub fn check(&self, content: &Picture, styles: &[Picture], least: usize) -> Result<(), Error> {
        let size = self.of_content(content);
        let of_styles = self.of_styles(size);
        let styles =
            styles.iter().map(|s| ("style", "--style-size", s, of_styles.of(s.width, s.height, true)));
        for (name, option, picture, (width, height)) in
            [("content", "--size", content, size)].into_iter().chain(styles)
        {
            if width.min(height) >= least {
                continue;
            }
            let shorter = |side: usize| {
                let (width, height) = Size::Longest(side).of(picture.width, picture.height, true);
                width.min(height)
            };
            let smallest = (least..).find(|side| shorter(*side) >= least).unwrap_or(least);
            return Err(Error::Setting(format!(
                "the {name} picture would be {width} x {height} pixels, but the network halves it until nothing is left \
                 below {least} x {least}; {option} {smallest} is the smallest that works"
            )));
        }
        Ok(())
    }

    /// Takes over the sizes of another picture, where none are asked for.
    pub fn adopt(&mut self, record: &Record) {
        self.size = self.size.or(record.size);
        if (self.style_size, self.style_scale) == (None, None) {
            (self.style_size, self.style_scale) = (record.style_size, record.style_scale);
        }
    }

    /// Takes over what a preset says of sizes, where nothing else is asked for.
    pub fn take_preset(&mut self, preset: &Preset) {
        if self.style_size.is_none() {
            self.style_scale = self.style_scale.or(preset.style_scale);
        }
    }
}

/// What computes.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// VGG-19 as a safetensors file with torchvision's tensor names, instead of the built-in one
    #[arg(long, value_name = "FILE", env = "IMPASTO_WEIGHTS")]
    weights: Option<PathBuf>,

    /// Use the adapter of this number, or the one whose name has this in it (see `impasto devices`)
    #[arg(long, value_name = "N|NAME", env = "IMPASTO_ADAPTER")]
    adapter: Option<String>,

    /// Compute convolutions with this variant where it can, for measurements: naive, tiled, tiled_small, tiled_large, few,
    /// shifted, uniform, first, winograd or winograd_tiled
    #[arg(long, value_name = "conv3x3=NAME")]
    pub variant: Option<Tuning>,

    /// Measure again which variants are fastest here; without it a GPU is measured once, software drivers not at all
    #[arg(long, conflicts_with = "variant")]
    retune: bool,

    /// Folder in which measured variants and compiled shaders are kept [default: impasto in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "IMPASTO_CACHE")]
    cache: Option<PathBuf>,
}

impl Machine {
    /// The same machine, opened a second time.
    pub fn again(&self) -> Self {
        Self { retune: false, ..self.clone() }
    }

    /// Takes over the variants that made another picture, where nothing else is asked for, nor that they be measured.
    pub fn adopt(&mut self, record: &Record) -> anyhow::Result<()> {
        if let (None, false, Some(variant)) = (&self.variant, self.retune, &record.variant) {
            self.variant = Some(variant.parse()?);
        }
        Ok(())
    }

    /// Opens the adapter and uploads the network, as far as `settings` look at it.
    pub fn open(&self, settings: &Settings) -> anyhow::Result<(Gpu, Vgg)> {
        self.open_telling(settings, talk)
    }

    /// The same machine, with its caches elsewhere.
    pub fn caching_in(&self, folder: &Path) -> Self {
        Self { cache: Some(folder.to_owned()), ..self.again() }
    }

    /// As [`Self::open`]; what a user might want to know goes to `tell`.
    pub fn open_telling(&self, settings: &Settings, tell: impl Fn(&str)) -> anyhow::Result<(Gpu, Vgg)> {
        let network = Network::vgg19();
        let specs = network.specs(&settings.taps())?;
        let weights = match &self.weights {
            None => Weights::embedded(&specs)?,
            Some(file) => Weights::from_file(file, &specs)?,
        };
        let mut gpu = self.open_adapter()?;
        let folder = self.folder();
        if let Some(note) = folder.as_deref().and_then(|folder| gpu.keep_pipelines(folder)) {
            tell(&format!("note: {note}"));
        }
        let tuning = match &self.variant {
            Some(variant) => variant.clone(),
            None => self.tune(&gpu, &specs, folder.as_deref(), tell)?,
        };
        let vgg = Vgg::new(&gpu, network, &weights, &tuning)?;
        Ok((gpu, vgg))
    }

    /// Opens the adapter only.
    pub fn open_adapter(&self) -> impasto::Result<Gpu> {
        Gpu::new(self.adapter.as_deref())
    }

    /// An option that was given and says something of the network or of how it is computed.
    pub fn about_the_network(&self) -> Option<&'static str> {
        // From the environment, they are for whatever runs.
        let given = |value: &Option<PathBuf>, variable: &str| {
            value.is_some() && value.as_deref() != std::env::var_os(variable).as_deref().map(Path::new)
        };
        let given = [
            ("--weights", given(&self.weights, "IMPASTO_WEIGHTS")),
            ("--variant", self.variant.is_some()),
            ("--retune", self.retune),
            ("--cache", given(&self.cache, "IMPASTO_CACHE")),
        ];
        given.into_iter().find_map(|(option, is)| is.then_some(option))
    }

    /// Where measured variants and compiled shaders are kept.
    fn folder(&self) -> Option<PathBuf> {
        let users = || choose_native_strategy().ok().map(|folders| folders.cache_dir().join("impasto"));
        self.cache.clone().or_else(users)
    }

    /// The variants for this machine.
    fn tune(
        &self,
        gpu: &Gpu,
        specs: &[LayerSpec],
        folder: Option<&Path>,
        tell: impl Fn(&str),
    ) -> anyhow::Result<Tuning> {
        let when = match self.retune {
            true => When::Again,
            // What is fastest on software drivers is known, and measuring there takes as long as several iterations.
            false if gpu.is_software() => When::Never,
            false => When::FirstUse,
        };
        let (tuning, notes) = Tuning::measured(gpu, specs, folder, when)?;
        notes.iter().for_each(|note| tell(&format!("note: {note}")));
        Ok(tuning)
    }

    /// The network as it is recorded.
    pub fn recorded(&self, vgg: &Vgg) -> Input {
        let name = self.weights.as_deref().map_or("built-in".into(), name_of);
        let mut input = Input::new(name, &[]);
        input.sha256 = vgg.digest().to_owned();
        input
    }
}

/// What is written and told beside the result.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Reporting {
    /// Also write every iteration's weighted losses, one JSON object per line
    #[arg(long, value_name = "FILE|DIR")]
    pub losses: Option<PathBuf>,

    /// Also write a picture of content, style and result side by side
    #[arg(long, value_name = "FILE|DIR")]
    pub contact_sheet: Option<PathBuf>,

    /// Also write a page with the pictures, a slider between before and after, curves of the losses, and settings
    #[arg(long, value_name = "FILE.html|DIR")]
    pub report: Option<PathBuf>,

    /// Also write the picture on its way into this folder, frame-00000.png and so on, for a time-lapse
    #[arg(long, value_name = "DIR")]
    pub frames: Option<PathBuf>,

    /// Iterations between two frames
    #[arg(long, value_name = "N", default_value = "10", requires = "frames",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub frames_every: u32,

    /// Show the picture in the terminal while it is painted
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub preview: Option<Way>,

    /// Also write the settings of this run as a preset
    #[arg(long, value_name = "FILE")]
    pub write_preset: Option<PathBuf>,

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

impl Reporting {
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
