//! What happens alongside the iterations of a picture: progress, messages, an estimate, files on schedule, the
//! interrupt.

use std::time::{Duration, Instant};

use impasto::Result;
use impasto::measuring::estimate::Pace;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::run::{Observer, Run};
use impasto::painting::session::{Losses, Session};
use impasto::picture::Picture;

use super::autosave::Autosave;
use super::job::{Job, Sized};
use super::live::Helm;
use crate::cli::interrupt;
use crate::cli::progress::Progress;

/// How long the pace is watched before the run says how long it will take.
const STEADY: Duration = Duration::from_secs(1);

/// The observer of a job's run.
pub struct Watch<'a> {
    job: &'a Job<'a>,
    began: Instant,
    /// The losses of all iterations, those before a resumed run included.
    pub log: Vec<Losses>,
    pub progress: Progress,
    pub keeper: Autosave<'a>,
    /// What joins the run to its page, if it has one.
    pub helm: Option<Helm<'a>>,
    pictures: &'a Sized,
    /// Whether everything for stdout could be written.
    pub told: anyhow::Result<()>,
    pace: Pace,
    estimated: bool,
    stopped: bool,
}

impl<'a> Watch<'a> {
    /// For a job that began at `began`, and whose session is about to run.
    pub fn new(job: &'a Job, pictures: &'a Sized, session: &mut Session, began: Instant) -> Self {
        let log: Vec<Losses> = session.losses().collect();
        let counts = [log.len(), session.iterations()];
        let progress = Progress::new(job.label(), counts, session.work_left(), job.options.reporting.quiet);
        session.watch_tiles(progress.tiles());
        let keeper = Autosave::new(job.outputs, pictures, session, job.options, &progress);
        let helm = job.live.map(|live| Helm::new(live.board(), job, pictures, session, keeper.every));
        let (pace, estimated, stopped) = (Pace::default(), false, false);
        Self { job, began, log, progress, keeper, helm, pictures, told: Ok(()), pace, estimated, stopped }
    }

    /// Prints what has been changed from the page since there were `before` changes.
    fn notice(&self, run: &Run, before: usize) {
        for change in &run.session().changes()[before..] {
            self.progress.say(&format!("from iteration {}: {change}", change.iteration));
        }
    }

    /// What a paused run does until something is asked of it.
    ///
    /// # Errors
    /// Those of [`Session::picture`].
    pub fn rest(&mut self, session: &mut Session) -> Result<()> {
        self.helm.as_mut().map_or(Ok(()), |helm| helm.rest(session))
    }
}

impl Observer for Watch<'_> {
    fn steer(&mut self, run: &mut Run) -> Result<()> {
        if !self.stopped && interrupt::requested() {
            self.stopped = true;
            run.stop();
        }
        if let Some(helm) = &mut self.helm {
            let (changes, left) = (run.session().changes().len(), run.session().work_left());
            helm.steer(run, self.stopped);
            self.progress.set_total(run.session().iterations(), run.session().work_left() - left);
            self.notice(run, changes);
        }
        if self.keeper.wants_checkpoint() {
            run.checkpoint();
        }
        Ok(())
    }

    fn losses(&mut self, run: &mut Run, losses: &Losses) -> Result<()> {
        let session = run.session();
        self.pace.note(session);
        let last = losses.iteration + 1 == session.iterations();
        let known = self.pace.steady(STEADY).or(self.pace.measured().filter(|_| last));
        if let Some(paced) = known.filter(|_| !self.estimated) {
            self.estimated = true;
            let seconds = self.began.elapsed().as_secs_f64() + paced.rate() * session.work_left();
            let estimate = self.job.estimate(session, seconds, paced.seconds, &self.progress);
            if self.told.is_ok() {
                self.told = estimate;
            }
        }
        let left = session.work_left();
        self.progress.report(losses, left);
        if self.job.options.reporting.json && self.told.is_ok() {
            let event = serde_json::to_value(losses).map_err(anyhow::Error::from).map(|mut event| {
                event["seconds_left"] = self.progress.seconds_left(left).into();
                event
            });
            self.told = event.and_then(|event| self.job.tell("iteration", event));
        }
        if let Some(helm) = &mut self.helm {
            helm.losses(run.session(), losses);
        }
        self.log.push(losses.clone());
        Ok(())
    }

    fn picture(&mut self, run: &mut Run, iterations: usize, picture: Picture) -> Result<()> {
        let picture = self.pictures.dress(picture);
        if let Some(helm) = &mut self.helm {
            helm.picture(run.session(), iterations, &picture);
        }
        self.keeper.changes = run.session().changes().to_vec();
        self.keeper.keep(iterations, picture, &self.progress);
        Ok(())
    }

    fn checkpoint(&mut self, _: &mut Run, checkpoint: Checkpoint) -> Result<()> {
        self.keeper.save_checkpoint(&checkpoint, &self.progress);
        Ok(())
    }
}
