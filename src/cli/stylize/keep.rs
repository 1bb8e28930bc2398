//! What is kept of a run before it ends: its picture and its checkpoint, on schedule.

use std::time::{Duration, Instant};

use impasto::Result;
use impasto::session::Session;

use super::job::Sized;
use super::outputs::Outputs;
use crate::cli::talk;

/// Time between two checkpoints. Writing one takes far less.
const PAUSE: Duration = Duration::from_secs(60);

/// Writes what is due while a session runs.
pub struct Keeper<'a> {
    outputs: &'a Outputs,
    pictures: &'a Sized,
    last: Instant,
}

impl<'a> Keeper<'a> {
    /// From now on; the result also after every `save_every` iterations.
    pub fn new(
        outputs: &'a Outputs,
        pictures: &'a Sized,
        session: &mut Session,
        save_every: Option<u64>,
    ) -> Self {
        if let Some(every) = save_every {
            session.copy_every(usize::try_from(every).unwrap_or(usize::MAX));
        }
        Self { outputs, pictures, last: Instant::now() }
    }

    /// Writes what is due after an iteration. What cannot be written now is told and tried again when it is due again.
    ///
    /// # Errors
    /// Those of the session.
    pub fn keep(&mut self, session: &mut Session) -> Result<()> {
        while let Some((iterations, picture)) = session.take_copy()? {
            // The checkpoint first: where one lies beside a picture, the picture is not finished.
            self.checkpoint(session)?;
            let record = self.pictures.record(iterations);
            tell(self.outputs.save_picture(&self.pictures.dress(picture), record, false));
        }
        if self.last.elapsed() >= PAUSE {
            self.checkpoint(session)?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, session: &mut Session) -> Result<()> {
        let Some(path) = &self.outputs.checkpoint else { return Ok(()) };
        tell(session.snapshot()?.save(path).map_err(Into::into));
        self.last = Instant::now();
        Ok(())
    }
}

fn tell(outcome: anyhow::Result<()>) {
    if let Err(error) = outcome {
        talk(&format!("warning: {error:#}; the run goes on"));
    }
}
