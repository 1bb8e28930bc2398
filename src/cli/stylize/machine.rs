//! What computes: the options for it, and how they become a device with a network.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use impasto::Store;
use impasto::engine::gpu::Gpu;
use impasto::engine::precision::Precision;
use impasto::measuring::estimate::device_memory;
use impasto::network::tuning::{Tuning, When};
use impasto::network::vgg::Vgg;
use impasto::network::weights::Weights;
use impasto::painting::provenance::Record;
use impasto::painting::settings::Settings;
use impasto::painting::tiling::Tiling;
use impasto::picture::{Input, name_of};
use impasto::{Error, LayerSpec, Network, Tap};

use super::numbers;
use crate::cli::console;

/// What computes: network, adapter, variants, cache.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// A network as a safetensors file with torchvision's tensor names, instead of the built-in one
    #[arg(long, value_name = "FILE", env = "IMPASTO_WEIGHTS")]
    pub weights: Option<PathBuf>,

    /// Which network the file of --weights holds [default: vgg19]
    #[arg(long, value_name = "vgg16|vgg19", value_parser = network())]
    network: Option<Network>,

    /// Use the adapter with this number, or the one whose name contains this (see `impasto devices`). Given
    /// several times, the adapters share the tiles of large pictures
    #[arg(long, value_name = "N|NAME", env = "IMPASTO_ADAPTER")]
    adapter: Vec<String>,

    /// For measurements, the variant to use wherever it can be used; a comma separates the two kinds. Convolutions:
    /// naive, tiled, tiled_small, tiled_large, few, shifted, uniform, first, winograd or winograd_tiled, and with
    /// --precision half also cooperative, cooperative_large, cooperative_small or cooperative_tiny. Gram matrices and
    /// covariances: naive, tiled or subgroup, and with --precision half also cooperative
    #[arg(long, value_name = "conv3x3=NAME|gram=NAME")]
    pub variant: Option<Tuning>,

    /// Measure again which variants are fastest here; otherwise a GPU is measured once, and a software driver
    /// never
    #[arg(long, conflicts_with = "variant")]
    retune: bool,

    /// Folder in which measured variants and compiled shaders are kept [default: impasto in the user's cache
    /// folder]
    #[arg(long, value_name = "DIR", env = "IMPASTO_CACHE")]
    cache: Option<PathBuf>,
}

/// How much memory a run may take.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Room {
    /// Paint in tiles where the whole would need more device memory than this, such as 2GiB; the result is
    /// the same [default: what the adapter has, less a tenth]
    #[arg(long, value_name = "SIZE", value_parser = numbers::bytes)]
    memory: Option<u64>,

    /// Paint in tiles of N x N pixels, a multiple of 16, or never
    #[arg(long, value_name = "N|off", value_parser = numbers::tile, conflicts_with = "memory")]
    tile: Option<Tiling>,

    /// Keep what a picture in tiles needs in nameless files of this folder instead of the machine's memory
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

impl Room {
    /// Where what a picture in tiles needs is kept.
    pub fn store(&self) -> Store {
        self.scratch.as_ref().map_or(Store::memory(), Store::folder)
    }

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
