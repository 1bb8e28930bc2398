//! One picture being painted, size after size: built once, then stepped.

mod build;
mod running;
mod submission;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::plan::Plan;
use crate::error::Error;
use crate::network::vgg::Vgg;
use crate::painting::checkpoint::{Checkpoint, Origin};
use crate::painting::choices::Recipe;
use crate::painting::objective::{Kind, Objective, Targets, terms};
use crate::painting::optimiser::{resized, with_other_terms};
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::style::Style;
use crate::picture::{Interpolation, Picture, Size, cropped, interpolate, padded};

pub use build::Builder;
pub(crate) use running::Carried;
use running::Running;

/// The iterations whose losses the device remembers: at least those of two submissions.
pub(crate) const HISTORY: usize = 128;
const NOT_FINITE: &str = "the picture is no longer made of finite numbers; lower the weights of the losses or the \
    learning rate, or check the network's file";

/// The weighted losses of one iteration, for the picture before that iteration's step.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Losses {
    /// Counted from 0 over all sizes.
    pub iteration: usize,
    /// Sum over the content layers.
    pub content: f64,
    /// Sum over the style layers.
    pub style: f64,
    /// Each style layer's part of `style`.
    pub style_layers: Vec<f64>,
    /// The nearest-neighbour term, where it takes part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<f64>,
    /// Total variation.
    pub tv: f64,
    /// All terms together.
    pub total: f64,
}

/// A run of the optimiser on one picture: its stages one after the other.
pub struct Session<'g> {
    gpu: &'g Gpu,
    vgg: &'g Vgg,
    origin: Origin,
    content: Picture,
    style: Style,
    stages: Vec<Stage>,
    running: Running<'g>,
    /// The number of the running stage.
    at: usize,
    /// The losses of the stages before it.
    log: Vec<f32>,
    slots: usize,
    /// The factor on the nearest-neighbour term, found when it begins; 1 before.
    finish_weight: f64,
    /// How many of the landed iterations [`Session::step`] has reported.
    reported: usize,
    stopped: bool,
    same_bits: bool,
    /// Device memory of the last stage, found by counting.
    last_bytes: u64,
    copies: VecDeque<(usize, Picture)>,
}

