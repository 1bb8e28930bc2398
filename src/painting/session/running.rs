//! One stage on the device: its plan, the submissions in flight, the losses that have landed.

use std::collections::VecDeque;

use super::HISTORY;
use super::carried::{Carried, show};
use super::submission::Pace;
use crate::Result;
use crate::engine::clock::Instant;
use crate::engine::gpu::Gpu;
use crate::engine::memory::Readback;
use crate::engine::plan::Plan;
use crate::engine::real::Real;
use crate::engine::tape::{Tensor, Var};
use crate::ops::log::Log;
use crate::painting::objective::{Kind, Knobs, Objective, Recorded, Targets, terms};
use crate::painting::optimiser::State;
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::variable::Variable;
use crate::picture::Picture;

/// A submission that the device may still be working on. Iterations are counted over the whole run.
struct Flight {
    first: usize,
    count: usize,
    /// When the submission began.
    at: Instant,
    readback: Readback,
    /// The picture after the submission, if a copy was asked for.
    copy: Option<Readback>,
    submission: wgpu::SubmissionIndex,
}

impl Flight {
    /// Waits until the processor can read its results, and returns whether it could already.
    async fn arrives(&self, gpu: &Gpu) -> Result<bool> {
        let overdue = self.readback.is_there(gpu)?;
        for readback in std::iter::once(&self.readback).chain(&self.copy) {
            readback.arrives(gpu, &self.submission).await?;
        }
        Ok(overdue)
    }
}

/// A stage that is being painted.
pub(super) struct Running<'g> {
    gpu: &'g Gpu,
    pub(super) stage: Stage,
    pub(super) plan: Plan,
    picture: Var,
    exact: Tensor,
    pub(super) real: Real,
    optimiser: Vec<Tensor>,
    kept: Log,
    transports: Vec<(Tensor, usize)>,
    average: Option<Tensor>,
    /// The share of itself that the average keeps.
    keep: f64,
    variable: Variable,
    knobs: Knobs,
    pub(super) targets: Targets,
    slots: usize,
    /// One past the last iteration that may be submitted.
    end: usize,
    /// The last iteration of the whole run. No copy of it is made, because the picture itself is at hand.
    whole: usize,
    /// Nothing beyond this iteration is submitted yet, because something changes before it.
    until: usize,
    submitted: usize,
    in_flight: VecDeque<Flight>,
    spare: Vec<Readback>,
    /// The losses of the iterations of this stage that have landed, `slots` each.
    pub(super) log: Vec<f32>,
    pub(super) copy_every: Option<usize>,
    pub(super) copies: VecDeque<(usize, Vec<f32>)>,
    spare_copy: Option<Readback>,
    pace: Pace,
}

/// What the stage had on the device makes room for the next stage or painting.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.plan.release();
    }
}

impl<'g> Running<'g> {
    /// Records and lays out a stage of a run of `whole` iterations. Picture and state are to be set by
    /// [`Self::set`].
    pub(super) fn new(
        objective: &Objective<'g, '_>,
        stage: Stage,
        targets: Targets,
        whole: usize,
    ) -> Result<Self> {
        let Recorded { tape, picture, exact, real, optimiser, log, transports, average, knobs } =
            objective.record(&stage, Some(&targets), HISTORY);
        let gpu = objective.gpu;
        let transports = transports.into_iter().map(|tensor| (tensor, tape.len(tensor))).collect();
        Ok(Self {
            gpu,
            stage,
            plan: tape.finish()?,
            picture,
            exact,
            real,
            optimiser,
            kept: log,
            transports,
            average,
            keep: objective.settings.average,
            variable: objective.variable(),
            knobs,
            targets,
            slots: terms(objective.settings).len(),
            end: stage.end(),
            whole,
            until: usize::MAX,
            submitted: stage.first,
            in_flight: VecDeque::new(),
            spare: Vec::new(),
            log: Vec::new(),
            copy_every: None,
            copies: VecDeque::new(),
            spare_copy: None,
            pace: Pace::new(gpu.unknown_pieces()),
        })
    }

    /// Sets the picture to start from. Everything else is as at the beginning of a run.
    pub(super) fn place(&self, start: &Picture) {
        self.write(self.exact, &self.real.encode(&self.variable.encode(start)));
        self.write(self.picture.value, &Real::F32.encode(&self.variable.encode(start)));
    }

    /// Sets picture and state, as they were after `iterations` of the run.
    pub(super) fn set(&mut self, carried: &Carried, iterations: usize) {
        self.write(self.exact, &carried.picture);
        // The optimiser moves the picture in its own precision; the network reads it in float32.
        self.write(self.picture.value, &Real::F32.encode(&self.real.decode(&carried.picture)));
        for (tensor, words) in self.optimiser.iter().zip(&carried.optimiser) {
            self.write(*tensor, words);
        }
        if let Some(average) = self.average {
            self.write(average, &carried.average);
        }
        let mut rest = &carried.transports[..];
        for (tensor, len) in &self.transports {
            // A stage that begins computes its own.
            if let Some((own, others)) = rest.split_at_checked(*len) {
                self.write(*tensor, own);
                rest = others;
            }
        }
        let count = (iterations - self.stage.first) as u32;
        self.write(self.kept.count, &[f32::from_bits(count)]);
        self.submitted = iterations;
    }

