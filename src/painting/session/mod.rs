//! One picture being painted, size after size: built once, then stepped.

mod build;
mod carried;
mod losses;
mod next_stage;
mod running;
mod steered;
mod submission;
#[cfg(test)]
mod tests;
mod tiled;
mod work;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::plan::Plan;
use crate::error::Error;
use crate::network::vgg::Vgg;
use crate::painting::checkpoint::{Checkpoint, Origin};
use crate::painting::cost::{work, work_in};
use crate::painting::objective::Objective;
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::steering::Change;
use crate::painting::style::Style;
use crate::painting::tiling::Tiles;
use crate::picture::Picture;

pub use build::Builder;
pub(crate) use carried::Carried;
pub use losses::Losses;
use work::{Means, Work};

/// The iterations whose losses the device remembers: at least those of two submissions.
pub(crate) const HISTORY: usize = 128;
const NOT_FINITE: &str = "the picture is no longer made of finite numbers; lower the weights of the losses or the \
    learning rate, or check the network's file";

/// A run of the optimiser on one picture: its stages one after the other.
pub struct Session<'g> {
    gpu: &'g Gpu,
    vgg: &'g Vgg,
    origin: Origin,
    /// The settings with all that was changed so far.
    settings: Settings,
    /// Changes of a run that is repeated, which are still to come.
    schedule: VecDeque<Change>,
    content: Picture,
    style: Style,
    stages: Vec<Stage>,
    means: Means<'g>,
    running: Work<'g>,
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
    watch: Option<Watch>,
    /// What the stage before left, in its size, and the digest of its shaders, until the first iteration of a
    /// stage in tiles is done: where that is given up, a checkpoint is of the end of the stage before.
    before: Option<(Carried, String)>,
}

/// Called before each tile; returns whether to go on.
pub(crate) type Watch = Rc<RefCell<dyn FnMut(usize, usize) -> bool>>;