impl<'g> Session<'g> {
    /// Starts to describe a session. Content and at least one style are needed.
    pub fn builder<'a>(gpu: &'g Gpu, vgg: &'g Vgg) -> Builder<'g, 'a> {
        Builder::new(gpu, vgg)
    }

    /// The losses of the next iteration, or `None` when all iterations are done.
    ///
    /// The device works ahead: when iteration `i` is reported, later ones may have run, at most [`Self::submitted`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed, [`Error::NotFinite`] if the losses are no longer finite.
    pub fn step(&mut self) -> Result<Option<Losses>> {
        loop {
            if self.reported < self.landed_in_log() {
                let losses = self.loss(self.reported);
                self.reported += 1;
                if !losses.total.is_finite() {
                    return Err(Error::NotFinite(format!("iteration {}: {NOT_FINITE}", losses.iteration)));
                }
                return Ok(Some(losses));
            }
            if !self.running.advance()? && !self.next_stage()? {
                return Ok(None);
            }
        }
    }

    /// Goes on to the next stage; `false` if there is none or the run was stopped.
    fn next_stage(&mut self) -> Result<bool> {
        if self.stopped || self.at + 1 == self.stages.len() {
            return Ok(false);
        }
        let done = self.running.stage;
        let carried = self.running.carried()?;
        self.keep_copies()?;
        self.log.append(&mut self.running.log);
        let stage = self.stages[self.at + 1];
        let carried = match stage.same_size(&done) {
            true => {
                let optimiser = with_other_terms(&self.running.optimiser.parts, carried.optimiser);
                Carried { optimiser, transports: Vec::new(), ..carried }
            }
            false => self.resized(&carried, &done, &stage),
        };
        // What is not needed any more makes room first.
        self.at += 1;
        let copy_every = self.running.copy_every;
        self.running = self.start(&carried)?;
        self.running.copy_every = copy_every;
        if stage.finish {
            self.begin_finish(&carried, stage.first)?;
        }
        Ok(true)
    }

    /// The running stage, laid out and ready, with the picture and state `carried` at its beginning.
    fn start(&mut self, carried: &Carried) -> Result<Running<'g>> {
        let stage = self.stages[self.at];
        let objective = Objective { gpu: self.gpu, vgg: self.vgg, settings: &self.origin.settings };
        let targets = Targets::measure(&objective, &self.content, &self.style, &stage)?;
        let mut running = Running::new(&objective, stage, targets, self.iterations())?;
        running.set(carried, stage.first);
        Ok(running)
    }

    /// Finds the weight of the nearest-neighbour term for the picture and state `carried`, with which its stage begins.
    fn begin_finish(&mut self, carried: &Carried, iterations: usize) -> Result<()> {
        self.finish_weight = finish_weight(&mut self.running, &self.origin.settings, carried, iterations)?;
        self.running.turn(&self.origin.settings, self.finish_weight);
        self.running.set(carried, iterations);
        Ok(())
    }

    /// What a stage left, brought to the size of the next one: the average takes the picture's place.
    fn resized(&self, carried: &Carried, from: &Stage, to: &Stage) -> Carried {
        let real = self.running.real;
        // A margin begins again as what repeats the edge.
        let resize = |values: &[f64], how| {
            let inside = cropped(values, 3, (from.width, from.height), from.margin);
            padded(&interpolate(&inside, 3, from.inner(), to.inner(), how), 3, to.inner(), to.margin)
        };
        let shown = self.running.averaged(carried);
        let mut picture = resize(&shown, Interpolation::Bicubic);
        picture.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        let average = vec![0.0; if carried.average.is_empty() { 0 } else { picture.len() }];
        Carried {
            picture: real.encode(&picture),
            optimiser: resized(
                &self.running.optimiser.parts,
                &carried.optimiser,
                3 * to.width * to.height,
                resize,
            ),
            average: real.encode(&average),
            transports: Vec::new(),
        }
    }

    /// Submits nothing more: [`Self::step`] still reports what the device was given, then ends.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.running.stop();
    }

    /// Iterations of the whole run, over all sizes.
    pub fn iterations(&self) -> usize {
        self.stages.last().map_or(0, Stage::end)
    }

    /// The work that is left, in iterations of the running stage: those of larger stages count as often as they have more pixels.
    pub fn left(&self) -> f64 {
        let pixels = |stage: &Stage| (stage.width * stage.height) as f64;
        let here = (self.running.stage.end() - self.landed()) as f64;
        let later = self.stages[self.at + 1..].iter();
        let later = later.map(|stage| stage.iterations as f64 * pixels(stage) / pixels(&self.running.stage));
        here + later.sum::<f64>()
    }

    /// The stages of the run.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The stage that the device works on.
    pub fn stage(&self) -> &Stage {
        &self.running.stage
    }

    /// Iterations that were given to the device so far.
    pub fn submitted(&self) -> usize {
        self.running.submitted()
    }

    /// Iterations that the device is known to have done, among them those that [`Self::step`] has still to report.
    pub fn landed(&self) -> usize {
        self.running.landed()
    }

    fn landed_in_log(&self) -> usize {
        (self.log.len() + self.running.log.len()) / self.slots
    }

    /// The losses of all iterations that have landed, from the first one of the run on: for a resumed session also those
    /// before it was interrupted, which [`Self::step`] does not report again.
    pub fn losses(&self) -> impl Iterator<Item = Losses> {
        (0..self.landed_in_log()).map(|iteration| self.loss(iteration))
    }

    fn loss(&self, iteration: usize) -> Losses {
        let at = iteration * self.slots;
        let slots = match at.checked_sub(self.log.len()) {
            Some(at) => &self.running.log[at..],
            None => &self.log[at..],
        };
        let finish = self.stages.iter().any(|s| s.finish && (s.first..s.end()).contains(&iteration));
        losses(iteration, &self.origin.settings, &slots[..self.slots], finish)
    }

    /// Whether the bits will be those of a run that was never interrupted: not if the checkpoint was made on another
    /// device, with another driver or by other variants of the shaders.
    pub fn same_bits(&self) -> bool {
        self.same_bits
    }

    /// Gives the rest of the run the weights and the learning rate, with its decays, of other settings. Whatever else they say is
    /// not looked at. Iterations that were submitted already keep theirs.
    ///
    /// # Errors
    /// [`Error::Setting`] if the settings make no sense.
    pub fn set_weights(&mut self, settings: &Settings) -> Result<()> {
        settings.validate()?;
        let own = &mut self.origin.settings;
        own.content_weight = settings.content_weight;
        own.style_weight = settings.style_weight;
        own.tv_weight = settings.tv_weight;
        own.style_layer_weights.clone_from(&settings.style_layer_weights);
        own.learning_rate = settings.learning_rate;
        (own.decay, own.decay_every) = (settings.decay, settings.decay_every);
        self.running.turn(&self.origin.settings, self.finish_weight);
        Ok(())
    }

    /// From now on the picture after every `n`-th iteration is kept for [`Self::take_copy`]; the device does not wait for
    /// that. The last iteration's is left to [`Self::picture`].
    pub fn copy_every(&mut self, n: usize) {
        self.running.copy_every = Some(n.max(1));
    }

    /// The next picture that [`Self::copy_every`] asked for, if the device has painted it, and after how many iterations.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if it is no longer made of finite numbers.
    pub fn take_copy(&mut self) -> Result<Option<(usize, Picture)>> {
        self.keep_copies()?;
        Ok(self.copies.pop_front())
    }

    /// Takes the copies of the running stage, which knows how to show them.
    fn keep_copies(&mut self) -> Result<()> {
        while let Some((iterations, values)) = self.running.copies.pop_front() {
            let picture = self.running.show(iterations, values)?;
            self.copies.push_back((iterations, picture));
        }
        Ok(())
    }

    /// Waits for the device and returns all that is needed to go on later.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the picture is no longer made of finite numbers, [`Error::Device`] if the device failed.
    pub fn checkpoint(&mut self) -> Result<Checkpoint> {
        let carried = self.running.carried()?;
        self.running.picture()?;
        Ok(Checkpoint {
            name: "the checkpoint".into(),
            origin: self.origin.clone(),
            iteration: self.running.submitted(),
            finish_weight: self.finish_weight,
            carried,
            losses: [self.log.as_slice(), &self.running.log].concat(),
        })
    }

    /// Waits for the device and returns the picture after [`Self::submitted`] iterations, in the size of their stage. Where iterates
    /// are averaged, it is the average.
    pub fn picture(&mut self) -> Result<Picture> {
        self.running.picture()
    }

    /// Waits for the device and returns the optimised variable, `height x 3 x width`, its margin included: red, green and blue from 0 to 1 in the
    /// painterly recipe, `(rgb - mean) / std` in the book's.
    pub fn variable(&mut self) -> Result<Vec<f64>> {
        self.running.variable()
    }

    /// Waits for the device and returns the gradient of the total loss by the variable, as it was in the last iteration
    /// before that iteration's step; `height x 3 x width`.
    pub fn gradient(&mut self) -> Result<Vec<f32>> {
        self.running.gradient()
    }

    /// Device memory of this session's buffers in bytes at its largest stage, without the network's weights.
    pub fn bytes(&self) -> u64 {
        self.running.bytes().max(self.last_bytes)
    }

    /// Bytes of the buffers through which the processor reads losses and pictures.
    pub(crate) fn readback_bytes(&self) -> u64 {
        self.running.readback_bytes()
    }

    /// Lets [`Self::step`] do `n` iterations of this stage from here on, whatever the settings say.
    #[doc(hidden)]
    pub fn allow(&mut self, n: usize) {
        self.stopped = true;
        self.running.allow(n);
    }

    /// What an iteration is.
    pub(crate) fn plan(&self) -> &Plan {
        &self.running.plan
    }

    /// Submissions of one iteration.
    pub(crate) fn pieces(&self) -> usize {
        self.running.pieces()
    }

    /// One line per dispatch and buffer of an iteration.
    pub fn describe(&self) -> String {
        self.running.plan.describe()
    }
}

