//! One picture being painted: built once, then stepped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::gpu::Gpu;
use crate::memory::Readback;
use crate::picture::Picture;
use crate::plan::Plan;
use crate::real::Real;
use crate::recipe::{Recipe, Recorded, Targets, denormalize, normalize};
use crate::settings::Settings;
use crate::tape::{Shape, Tensor, Var};
use crate::vgg::Vgg;
use crate::{Error, Result};

/// Iterations whose losses the device remembers: at least those of two submissions.
const HISTORY: usize = 128;
const NOT_FINITE: &str = "the picture is no longer made of finite numbers; lower the weights of the losses or the \
    learning rate, or check the network's file";

/// Iterations of one submission at most.
const MOST_PER_SUBMIT: usize = HISTORY / 2;
/// What one submission should take: short enough that no driver resets the device and an interrupt is answered
/// quickly, long enough that submitting costs nothing.
const SUBMIT_TIME: Duration = Duration::from_millis(60);

/// Losses of one iteration, weighted, of the picture before that iteration's step.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Losses {
    /// Counted from 0.
    pub iteration: usize,
    /// Sum over the content layers.
    pub content: f64,
    /// Sum over the style layers.
    pub style: f64,
    /// Each style layer's part of it.
    pub style_layers: Vec<f64>,
    /// Total variation.
    pub tv: f64,
    /// Content, style and total variation together.
    pub total: f64,
}

/// A submission that the device may still be working on.
struct Flight {
    first: usize,
    count: usize,
    readback: Readback,
    submission: wgpu::SubmissionIndex,
}

/// A run of the optimiser on one picture.
pub struct Session<'g> {
    gpu: &'g Gpu,
    plan: Plan,
    picture: Var,
    exact: Tensor,
    real: Real,
    log: Tensor,
    slots: usize,
    content_slots: usize,
    iterations: usize,
    submitted: usize,
    in_flight: VecDeque<Flight>,
    spare: Vec<Readback>,
    ready: VecDeque<Losses>,
    per_submit: usize,
    last_landing: Option<Instant>,
}

/// What a session is made of; see [`Session::builder`].
pub struct Builder<'a> {
    gpu: &'a Gpu,
    vgg: &'a Vgg,
    content: Option<&'a Picture>,
    styles: Vec<(&'a Picture, f64)>,
    start: Option<&'a Picture>,
    settings: Settings,
}

impl<'a> Builder<'a> {
    /// The photograph: what the result shows, and its size.
    pub fn content(mut self, picture: &'a Picture) -> Self {
        self.content = Some(picture);
        self
    }

    /// The picture to start from, of the content's size; by default the content itself.
    pub fn start(mut self, picture: &'a Picture) -> Self {
        self.start = Some(picture);
        self
    }

    /// A painting whose Gram matrices the result shall have. Of several, the weighted mean counts.
    pub fn style(mut self, picture: &'a Picture, weight: f64) -> Self {
        self.styles.push((picture, weight));
        self
    }

    /// All else.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Measures the paintings and the photograph on the device, and records the iteration.
    ///
    /// # Errors
    /// [`Error::Setting`] if a picture or a weight is missing or useless, [`Error::TooLarge`] if the device has no
    /// room, and [`Error::Device`] if it fails.
    pub fn build(self) -> Result<Session<'a>> {
        let Self { gpu, vgg, content, styles, start, settings } = self;
        settings.validate()?;
        let content = content.ok_or_else(|| Error::Setting("no content picture".into()))?;
        let start = start.unwrap_or(content);
        if (start.width, start.height) != (content.width, content.height) {
            return Err(Error::Setting("the picture to start from is not as large as the content".into()));
        }
        let sum: f64 = styles.iter().map(|(_, weight)| weight).sum();
        if styles.iter().any(|(_, weight)| weight.is_nan() || *weight < 0.0) || sum <= 0.0 || !sum.is_finite()
        {
            return Err(Error::Setting("no style picture with a weight above 0".into()));
        }
        let of = |picture: &Picture| Shape::new(3, picture.height, picture.width);
        let shape = of(content);
        let recipe = Recipe { gpu, vgg, settings: &settings };
        recipe.fits(shape, &styles.iter().map(|(picture, _)| of(picture)).collect::<Vec<_>>())?;
        let mut grams: Vec<Vec<f64>> = Vec::new();
        for (picture, weight) in &styles {
            let measured = recipe.measure(picture, &settings.style_layers, |tape, x| recipe.gram(tape, x))?;
            grams.resize(measured.len(), Vec::new());
            for (sum_of, gram) in grams.iter_mut().zip(measured) {
                sum_of.resize(gram.len(), 0.0);
                sum_of.iter_mut().zip(gram).for_each(|(s, g)| *s += weight / sum * f64::from(g));
            }
        }
        let features = recipe.measure(content, &settings.content_layers, |_, x| x)?;
        let narrow = |values: &Vec<f64>| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
        let upload = |values: &[f32]| gpu.upload("target", values);
        let targets = Targets {
            content: features.iter().map(|f| upload(f)).collect::<Result<_>>()?,
            style: grams.iter().map(|g| upload(&narrow(g))).collect::<Result<_>>()?,
        };
        let Recorded { tape, picture, exact, real, log } = recipe.record(shape, Some(&targets), HISTORY);
        let plan = tape.finish()?;
        // The optimiser moves the picture in its own precision; the network reads it in float32.
        let values = normalize(start);
        plan.write(gpu, picture.value, &Real::F32.encode(&values));
        plan.write(gpu, exact, &real.encode(&values));
        Ok(Session {
            gpu,
            plan,
            picture,
            exact,
            real,
            log,
            slots: settings.content_layers.len() + settings.style_layers.len() + 1,
            content_slots: settings.content_layers.len(),
            iterations: settings.iterations,
            submitted: 0,
            in_flight: VecDeque::new(),
            spare: Vec::new(),
            ready: VecDeque::new(),
            per_submit: 1,
            last_landing: None,
        })
    }
}

