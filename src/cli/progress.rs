//! Progress on stderr: a bar on a terminal, occasional lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use impasto::painting::session::Losses;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use super::{console, interrupt, time_text};

/// The least time between two lines if stderr is not a terminal.
const QUIET_TIME: Duration = Duration::from_secs(10);

/// The time between two pictures of the spinner, which turns while nothing can be counted.
const TICK: Duration = Duration::from_millis(120);

/// How far a run has come.
pub enum Progress {
    Silent,
    Bar(ProgressBar),
    Lines { label: String, first: usize, total: usize, start: Instant, last: Instant },
}

/// Shows on a terminal, until it is dropped, that the run is being prepared. A driver that sees the shaders
/// for the first time takes ten seconds or more to compile them.
pub fn preparing(label: &str, quiet: bool) -> Option<ProgressBar> {
    if quiet || !std::io::stderr().is_terminal() {
        return None;
    }
    let style =
        ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is fixed and valid");
    let bar = ProgressBar::new_spinner().with_style(style).with_finish(ProgressFinish::AndClear);
    bar.set_message(format!("{label}compiling shaders, measuring photograph and painting"));
    bar.enable_steady_tick(TICK);
    Some(bar)
}

impl Progress {
    /// For a run of `total` iterations that starts now, with the `first` ones done already. `label` is put
    /// first.
    pub fn new(label: String, first: usize, total: usize, quiet: bool) -> Self {
        if quiet {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Self::Lines { label, first, total, start: now, last: now };
        }
        let style =
            ProgressStyle::with_template("{prefix}{bar:24} {pos}/{len}  {msg}  {per_sec}  {eta} left")
                .expect("the template is fixed and valid");
        let bar =
            ProgressBar::new(total as u64).with_style(style).with_position(first as u64).with_prefix(label);
        bar.reset_eta();
        Self::Bar(bar)
    }

    /// The run has other iterations than it was to have.
    pub fn set_total(&mut self, iterations: usize) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => bar.set_length(iterations as u64),
            Self::Lines { total, .. } => *total = iterations,
        }
    }

    /// Reports that an iteration is done.
    pub fn report(&mut self, losses: &Losses) {
        let Losses { iteration, content, style, tv, .. } = losses;
        let text = format!("content {content:.3}  style {style:.3}  tv {tv:.3}");
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                bar.set_message(text);
                bar.set_position(*iteration as u64 + 1);
            }
            Self::Lines { label, first, total, start, last } => {
                let (done, now) = (iteration + 1, Instant::now());
                if now - *last >= QUIET_TIME || done == *total {
                    *last = now;
                    let rate = (done - *first) as f64 / (now - *start).as_secs_f64();
                    let left = time_text((*total - done) as f64 / rate);
                    console::message(&format!("{label}{done}/{total}  {text}  {rate:.2}/s  {} left", left));
                }
            }
        }
    }

    /// Counts the tiles of an iteration of a picture that is painted in tiles, and asks whether to go on: not after an interrupt.
    pub fn tiles(&self) -> impl FnMut(usize, usize) -> bool + 'static {
        let (bar, label) = match self {
            Self::Silent => (None, None),
            Self::Bar(bar) => (Some(bar.clone()), None),
            Self::Lines { label, .. } => (None, Some(label.clone())),
        };
        let mut last = Instant::now();
        move |done, of| {
            if let Some(bar) = &bar {
                bar.set_message(format!("tile {} of {of}", done + 1));
            }
            if let Some(label) = label.as_ref().filter(|_| last.elapsed() >= QUIET_TIME) {
                last = Instant::now();
                console::message(&format!("{label}tile {} of {of}", done + 1));
            }
            !interrupt::requested()
        }
    }

    /// Lets `f` write to stderr without the bar in the way.
    pub fn aside(&self, f: impl FnOnce()) {
        match self {
            Self::Bar(bar) => bar.suspend(f),
            _ => f(),
        }
    }

    /// Prints a message while the run goes on.
    pub fn say(&self, line: &str) {
        match self {
            Self::Silent => {}
            _ => self.aside(|| console::message(line)),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
