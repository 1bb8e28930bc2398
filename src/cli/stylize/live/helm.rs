//! Steering a run: carries out what pages ask, and tells them how the run gets on.

use std::time::{Duration, Instant};

use impasto::Result;
use impasto::measuring::estimate::{Pace, Paced};
use impasto::painting::run::Run;
use impasto::painting::session::{Losses, Session};
use impasto::painting::settings::Settings;
use impasto::painting::stages::Stage;
use impasto::painting::steering::Change;
use impasto::picture::Picture;

use super::board::Board;
use super::command::{Action, Answer, Asked, Command};
use super::told::{Changed, Part, Start, State, Status, Weights};
use crate::cli::stylize::job::{Job, Sized};

/// The least time between two pictures.
const PICTURES: Duration = Duration::from_millis(100);
/// What one costs the run may be this part of the time.
const SHARE: u32 = 40;
/// The least time between two states. A thousand iterations a second are more than anybody sees.
const STATES: Duration = Duration::from_millis(50);
/// How long a paused run sleeps before it looks for an interrupt. A command wakes it.
const SLEEP: Duration = Duration::from_millis(200);

/// What joins a job's run to the pages.
pub struct Helm<'a> {
    board: &'a Board,
    job: &'a Job<'a>,
    pictures: &'a Sized,
    paused: bool,
    /// Those who wait for a copy.
    copies: Vec<Answer>,
    /// The interval of pictures that others than the pages ask for, and the one that the session has.
    base: Option<usize>,
    every: Option<usize>,
    /// What the last picture cost the run's thread, and when it was shown.
    cost: Duration,
    shown: Option<Instant>,
    told: Option<Instant>,
    /// When the last losses had been told.
    reported: Instant,
    /// The pace of the stage whose first iteration is `stage`, and what was last measured.
    pace: Pace,
    stage: usize,
    paced: Option<Paced>,
    /// After how many iterations the paused picture was shown, and how long the run was paused in all.
    rests_at: Option<usize>,
    pub rested: Duration,
}

impl<'a> Helm<'a> {
    /// Tells that a picture begins, and of the iterations that were done before. Others want pictures every
    /// `base` iterations.
    pub fn new(
        board: &'a Board,
        job: &'a Job,
        pictures: &'a Sized,
        session: &Session,
        base: Option<usize>,
    ) -> Self {
        board.refuse("That came before this picture was started.");
        let settings = session.settings();
        let Picture { width, height, .. } = pictures.content;
        board.start(
            Start {
                number: job.place.0,
                title: job.title(),
                width,
                height,
                names: names(settings),
                layers: settings.style_layers.iter().map(ToString::to_string).collect(),
                weights: weights(settings),
            },
            pictures.content.clone(),
            session.losses().map(|losses| row(settings, &losses)).collect(),
        );
        // Until the first iterations are done, where the run starts is seen.
        board.picture(pictures.dress(pictures.start.as_ref().unwrap_or(&pictures.content).clone()));
        let (paused, copies, every, cost) = (false, Vec::new(), base, Duration::ZERO);
        let (shown, told, rests_at, rested) = (None, None, None, Duration::ZERO);
        let (reported, pace, stage, paced) = (Instant::now(), Pace::default(), session.stage().first, None);
        Self {
            board,
            job,
            pictures,
            paused,
            copies,
            base,
            every,
            cost,
            shown,
            told,
            reported,
            pace,
            stage,
            paced,
            rests_at,
            rested,
        }
    }

    /// Carries out what was asked since the last time. A run that was `stopped` is not paused any more.
    pub fn steer(&mut self, run: &mut Run, stopped: bool) {
        while let Some(Asked { command, answer }) = self.board.asked() {
            self.told = None;
            let said = match command {
                Command::Set(asked) => asked
                    .applied(run.session().settings())
                    .and_then(|settings| run.set_weights(&settings))
                    .map(|first| format!("From iteration {first} on."))
                    .map_err(|error| format!("{error}.")),
                Command::Act(Action::Copy) => {
                    self.copies.push(answer);
                    continue;
                }
                Command::Act(action) => Ok(self.act(action, run)),
            };
            // Who asked may have gone.
            let _ = answer.send(said);
        }
        self.paused &= !stopped;
        if self.paused {
            run.pause();
        } else {
            self.rests_at = None;
        }
        self.ask_for_pictures(run);
        if self.told.is_none_or(|told| told.elapsed() >= STATES) {
            self.tell(run.session());
        }
    }

    fn act(&mut self, action: Action, run: &mut Run) -> String {
        let done = run.session().submitted();
        match action {
            Action::Pause => {
                self.paused = true;
                format!("Paused after {done} iterations.")
            }
            Action::Resume => {
                self.paused = false;
                "Going on.".into()
            }
            Action::EndSize => format!("This size ends after iteration {}.", run.end_size()),
            Action::Finish => {
                self.paused = false;
                format!("The run ends after iteration {}.", run.finish())
            }
            Action::Copy => String::new(),
        }
    }

    /// Sets how often the session copies its picture: for pages as often as they may have one, and only while
    /// somebody looks.
    fn ask_for_pictures(&mut self, run: &mut Run) {
        let every = if !self.copies.is_empty() {
            Some(1)
        } else if self.board.looked_at() {
            let spacing = PICTURES.max(self.cost * SHARE).as_secs_f64();
            let wanted =
                self.paced.map_or(1.0, |paced| (spacing / paced.seconds.max(1e-6)).ceil()).clamp(1.0, 1e6)
                    as usize;
            // A power of two changes less often; what others ask for is a multiple of it.
            let wanted = wanted.next_power_of_two();
            Some(self.base.map_or(wanted, |base| divisor(base, wanted)))
        } else {
            self.base
        };
        if every != self.every {
            self.every = every;
            // No run is so long.
            run.copy_every(every.unwrap_or(usize::MAX));
        }
    }

