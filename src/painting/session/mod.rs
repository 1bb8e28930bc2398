//! One picture being painted: built once, then stepped.

mod build;
mod pace;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use crate::engine::gpu::Gpu;
use crate::engine::memory::Readback;
use crate::engine::plan::Plan;
use crate::engine::real::Real;
use crate::engine::tape::{Tensor, Var};
use crate::network::vgg::Vgg;
use crate::ops::adam::Adam;
use crate::ops::log::Log;
use crate::painting::checkpoint::{Origin, Snapshot};
use crate::painting::objective::denormalize;
use crate::picture::Picture;
use crate::{Error, Result};

pub use build::Builder;
use pace::Pace;

/// The iterations whose losses the device remembers: at least those of two submissions.
pub(crate) const HISTORY: usize = 128;
const NOT_FINITE: &str = "the picture is no longer made of finite numbers; lower the weights of the losses or the \
    learning rate, or check the network's file";

/// The weighted losses of one iteration, for the picture before that iteration's step.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Losses {
    /// Counted from 0.
    pub iteration: usize,
    /// Sum over the content layers.
    pub content: f64,
    /// Sum over the style layers.
    pub style: f64,
    /// Each style layer's part of `style`.
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
    /// When the submission began.
    at: Instant,
    readback: Readback,
    /// The picture after the submission, if a copy was asked for.
    copy: Option<Readback>,
    submission: wgpu::SubmissionIndex,
}

/// A run of the optimiser on one picture.
pub struct Session<'g> {
    gpu: &'g Gpu,
    plan: Plan,
    picture: Var,
    exact: Tensor,
    real: Real,
    adam: Adam,
    tensors: Log,
    origin: Origin,
    target_bytes: u64,
    same_bits: bool,
    slots: usize,
    content_slots: usize,
    iterations: usize,
    submitted: usize,
    in_flight: VecDeque<Flight>,
    spare: Vec<Readback>,
    /// The losses of all iterations that have landed, `slots` for each.
    log: Vec<f32>,
    /// The number of these iterations that [`Session::step`] has reported.
    reported: usize,
    copy_every: Option<usize>,
    copies: VecDeque<(usize, Vec<f64>)>,
    spare_copy: Option<Readback>,
    pace: Pace,
}

