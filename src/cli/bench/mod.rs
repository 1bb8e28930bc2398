//! `impasto bench`: measures this machine, op by op or in whole iterations.

mod compare;
mod iteration;
mod ops;
mod startup;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use impasto::bench::Measured;
use impasto::fit::check_sizes;
use impasto::gpu::Gpu;
use impasto::picture::Size;
use impasto::precision::Precision;
use impasto::settings::Settings;
use serde_json::{Value, json};

use self::compare::{Earlier, Ratios};
use super::stylize::Machine;
use super::{print, talk};

/// Measure every op and variant on this machine's adapter, or whole iterations
#[derive(clap::Args)]
pub struct Options {
    /// Time whole iterations and their parts, instead of single ops
    #[arg(long)]
    iteration: bool,

    /// Measure only lines of the table that contain this: `gram`, `conv3x3 tiled`, `winograd 256 48x72`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "",
        hide_default_value = true,
        conflicts_with = "iteration"
    )]
    op: String,

    /// Milliseconds to spend on each pass of each variant; at most 50 runs
    #[arg(long, value_name = "MS", default_value = "400", conflicts_with = "iteration")]
    time: u64,

    /// Size of the picture: `N` for a square, or `WxH` [default: 512, on the processor 288x192]
    #[arg(long, value_name = "N|WxH")]
    size: Option<Size>,

    /// Store the network's maps in 32 bits or in 16, as in a run
    #[arg(long, value_name = "single|half", default_value = "single",
          value_parser = PossibleValuesParser::new(["single", "half"]).try_map(|name| name.parse::<Precision>()))]
    precision: Precision,

    #[command(flatten)]
    machine: Machine,

    /// Print a JSON object instead of tables
    #[arg(long)]
    json: bool,

    /// Compare with an earlier output of `--json`, as ratios of times: below 1 is faster now
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// Do one iteration with the caches in this folder, print a line, and end
    #[arg(long, hide = true, requires = "iteration")]
    first: Option<PathBuf>,
}

impl Options {
    /// Width and height of the picture to measure.
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
    let mut settings = Settings::default();
    settings.precision = options.precision;
    if let Some(folder) = &options.first {
        let (gpu, vgg) = options.machine.caching_in(folder).open(&settings)?;
        impasto::bench::first(&gpu, &vgg, &settings, options.size(&gpu))?;
        print(&startup::told(options.precision))?;
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
    // The check comes before so large a picture is made.
    check_sizes(&gpu, &vgg, &settings, size, &[size])?;
    let measured = impasto::bench::iteration(&gpu, &vgg, &settings, size)?;
    // The child processes should have the device to themselves.
    drop((vgg, gpu));
    let startup = startup::measure(size, options.precision)?;
    let ratios = earlier.map(|(iteration, before)| Ratios::new((&measured, &startup), (&iteration, &before)));
    if options.json {
        let mut report = json!({ "device": device, "iteration": measured, "startup": startup });
        if let Some(ratios) = ratios {
            report["ratios"] = serde_json::to_value(ratios)?;
        }
        print(&serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&iteration::table(&device, &measured, &startup, ratios.as_ref()))?;
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
    impasto::bench::check(gpu, size, precision, &options.op)?;
    let earlier = earlier.map(|earlier| earlier.ops(device, size, precision)).transpose()?;
    let ceilings = impasto::bench::ceilings(gpu)?;
    if !options.json {
        print(&title(device))?;
        print(&ops::head(&ceilings, size, precision, earlier.is_some()))?;
    }
    let (mut all, mut compared) = (Vec::new(), false);
    let enough = Duration::from_millis(options.time);
    impasto::bench::ops(
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
            print(&ops::line(&measured, ratio))
        },
    )?;
    if let Some(earlier) = earlier.filter(|_| !compared) {
        talk(&format!(
            "note: of the {} measurements of the earlier report none is among these",
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
        print(&serde_json::to_string_pretty(&report)?)?;
    }
    Ok(0)
}

/// The device of the measurement.
fn device(gpu: &Gpu) -> Value {
    let info = gpu.info();
    json!({
        "name": info.name,
        "backend": info.backend.to_string(),
        "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// The device as a line, like [`Gpu::description`].
fn title(device: &Value) -> String {
    let part = |key: &str| device[key].as_str().unwrap_or_default().to_owned();
    format!("{} ({}, {})", part("name"), part("backend"), part("driver"))
}