/// A picture in the size of a stage, with its margin.
fn at_stage(picture: &Picture, stage: &Stage, recipe: Recipe) -> Picture {
    let (width, height) = stage.inner();
    let resized = match (width, height) == (picture.width, picture.height) {
        true => picture.bare(),
        false => picture.resampled(Size::Exact { width, height }, true, recipe.filter()),
    };
    if stage.margin == 0 { resized } else { resized.with_margin(stage.margin) }
}

impl Targets {
    /// Measures the photograph at the size of a stage, and takes what was measured of the paintings.
    fn measure(objective: &Objective, content: &Picture, style: &Style, stage: &Stage) -> Result<Self> {
        let content = &at_stage(content, stage, objective.settings.recipe);
        let style = style.at(objective.gpu, objective.vgg, stage)?;
        if objective.settings.content_layers.is_empty() && style.layers.iter().all(Option::is_none) {
            let (width, height) = stage.inner();
            return Err(Error::Setting(format!(
                "at {width} x {height} pixels no region is large enough for any style layer, so there is nothing to compare; draw \
                 larger regions, or begin with a larger --first-size"
            )));
        }
        Ok(Self { content: objective.features(content)?, style })
    }
}

/// The factor on the nearest-neighbour term by which its gradient is as long as the style's, for the picture as it is.
fn finish_weight(
    running: &mut Running,
    settings: &Settings,
    carried: &Carried,
    iterations: usize,
) -> Result<f64> {
    let terms = terms(settings);
    let mut length = |style: bool| {
        // Each run also moves the picture.
        running.set(carried, iterations);
        running.weigh(|slot| match terms[slot].kind {
            Kind::Style(..) if style => terms[slot].weight,
            Kind::Nearest(_) if !style => terms[slot].weight,
            _ => 0.0,
        });
        running.gradient_length()
    };
    let (style, nearest) = (length(true)?, length(false)?);
    Ok(if nearest > 0.0 { style / nearest } else { 1.0 })
}

fn losses(iteration: usize, settings: &Settings, slots: &[f32], finish: bool) -> Losses {
    let mut losses = Losses {
        iteration,
        content: 0.0,
        style: 0.0,
        style_layers: Vec::new(),
        nearest: finish.then_some(0.0),
        tv: 0.0,
        total: 0.0,
    };
    for (term, value) in std::iter::zip(terms(settings), slots) {
        let value = f64::from(*value);
        match term.kind {
            Kind::Content(_) => losses.content += value,
            Kind::Style(_, 0) => losses.style_layers.push(value),
            // Behind the first of its layer.
            Kind::Style(..) => {
                losses.style_layers.iter_mut().last().into_iter().for_each(|sum| *sum += value)
            }
            Kind::Nearest(_) if finish => losses.nearest = losses.nearest.map(|sum| sum + value),
            Kind::Nearest(_) => {}
            Kind::Variation => losses.tv += value,
        }
    }
    losses.style = losses.style_layers.iter().sum();
    losses.total = losses.content + losses.style + losses.nearest.unwrap_or(0.0) + losses.tv;
    losses
}
