//! Measurements on the user's own device: whole iterations with their breakdown, and every op by itself.
//! `impasto bench` prints them.
//!
//! Times are those of this machine at that moment. Measurements that are to be compared should be made in
//! turn.

mod iteration;
mod least;
mod ops;

pub use iteration::{Breakdown, Iteration, Memory, Part, first, iteration};
pub use least::{Least, SIDES, least};
pub use ops::{Ceilings, Measured, ceilings, check, ops};

/// The median.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
