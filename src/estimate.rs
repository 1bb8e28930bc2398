//! Predicts what a run needs: memory by counting, time by a short measurement.

use std::time::{Duration, Instant};

use crate::Result;
use crate::fit;
use crate::gpu::Gpu;
use crate::picture::Picture;
use crate::session::Session;
use crate::settings::Settings;
use crate::style::Style;
use crate::vgg::Vgg;

/// The pixels of the first, small measurement.
const SMALL: f64 = 16384.0;
/// The fewest iterations of a measurement, including the one that warms up.
const LEAST: f64 = 4.0;
/// The shares of the time for the first, small measurement and for the last one.
const SHORT: f64 = 0.1;
const LONG: f64 = 0.6;

/// The needs of a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The device memory of the iteration in bytes, exactly: what [`Session::bytes`] will return.
    pub memory_bytes: u64,
    /// The device memory of the network in bytes.
    pub network_bytes: u64,
    /// The device memory of the adapter, if its driver tells; see [`device_memory`].
    pub adapter_bytes: Option<u64>,
    /// The largest content (width, height) of the same proportions that fits.
    pub largest: Option<(usize, usize)>,
    /// The seconds from the pictures to the first iteration: compiling shaders, measuring style and content.
    /// Drivers keep compiled shaders, so the next run may start much sooner: see [`Self::start_again`].
    pub start_seconds: f64,
    /// The seconds of an iteration.
    pub iteration_seconds: f64,
    /// The seconds of a run with all its iterations, including the start.
    pub seconds: f64,
    /// The largest content (width, height) that was measured. If it is smaller than the run's, the times are
    /// extrapolated from two parts: one that every iteration takes, and one that grows with the pixels.
    pub measured: (usize, usize),
    /// The run in question.
    #[serde(skip)]
    content: (usize, usize),
    #[serde(skip)]
    iterations: usize,
    /// The seconds for measuring content and styles, per pixel of the content.
    #[serde(skip)]
    looking: f64,
}

impl Estimate {
    /// Whether the adapter has enough memory, as far as its driver tells.
    pub fn fits(&self) -> bool {
        self.adapter_bytes.is_none_or(|there| self.memory_bytes + self.network_bytes <= there)
    }

    /// Measures the start again, for the run that was passed to [`estimate`], on a device that was opened
    /// anew. This is how the next run will find the driver, which has compiled the shaders by now and may
    /// have kept them.
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
        self.seconds = self.start_seconds + self.iteration_seconds * self.iterations as f64;
        Ok(())
    }
}

/// Finds out what a run on pictures of these sizes (width, height) needs. No pictures are needed, because
/// time depends on sizes alone. The measurement takes about `patience`. It takes longer only if even a few
/// iterations of a small picture do.
///
/// # Errors
/// Like [`fit::check_sizes`], and [`Error::Device`](crate::Error::Device) if the device fails.
pub fn estimate(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    styles: &[(usize, usize)],
    patience: Duration,
) -> Result<Estimate> {
    settings.validate()?;
    fit::check_sizes(gpu, vgg, settings, content, styles)?;
    let memory_bytes = fit::memory(gpu, vgg, settings, content)?;
    let adapter_bytes = device_memory(gpu);
    let room = adapter_bytes.map_or(u64::MAX, |there| there.saturating_sub(vgg.bytes()));
    let largest = fit::largest(gpu, vgg, settings, content, room)?;

    let pixels = (content.0 * content.1) as f64;
    let bench = Bench { gpu, vgg, settings, content, styles };
    let alone = pixels <= 1.5 * SMALL;
    // A picture that is hardly larger is measured as it is, because for few pixels time is not proportional
    // to their number.
    let first = match alone {
        true => bench.sample(1.0, patience.mul_f64(LONG))?,
        false => bench.sample(SMALL / pixels, patience.mul_f64(SHORT))?,
    };
    // Large pictures must be measured at large sizes, but only as far as time and memory allow.
    let affordable = patience.as_secs_f64() / (LEAST * first.iteration) * first.pixels();
    let allowed = pixels * (room as f64 / memory_bytes as f64).min(1.0);
    let wanted = pixels.min(affordable).min(allowed);
    let second = match wanted > 1.5 * first.pixels() {
        true => Some(bench.sample(wanted / pixels, patience.mul_f64(LONG))?),
        false => None,
    };

    let beyond = (pixels - first.pixels()).max(0.0);
    let (looking, start_seconds, iteration_seconds, measured) = match second {
        None => {
            // An iteration goes through the network forward and backward, which takes three times as long as
            // forward.
            let looking = first.iteration * (1 + styles.len()) as f64 / 3.0 / first.pixels();
            let iteration = first.iteration * (pixels / first.pixels()).max(1.0);
            (looking, first.start + looking * beyond, iteration, first.size)
        }
        Some(second) => {
            let slope = (second.iteration - first.iteration) / (second.pixels() - first.pixels());
            // Noise must not make the constant part negative.
            let slope = slope.clamp(0.0, second.iteration / second.pixels());
            let iteration = second.iteration + slope * (pixels - second.pixels());
            // The shaders were compiled for the first measurement, so the second one shows the time for the
            // pictures alone.
            let looking = second.start / second.pixels();
            let compiling = (first.start - looking * first.pixels()).max(0.0);
            (looking, compiling + looking * pixels, iteration, second.size)
        }
    };
    Ok(Estimate {
        memory_bytes,
        network_bytes: vgg.bytes(),
        adapter_bytes,
        largest,
        start_seconds,
        iteration_seconds,
        seconds: start_seconds + iteration_seconds * settings.iterations as f64,
        measured,
        content,
        iterations: settings.iterations,
        looking,
    })
}

