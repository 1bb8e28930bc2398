//! The options, grouped by purpose. Each group turns itself into what the run needs.

use std::path::{Path, PathBuf};

use clap::ArgAction;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use impasto::Error;
use impasto::engine::gpu::Gpu;
use impasto::engine::precision::Precision;
use impasto::measuring::estimate::device_memory;
use impasto::network::tuning::{Tuning, When};
use impasto::network::vgg::Vgg;
use impasto::network::weights::Weights;
use impasto::painting::preset::Preset;
use impasto::painting::provenance::Record;
use impasto::painting::settings::Settings;
use impasto::painting::tiling::Tiling;
use impasto::picture::Input;
use impasto::picture::{SaveOptions, name_of};
use impasto::{LayerSpec, Network, Tap};

use super::inputs::Inputs;
use super::live::Watching;
use super::look::Look;
use super::numbers;
use super::sizes::Sizes;
use super::stdio::is_stream;
use crate::cli::console;
use crate::cli::preview::Way;

/// Repaint photographs in the style of a painting
#[derive(clap::Args)]
pub struct Options {
    /// The photograph; `-` for standard input. With `-o DIR` also many: files, a folder, or a quoted pattern
    /// such as "photos/*.jpg"
    pub content: PathBuf,

    /// The painting; if there are several, their mean style is used. With `-o DIR` only the last name is a
    /// painting, or those given with --style
    #[arg(required_unless_present = "named_styles", value_name = "STYLE")]
    pub styles: Vec<PathBuf>,

    /// Where to write the result; the ending chooses the format (.png, .jpg, .tif, .webp). In a folder, each
    /// result takes its photograph's name. `-` is standard output
    #[arg(short, long, value_name = "FILE|DIR|-")]
    pub output: PathBuf,

    #[command(flatten)]
    pub many: Inputs,
    #[command(flatten)]
    pub sizes: Sizes,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub room: Room,
    #[command(flatten)]
    pub watching: Watching,
    #[command(flatten)]
    pub reporting: Reporting,
    #[command(flatten)]
    pub keep: Keep,
}

impl Options {
    /// Every file that the run reads, except the photographs.
    pub fn inputs(&self) -> Vec<&Path> {
        let styles = self.styles.iter().map(PathBuf::as_path);
        let machine = self.machine.weights.as_deref();
        let look = self.look.files();
        styles.chain(machine).chain(look).filter(|file| !is_stream(file)).collect()
    }

    /// Writes the run's settings as a preset, if asked for; never over one of the `contents`.
    ///
    /// # Errors
    /// If it cannot be written, or if a preset cannot hold the given options.
    pub fn write_preset(&self, contents: &[PathBuf]) -> impasto::Result<()> {
        let Some(path) = &self.reporting.write_preset else { return Ok(()) };
        let mut inputs = self.inputs();
        inputs.extend(contents.iter().map(PathBuf::as_path));
        inputs.push(&self.output);
        inputs.extend(self.beside().chain(self.keep.resume.as_deref()));
        if let Some(other) = inputs.into_iter().find(|file| *file == path || impasto::same_file(file, path)) {
            return Err(Error::Setting(format!(
                "{} is an input or another output, and cannot be the preset, too; name another file",
                other.display()
            )));
        }
        let preset = Preset::new(self.look.settings()?, self.sizes.style_scale, self.look.preset_start())?;
        impasto::replace_file(path, preset.to_toml().as_bytes())
    }
}

/// Applies the record in the picture of `--settings-from`, and then the preset, where no options are given.
/// Returns the record.
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

/// What computes: network, adapter, variants, cache.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// A network as a safetensors file with torchvision's tensor names, instead of the built-in one
    #[arg(long, value_name = "FILE", env = "IMPASTO_WEIGHTS")]
    weights: Option<PathBuf>,

    /// Which network the file of --weights holds [default: vgg19]
    #[arg(long, value_name = "vgg16|vgg19", value_parser = network())]
    network: Option<Network>,

    /// Use the adapter with this number, or the only one whose name contains this (see `impasto devices`). If
    /// it is given several times, these adapters share the tiles of large pictures
    #[arg(long, value_name = "N|NAME", env = "IMPASTO_ADAPTER")]
    adapter: Vec<String>,

    /// Compute convolutions with this variant where it can, for measurements: naive, tiled, tiled_small,
    /// tiled_large, few, shifted, uniform, first, winograd or winograd_tiled, and with --precision half also
    /// cooperative, cooperative_small or cooperative_large
    #[arg(long, value_name = "conv3x3=NAME")]
    pub variant: Option<Tuning>,

    /// Measure again which variants are fastest here; without it a GPU is measured once, software drivers not
    /// at all
    #[arg(long, conflicts_with = "variant")]
    retune: bool,

    /// Folder in which measured variants and compiled shaders are kept [default: impasto in the user's cache
    /// folder]
    #[arg(long, value_name = "DIR", env = "IMPASTO_CACHE")]
    cache: Option<PathBuf>,
}

