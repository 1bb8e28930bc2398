//! Pictures too large for the device's memory, painted in tiles. The result is the same as without tiles,
//! within rounding.

mod choice;
pub(crate) mod compare;
pub(crate) mod content;
pub(crate) mod device;
pub(crate) mod layout;
pub(crate) mod lbfgs;
mod neighbours;
pub(crate) mod optimiser;
mod painting;
pub(crate) mod rows;
pub(crate) mod shared;
pub(crate) mod statistics;
mod terms;
pub(crate) mod variation;
pub(crate) mod window;

pub use choice::{Tiles, Tiling, side_of_tiles};