/// Refuses what [`Builder::build`] would refuse about the sizes (width, height) of the pictures, without needing them.
///
/// # Errors
/// [`Error::Setting`] if a picture is too small for the network, [`Error::TooLarge`] if one is too large for the device.
pub fn check_sizes(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    styles: &[(usize, usize)],
) -> Result<()> {
    let shape = |(width, height): (usize, usize)| Shape::new(3, height, width);
    let styles: Vec<Shape> = styles.iter().map(|size| shape(*size)).collect();
    Recipe { gpu, vgg, settings }.fits(shape(content), &styles)
}

impl<'g> Session<'g> {
    /// Starts to describe a session. Content and at least one style are needed.
    pub fn builder(gpu: &'g Gpu, vgg: &'g Vgg) -> Builder<'g> {
        Builder { gpu, vgg, content: None, styles: Vec::new(), start: None, settings: Settings::default() }
    }

    /// The losses of the next iteration, or `None` when all iterations are done.
    ///
    /// The device works ahead: when iteration `i` is reported, later ones may have run. What [`Self::picture`] gives
    /// tells how many.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed, [`Error::Setting`] if the losses are no longer finite.
    pub fn step(&mut self) -> Result<Option<Losses>> {
        loop {
            if let Some(losses) = self.ready.pop_front() {
                if !losses.total.is_finite() {
                    return Err(Error::Setting(format!("iteration {}: {NOT_FINITE}", losses.iteration)));
                }
                return Ok(Some(losses));
            }
            // Two submissions at a time keep the device busy while the processor looks at the first one's losses.
            while self.in_flight.len() < 2 && self.submitted < self.iterations {
                self.submit();
            }
            if self.in_flight.is_empty() {
                return Ok(None);
            }
            self.land()?;
        }
    }

    /// Submits nothing more: [`Self::step`] still reports what the device was given, then ends.
    pub fn stop(&mut self) {
        self.iterations = self.submitted;
    }

    /// Iterations that were given to the device so far.
    pub fn submitted(&self) -> usize {
        self.submitted
    }

    /// Waits for the device and returns the picture after [`Self::submitted`] iterations.
    pub fn picture(&mut self) -> Result<Picture> {
        let values = self.variable()?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::Setting(NOT_FINITE.into()));
        }
        Ok(denormalize(self.picture.shape, &values))
    }

    /// Waits for the device and returns the optimised variable: `(rgb - mean) / std`, `height x 3 x width`.
    pub fn variable(&mut self) -> Result<Vec<f64>> {
        Ok(self.real.decode(&self.read(self.exact)?))
    }

    /// Waits for the device and returns the gradient of the total loss by the variable, as it was in the last iteration
    /// before that iteration's step; `height x 3 x width`.
    pub fn gradient(&mut self) -> Result<Vec<f32>> {
        self.picture.grad.map_or(Ok(Vec::new()), |grad| self.read(grad))
    }

    fn read(&mut self, tensor: Tensor) -> Result<Vec<f32>> {
        while !self.in_flight.is_empty() {
            self.land()?;
        }
        self.plan.read(self.gpu, tensor)
    }

    /// Device memory of this session's buffers in bytes, without the network's weights.
    pub fn bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// One line per dispatch and buffer of an iteration.
    pub fn describe(&self) -> String {
        self.plan.describe()
    }

    fn submit(&mut self) {
        let count = self.per_submit.min(self.iterations - self.submitted);
        let bytes = (HISTORY * self.slots * 4) as u64;
        let readback = self.spare.pop().unwrap_or_else(|| Readback::new(self.gpu, bytes));
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for _ in 0..count {
            self.plan.encode(&mut encoder);
        }
        encoder.copy_buffer_to_buffer(self.plan.buffer(self.log), 0, &readback.buffer, 0, bytes);
        let submission = self.gpu.queue.submit([encoder.finish()]);
        readback.request();
        self.in_flight.push_back(Flight { first: self.submitted, count, readback, submission });
        self.submitted += count;
    }

    /// Waits for the oldest submission and takes its losses.
    fn land(&mut self) -> Result<()> {
        let Some(flight) = self.in_flight.pop_front() else { return Ok(()) };
        self.gpu.wait_for(flight.submission)?;
        let log: Vec<f32> = bytemuck::pod_collect_to_vec(&flight.readback.take(self.gpu)?);
        for iteration in flight.first..flight.first + flight.count {
            let slots = &log[iteration % HISTORY * self.slots..][..self.slots];
            self.ready.push_back(losses(iteration, slots, self.content_slots));
        }
        let now = Instant::now();
        if let Some(before) = self.last_landing.replace(now) {
            let wanted =
                SUBMIT_TIME.as_secs_f64() / ((now - before).as_secs_f64() / flight.count as f64).max(1e-6);
            self.per_submit = (wanted as usize).clamp(1, MOST_PER_SUBMIT).min(2 * self.per_submit);
        }
        self.spare.push(flight.readback);
        Ok(())
    }
}

fn losses(iteration: usize, slots: &[f32], contents: usize) -> Losses {
    let value = |v: &f32| f64::from(*v);
    let content = slots[..contents].iter().map(value).sum::<f64>();
    let style_layers: Vec<f64> = slots[contents..slots.len() - 1].iter().map(value).collect();
    let style = style_layers.iter().sum::<f64>();
    let tv = value(&slots[slots.len() - 1]);
    Losses { iteration, content, style, style_layers, tv, total: content + style + tv }
}