    fn write(&self, tensor: Tensor, values: &[f32]) {
        self.plan.write(self.gpu, tensor, values);
    }

    /// Gives the terms and the optimiser the weights and rates of other settings; the nearest-neighbour term
    /// counts `finish` times.
    pub(super) fn turn(&self, settings: &Settings, finish: f64) {
        let terms = terms(settings);
        self.weigh(|slot| match terms[slot].kind {
            Kind::Nearest(_) => terms[slot].weight * finish,
            _ => terms[slot].weight,
        });
        let schedule = self.knobs.schedule;
        self.plan.turn(self.gpu, schedule.learning_rate, settings.learning_rate);
        self.plan.turn(self.gpu, schedule.decay, settings.decay);
        self.plan.turn(self.gpu, schedule.decay_every, settings.decay_every as f64);
    }

    /// Sets the weight of each slot. For measuring gradients, where some terms count nothing.
    pub(super) fn weigh(&self, weight: impl Fn(usize) -> f64) {
        for (slot, knob) in self.knobs.weights.iter().enumerate() {
            if let Some((knob, times)) = knob {
                self.plan.turn(self.gpu, *knob, weight(slot) * times);
            }
        }
    }

    /// Keeps the device busy, waits for one more submission to land, and takes its losses. Returns `false` if
    /// the stage is done.
    pub(super) async fn advance(&mut self) -> Result<bool> {
        // Two submissions at a time keep the device busy while the processor looks at the first one's losses.
        while self.in_flight.len() < 2 && self.submitted < self.end.min(self.until) {
            self.submit();
        }
        if self.in_flight.is_empty() {
            return Ok(false);
        }
        self.land().await?;
        Ok(true)
    }

    /// Submits nothing more.
    pub(super) fn stop(&mut self) {
        self.end = self.submitted;
    }

    /// Lets the stage end where `stage` does, in a run of `whole` iterations.
    pub(super) fn shorten(&mut self, stage: &Stage, whole: usize) {
        self.stage.iterations = stage.iterations;
        (self.end, self.whole) = (self.end.min(stage.end()), whole);
    }

    /// Submits only iterations before `iteration`, if there is one.
    pub(super) fn submit_until(&mut self, iteration: Option<usize>) {
        self.until = iteration.unwrap_or(usize::MAX);
    }

    /// Replaces the number of iterations that are left by `n`.
    pub(super) fn allow(&mut self, n: usize) {
        self.end = self.submitted + n;
        self.whole = self.end;
    }

    /// Iterations of the run that were submitted to the device.
    pub(super) fn submitted(&self) -> usize {
        self.submitted
    }

    /// Iterations of the run that the device is known to have done.
    pub(super) fn landed(&self) -> usize {
        self.in_flight.front().map_or(self.submitted, |flight| flight.first)
    }

    /// The picture of optimised values, which were read after `iterations` of the run.
    pub(super) fn show(&self, iterations: usize, words: &[f32]) -> Result<Picture> {
        let (keep, row) = (self.average.map(|_| self.keep), self.real.len(3 * self.stage.width));
        let row = |y| self.real.decode(&words[y * row..][..row]);
        show(&self.stage, keep, self.variable, iterations, row)
    }

    /// The tensor whose values are shown after `iterations` of the run: the average, once there is one.
    fn shown(&self, iterations: usize) -> Tensor {
        let steps = iterations - self.stage.first + self.stage.before;
        self.average.filter(|_| steps > 0).unwrap_or(self.exact)
    }

    /// The picture after all submitted iterations.
    pub(super) async fn picture(&mut self) -> Result<Picture> {
        let words = self.read(self.shown(self.submitted)).await?;
        self.show(self.submitted, &words)
    }

    /// The optimised variable after all submitted iterations.
    pub(super) async fn variable(&mut self) -> Result<Vec<f64>> {
        Ok(self.real.decode(&self.read(self.exact).await?))
    }

    /// The gradient of the last iteration that was submitted.
    pub(super) async fn gradient(&mut self) -> Result<Vec<f32>> {
        match self.picture.grad {
            Some(grad) => self.read(grad).await,
            None => Ok(Vec::new()),
        }
    }

