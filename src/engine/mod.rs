//! Buffers and shaders: what knows no pictures and no networks.

pub(crate) mod clock;
pub mod gpu;
pub mod kernel;
pub(crate) mod memory;
pub(crate) mod placement;
pub mod plan;
pub mod precision;
pub mod real;
mod shape;
pub mod tape;
