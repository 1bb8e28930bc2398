//! What is saved on schedule during a run: its picture, its frames and its checkpoint.

use std::time::{Duration, Instant};

use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::session::Session;
use impasto::painting::steering::Change;
use impasto::picture::Picture;

use super::job::Sized;
use super::options::Options;
use super::outputs::Outputs;
use crate::cli::console;
use crate::cli::preview::Screen;
use crate::cli::progress::Progress;

/// The time between two checkpoints. Writing one takes far less.
const PAUSE: Duration = Duration::from_secs(60);

/// The number of iterations between two previews, and the least time between them.
const PREVIEW_EVERY: usize = 10;
const PREVIEW_PAUSE: Duration = Duration::from_millis(500);

/// Writes what is due while a session runs, and shows it.
pub struct Autosave<'a> {
    outputs: &'a Outputs,
    pictures: &'a Sized,
    last: Instant,
    /// The interval at which the session copies its picture for all of this.
    pub every: Option<usize>,
    /// What was changed of the run so far.
    pub changes: Vec<Change>,
    /// The number of iterations between two results, and between two frames.
    save_every: Option<usize>,
    frames_every: usize,
    screen: Option<Screen>,
    shown: Option<Instant>,
    /// Pictures to be saved, and after how many iterations each was copied. A checkpoint comes before them:
    /// one beside a picture says that the picture is not finished.
    waiting: Vec<(usize, Picture)>,
}

impl<'a> Autosave<'a> {
    /// Starts the schedule now.
    pub fn new(
        outputs: &'a Outputs,
        pictures: &'a Sized,
        session: &mut Session,
        options: &Options,
        progress: &Progress,
    ) -> Self {
        let note = |why: &String| progress.say(&format!("note: {why}"));
        let screen = options.reporting.preview.and_then(|way| Screen::open(way).inspect_err(note).ok());
        let save_every = options.keep.save_every;
        let frames_every = options.reporting.frames_every;
        let frames = outputs.frames.as_ref().map(|_| frames_every);
        // The session makes copies at one interval: the largest that divides all of these.
        let every = [save_every, frames, screen.as_ref().map(|_| PREVIEW_EVERY)];
        let every = every.into_iter().flatten().reduce(common);
        every.into_iter().for_each(|every| session.copy_every(every));
        if session.submitted() == 0 {
            let first = pictures.start.as_ref().unwrap_or(&pictures.content).clone();
            warn(
                progress,
                outputs.clear_frames().and_then(|()| outputs.save_frame(0, &pictures.dress(first))),
            );
        }
        let (last, shown, waiting, changes) = (Instant::now(), None, Vec::new(), session.changes().to_vec());
        Self { outputs, pictures, last, every, changes, save_every, frames_every, screen, shown, waiting }
    }

    /// Writes and shows what is due after `iterations`, dressed as outputs are. A failure is reported, and
    /// the next attempt is made when it is due again.
    pub fn keep(&mut self, iterations: usize, picture: Picture, progress: &Progress) {
        if iterations.is_multiple_of(self.frames_every) {
            warn(progress, self.outputs.save_frame(iterations / self.frames_every, &picture));
        }
        if let Some(screen) = &mut self.screen
            && self.shown.is_none_or(|shown| shown.elapsed() >= PREVIEW_PAUSE)
        {
            progress.aside(|| screen.show(&picture));
            self.shown = Some(Instant::now());
        }
        if self.save_every.is_some_and(|every| iterations.is_multiple_of(every)) {
            self.waiting.push((iterations, picture));
            if self.outputs.checkpoint.is_none() {
                self.save_pictures(progress);
            }
        }
    }

    /// Whether a checkpoint is due.
    pub fn wants_checkpoint(&self) -> bool {
        let due = !self.waiting.is_empty() || self.last.elapsed() >= PAUSE;
        self.outputs.checkpoint.is_some() && due
    }

    /// Writes a checkpoint, and then the pictures that waited for it.
    pub fn save_checkpoint(&mut self, checkpoint: &Checkpoint, progress: &Progress) {
        if let Some(path) = &self.outputs.checkpoint {
            warn(progress, checkpoint.save(path).map_err(Into::into));
            self.last = Instant::now();
        }
        self.save_pictures(progress);
    }

    fn save_pictures(&mut self, progress: &Progress) {
        for (iterations, picture) in self.waiting.drain(..) {
            warn(
                progress,
                self.outputs.save_picture(&picture, self.pictures.record(iterations, &self.changes), false),
            );
        }
    }

    /// Writes the last frame and shows the last picture.
    ///
    /// # Errors
    /// If the frame cannot be written.
    pub fn finish(&mut self, iterations: usize, result: &Picture) -> anyhow::Result<()> {
        self.screen.iter_mut().for_each(|screen| screen.show(result));
        self.outputs.save_frame(iterations.div_ceil(self.frames_every), result)
    }
}

/// The greatest common divisor.
fn common(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common(b, a % b) }
}

/// Reports a failure, even if no progress is wanted.
fn warn(progress: &Progress, outcome: anyhow::Result<()>) {
    if let Err(error) = outcome {
        progress.aside(|| console::message(&format!("warning: {error:#}; the run goes on")));
    }
}