impl<'g> Session<'g> {
    /// Starts to describe a session. Content and at least one style are needed.
    pub fn builder<'a>(gpu: &'g Gpu, vgg: &'g Vgg) -> Builder<'g, 'a> {
        Builder::new(gpu, vgg)
    }

    /// The device that it runs on.
    pub fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    /// The losses of the next iteration, or `None` when all iterations are done.
    ///
    /// The device works ahead: when iteration `i` is reported, later ones may have run, at most
    /// [`Self::submitted`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed, [`Error::NotFinite`] if the losses are no longer finite, and
    /// [`Error::Write`] if the folder of a [`Store`](crate::Store) has no room for the next stage.
    pub async fn step_async(&mut self) -> Result<Option<Losses>> {
        loop {
            if self.reported < self.landed_in_log() {
                let losses = self.loss(self.reported);
                self.reported += 1;
                if !losses.total.is_finite() {
                    return Err(Error::NotFinite(format!("iteration {}: {NOT_FINITE}", losses.iteration)));
                }
                return Ok(Some(losses));
            }
            self.keep_schedule()?;
            if self.running.advance().await? {
                self.before = None;
                continue;
            }
            self.stopped |= self.running.given_up();
            if !self.next_stage().await? {
                return Ok(None);
            }
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

    /// The work that is left; see [`work`].
    pub fn work_left(&self) -> f64 {
        let stage = self.running.stage();
        let done = self.landed().saturating_sub(stage.first).min(stage.iterations);
        work_in(self.settings(), stage, done..stage.iterations)
            + work(self.settings(), &self.stages[self.at + 1..])
    }

    /// The stages of the run.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The stage that the device works on.
    pub fn stage(&self) -> &Stage {
        self.running.stage()
    }

    /// The tiles of that stage, if it is painted in tiles.
    pub fn tiles(&self) -> Option<Tiles> {
        let stage = self.stage();
        let objective = Objective { gpu: self.gpu, vgg: self.vgg, settings: &self.origin.settings };
        self.running.layout().map(|layout| objective.tiles(layout, (stage.width, stage.height)))
    }

    /// Calls `watch` before each tile of a stage that is painted in tiles, with how many tiles of the
    /// iteration are done and of how many. If it returns `false`, the iteration is abandoned as if it had not
    /// begun, and the run is stopped as by [`Self::stop`].
    pub fn watch_tiles(&mut self, watch: impl FnMut(usize, usize) -> bool + 'static) {
        self.watch = Some(Rc::new(RefCell::new(watch)));
        self.running.watch(self.watch.clone());
    }

    /// Iterations submitted to the device so far.
    pub fn submitted(&self) -> usize {
        self.running.submitted()
    }

    /// Iterations that the device is known to have done, among them those that [`Self::step`] has still to
    /// report.
    pub fn landed(&self) -> usize {
        self.running.landed()
    }

    fn landed_in_log(&self) -> usize {
        (self.log.len() + self.running.log().len()) / self.slots
    }

    /// The losses of all iterations that have landed, from the first one of the run on: for a resumed session
    /// also those before it was interrupted, which [`Self::step`] does not report again.
    pub fn losses(&self) -> impl Iterator<Item = Losses> {
        (0..self.landed_in_log()).map(|iteration| self.loss(iteration))
    }

    fn loss(&self, iteration: usize) -> Losses {
        let at = iteration * self.slots;
        let slots = match at.checked_sub(self.log.len()) {
            Some(at) => &self.running.log()[at..],
            None => &self.log[at..],
        };
        let finish = self.stages.iter().any(|s| s.finish && (s.first..s.end()).contains(&iteration));
        Losses::of(iteration, &self.origin.settings, &slots[..self.slots], finish)
    }

    /// Whether the bits will be those of a run that was never interrupted: not if the checkpoint was made on
    /// another device, with another driver or by other variants of the shaders.
    pub fn same_bits(&self) -> bool {
        self.same_bits
    }

    /// From now on the picture after every `n`-th iteration is kept for [`Self::take_copy`]; the device does
    /// not wait for that. The last iteration's is left to [`Self::picture`].
    pub fn copy_every(&mut self, n: usize) {
        self.running.set_copy_every(Some(n.max(1)));
    }

    /// The next picture that [`Self::copy_every`] asked for, if the device has painted it, and after how many
    /// iterations.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if it is no longer made of finite numbers.
    pub fn take_copy(&mut self) -> Result<Option<(usize, Picture)>> {
        self.keep_copies()?;
        Ok(self.copies.pop_front())
    }

    /// Takes the copies of the running stage, which knows how to show them.
    fn keep_copies(&mut self) -> Result<()> {
        while let Some((iterations, picture)) = self.running.take_copy() {
            self.copies.push_back((iterations, picture?));
        }
        Ok(())
    }

    /// Everything needed to resume later, after [`Self::submitted`] iterations.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the picture is no longer made of finite numbers, [`Error::Device`] if the
    /// device failed.
    pub async fn checkpoint_async(&mut self) -> Result<Checkpoint> {
        self.running.check_finite().await?;
        // The shaders are those of the stage that a resumed run begins with.
        let (carried, shaders) = match &self.before {
            Some(before) => before.clone(),
            None => (self.running.carried().await?, self.running.digest()),
        };
        Ok(Checkpoint {
            name: "the checkpoint".into(),
            origin: Origin { shaders, ..self.origin.clone() },
            iteration: self.running.submitted(),
            finish_weight: self.finish_weight,
            carried,
            losses: [self.log.as_slice(), self.running.log()].concat().into(),
        })
    }

    /// The picture after [`Self::submitted`] iterations, in the size of their stage. Where iterates are
    /// averaged, it is the average.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if it is no longer made of finite numbers, [`Error::Device`] if the device
    /// failed.
    pub async fn picture_async(&mut self) -> Result<Picture> {
        self.running.picture().await
    }

    /// The optimised variable after [`Self::submitted`] iterations, `height x 3 x width`, its margin
    /// included: red, green and blue from 0 to 1 in the painterly recipe, `(rgb - mean) / std` in the book's.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub async fn variable_async(&mut self) -> Result<Vec<f64>> {
        self.running.variable().await
    }

    /// The gradient of the total loss by the variable, as it was in the last iteration before that
    /// iteration's step; `height x 3 x width`.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub async fn gradient_async(&mut self) -> Result<Vec<f32>> {
        self.running.gradient().await
    }

    /// Device memory of this session's buffers in bytes at its largest stage, without the network's weights.
    pub fn bytes(&self) -> u64 {
        self.running.bytes().max(self.last_bytes)
    }

    /// Bytes of the buffers through which the processor reads losses and pictures.
    pub(crate) fn readback_bytes(&self) -> u64 {
        self.running.readback_bytes()
    }

    /// Lets [`Self::step`] do `n` more iterations of this stage, regardless of the settings.
    #[doc(hidden)]
    pub fn allow(&mut self, n: usize) {
        self.stopped = true;
        self.running.allow(n);
    }

    /// The plan of an iteration.
    pub(crate) fn plan(&self) -> &Plan {
        self.running.plan()
    }

    /// Submissions of one iteration.
    pub(crate) fn pieces(&self) -> usize {
        self.running.pieces()
    }

    /// One line per dispatch and buffer of an iteration.
    pub fn describe(&self) -> String {
        self.running.plan().describe()
    }
}
