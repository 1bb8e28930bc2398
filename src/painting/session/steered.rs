//! Changes of a session while it runs, each noted with its iteration, and those of a run that is repeated.

use super::Session;
use crate::painting::settings::Settings;
use crate::painting::steering::{self, Change, End, MOST_CHANGES};
use crate::{Error, Result};

impl Session<'_> {
    /// The settings with all that was changed so far.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What was changed so far, in the order of iterations: enough to repeat the run, see
    /// [`Builder::repeat`](super::Builder::repeat).
    pub fn changes(&self) -> &[Change] {
        &self.origin.changes
    }

    /// Gives the rest of the run the weights and the learning rate, with its decays, of other settings.
    /// All else in them is ignored. Iterations that were submitted already keep theirs. The change is noted in
    /// [`Self::changes`].
    ///
    /// # Errors
    /// [`Error::Setting`] if the settings make no sense, or if there were [`MOST_CHANGES`] already.
    pub fn set_weights(&mut self, settings: &Settings) -> Result<()> {
        settings.validate()?;
        let Some(change) = Change::between(self.submitted(), &self.settings, settings) else { return Ok(()) };
        let weights = self.origin.changes.iter().filter(|change| change.end.is_none());
        if weights.count() == MOST_CHANGES {
            return Err(Error::Setting(format!(
                "the run was changed {MOST_CHANGES} times, and its record has no room for more; let it go on unchanged"
            )));
        }
        self.change(change);
        Ok(())
    }

    /// Ends the iterations of the running stage, at least one of which is done; the run goes on with the next
    /// stage. Returns one past its last iteration. Where the stage has submitted all of its iterations,
    /// nothing changes.
    pub fn end_size(&mut self) -> usize {
        self.end(End::Size)
    }

    /// Ends the run after what was submitted, and at least one iteration of the running stage. Its picture is
    /// then the result, in the size of that stage, and the run counts as complete. Returns one past the last
    /// iteration.
    pub fn finish(&mut self) -> usize {
        self.end(End::Run)
    }

    fn end(&mut self, end: End) -> usize {
        let stage = *self.running.stage();
        let past = self.submitted().max(stage.first + 1).min(stage.end());
        let over = match end {
            End::Size => past == stage.end(),
            End::Run => past == self.iterations(),
        };
        if !over {
            self.change(Change::ending(past, end));
        }
        past
    }

    /// Lets a change take effect, and notes it.
    fn change(&mut self, change: Change) {
        change.apply(&mut self.settings);
        self.running.turn(&self.settings, self.finish_weight);
        let ends = change.end.is_some();
        // After the last iteration there is none that would have the change.
        if ends || change.iteration < self.iterations() {
            steering::note(&mut self.origin.changes, change);
        }
        if ends {
            self.stages = self.origin.stages();
            self.running.shorten(&self.stages[self.at], self.iterations());
        }
    }

    /// Repeats what is due before the next iteration, and lets the stage submit no more than what comes
    /// before the change after that.
    pub(super) fn keep_schedule(&mut self) -> Result<()> {
        let submitted = self.submitted();
        while self.schedule.front().is_some_and(|change| change.iteration <= submitted) {
            let Some(change) = self.schedule.pop_front() else { break };
            self.change(change);
        }
        self.running.submit_until(self.schedule.front().map(|change| change.iteration));
        Ok(())
    }
}
