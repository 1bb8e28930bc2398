//! What a run will take, found out before it: memory by counting, time by a short measurement.

use std::time::{Duration, Instant};

use crate::Result;
use crate::disk::Store;
use crate::engine::gpu::Gpu;
use crate::network::vgg::Vgg;
use crate::painting::capacity;
use crate::painting::cost::work;
use crate::painting::run::{Observer, Run};
use crate::painting::session::{Losses, Session};
use crate::painting::settings::Settings;
use crate::painting::stages::{Stage, stages, steered};
use crate::painting::steering::Change;
use crate::painting::style::Style;
use crate::painting::tiling::{Tiles, Tiling};
use crate::picture::{Picture, Regions};

/// Pixels of the first, small measurement.
const SMALL: f64 = 16384.0;
/// Iterations that a measurement runs at least, the one that warms up included.
const LEAST: f64 = 4.0;
/// What the first, small measurement may take of the time, and the last one.
const SHORT: f64 = 0.1;
const LONG: f64 = 0.6;

/// What a run will take.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Device memory of the iteration in bytes, exactly: what [`Session::bytes`] will say.
    pub memory_bytes: u64,
    /// The tiles of the last size, if it is painted in tiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
    /// Device memory of the network in bytes.
    pub network_bytes: u64,
    /// Device memory that the adapter has, where its driver tells; see [`device_memory`].
    pub adapter_bytes: Option<u64>,
    /// The largest content (width, height) of the same proportions that fits.
    pub largest: Option<(usize, usize)>,
    /// Seconds from the pictures to the first iteration: compiling shaders, measuring style and content.
    /// Drivers keep compiled shaders, so that the next run may start much sooner: see [`Self::start_again`].
    pub start_seconds: f64,
    /// Seconds of an iteration at the last size, on the average.
    pub iteration_seconds: f64,
    /// Seconds of a run with all its iterations, the start included.
    pub seconds: f64,
    /// The largest content (width, height) that was measured. If it is smaller than the run's, the times are
    /// extrapolated: a part that every iteration takes, and a part that grows with the pixels.
    pub measured: (usize, usize),
    /// The run that was asked for.
    #[serde(skip)]
    content: (usize, usize),
    /// Seconds that every iteration takes, and those for each unit of its work.
    #[serde(skip)]
    paces: [f64; 2],
    /// Seconds of all iterations.
    #[serde(skip)]
    painting: f64,
    /// Seconds that measuring content and styles takes for each pixel of the content.
    #[serde(skip)]
    looking: f64,
}

impl Estimate {
    /// Whether the adapter has the memory, as far as its driver tells.
    pub fn fits(&self) -> bool {
        self.adapter_bytes.is_none_or(|there| self.memory_bytes + self.network_bytes <= there)
    }

    /// Counts the iterations as a run of these settings has them that is repeated with its changes: some of its
    /// sizes may end early. Weights do not change the time.
    pub fn repeat(&mut self, settings: &Settings, changes: &[Change]) {
        self.count(settings, &steered(settings, self.content, changes));
    }

    /// Counts what these stages take.
    fn count(&mut self, settings: &Settings, stages: &[Stage]) {
        let [fixed, rate] = self.paces;
        let seconds = |stages: &[Stage]| {
            let iterations: usize = stages.iter().map(|stage| stage.iterations).sum();
            (fixed * iterations as f64 + rate * work(settings, stages), iterations)
        };
        self.painting = seconds(stages).0;
        self.seconds = self.start_seconds + self.painting;
        let begin = stages.partition_point(|stage| !stage.same_size(&stages[stages.len() - 1]));
        let mut last = stages[begin..].to_vec();
        // A run of no iterations is told of its first.
        last[0].iterations = last[0].iterations.max(1);
        let (last, iterations) = seconds(&last);
        self.iteration_seconds = last / iterations as f64;
    }

    /// Measures the start again, for what [`estimate`] was asked for, on a device that was opened again: as
    /// the next run will find the driver, which has compiled the shaders by now and may have kept them.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    pub fn start_again(
        &mut self,
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        styles: &[(usize, usize)],
    ) -> Result<()> {
        let bench = Bench { gpu, vgg, settings, content: self.content, styles };
        let pixels = (self.content.0 * self.content.1) as f64;
        let began = Instant::now();
        let size = bench.start(SMALL / pixels)?.1;
        let small = began.elapsed().as_secs_f64();
        self.start_seconds = small + self.looking * (pixels - (size.0 * size.1) as f64).max(0.0);
        self.seconds = self.start_seconds + self.painting;
        Ok(())
    }
}

