//! Pictures that are larger than the device has room for, in tiles whose result equals that of the whole.

mod choice;
pub(crate) mod compare;
pub(crate) mod content;
pub(crate) mod device;
pub(crate) mod layout;
pub(crate) mod optimiser;
mod painting;
pub(crate) mod rows;
pub(crate) mod statistics;
pub(crate) mod variation;
pub(crate) mod window;

pub use choice::{Tiles, Tiling, side_of_tiles};
