//! Pictures that are larger than the device has room for, in tiles whose result equals that of the whole.

pub(crate) mod layout;
