//! `impasto estimate`: predicts memory and time of a run.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use impasto::Store;
use impasto::measuring::estimate::{Estimate, estimate};
use impasto::painting::stages::{self, Stage};

use super::stylize::{Look, Machine, Room, Sizes, read, resolve, tiles_text};
use super::{console, memory_text, time_text};

/// How long a measurement may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// Predict the memory and time that a picture takes, and the largest size that fits
///
/// Takes the options of `impasto stylize` that matter for it. The measurement takes some seconds.
#[derive(clap::Args)]
pub struct Options {
    /// The photograph
    content: PathBuf,

    /// The painting, or several
    #[arg(required = true, value_name = "STYLE")]
    styles: Vec<PathBuf>,

    /// Print a JSON object instead
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    room: Room,
}

pub fn run(mut options: Options) -> anyhow::Result<u8> {
    let began = Instant::now();
    resolve(&mut options.sizes, &mut options.look, &mut options.machine)?;
    let mut settings = options.look.settings()?;
    options.look.weights(options.styles.len())?;
    let store = options.room.store();
    store.check()?;
    let content = read(&options.content)?;
    let size = options.sizes.of_content(&content);
    let style_size = options.sizes.of_styles(size);
    let (mut styles, mut drawn_beside) = (Vec::new(), Vec::new());
    for path in &options.styles {
        let style = read(path)?;
        drawn_beside.push((style.width, style.height));
        styles.push(style_size.of(style.width, style.height, true));
    }
    if let Some(read) = options.look.regions.read((content.width, content.height), &drawn_beside)? {
        settings.regions = read.regions.colours().len();
    }
    // The run will have to read the same files.
    let reading = began.elapsed();
    let mut found = {
        let (gpu, vgg) = options.machine.open(&settings)?;
        estimate(&gpu, &vgg, &settings, size, &styles, (options.room.tiling(&gpu), &store), PATIENCE)?
    };
    // The run will meet a driver that has compiled these shaders before.
    let began = Instant::now();
    let (gpu, vgg) = options.machine.again().open(&settings)?;
    let opened = (reading + began.elapsed()).as_secs_f64();
    found.start_again(&gpu, &vgg, &settings, &styles)?;
    found.repeat(&settings, options.look.changes());
    let stages = stages::steered(&settings, size, options.look.changes());
    let iterations = stages.last().map_or(0, Stage::end);
    found.start_seconds += opened;
    found.seconds += opened;

    let adapter = &gpu.info().name;
    if options.json {
        let mut line = serde_json::to_value(&found)?;
        line["adapter"] = adapter.as_str().into();
        (line["width"], line["height"]) = (size.0.into(), size.1.into());
        line["iterations"] = iterations.into();
        line["fits"] = found.fits().into();
        console::data_line(&line.to_string())?;
    } else {
        describe(&found, adapter, size, iterations, &store)
            .iter()
            .try_for_each(|line| console::data_line(line))?;
    }
    Ok(u8::from(!found.fits()))
}

fn describe(
    found: &Estimate,
    adapter: &str,
    (width, height): (usize, usize),
    iterations: usize,
    store: &Store,
) -> Vec<String> {
    let Estimate { memory_bytes, network_bytes, adapter_bytes, .. } = found;
    let there = match adapter_bytes {
        None => "whose driver does not report how much it has".to_owned(),
        Some(there) if found.fits() => format!("which has {}", memory_text(*there)),
        Some(there) => format!("which has only {}: it does not fit", memory_text(*there)),
    };
    let largest = match found.largest {
        None => "nothing of this shape fits".to_owned(),
        Some((width, height)) if found.tiles.is_some() => format!("{width} x {height} as a whole"),
        Some((width, height)) => format!("{width} x {height} (--size {width}x{height})"),
    };
    let (measured_width, measured_height) = found.measured;
    let tiles = found.tiles.as_ref().map(|tiles| format!("tiles     {}", tiles_text(tiles, store)));
    let lines = [
        format!("size      {width} x {height}"),
        format!(
            "memory    {}: {} for the iteration and {} for the network, on {adapter}, {there}",
            memory_text(memory_bytes + network_bytes),
            memory_text(*memory_bytes),
            memory_text(*network_bytes),
        ),
        format!("largest   {largest}"),
        format!(
            "time      {} for {iterations} iterations: {} before the first and {} for each, measured at {measured_width} x \
             {measured_height}",
            time_text(found.seconds),
            time_text(found.start_seconds),
            time_text(found.iteration_seconds),
        ),
    ];
    lines.into_iter().chain(tiles).collect()
}
