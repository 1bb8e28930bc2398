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
pub struct Progress {
    shown: Shown,
    first: usize,
    total: usize,
    began: Instant,
    /// What was left to do when it began.
    work: f64,
}

/// Where progress is shown.
enum Shown {
    Nowhere,
    Bar(ProgressBar),
    Lines { label: String, last: Instant },
}

/// The seconds that `left` of the `work` will take, if what is done of it took `elapsed`. Nothing is known
/// before anything is done.
fn seconds_left(elapsed: Duration, work: f64, left: f64) -> Option<f64> {
    let done = work - left;
    (done > 0.0).then(|| elapsed.as_secs_f64() * left / done)
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
    /// For a run of `total` iterations that starts now, with the `first` ones done already. `work` is what is
    /// left to do, in any unit that grows with its time. `label` is put first.
    pub fn new(label: String, [first, total]: [usize; 2], work: f64, quiet: bool) -> Self {
        let began = Instant::now();
        let shown = if quiet {
            Shown::Nowhere
        } else if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{prefix}{bar:24} {pos}/{len}  {msg}")
                .expect("the template is fixed and valid");
            let bar = ProgressBar::new(total as u64).with_style(style);
            Shown::Bar(bar.with_position(first as u64).with_prefix(label))
        } else {
            Shown::Lines { label, last: began }
        };
        Self { shown, first, total, began, work }
    }

    /// The run has another number of iterations than it began with, and its work has grown by `more`.
    pub fn set_total(&mut self, iterations: usize, more: f64) {
        self.total = iterations;
        self.work += more;
        if let Shown::Bar(bar) = &self.shown {
            bar.set_length(iterations as u64);
        }
    }

    /// The seconds that the run will still take where `left` of its work is left.
    pub fn seconds_left(&self, left: f64) -> Option<f64> {
        seconds_left(self.began.elapsed(), self.work, left)
    }

    /// Reports that an iteration is done, and that `left` of the work is left.
    pub fn report(&mut self, losses: &Losses, left: f64) {
        let Losses { iteration, content, style, tv, .. } = losses;
        let done = iteration + 1;
        let left = self.seconds_left(left);
        let text = || {
            let rate = (done - self.first) as f64 / self.began.elapsed().as_secs_f64();
            let left = left.map(|left| format!("  {} left", time_text(left))).unwrap_or_default();
            format!("content {content:.3}  style {style:.3}  tv {tv:.3}  {rate:.2}/s{left}")
        };
        match &mut self.shown {
            Shown::Nowhere => {}
            Shown::Bar(bar) => {
                bar.set_message(text());
                bar.set_position(done as u64);
            }
            Shown::Lines { label, last } => {
                if last.elapsed() >= QUIET_TIME || done == self.total {
                    *last = Instant::now();
                    console::message(&format!("{label}{done}/{}  {}", self.total, text()));
                }
            }
        }
    }

    /// Counts the tiles of an iteration of a picture that is painted in tiles, and asks whether to go on: not
    /// after an interrupt.
    pub fn tiles(&self) -> impl FnMut(usize, usize) -> bool + 'static {
        let (bar, label) = match &self.shown {
            Shown::Nowhere => (None, None),
            Shown::Bar(bar) => (Some(bar.clone()), None),
            Shown::Lines { label, .. } => (None, Some(label.clone())),
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
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(f),
            _ => f(),
        }
    }

    /// Prints a message while the run goes on.
    pub fn say(&self, line: &str) {
        match self.shown {
            Shown::Nowhere => {}
            _ => self.aside(|| console::message(line)),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use impasto::painting::choices::StyleLoss;
    use impasto::painting::cost::work;
    use impasto::painting::settings::Settings;
    use impasto::painting::stages::stages;

    /// A small size is done in a quarter of the time, and what is left takes the rest.
    #[test]
    fn larger_sizes_have_more_time_left() {
        let mut settings = Settings::painterly();
        (settings.first_size, settings.first_iterations, settings.iterations) = (192, vec![100], 100);
        // So that pixels are all that counts.
        (settings.style_loss, settings.finish) = (StyleLoss::Gram, 0.0);
        let stages = stages(&settings, (384, 256));
        let sizes: Vec<_> = stages.iter().map(|stage| (stage.width, stage.iterations)).collect();
        assert_eq!(sizes[..2], [(192, 100), (272, 100)]);
        let (all, left) = (work(&settings, &stages), work(&settings, &stages[1..]));
        let seconds = seconds_left(Duration::from_secs(10), all, left).unwrap();
        let pixels = |(width, height): (f64, f64)| width * height;
        let expected = 10.0 * (pixels((272.0, 181.0)) + pixels((384.0, 256.0))) / pixels((192.0, 128.0));
        assert!((seconds - expected).abs() < 1e-9, "{seconds} s instead of {expected}");
        assert!(seconds > 59.0, "{seconds} s instead of a minute");
        assert_eq!(seconds_left(Duration::from_secs(1), all, all), None);
        assert_eq!(seconds_left(Duration::from_secs(60), all, 0.0), Some(0.0));
    }
}
