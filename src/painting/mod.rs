//! What a painter sets and gets: settings, objective, sessions, and what is kept of a run.

#[cfg(feature = "native")]
mod blocking;
mod builtin;
pub mod capacity;
pub mod checkpoint;
pub mod choices;
pub mod cost;
#[cfg(feature = "native")]
mod files;
pub(crate) mod objective;
pub(crate) mod optimiser;
pub mod preset;
pub mod provenance;
pub mod ranks;
pub mod result;
pub mod run;
pub mod session;
pub mod settings;
pub mod stages;
pub mod steering;
pub mod style;
pub mod tiling;
pub(crate) mod variable;
