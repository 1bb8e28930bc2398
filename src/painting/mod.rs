//! What a painter sets and gets: settings, objective, sessions, and what is kept of a run.

pub mod capacity;
pub mod checkpoint;
pub mod choices;
pub(crate) mod objective;
pub(crate) mod optimiser;
pub mod preset;
pub mod provenance;
pub mod session;
pub mod settings;
pub mod stages;
pub mod style;
pub(crate) mod variable;