/// Finds out what a run on pictures of these sizes (width, height) will take. No picture is needed: time
/// depends on sizes alone. The measurement takes about `patience`, and longer only where few iterations of a
/// small picture do. An iteration in tiles is taken to last as much longer than one of the whole as it
/// computes more.
///
/// # Errors
/// As [`capacity::check_sizes`], and [`Error::Device`](crate::Error::Device) if the device fails.
pub fn estimate(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    styles: &[(usize, usize)],
    (tiling, store): (Tiling, &Store),
    patience: Duration,
) -> Result<Estimate> {
    settings.validate()?;
    capacity::check_sizes(gpu, vgg, settings, content, styles, (tiling, store))?;
    let memory_bytes = capacity::memory(gpu, vgg, settings, content, tiling)?;
    let tiles = capacity::tiles(gpu, vgg, settings, content, tiling)?;
    let adapter_bytes = device_memory(gpu);
    let room = adapter_bytes.map_or(u64::MAX, |there| there.saturating_sub(vgg.bytes()));
    let largest = capacity::largest(gpu, vgg, settings, content, room)?;

    let pixels = (content.0 * content.1) as f64;
    let bench = Bench { gpu, vgg, settings, content, styles };
    let alone = pixels <= 1.5 * SMALL;
    // A slightly larger picture is measured at its own size: for few pixels, time does not grow in
    // proportion.
    let first = match alone {
        true => bench.sample(1.0, patience.mul_f64(LONG))?,
        false => bench.sample(SMALL / pixels, patience.mul_f64(SHORT))?,
    };
    // What is large has to be measured large, but only as far as time and memory allow.
    let affordable = patience.as_secs_f64() / (LEAST * first.paced.seconds) * first.pixels();
    let allowed = match &tiles {
        None => pixels * (room as f64 / memory_bytes as f64).min(1.0),
        // What is measured is a whole of the size that tiles have, which takes about as much memory.
        Some(tiles) => (tiles.window.0 * tiles.window.1) as f64,
    };
    let wanted = pixels.min(affordable).min(allowed);
    let second = match wanted > 1.5 * first.pixels() {
        true => Some(bench.sample(wanted / pixels, patience.mul_f64(LONG))?),
        false => None,
    };

    let beyond = (pixels - first.pixels()).max(0.0);
    let (looking, start_seconds, fixed, rate, measured) = match second {
        None => {
            // An iteration goes through the network forwards and back, which takes three times as long as
            // forwards.
            let looking = first.paced.seconds * (1 + styles.len()) as f64 / 3.0 / first.pixels();
            (looking, first.start + looking * beyond, 0.0, first.paced.rate(), first.size)
        }
        Some(second) => {
            let slope = (second.paced.seconds - first.paced.seconds) / (second.paced.work - first.paced.work);
            // Noise must not turn the part that is there for every size into less than none.
            let rate = slope.clamp(0.0, second.paced.rate());
            let fixed = second.paced.seconds - rate * second.paced.work;
            // The shaders were compiled for the first, so that the second shows what the pictures alone take.
            let looking = second.start / second.pixels();
            let compiling = (first.start - looking * first.pixels()).max(0.0);
            (looking, compiling + looking * pixels, fixed, rate, second.size)
        }
    };
    let overhead = tiles.as_ref().map_or(1.0, |tiles| tiles.overhead);
    let mut found = Estimate {
        memory_bytes,
        tiles,
        network_bytes: vgg.bytes(),
        adapter_bytes,
        largest,
        start_seconds,
        iteration_seconds: 0.0,
        seconds: 0.0,
        measured,
        content,
        paces: [fixed * overhead, rate * overhead],
        painting: 0.0,
        looking,
    };
    found.count(settings, &stages(settings, content));
    Ok(found)
}

/// The run whose times are wanted.
struct Bench<'a> {
    gpu: &'a Gpu,
    vgg: &'a Vgg,
    settings: &'a Settings,
    content: (usize, usize),
    styles: &'a [(usize, usize)],
}

/// What was measured at one size.
struct Sample {
    size: (usize, usize),
    start: f64,
    paced: Paced,
}

impl Sample {
    fn pixels(&self) -> f64 {
        (self.size.0 * self.size.1) as f64
    }
}

impl Bench<'_> {
    /// A session on pictures of `share` of the pixels, at most all, and the content's size in it.
    fn start(&self, share: f64) -> Result<(Session<'_>, (usize, usize))> {
        let least = self.vgg.smallest(&self.settings.taps());
        let scale = share.min(1.0).sqrt();
        let scaled = |n: usize| ((n as f64 * scale).round() as usize).max(least.min(n)).max(1);
        let noise = |(width, height): (usize, usize)| Picture::noise(scaled(width), scaled(height), 0);
        let content = noise(self.content);
        let styles: Vec<Picture> = self.styles.iter().map(|size| noise(*size)).collect();
        let weighted: Vec<(&Picture, f64)> = styles.iter().map(|style| (style, 1.0)).collect();

        let mut settings = self.settings.clone();
        settings.iterations = u32::MAX as usize;
        // The last size alone, as most of its iterations are.
        settings.first_size = 0;
        settings.first_iterations.clear();
        settings.finish = settings.finish.round();
        let style = match settings.regions {
            0 => Style::measure(self.gpu, self.vgg, &settings, &weighted, Tiling::Off)?,
            // Time does not depend on where they lie.
            count => {
                let regions = Regions::stripes(count, weighted.len());
                Style::measure_regions(self.gpu, self.vgg, &settings, &weighted, &regions)?
            }
        };
        let builder = Session::builder(self.gpu, self.vgg).content(&content).measured(&style);
        Ok((builder.settings(settings).build()?, (content.width, content.height)))
    }

    /// Measures such a session for `time`, or longer if its iterations are long.
    fn sample(&self, share: f64, time: Duration) -> Result<Sample> {
        let began = Instant::now();
        let (mut session, size) = self.start(share)?;
        let start = began.elapsed().as_secs_f64();
        let mut watch = Watch { time, pace: Pace::default(), paced: None };
        // It ends when all that was submitted is done: what is still on the device would disturb the next
        // measurement.
        session.run(&mut watch)?;
        let paced = watch.paced.expect("without a pace the run goes on");
        Ok(Sample { size, start, paced })
    }
}

