//! Pictures that are larger than the device has room for, in tiles whose result equals that of the whole.

pub(crate) mod compare;
pub(crate) mod content;
pub(crate) mod layout;
pub(crate) mod optimiser;
pub(crate) mod rows;
pub(crate) mod statistics;
pub(crate) mod variation;
pub(crate) mod window;
