//! Whole iterations: their time as in a run, what it consists of, and their memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

use super::least::Work;
use super::median;
use crate::engine::gpu::Gpu;
use crate::engine::plan::{Timeline, Timers};
use crate::engine::precision::Precision;
use crate::network::vgg::Vgg;
use crate::painting::session::Session;
use crate::painting::settings::Settings;
use crate::picture::Picture;
use crate::{Error, Result};

/// How long a block of iterations should take, and how many blocks there are.
const BLOCK: Duration = Duration::from_millis(250);
const BLOCKS: usize = 9;
/// Blocks and timed iterations end after this long, but not before there are three of each.
const ENOUGH: Duration = Duration::from_secs(15);

/// What was measured of iterations on pictures of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Iteration {
    /// Columns of the picture.
    pub width: usize,
    /// Rows of the picture.
    pub height: usize,
    /// How feature maps were stored.
    #[serde(default)]
    pub precision: Precision,
    /// Milliseconds of one iteration as in a run, median of blocks. The first iterations of a run
    /// all renew the transport of a style loss. Where iterations are long, only those are measured.
    pub ms: f64,
    /// Iterations of a block, and blocks.
    pub block: [usize; 2],
    /// Processor cores that this process kept busy meanwhile. A software driver computes there; with a GPU
    /// it is what recording, submitting and waiting cost.
    #[serde(default)]
    pub cores: f64,
    /// Billions of multiplications and additions per second, convolutions counted in their direct form.
    pub gflops: f64,
    /// What an iteration consists of; `None` if the device cannot time shaders.
    pub breakdown: Option<Breakdown>,
    /// What it needs.
    pub memory: Memory,
}

/// What one iteration consisted of: `ms` is the sum of the kernels and `rest`, and likewise of the layers and
/// `rest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Breakdown {
    /// Milliseconds of the iteration, from its submission until the processor knew that it was done. It was
    /// alone on the device, and each dispatch had a pass of its own, so that it may take longer than those of
    /// a run.
    pub ms: f64,
    /// By kernel, the most first.
    pub kernels: Vec<Part>,
    /// By layer or loss, the most first.
    pub layers: Vec<Part>,
    /// Milliseconds between dispatches, and before and after them.
    pub rest: f64,
    /// Of `ms`, the milliseconds of dispatches and copies that most iterations of a run leave out: those that
    /// renew the transport of a style loss. Each iteration that was measured has them.
    #[serde(default)]
    pub renewal: f64,
}

/// Some dispatches of an iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Part {
    /// What they have in common.
    pub name: String,
    /// How many they are.
    pub dispatches: usize,
    /// Milliseconds of all of them.
    pub ms: f64,
}

/// Device memory of a run, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Memory {
    /// The network's weights.
    pub network: u64,
    /// All else: maps, gradients, optimiser, targets, parameters, read-back buffers; weights that are kept
    /// transformed.
    pub session: u64,
    /// Of `session`, the transformed weights that are kept: only small pictures have them, and they grow with
    /// the network alone.
    #[serde(default)]
    pub transformed: u64,
    /// Network and session.
    pub total: u64,
    /// `session` over the pixels of the picture.
    pub session_per_pixel: f64,
    /// The same without `transformed`.
    #[serde(default)]
    pub iteration_per_pixel: f64,
    /// `total` over the pixels of the picture.
    pub total_per_pixel: f64,
    /// What wgpu's allocator holds for the whole device; `None` where the backend does not tell. Buffers are
    /// rounded up in it, and the time stamps of the bench are among them.
    pub allocated: Option<u64>,
}

/// A session on new pictures of this size (width, height).
fn session<'g>(
    gpu: &'g Gpu,
    vgg: &'g Vgg,
    settings: &Settings,
    (width, height): (usize, usize),
) -> Result<Session<'g>> {
    let (photo, painting) = (Picture::noise(width, height, 1), Picture::noise(width, height, 2));
    Session::builder(gpu, vgg).content(&photo).style(&painting, 1.0).settings(settings.clone()).build()
}

/// Does one iteration and returns when its losses are there: for measuring how long that takes from the
/// start.
///
/// # Errors
/// As [`crate::painting::session::Builder::build`].
pub fn first(gpu: &Gpu, vgg: &Vgg, settings: &Settings, size: (usize, usize)) -> Result<()> {
    session(gpu, vgg, settings, size)?.step().map(drop)
}