/// Stops a run when its pace is known.
struct Watch {
    /// How long the pace is watched at least.
    time: Duration,
    pace: Pace,
    paced: Option<Paced>,
}

impl Observer for Watch {
    fn losses(&mut self, run: &mut Run, _: &Losses) -> Result<()> {
        if self.paced.is_none() {
            self.pace.note(run.session());
            self.paced = self.pace.steady(self.time).inspect(|_| run.stop());
        }
        Ok(())
    }
}

/// How fast a session goes. What the first submission took is not counted: it warms up.
#[derive(Default)]
pub struct Pace {
    first: Option<Moment>,
    last: Option<Moment>,
}

/// How far a session had come.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    landed: usize,
    /// The work that was left, and the iterations of the whole run, which may be made shorter.
    left: f64,
    iterations: usize,
}

/// What was measured of an iteration, on the average.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Paced {
    /// Seconds of it.
    pub seconds: f64,
    /// Its work, in the unit of [`Session::work_left`].
    pub work: f64,
}

impl Paced {
    /// Seconds for each unit of work.
    pub fn rate(&self) -> f64 {
        self.seconds / self.work
    }
}

impl Pace {
    /// Looks at how far the session has come. To be called after every step.
    pub fn note(&mut self, session: &Session) {
        self.take(Moment {
            at: Instant::now(),
            landed: session.landed(),
            left: session.work_left(),
            iterations: session.iterations(),
        });
    }

    fn take(&mut self, now: Moment) {
        if self.last.is_some_and(|before| now.landed <= before.landed) {
            return;
        }
        // What a run no longer has to do was not done.
        self.first = self.first.filter(|first| first.iterations == now.iterations).or(Some(now));
        self.last = Some(now);
    }

    /// What is known so far, if anything is.
    pub fn measured(&self) -> Option<Paced> {
        let (first, last) = self.first.zip(self.last)?;
        let count = (last.landed - first.landed) as f64;
        let (seconds, work) = ((last.at - first.at).as_secs_f64(), first.left - last.left);
        (count > 0.0 && work > 0.0).then(|| Paced { seconds: seconds / count, work: work / count })
    }

    /// The same, once it can be relied on: after three iterations and `time`.
    pub fn steady(&self, time: Duration) -> Option<Paced> {
        let (first, last) = self.first.zip(self.last)?;
        let enough = last.landed >= first.landed + 3 && last.at - first.at >= time;
        self.measured().filter(|_| enough)
    }
}

/// Bytes of the adapter's own memory, where the driver tells: through Vulkan. On a software adapter that is
/// the machine's memory, as far as the driver would take it. Other programs may be using some of it.
pub fn device_memory(gpu: &Gpu) -> Option<u64> {
    largest_heap(gpu)
}

#[cfg(not(any(target_vendor = "apple", target_arch = "wasm32")))]
fn largest_heap(gpu: &Gpu) -> Option<u64> {
    // What Vulkan calls device-local.
    const LOCAL: u32 = 1;
    // SAFETY: the device is only asked for a table of its driver's; nothing is changed and nothing is kept.
    let memory = unsafe {
        let device = gpu.device.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = device.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(device.raw_physical_device())
    };
    let heaps = memory.memory_heaps_as_slice().iter();
    heaps.filter(|heap| heap.flags.as_raw() & LOCAL != 0).map(|heap| heap.size).max()
}

#[cfg(any(target_vendor = "apple", target_arch = "wasm32"))]
fn largest_heap(_: &Gpu) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_has_only_work_that_was_done() {
        let began = Instant::now();
        let moment = |seconds, landed, left, iterations| Moment {
            at: began + Duration::from_secs(seconds),
            landed,
            left,
            iterations,
        };
        let mut pace = Pace::default();
        pace.take(moment(0, 2, 100.0, 20));
        assert!(pace.measured().is_none(), "nothing is known of one moment");
        pace.take(moment(1, 2, 100.0, 20));
        pace.take(moment(6, 5, 70.0, 20));
        let paced = pace.steady(Duration::from_secs(5)).unwrap();
        assert_eq!((paced.seconds, paced.work, paced.rate()), (2.0, 10.0, 0.2));
        assert!(pace.steady(Duration::from_secs(7)).is_none());
        // The run is to end sooner.
        pace.take(moment(8, 6, 20.0, 8));
        assert!(pace.measured().is_none(), "40 were spared, not done");
        pace.take(moment(10, 7, 10.0, 8));
        assert_eq!(pace.measured().unwrap().rate(), 0.2);
    }
}
