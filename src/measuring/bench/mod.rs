//! Measurements on the user's own device: whole iterations with what they consist of, and
//! every op by itself. `impasto bench` prints them.
//!
//! Times are of this machine as it was in that minute. What is to be compared should be measured in turn.

mod iteration;
mod ops;

pub use iteration::{Breakdown, Iteration, Memory, Part, first, iteration};
pub use ops::{Ceilings, Measured, ceilings, check, ops};

/// The value in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
