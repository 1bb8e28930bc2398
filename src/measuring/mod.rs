//! Measurements: what a run will take, how fast the parts are, and whether a whole chain of ops is right.

#[cfg(feature = "unstable")]
pub mod bench;
#[cfg(feature = "unstable")]
mod chain;
pub mod estimate;

#[cfg(feature = "unstable")]
pub use chain::Chain;