/// Measures iterations on pictures of `size` (width, height).
///
/// # Errors
/// As [`crate::painting::session::Builder::build`].
pub fn iteration(gpu: &Gpu, vgg: &Vgg, settings: &Settings, size: (usize, usize)) -> Result<Iteration> {
    let mut session = session(gpu, vgg, settings, size)?;
    let mut run = |n: usize| -> Result<Duration> {
        session.allow(n);
        let start = Instant::now();
        session.run(&mut ())?;
        Ok(start.elapsed())
    };
    // The first is warming up, the second tells how many to a block.
    run(1)?;
    let one = run(1)?.as_secs_f64();
    let count = (BLOCK.as_secs_f64() / one.max(1e-6)).ceil().clamp(1.0, 256.0) as usize;
    let mut blocks = Vec::new();
    let (start, processor) = (Instant::now(), ProcessTime::now());
    while blocks.len() < 3 || (blocks.len() < BLOCKS && start.elapsed() < ENOUGH) {
        blocks.push(run(count)?.as_secs_f64() * 1e3 / count as f64);
    }
    let cores = processor.elapsed().as_secs_f64() / start.elapsed().as_secs_f64();
    let block = [count, blocks.len()];
    let ms = median(&mut blocks);

    let pixels = (size.0 * size.1) as f64;
    // As in a run, so before there are time stamps.
    let network = vgg.bytes();
    let own = session.bytes() + session.readback_bytes();
    let transformed = session.plan().prepared_bytes();
    let memory = Memory {
        network,
        session: own,
        transformed,
        total: network + own,
        session_per_pixel: own as f64 / pixels,
        iteration_per_pixel: (own - transformed) as f64 / pixels,
        total_per_pixel: (network + own) as f64 / pixels,
        allocated: gpu.allocated(),
    };
    Ok(Iteration {
        width: size.0,
        height: size.1,
        precision: settings.precision,
        ms,
        block,
        cores,
        gflops: Work::per_pixel().operations * pixels / (ms * 1e6),
        breakdown: gpu.has_timestamps().then(|| breakdown(gpu, &session)).transpose()?,
        memory,
    })
}

/// Times the dispatches of several iterations and takes the one that is in the middle by its time.
fn breakdown(gpu: &Gpu, session: &Session) -> Result<Breakdown> {
    let plan = session.plan();
    let timers = Timers::new(gpu, plan)?;
    let mut timelines: Vec<Timeline> = Vec::new();
    let start = Instant::now();
    while timelines.len() < 3 || (timelines.len() < BLOCKS && start.elapsed() < ENOUGH) {
        timelines.push(plan.time(gpu, &timers, plan.all(), session.pieces())?);
    }
    timelines.sort_by(|a, b| a.whole.total_cmp(&b.whole));
    let middle = timelines.len() / 2;
    let timeline = timelines.swap_remove(middle);
    let renewal =
        timeline.steps.iter().filter(|(step, _)| plan.is_left_out(*step)).map(|(_, time)| time / 1e6).sum();
    let parts = |which: usize| {
        let mut parts: HashMap<&str, Part> = HashMap::new();
        for (step, time) in &timeline.steps {
            let name = plan.names(*step)[which];
            let part =
                parts.entry(name).or_insert_with(|| Part { name: name.into(), dispatches: 0, ms: 0.0 });
            part.dispatches += 1;
            part.ms += time / 1e6;
        }
        let mut parts: Vec<Part> = parts.into_values().collect();
        parts.sort_by(|a, b| b.ms.total_cmp(&a.ms).then_with(|| a.name.cmp(&b.name)));
        parts
    };
    let rest = timeline.whole - timeline.sum();
    if rest < 0.0 {
        let why = "the device's clock runs faster than the processor's, so that its shaders cannot be timed";
        return Err(Error::Device(why.into()));
    }
    Ok(Breakdown { ms: timeline.whole / 1e6, kernels: parts(1), layers: parts(0), rest: rest / 1e6, renewal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Network;
    use crate::network::tuning::Tuning;
    use crate::network::weights::Weights;

    /// By as much as the allocator holds more for a larger picture, so much more is counted: where no weights
    /// are kept, all of it is the maps and whatever else grows with the picture.
    #[test]
    fn what_is_allocated_is_counted() {
        let gpu = Gpu::new(None).unwrap();
        let settings = Settings::book();
        let network = Network::vgg19();
        let weights = Weights::embedded(&network.specs(&settings.taps()).unwrap()).unwrap();
        let vgg = Vgg::new(&gpu, network, &weights, &Tuning::default()).unwrap();
        let style = Picture::noise(16, 16, 2);
        let [small, large] = [512, 768].map(|height| {
            let content = Picture::noise(512, height, 1);
            let builder = Session::builder(&gpu, &vgg).content(&content).style(&style, 1.0);
            let session = builder.settings(settings.clone()).build().unwrap();
            // What was only needed to measure the content, and to bring values to the device, is given back.
            gpu.queue.submit([]);
            gpu.wait().unwrap();
            let allocated = gpu.allocated()?;
            Some((session.bytes() + session.readback_bytes(), allocated))
        });
        let (Some(small), Some(large)) = (small, large) else {
            println!("this backend does not tell what is allocated");
            return;
        };
        let (counted, allocated) = (large.0 - small.0, large.1 as f64 - small.1 as f64);
        println!("{counted} bytes more are counted, {allocated} allocated");
        // Buffers are rounded up.
        let share = counted as f64 / allocated;
        assert!((0.97..=1.0).contains(&share), "{counted} counted, {allocated} allocated");
    }
}
