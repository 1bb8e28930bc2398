//! The run loop: a session from where it is to its end, and an observer that watches and steers it.
//!
//! The loop is here and nowhere else. The command line, the measurements and the examples each bring an
//! observer.

use super::checkpoint::Checkpoint;
use super::session::{Losses, Session};
use super::settings::Settings;
use crate::Result;
use crate::picture::Picture;

/// Watches and steers a run. The methods do nothing unless they are implemented, and an error that one of
/// them returns ends the run. The device works ahead of them and waits for none, unless the
/// [`Run`] is paused.
///
/// A closure that takes `&Losses` is an observer of losses, and `()` observes nothing.
pub trait Observer {
    /// Called before the losses of the next iteration are awaited, and a last time when all are reported.
    /// Signals and sliders are read here.
    fn steer(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// An iteration is done. Every iteration is reported, in its order.
    fn losses(&mut self, run: &mut Run, losses: &Losses) -> Result<()> {
        let _ = (run, losses);
        Ok(())
    }

    /// The picture after `iterations`, in the size of its stage. It comes where [`Run::copy_every`] or
    /// [`Session::copy_every`] asked for it, after the losses of its iteration.
    fn picture(&mut self, run: &mut Run, iterations: usize, picture: Picture) -> Result<()> {
        let _ = (run, iterations, picture);
        Ok(())
    }

    /// The checkpoint that [`Run::checkpoint`] asked for.
    fn checkpoint(&mut self, run: &mut Run, checkpoint: Checkpoint) -> Result<()> {
        let _ = (run, checkpoint);
        Ok(())
    }
}

impl Observer for () {}

impl<F: FnMut(&Losses)> Observer for F {
    fn losses(&mut self, _: &mut Run, losses: &Losses) -> Result<()> {
        self(losses);
        Ok(())
    }
}

/// How a run ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// All iterations are done.
    Complete,
    /// [`Run::stop`] ended it after this number of iterations. The session has a picture and gives a
    /// checkpoint, but does not go on.
    Stopped(usize),
    /// [`Run::pause`] interrupted it. Another [`Session::run`] goes on, with the bits of a run without a
    /// pause.
    Paused,
}

/// A run as its observer sees it: its state, and requests to it.
pub struct Run<'r, 'g> {
    session: &'r mut Session<'g>,
    paused: bool,
    checkpoint: bool,
}

impl<'g> Run<'_, 'g> {
    /// The session that runs: its stages, how many iterations are done, how much is left.
    pub fn session(&self) -> &Session<'g> {
        self.session
    }

    /// Ends the run: nothing more is submitted. Iterations that were submitted already are still reported.
    pub fn stop(&mut self) {
        self.session.stop();
    }

    /// Interrupts the run before the next iteration: [`Session::run`] returns [`Ending::Paused`] and can be
    /// called again. Iterations that were submitted already are reported then.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Gives the rest of the run the weights and rates of other settings, see [`Session::set_weights`].
    /// Returns the first iteration that has them, so that the change can be recorded.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the settings make no sense; the run has its old ones
    /// then.
    pub fn set_weights(&mut self, settings: &Settings) -> Result<usize> {
        self.session.set_weights(settings)?;
        Ok(self.session.submitted())
    }

    /// Ends the running stage before its time, see [`Session::end_size`].
    pub fn end_size(&mut self) -> usize {
        self.session.end_size()
    }

    /// Ends the run before its time, as if it were complete, see [`Session::finish`].
    pub fn finish(&mut self) -> usize {
        self.session.finish()
    }

    /// From now on every `n`-th picture comes to [`Observer::picture`], see [`Session::copy_every`].
    pub fn copy_every(&mut self, n: usize) {
        self.session.copy_every(n);
    }

    /// Asks for a checkpoint. It comes to [`Observer::checkpoint`] before the next iteration is awaited; the
    /// device has finished all that was submitted by then.
    pub fn checkpoint(&mut self) {
        self.checkpoint = true;
    }
}

impl<'g> Session<'g> {
    /// Runs to the end, or until the observer stops or pauses the run. A session that was paused, or resumed
    /// from a checkpoint, goes on where it was.
    ///
    /// # Errors
    /// Those of [`Session::step`]: [`Error::Device`](crate::Error::Device) if the device failed,
    /// [`Error::NotFinite`](crate::Error::NotFinite) if the losses or a picture are no longer finite, and the
    /// errors of the observer.
    pub async fn run_async(&mut self, observer: &mut dyn Observer) -> Result<Ending> {
        let mut run = Run { session: self, paused: false, checkpoint: false };
        loop {
            observer.steer(&mut run)?;
            if std::mem::take(&mut run.checkpoint) {
                let checkpoint = run.session.checkpoint_async().await?;
                observer.checkpoint(&mut run, checkpoint)?;
            }
            if run.paused {
                return Ok(Ending::Paused);
            }
            let Some(losses) = run.session.step_async().await? else { break };
            observer.losses(&mut run, &losses)?;
            while let Some((iterations, picture)) = run.session.take_copy()? {
                observer.picture(&mut run, iterations, picture)?;
            }
        }
        // The device works ahead, so that a run may be complete although it was stopped.
        let (done, all) = (run.session.submitted(), run.session.iterations());
        Ok(if done < all { Ending::Stopped(done) } else { Ending::Complete })
    }
}