/// How much device memory a run may take.
#[derive(Clone, Copy, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Room {
    /// Paint in tiles where the whole would need more device memory than this, such as 2GiB; the result is
    /// the same [default: what the adapter has, less a tenth]
    #[arg(long, value_name = "SIZE", value_parser = numbers::bytes)]
    memory: Option<u64>,

    /// Paint in tiles of N x N pixels, a multiple of 16, or never
    #[arg(long, value_name = "N|off", value_parser = numbers::tile, conflicts_with = "memory")]
    tile: Option<Tiling>,
}

impl Room {
    /// When a picture is painted in tiles.
    pub fn tiling(&self, gpu: &Gpu) -> Tiling {
        // Other programs, and the driver itself, need some memory, too.
        let spared = |there: u64| there / 10 * 9;
        match (self.tile, self.memory) {
            (Some(tiling), _) => tiling,
            (None, Some(bytes)) => Tiling::Within(bytes),
            (None, None) => Tiling::Within(device_memory(gpu).map_or(u64::MAX, spared)),
        }
    }
}

/// Reads the name of a network.
pub fn network() -> impl TypedValueParser<Value = Network> {
    PossibleValuesParser::new(["vgg16", "vgg19"]).map(|name| match name.as_str() {
        "vgg16" => Network::vgg16(),
        _ => Network::vgg19(),
    })
}

/// The weights of `network` (VGG-19 if there is none) up to the deepest of `taps`, from `file` or built in.
///
/// # Errors
/// If they cannot be read or belong to another network, or if there is no file and the network is not the
/// built-in one.
pub fn load(
    network: Option<&Network>,
    file: Option<&Path>,
    taps: &[Tap],
) -> impasto::Result<(Network, Weights)> {
    let built_in = Network::vgg19();
    let network = network.unwrap_or(&built_in).clone();
    let specs = network.specs(taps)?;
    let weights = match file {
        Some(file) => Weights::from_file(file, &specs)?,
        None if network == built_in => Weights::embedded(&specs)?,
        None => {
            return Err(Error::Setting(format!(
                "the built-in network is {}; name a file that holds {}, or leave --network out",
                built_in.name, network.name
            )));
        }
    };
    Ok((network, weights))
}

impl Machine {
    /// The same machine, opened a second time.
    pub fn again(&self) -> Self {
        Self { retune: false, ..self.clone() }
    }

    /// Applies the variants that made another picture, unless variants or measuring are asked for.
    pub fn adopt(&mut self, record: &Record) -> anyhow::Result<()> {
        if let (None, false, Some(variant)) = (&self.variant, self.retune, &record.variant) {
            self.variant = Some(variant.parse()?);
        }
        Ok(())
    }

    /// Opens the adapter and uploads the network, as deep as `settings` need it.
    pub fn open(&self, settings: &Settings) -> anyhow::Result<(Gpu, Vgg)> {
        self.open_telling(settings, console::message)
    }

    /// The same machine with its caches in another folder.
    pub fn caching_in(&self, folder: &Path) -> Self {
        Self { cache: Some(folder.to_owned()), ..self.again() }
    }

    /// Like [`Self::open`]; notes for the user go to `tell`.
    pub fn open_telling(&self, settings: &Settings, tell: impl Fn(&str)) -> anyhow::Result<(Gpu, Vgg)> {
        let taps = settings.taps();
        let (network, weights) = load(self.network.as_ref(), self.weights.as_deref(), &taps)?;
        let specs = network.specs(&taps)?;
        let mut gpu = self.open_adapter()?;
        let folder = self.folder();
        if let Some(note) = folder.as_deref().and_then(|folder| gpu.keep_pipelines(folder)) {
            tell(&format!("note: {note}"));
        }
        let tuning = match &self.variant {
            Some(variant) => variant.clone().in_precision(settings.precision),
            None => self.tune(&gpu, &specs, settings.precision, folder.as_deref(), tell)?,
        };
        let vgg = Vgg::new(&gpu, network, &weights, &tuning)?;
        Ok((gpu, vgg))
    }

