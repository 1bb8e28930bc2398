//! What several modules of the tests use.

#[cfg(target_os = "linux")]
pub mod inject;
pub mod studio;