    /// The state after all submitted iterations, for another stage or run to continue from.
    pub(super) async fn carried(&mut self) -> Result<Carried> {
        let average = match self.average {
            Some(average) => self.read(average).await?,
            None => Vec::new(),
        };
        let mut optimiser = State::new();
        for index in 0..self.optimiser.len() {
            optimiser.push(self.read(self.optimiser[index]).await?.into());
        }
        let mut transports = Vec::new();
        for index in 0..self.transports.len() {
            transports.append(&mut self.read(self.transports[index].0).await?);
        }
        let picture = self.read(self.exact).await?.into();
        Ok(Carried { picture, optimiser, average: average.into(), transports: transports.into() })
    }

    /// Runs the plan once outside the run, with the weights that were set last, and returns the length of the
    /// picture's gradient. Picture and state are to be set again after it.
    pub(super) async fn gradient_length(&mut self) -> Result<f64> {
        self.plan.run(self.gpu);
        let gradient = self.gradient().await?;
        Ok(gradient.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt())
    }

    async fn read(&mut self, tensor: Tensor) -> Result<Vec<f32>> {
        while !self.in_flight.is_empty() {
            self.land().await?;
        }
        self.plan.read_async(self.gpu, tensor).await
    }

    /// Gives the stage's memory back, when all of it was read.
    pub(super) fn release(&mut self) {
        self.plan.release();
        self.targets.content.clear();
        self.spare.clear();
        self.spare_copy = None;
    }

    /// Device memory of the stage in bytes, without the network's weights.
    pub(super) fn bytes(&self) -> u64 {
        let content: u64 = self.targets.content.iter().map(|(features, _)| features.size()).sum();
        self.plan.bytes() + content + self.targets.style.bytes()
    }

    /// Bytes of the buffers through which the processor reads losses and pictures.
    pub(super) fn readback_bytes(&self) -> u64 {
        let flights = self.in_flight.iter().flat_map(|f| std::iter::once(&f.readback).chain(&f.copy));
        flights.chain(&self.spare).chain(&self.spare_copy).map(|readback| readback.buffer.size()).sum()
    }

    /// Submissions of one iteration.
    pub(super) fn pieces(&self) -> usize {
        self.pace.pieces
    }

    /// The most iterations of a submission that is in flight.
    #[cfg(test)]
    pub(super) fn most_in_flight(&self) -> usize {
        self.in_flight.iter().map(|flight| flight.count).max().unwrap_or(0)
    }

    fn submit(&mut self) {
        let at = Instant::now();
        let mut count = self.pace.iterations.min(self.end.min(self.until) - self.submitted);
        if let Some(every) = self.copy_every {
            count = count.min(every - self.submitted % every);
        }
        let bytes = (HISTORY * self.slots * 4) as u64;
        let readback = self.spare.pop().unwrap_or_else(|| Readback::new(self.gpu, bytes));
        let done = self.submitted + count;
        let wanted = done < self.whole && self.copy_every.is_some_and(|every| done.is_multiple_of(every));
        let copy = wanted.then(|| {
            let bytes = 4 * self.real.len(self.picture.shape.len()) as u64;
            (self.spare_copy.take().unwrap_or_else(|| Readback::new(self.gpu, bytes)), bytes)
        });
        let run = self.submitted - self.stage.first;
        let submission = self.plan.submit(self.gpu, self.pace.pieces, run, |encoder| {
            for later in 1..count {
                self.plan.encode(encoder, run + later);
            }
            let log = self.plan.buffer(self.kept.losses);
            encoder.copy_buffer_to_buffer(log, 0, &readback.buffer, 0, bytes);
            if let Some((copy, bytes)) = &copy {
                let shown = self.plan.buffer(self.shown(done));
                encoder.copy_buffer_to_buffer(shown, 0, &copy.buffer, 0, *bytes);
            }
        });
        let copy = copy.map(|(copy, _)| copy);
        readback.request();
        copy.iter().for_each(Readback::request);
        self.in_flight.push_back(Flight { first: self.submitted, count, at, readback, copy, submission });
        self.submitted = done;
    }

    /// Takes the losses of the oldest submission when it is done.
    async fn land(&mut self) -> Result<()> {
        let Some(flight) = self.in_flight.front() else { return Ok(()) };
        let arrived = flight.arrives(self.gpu).await;
        // Not earlier, because a caller that stopped waiting may ask again. A flight that failed never
        // arrives.
        let Some(flight) = self.in_flight.pop_front() else { return Ok(()) };
        let overdue = arrived?;
        let log: Vec<f32> = bytemuck::pod_collect_to_vec(&flight.readback.take(self.gpu)?);
        for iteration in flight.first..flight.first + flight.count {
            let row = (iteration - self.stage.first) % HISTORY;
            self.log.extend(&log[row * self.slots..][..self.slots]);
        }
        if let Some(copy) = flight.copy {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&copy.take(self.gpu)?);
            self.copies.push_back((flight.first + flight.count, values));
            self.spare_copy = Some(copy);
        }
        self.pace.landed(flight.count, flight.at, overdue, Instant::now());
        self.spare.push(flight.readback);
        Ok(())
    }
}
