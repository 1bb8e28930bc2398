//! From one stage of a session to the next: what is carried over, and how the finish begins.

use super::work::Work;
use super::{Carried, Session};
use crate::Result;
use crate::disk::Store;
use crate::painting::objective::{Kind, Objective, terms};
use crate::painting::optimiser::{parts, with_other_terms};
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;

impl<'g> Session<'g> {
    /// Goes on to the next stage; `false` if there is none or the run was stopped.
    pub(super) async fn next_stage(&mut self) -> Result<bool> {
        if self.stopped || self.at + 1 == self.stages.len() {
            return Ok(false);
        }
        let done = *self.running.stage();
        let carried = self.running.carried().await?;
        self.keep_copies()?;
        self.log.append(&mut self.running.take_log());
        let stage = self.stages[self.at + 1];
        let (carried, before) = match stage.same_size(&done) {
            true => {
                let parts = parts(&self.origin.settings, self.origin.real);
                let optimiser = with_other_terms(&parts, carried.optimiser);
                (Carried { optimiser, transports: Vec::new().into(), ..carried }, None)
            }
            false => {
                let (settings, real) = (&self.origin.settings, self.origin.real);
                let next = carried.resized(settings, real, (&done, &stage), &self.store_of(&stage)?)?;
                (next, Some((carried, self.running.digest())))
            }
        };
        // Buffers that are no longer needed make room first.
        self.at += 1;
        let copy_every = self.running.copy_every();
        self.running.release();
        self.running = self.start(&carried).await?;
        self.running.set_copy_every(copy_every);
        self.running.watch(self.watch.clone());
        self.before = before.filter(|_| self.running.layout().is_some());
        if stage.finish {
            self.begin_finish(&carried, stage.first).await?;
        }
        Ok(true)
    }

    /// Where the state of a stage is kept: what the device holds as a whole, memory does as well.
    fn store_of(&self, stage: &Stage) -> Result<Store> {
        let objective = Objective { gpu: self.gpu, vgg: self.vgg, settings: &self.settings };
        let tiled = objective.layout(stage, self.means.tiling)?.is_some();
        Ok(if tiled { self.means.store.clone() } else { Store::memory() })
    }

    /// The running stage, laid out and ready, with the picture and state `carried` at its beginning.
    async fn start(&mut self, carried: &Carried) -> Result<Work<'g>> {
        let stage = self.stages[self.at];
        let objective = Objective { gpu: self.gpu, vgg: self.vgg, settings: &self.settings };
        let whole = self.iterations();
        let mut running =
            Work::new(&objective, stage, &self.content, &self.style, &self.means, whole).await?;
        running.set(carried, stage.first)?;
        Ok(running)
    }

    /// Finds the weight of the nearest-neighbour term for the picture and state `carried`, with which its
    /// stage begins.
    pub(super) async fn begin_finish(&mut self, carried: &Carried, iterations: usize) -> Result<()> {
        let settings = &self.settings;
        self.finish_weight = finish_weight(&mut self.running, settings, carried, iterations).await?;
        self.running.turn(settings, self.finish_weight);
        self.running.set(carried, iterations)
    }
}

/// The factor on the nearest-neighbour term that makes its gradient as long as the style's, for the current
/// picture.
async fn finish_weight(
    running: &mut Work<'_>,
    settings: &Settings,
    carried: &Carried,
    iterations: usize,
) -> Result<f64> {
    let terms = terms(settings);
    let mut lengths = [0.0; 2];
    for (style, length) in [true, false].into_iter().zip(&mut lengths) {
        // Each run also moves the picture.
        running.set(carried, iterations)?;
        running.weigh(|slot| match terms[slot].kind {
            Kind::Style(..) if style => terms[slot].weight,
            Kind::Nearest(_) if !style => terms[slot].weight,
            _ => 0.0,
        });
        *length = running.gradient_length().await?;
    }
    let [style, nearest] = lengths;
    Ok(if nearest > 0.0 { style / nearest } else { 1.0 })
}