    /// Opens only the adapter.
    ///
    /// # Errors
    /// If there is none, or several were given.
    pub fn open_adapter(&self) -> impasto::Result<Gpu> {
        match self.adapter.as_slice() {
            [] => Gpu::new(None),
            [adapter] => Gpu::new(Some(adapter)),
            _ => Err(Error::Setting(
                "several adapters share the tiles of `impasto stylize` alone; name one --adapter here".into(),
            )),
        }
    }

    /// This machine once for each of its adapters.
    pub fn each(&self) -> Vec<Self> {
        let with = |adapter: &String| Self { adapter: vec![adapter.clone()], ..self.clone() };
        if self.adapter.is_empty() { vec![self.clone()] } else { self.adapter.iter().map(with).collect() }
    }

    /// A given option that is about the network or about how it is computed.
    pub fn about_the_network(&self) -> Option<&'static str> {
        // Values from the environment are for any command.
        let given = |value: &Option<PathBuf>, variable: &str| {
            value.is_some() && value.as_deref() != std::env::var_os(variable).as_deref().map(Path::new)
        };
        let given = [
            ("--weights", given(&self.weights, "IMPASTO_WEIGHTS")),
            ("--network", self.network.is_some()),
            ("--variant", self.variant.is_some()),
            ("--retune", self.retune),
            ("--cache", given(&self.cache, "IMPASTO_CACHE")),
        ];
        given.into_iter().find_map(|(option, is)| is.then_some(option))
    }

    /// The folder for measured variants and compiled shaders.
    fn folder(&self) -> Option<PathBuf> {
        let users = || choose_native_strategy().ok().map(|folders| folders.cache_dir().join("impasto"));
        self.cache.clone().or_else(users)
    }

    /// The variants for this machine.
    fn tune(
        &self,
        gpu: &Gpu,
        specs: &[LayerSpec],
        precision: Precision,
        folder: Option<&Path>,
        tell: impl Fn(&str),
    ) -> anyhow::Result<Tuning> {
        let when = match self.retune {
            true => When::Again,
            // The fastest forms on software drivers are known, and measuring there takes as long as several
            // iterations.
            false if gpu.is_software() => When::Never,
            false => When::FirstUse,
        };
        let (tuning, notes) = Tuning::measured(precision, gpu, specs, folder, when)?;
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

/// Options for what is written and printed besides the result.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Reporting {
    /// Also write every iteration's weighted losses, one JSON object per line
    #[arg(long, value_name = "FILE|DIR")]
    pub losses: Option<PathBuf>,

    /// Also write a picture of content, style and result side by side
    #[arg(long, value_name = "FILE|DIR")]
    pub contact_sheet: Option<PathBuf>,

    /// Also write a page with the pictures, a slider between before and after, curves of the losses, and
    /// settings
    #[arg(long, value_name = "FILE.html|DIR")]
    pub report: Option<PathBuf>,

    /// Also write intermediate pictures into this folder, frame-00000.png and so on, for a time-lapse
    #[arg(long, value_name = "DIR")]
    pub frames: Option<PathBuf>,

    /// Iterations between two frames
    #[arg(long, value_name = "N", default_value = "10", requires = "frames", allow_negative_numbers = true,
          value_parser = numbers::positive)]
    pub frames_every: usize,

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

    /// Print adapter, sizes and memory of the run
    #[arg(short, long)]
    pub verbose: bool,
}

impl Reporting {
    /// How the result is written, as far as that is known before the run.
    pub fn save_options(&self) -> SaveOptions {
        let mut options = SaveOptions::default();
        options.depth16 = self.depth16;
        options.quality = self.quality;
        options
    }

    /// Prints a note about a file.
    pub fn note(&self, file: &Path, text: &str) {
        if !self.quiet {
            console::message(&format!("note: {}: {text}", file.display()));
        }
    }
}

/// Options for what is saved during a long run.
#[derive(clap::Args)]
#[command(next_help_heading = "Long runs")]
pub struct Keep {
    /// Also write the result after every N iterations
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::positive)]
    pub save_every: Option<usize>,

    /// Write a checkpoint from which the run can continue: every minute, along with --save-every, when
    /// interrupted, and at the end
    #[arg(long, value_name = "FILE|DIR")]
    pub checkpoint: Option<PathBuf>,

    /// Continue from a checkpoint, with the same pictures and settings; --iterations may be larger
    #[arg(long, value_name = "FILE|DIR")]
    pub resume: Option<PathBuf>,
}