impl<'g> Session<'g> {
    /// Begins the description of a session. A content and at least one style are needed.
    pub fn builder<'a>(gpu: &'g Gpu, vgg: &'a Vgg) -> Builder<'g, 'a> {
        Builder::new(gpu, vgg)
    }

    /// The losses of the next iteration, or `None` when all iterations are done.
    ///
    /// The device works ahead: when iteration `i` is reported, later ones may have run, up to
    /// [`Self::submitted`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed, [`Error::NotFinite`] if the losses are no longer finite.
    pub fn step(&mut self) -> Result<Option<Losses>> {
        loop {
            if self.reported * self.slots < self.log.len() {
                let losses = self.loss(self.reported);
                self.reported += 1;
                if !losses.total.is_finite() {
                    return Err(Error::NotFinite(format!("iteration {}: {NOT_FINITE}", losses.iteration)));
                }
                return Ok(Some(losses));
            }
            // Two submissions at a time keep the device busy while the processor reads the losses of the
            // first one.
            while self.in_flight.len() < 2 && self.submitted < self.iterations {
                self.submit();
            }
            if self.in_flight.is_empty() {
                return Ok(None);
            }
            self.land()?;
        }
    }

    /// Submits nothing more: [`Self::step`] still reports the iterations that were submitted, then ends.
    pub fn stop(&mut self) {
        self.iterations = self.submitted;
    }

    /// The number of iterations submitted to the device so far.
    pub fn submitted(&self) -> usize {
        self.submitted
    }

    /// The number of iterations that the device is known to have done, including those that [`Self::step`]
    /// has yet to report.
    pub fn landed(&self) -> usize {
        self.log.len() / self.slots
    }

    /// The losses of all iterations that have landed, starting with the first one of the run. For a resumed
    /// session this includes those before the interruption, which [`Self::step`] does not report again.
    pub fn losses(&self) -> impl Iterator<Item = Losses> {
        (0..self.landed()).map(|iteration| self.loss(iteration))
    }

    fn loss(&self, iteration: usize) -> Losses {
        losses(iteration, &self.log[iteration * self.slots..][..self.slots], self.content_slots)
    }

    /// Whether the results have the same bits as those of an uninterrupted run. They have not if the
    /// checkpoint was made on another device, with another driver or with other variants of the shaders.
    pub fn same_bits(&self) -> bool {
        self.same_bits
    }

    /// From now on the picture after every `n`-th iteration is kept for [`Self::take_copy`], without making
    /// the device wait. The picture of the last iteration is available from [`Self::picture`].
    pub fn copy_every(&mut self, n: usize) {
        self.copy_every = Some(n.max(1));
    }

    /// The next picture that [`Self::copy_every`] asked for, with its number of iterations, if the device has
    /// painted it.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if its values are no longer finite.
    pub fn take_copy(&mut self) -> Result<Option<(usize, Picture)>> {
        let Some((iterations, values)) = self.copies.pop_front() else { return Ok(None) };
        Ok(Some((iterations, self.show(&values)?)))
    }

    /// Waits for the device and returns everything that is needed to continue later.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the picture's values are no longer finite, [`Error::Device`] if the device
    /// failed.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        let picture = self.read(self.exact)?;
        self.show(&self.real.decode(&picture))?;
        Ok(Snapshot {
            name: "the checkpoint".into(),
            origin: self.origin.clone(),
            iteration: self.submitted,
            picture,
            m: self.read(self.adam.m)?,
            v: self.read(self.adam.v)?,
            state: self.read(self.adam.state)?,
            losses: self.log.clone(),
        })
    }

    /// The inverse of [`Self::snapshot`]: restores everything.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        if let Some(why) = snapshot.refusal(&self.origin) {
            return Err(Error::checkpoint(&snapshot.name, why));
        }
        self.place(&snapshot.picture);
        self.plan.write(self.gpu, self.adam.m, &snapshot.m);
        self.plan.write(self.gpu, self.adam.v, &snapshot.v);
        self.plan.write(self.gpu, self.adam.state, &snapshot.state);
        self.plan.write(self.gpu, self.tensors.count, &[f32::from_bits(snapshot.iteration as u32)]);
        self.log = snapshot.losses.clone();
        (self.submitted, self.reported) = (snapshot.iteration, snapshot.iteration);
        Ok(())
    }

    /// Sets the picture. The optimiser moves it in its own precision; the network reads it in float32.
    fn place(&self, exact: &[f32]) {
        self.plan.write(self.gpu, self.exact, exact);
        self.plan.write(self.gpu, self.picture.value, &Real::F32.encode(&self.real.decode(exact)));
    }

    /// Waits for the device and returns the picture after [`Self::submitted`] iterations.
    pub fn picture(&mut self) -> Result<Picture> {
        let values = self.variable()?;
        self.show(&values)
    }

    fn show(&self, values: &[f64]) -> Result<Picture> {
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::NotFinite(NOT_FINITE.into()));
        }
        Ok(denormalize(self.picture.shape, values))
    }

    /// Waits for the device and returns the optimised variable: `(rgb - mean) / std`, `height x 3 x width`.
    pub fn variable(&mut self) -> Result<Vec<f64>> {
        Ok(self.real.decode(&self.read(self.exact)?))
    }

    /// Waits for the device and returns the gradient of the total loss with respect to the variable, in the
    /// last iteration and before that iteration's step; `height x 3 x width`.
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
        self.plan.bytes() + self.target_bytes
    }

    /// Bytes of the buffers through which the processor reads losses and pictures.
    pub(crate) fn readback_bytes(&self) -> u64 {
        let flights = self.in_flight.iter().flat_map(|f| std::iter::once(&f.readback).chain(&f.copy));
        flights.chain(&self.spare).chain(&self.spare_copy).map(|readback| readback.buffer.size()).sum()
    }

    /// Lets [`Self::step`] do `n` more iterations, whatever the settings say.
    pub(crate) fn allow(&mut self, n: usize) {
        self.iterations = self.submitted + n;
    }

    /// The plan of an iteration.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The number of submissions of one iteration.
    pub(crate) fn pieces(&self) -> usize {
        self.pace.pieces
    }

    /// One line per dispatch and buffer of an iteration.
    pub fn describe(&self) -> String {
        self.plan.describe()
    }

    fn submit(&mut self) {
        let at = Instant::now();
        let mut count = self.pace.iterations.min(self.iterations - self.submitted);
        if let Some(every) = self.copy_every {
            count = count.min(every - self.submitted % every);
        }
        let bytes = (HISTORY * self.slots * 4) as u64;
        let readback = self.spare.pop().unwrap_or_else(|| Readback::new(self.gpu, bytes));
        let done = self.submitted + count;
        let wanted =
            done < self.iterations && self.copy_every.is_some_and(|every| done.is_multiple_of(every));
        let copy = wanted.then(|| {
            let bytes = 4 * self.real.len(self.picture.shape.len()) as u64;
            (self.spare_copy.take().unwrap_or_else(|| Readback::new(self.gpu, bytes)), bytes)
        });
        let submission = self.plan.submit(self.gpu, self.pace.pieces, |encoder| {
            for _ in 1..count {
                self.plan.encode(encoder);
            }
            encoder.copy_buffer_to_buffer(
                self.plan.buffer(self.tensors.losses),
                0,
                &readback.buffer,
                0,
                bytes,
            );
            if let Some((copy, bytes)) = &copy {
                encoder.copy_buffer_to_buffer(self.plan.buffer(self.exact), 0, &copy.buffer, 0, *bytes);
            }
        });
        let copy = copy.map(|(copy, _)| copy);
        readback.request();
        copy.iter().for_each(Readback::request);
        self.in_flight.push_back(Flight { first: self.submitted, count, at, readback, copy, submission });
        self.submitted = done;
    }

    /// Waits for the oldest submission and takes its losses.
    fn land(&mut self) -> Result<()> {
        let Some(flight) = self.in_flight.pop_front() else { return Ok(()) };
        let overdue = flight.readback.is_there(self.gpu)?;
        self.gpu.wait_for(flight.submission)?;
        let log: Vec<f32> = bytemuck::pod_collect_to_vec(&flight.readback.take(self.gpu)?);
        for iteration in flight.first..flight.first + flight.count {
            self.log.extend(&log[iteration % HISTORY * self.slots..][..self.slots]);
        }
        if let Some(copy) = flight.copy {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&copy.take(self.gpu)?);
            self.copies.push_back((flight.first + flight.count, self.real.decode(&values)));
            self.spare_copy = Some(copy);
        }
        self.pace.landed(flight.count, flight.at, overdue, Instant::now());
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
