//! Files that are written whole or not at all, and the digests by which files and runs are told apart.

#[cfg(feature = "native")]
mod replace;
pub(crate) mod sha256;
#[cfg(feature = "native")]
pub(crate) mod unfinished;

#[cfg(feature = "native")]
pub use replace::{check_replaceable, replace_file, same_file};
#[cfg(feature = "native")]
pub use unfinished::abandon_files;