/// The run whose times are predicted.
struct Bench<'a> {
    gpu: &'a Gpu,
    vgg: &'a Vgg,
    settings: &'a Settings,
    content: (usize, usize),
    styles: &'a [(usize, usize)],
}

/// The measurements at one size.
struct Sample {
    size: (usize, usize),
    start: f64,
    iteration: f64,
}

impl Sample {
    fn pixels(&self) -> f64 {
        (self.size.0 * self.size.1) as f64
    }
}

impl Bench<'_> {
    /// A session on pictures with `share` of the pixels (at most 1), and the size of its content.
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
        let style = Style::measure(self.gpu, self.vgg, &settings, &weighted)?;
        let builder = Session::builder(self.gpu, self.vgg).content(&content).measured(&style);
        Ok((builder.settings(settings).build()?, (content.width, content.height)))
    }

    /// Measures such a session for `time`, or longer if its iterations are long.
    fn sample(&self, share: f64, time: Duration) -> Result<Sample> {
        let began = Instant::now();
        let (mut session, size) = self.start(share)?;
        let start = began.elapsed().as_secs_f64();
        let mut pace = Pace::default();
        let iteration = loop {
            session.step()?;
            pace.note(session.landed());
            if let Some(seconds) = pace.steady(time) {
                break seconds;
            }
        };
        // Work that is still on the device must not disturb whoever uses it next.
        session.stop();
        while session.step()?.is_some() {}
        Ok(Sample { size, start, iteration })
    }
}

/// The pace of a session. The first submission is not counted, because it warms up.
#[derive(Default)]
pub struct Pace {
    first: Option<(usize, Instant)>,
    last: Option<(usize, Instant)>,
}

impl Pace {
    /// Records that `landed` iterations have landed by now; see [`Session::landed`]. Must be called after
    /// every step.
    pub fn note(&mut self, landed: usize) {
        if self.last.is_none_or(|(before, _)| landed > before) {
            let now = Some((landed, Instant::now()));
            self.first = self.first.or(now);
            self.last = now;
        }
    }

    /// Seconds per iteration so far, if they are known.
    pub fn seconds(&self) -> Option<f64> {
        let ((first, began), (last, now)) = self.first.zip(self.last)?;
        (last > first).then(|| (now - began).as_secs_f64() / (last - first) as f64)
    }

    /// [`Self::seconds`] once they are reliable: after three iterations and `time`.
    pub fn steady(&self, time: Duration) -> Option<f64> {
        let ((first, began), (last, now)) = self.first.zip(self.last)?;
        let enough = last >= first + 3 && now - began >= time;
        self.seconds().filter(|_| enough)
    }
}

/// The bytes of the adapter's own memory, if the driver tells, which requires Vulkan. For a software adapter
/// it is the part of the machine's memory that the driver would use. Other programs may be using some of it.
pub fn device_memory(gpu: &Gpu) -> Option<u64> {
    largest_heap(gpu)
}

#[cfg(not(any(target_vendor = "apple", target_arch = "wasm32")))]
fn largest_heap(gpu: &Gpu) -> Option<u64> {
    // Vulkan's bit for device-local heaps.
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
