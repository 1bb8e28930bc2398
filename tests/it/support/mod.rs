//! What several modules of the tests use.

pub mod figures;
#[cfg(target_os = "linux")]
pub mod inject;
pub mod setup;
pub mod studio;