    /// The losses of an iteration.
    pub fn losses(&mut self, session: &Session, losses: &Losses) {
        self.board.row(row(session.settings(), losses));
        let stage = session.stage().first;
        if stage != self.stage {
            // Until the new pace is known, the one before holds.
            (self.pace, self.stage) = (Pace::default(), stage);
        }
        self.pace.note(session);
        self.paced = self.pace.measured().or(self.paced);
        self.reported = Instant::now();
    }

    /// A picture after `iterations`, dressed as outputs are.
    pub fn picture(&mut self, session: &Session, iterations: usize, picture: &Picture) {
        // What was done since the losses were told is the making of the picture.
        self.cost = self.reported.elapsed();
        self.reported = Instant::now();
        self.save_copies(session, iterations, picture);
        if self.board.looked_at() && self.shown.is_none_or(|shown| shown.elapsed() >= PICTURES) {
            self.shown = Some(Instant::now());
            self.board.picture(picture.clone());
        }
    }

    /// Saves the picture for those who asked for a copy.
    fn save_copies(&mut self, session: &Session, iterations: usize, picture: &Picture) {
        if self.copies.is_empty() {
            return;
        }
        let record = self.pictures.record(iterations, session.changes());
        let saved = self.job.outputs.save_copy(picture, record, iterations);
        let said = match &saved {
            Ok(path) => Ok(format!("Saved as {}.", path.display())),
            Err(error) => Err(format!("{error:#}.")),
        };
        self.copies.drain(..).for_each(|answer| drop(answer.send(said.clone())));
    }

    /// What a paused run does until something is asked of it.
    ///
    /// # Errors
    /// Those of [`Session::picture`].
    pub fn rest(&mut self, session: &mut Session) -> Result<()> {
        let began = Instant::now();
        let done = session.submitted();
        if self.rests_at != Some(done) || !self.copies.is_empty() {
            let picture = self.pictures.dress(session.picture()?);
            self.save_copies(session, done, &picture);
            self.board.picture(picture);
            self.rests_at = Some(done);
            self.pace = Pace::default();
            self.tell(session);
        }
        self.board.wait(SLEEP);
        self.rested += began.elapsed();
        Ok(())
    }

    /// The iterations have ended. What is asked now comes too late.
    pub fn leave(&mut self, session: &Session) {
        self.tell(session);
        self.board.status(Status::Finishing, None);
        let late = "The run has ended; the picture is saved as its result.";
        self.board.refuse(late);
        self.copies.drain(..).for_each(|answer| drop(answer.send(Err(late.into()))));
    }

    fn tell(&mut self, session: &Session) {
        self.told = Some(Instant::now());
        let iteration = session.landed();
        let stages = session.stages();
        let stage = stages.iter().position(|stage| iteration < stage.end()).unwrap_or(stages.len() - 1);
        let (width, height) = stages[stage].inner();
        let changed = |change: &Change| Changed { iteration: change.iteration, text: change.to_string() };
        self.board.state(State {
            status: if self.paused { Status::Paused } else { Status::Painting },
            width,
            height,
            iteration,
            iterations: session.iterations(),
            stage,
            stages: stages.iter().map(part).collect(),
            seconds_left: self.paced.map(|paced| paced.rate() * session.work_left()),
            result: None,
            weights: weights(session.settings()),
            changes: session.changes().iter().map(changed).collect(),
        });
    }
}

/// The largest divisor of `n` that is at most `most`.
fn divisor(n: usize, most: usize) -> usize {
    (1..=most.min(n)).rev().find(|d| n.is_multiple_of(*d)).unwrap_or(1)
}

fn part(stage: &Stage) -> Part {
    let (width, height) = stage.inner();
    Part { width, height, first: stage.first, iterations: stage.iterations, finish: stage.finish }
}

fn weights(settings: &Settings) -> Weights {
    let mut layers = settings.style_layer_weights.clone();
    layers.resize(settings.style_layers.len(), 1.0);
    Weights {
        strength: settings.strength(),
        content_weight: settings.content_weight,
        style_weight: settings.style_weight,
        tv_weight: settings.tv_weight,
        learning_rate: settings.learning_rate,
        style_layer_weights: layers,
    }
}

/// The curves of losses.
fn names(settings: &Settings) -> Vec<String> {
    let mut names = vec!["total".to_owned(), "content".to_owned()];
    names.extend(settings.style_layers.iter().map(|layer| format!("style {layer}")));
    names.extend((settings.finish > 0.0).then(|| "finish".to_owned()));
    names.push("smoothness".to_owned());
    names
}

/// Their values in an iteration; what does not take part is 0, which no curve shows.
fn row(settings: &Settings, losses: &Losses) -> Vec<f32> {
    let mut row = vec![losses.total as f32, losses.content as f32];
    row.extend(losses.style_layers.iter().map(|loss| *loss as f32));
    row.extend((settings.finish > 0.0).then(|| losses.nearest.unwrap_or(0.0) as f32));
    row.push(losses.tv as f32);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_ask_for_is_a_multiple() {
        for (n, most, expected) in [(10, 4, 2), (10, 64, 10), (7, 4, 1), (60, 16, 15), (1, 1, 1)] {
            assert_eq!(divisor(n, most), expected, "{n} and {most}");
        }
    }
}
