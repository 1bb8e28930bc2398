//! How much work goes into a submission, learnt from the time of earlier ones.

use std::time::Duration;

use super::HISTORY;
use crate::engine::clock::Instant;

/// The time that one submission should take: short enough that no driver resets the device and an interrupt
/// is answered quickly, long enough that submitting costs nothing.
const SUBMIT_TIME: Duration = Duration::from_millis(60);
/// The most iterations of one submission, because the losses of two submissions are remembered.
const MOST: usize = HISTORY / 2;

/// The iterations of a submission, or the submissions of an iteration.
pub(super) struct Pace {
    /// The iterations of one submission.
    pub(super) iterations: usize,
    /// The submissions of one iteration, if one iteration is too long for a single submission.
    pub(super) pieces: usize,
    /// Whether an iteration may be split at all. Software drivers reset nothing, so they need no split.
    splits: bool,
    /// When the previous submission landed, if a call was waiting for it.
    last: Option<Instant>,
}

impl Pace {
    /// The initial state: only the number of pieces is known.
    pub(super) fn new(unknown_pieces: usize) -> Self {
        Self { iterations: 1, pieces: unknown_pieces, splits: unknown_pieces > 1, last: None }
    }

    /// Learns that `count` iterations, submitted at `submitted`, have landed by `now`. They are `overdue` if
    /// they finished before a call waited for them, so that their end is unknown.
    pub(super) fn landed(&mut self, count: usize, submitted: Instant, overdue: bool, now: Instant) {
        // The device began them when they had been submitted and the earlier ones were done.
        let begun = self.last.map_or(submitted, |last| last.max(submitted));
        // If the time is not exact, it is an upper limit. That is a reason to submit more at once, but not to
        // submit less.
        let exact = self.last.is_some() && !overdue;
        self.last = (!overdue).then_some(now);
        let one = ((now - begun).as_secs_f64() / count as f64).max(1e-6);
        let wanted = SUBMIT_TIME.as_secs_f64() / one;
        let iterations = (wanted as usize).clamp(1, MOST).min(2 * self.iterations);
        if exact || iterations > self.iterations {
            self.iterations = iterations;
        }
        // Some steps take longer than others, so there are twice as many pieces as equal steps would need.
        let pieces = if wanted < 1.0 { (2.0 / wanted).ceil() as usize } else { 1 };
        if self.splits && (exact || pieces < self.pieces) {
            self.pieces = pieces;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result after some landings. Each has a number of iterations, the milliseconds at which they were
    /// submitted and landed, and whether they were overdue.
    fn follow(unknown_pieces: usize, landings: &[(usize, u64, u64, bool)]) -> (usize, usize) {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::new(unknown_pieces);
        for (count, submitted, landed, overdue) in landings {
            pace.landed(*count, at(*submitted), *overdue, at(*landed));
        }
        (pace.iterations, pace.pieces)
    }

    #[test]
    fn short_iterations_go_together() {
        // 5 ms per iteration: the number doubles until 60 ms are full.
        let landings = [(1, 0, 5, false), (1, 0, 10, false), (2, 5, 20, false), (4, 10, 40, false)];
        assert_eq!(follow(1, &landings[..2]), (4, 1));
        assert_eq!(follow(1, &landings), (12, 1));
        let fast: Vec<_> = (1..20).map(|i| (64, i, i + 1, false)).collect();
        assert_eq!(follow(1, &fast), (MOST, 1));
    }

    #[test]
    fn a_long_iteration_goes_in_pieces_where_it_may() {
        let slow = [(1, 0, 1000, false), (1, 0, 2000, false)];
        assert_eq!(follow(usize::MAX, &slow), (1, 34));
        assert_eq!(follow(1, &slow), (1, 1));
    }

    /// While a picture was being saved for a second, the program did not wait, so the beginning of the next
    /// submission is unknown.
    #[test]
    fn a_busy_caller_changes_nothing() {
        let landings = [
            (1, 0, 300, false),
            (1, 0, 600, false),
            (1, 300, 1700, true),
            (1, 600, 1750, false),
            // From here on it is known again.
            (1, 1700, 2050, false),
        ];
        for end in 2..=landings.len() {
            assert_eq!(follow(usize::MAX, &landings[..end]), (1, 10), "{end} landings");
        }
    }

    /// Iterations that finished before anybody waited took at most the time since they were submitted.
    #[test]
    fn of_a_fast_device_bounds_are_enough() {
        assert_eq!(follow(usize::MAX, &[(1, 0, 4, true), (1, 2, 8, true), (2, 4, 12, true)]), (8, 1));
    }
}
