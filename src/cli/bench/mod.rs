//! `impasto bench`: how fast this machine is, op by op or in whole iterations.

mod compare;
mod iteration;
mod ops;
mod startup;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use impasto::Store;
use impasto::engine::gpu::Gpu;
use impasto::engine::precision::Precision;
use impasto::measuring::bench::Measured;
use impasto::painting::capacity::check_sizes;
use impasto::painting::preset::Preset;
use impasto::painting::tiling::Tiling;
use impasto::picture::Size;
use serde_json::{Value, json};

use self::compare::{Earlier, Ratios};
use super::console;
use super::stylize::Machine;

/// Measure every op and variant on this machine's adapter, or whole iterations
#[derive(clap::Args)]
pub struct Options {
    /// Time whole iterations and their parts instead of single ops
    #[arg(long)]
    iteration: bool,

    /// Only measurements whose name in the table contains this: `gram`, `conv3x3 tiled`, `winograd 256 48x72`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "",
        hide_default_value = true,
        conflicts_with = "iteration"
    )]
    op: String,

    /// Milliseconds to spend on each pass of each variant, for at most 50 runs
    #[arg(long, value_name = "MS", default_value = "400", conflicts_with = "iteration")]
    time: u64,

    /// Size of the picture: `N` for a square, or `WxH` [default: 512, on the processor 288x192]
    #[arg(long, value_name = "N|WxH")]
    size: Option<Size>,

    /// Precision of the network's maps: 32 bits, or 16
    #[arg(long, value_name = "single|half", default_value = "single",
          value_parser = PossibleValuesParser::new(["single", "half"]).try_map(|name| name.parse::<Precision>()))]
    precision: Precision,

    /// The preset whose iteration is timed: at the last size, with the finish if that takes at least half of it
    #[arg(long, value_name = "NAME|FILE", default_value = "book", requires = "iteration")]
    preset: PathBuf,

    #[command(flatten)]
    machine: Machine,

    /// Print a JSON object instead of tables
    #[arg(long)]
    json: bool,

    /// Compare with what `--json` printed earlier, as ratios of times: below 1 is faster now
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// Do one iteration with the caches in this folder, print a line, and end
    #[arg(long, hide = true, requires = "iteration")]
    first: Option<PathBuf>,
}

impl Options {
    /// Width and height that are measured.
    fn size(&self, gpu: &Gpu) -> (usize, usize) {
        match self.size {
            None if gpu.is_software() => (288, 192),
            None => (512, 512),
            Some(Size::Longest(side)) => (side, side),
            Some(Size::Exact { width, height }) => (width, height),
        }
    }
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    let mut settings = Preset::open(&options.preset)?.settings;
    settings.precision = options.precision;
    settings.first_size = 0;
    settings.finish = settings.finish.round();
    if let Some(folder) = &options.first {
        let (gpu, vgg) = options.machine.caching_in(folder).open(&settings)?;
        impasto::measuring::bench::first(&gpu, &vgg, &settings, options.size(&gpu))?;
        console::data_line(&startup::told(options.precision))?;
        return Ok(0);
    }
    let earlier = options.compare.as_deref().map(Earlier::open).transpose()?;
    if !options.iteration {
        return each_op(options, earlier.as_ref());
    }
    let (gpu, vgg) = options.machine.open(&settings)?;
    let size = options.size(&gpu);
    let mut device = device(&gpu);
    device["variant"] = vgg.tuning().to_string().into();
    let earlier = earlier.map(|earlier| earlier.iteration(&device, size, options.precision)).transpose()?;
    // Before so large a picture is made up.
    check_sizes(&gpu, &vgg, &settings, size, &[size], (Tiling::Off, &Store::memory()))?;
    let measured = impasto::measuring::bench::iteration(&gpu, &vgg, &settings, size)?;
    // The children should have the device for themselves.
    drop((vgg, gpu));
    let startup = startup::measure(size, options.precision)?;
    let ratios = earlier.map(|(iteration, before)| Ratios::new((&measured, &startup), (&iteration, &before)));
    if options.json {
        let mut report = json!({
            "device": device,
            "iteration": measured,
            "startup": startup,
            "least_ms": impasto::measuring::bench::least(),
        });
        if let Some(ratios) = ratios {
            report["ratios"] = serde_json::to_value(ratios)?;
        }
        console::data_line(&serde_json::to_string_pretty(&report)?)?;
    } else {
        console::data_line(&iteration::table(&device, &measured, &startup, ratios.as_ref()))?;
    }
    Ok(0)
}

/// Measures op by op.
fn each_op(options: &Options, earlier: Option<&Earlier>) -> anyhow::Result<u8> {
    if let Some(option) = options.machine.about_the_network() {
        let why = format!(
            "{option} goes with --iteration; each op is measured in all variants, of which --op takes some"
        );
        return Err(impasto::Error::Setting(why).into());
    }
    let precision = options.precision;
    let gpu = &options.machine.open_adapter()?;
    let (size, device) = (options.size(gpu), &device(gpu));
    impasto::measuring::bench::check(gpu, size, precision, &options.op)?;
    let earlier = earlier.map(|earlier| earlier.ops(device, size, precision)).transpose()?;
    let ceilings = impasto::measuring::bench::ceilings(gpu)?;
    if !options.json {
        console::data_line(&title(device))?;
        console::data_line(&ops::head(&ceilings, size, precision, earlier.is_some()))?;
    }
    let (mut all, mut compared) = (Vec::new(), false);
    let enough = Duration::from_millis(options.time);
    impasto::measuring::bench::ops(
        gpu,
        size,
        precision,
        &options.op,
        enough,
        &ceilings,
        |measured: Measured| -> anyhow::Result<()> {
            let ratio = earlier.as_ref().and_then(|earlier| compare::ratio(&measured, earlier));
            compared |= ratio.is_some();
            if options.json {
                let mut value = serde_json::to_value(&measured)?;
                if let Some(ratio) = ratio {
                    value["ratio"] = ratio.into();
                }
                all.push(value);
                return Ok(());
            }
            all.push(Value::Null);
            console::data_line(&ops::line(&measured, ratio))
        },
    )?;
    if let Some(earlier) = earlier.filter(|_| !compared) {
        console::message(&format!(
            "note: none of the {} measurements in the earlier report is among these",
            earlier.len()
        ));
    }
    if options.json {
        let (width, height) = size;
        let report = json!({
            "device": device,
            "size": [width, height],
            "precision": precision,
            "ceilings": ceilings,
            "ops": all,
        });
        console::data_line(&serde_json::to_string_pretty(&report)?)?;
    }
    Ok(0)
}

/// What was measured on.
fn device(gpu: &Gpu) -> Value {
    let info = gpu.info();
    json!({
        "name": info.name,
        "backend": info.backend.to_string(),
        "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// The same as a line, as [`Gpu::description`].
fn title(device: &Value) -> String {
    let part = |key: &str| device[key].as_str().unwrap_or_default().to_owned();
    format!("{} ({}, {})", part("name"), part("backend"), part("driver"))
}
