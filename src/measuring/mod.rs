//! Measurements: what a run will take, how fast the parts are, and whether a whole chain of ops is right.

pub mod bench;
mod chain;
pub mod estimate;

pub use chain::Chain;
