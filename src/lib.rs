//! Neural style transfer by optimising the picture itself, in hand-written compute shaders.
#![warn(missing_docs)]

pub mod error;
pub mod gpu;
pub mod kernel;
pub mod ops;
pub mod picture;
mod place;
pub mod plan;
pub mod real;
mod recipe;
pub mod session;
pub mod settings;
pub mod shape;
pub mod tape;
pub mod testing;
pub mod tune;
pub mod vgg;
pub mod weights;

pub use error::{Error, Result};
