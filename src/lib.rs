//! Neural style transfer by optimising the picture itself, in hand-written compute shaders.
#![warn(missing_docs)]

pub mod error;
pub mod gpu;
pub mod kernel;
pub mod ops;
pub mod picture;
pub mod plan;
pub mod session;
pub mod settings;
pub mod tape;
pub mod testing;
pub mod vgg;
pub mod weights;

pub use error::{Error, Result};
