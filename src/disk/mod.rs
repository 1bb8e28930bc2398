//! Files that are written whole or not at all, digests by which files and runs are told apart, and files in place of memory.

#[cfg(feature = "native")]
mod replace;
pub(crate) mod sha256;
pub(crate) mod store;
#[cfg(feature = "native")]
pub(crate) mod unfinished;

#[cfg(feature = "native")]
pub(crate) use replace::replace_file_with;
#[cfg(feature = "native")]
pub use replace::{check_replaceable, replace_file, same_file};
pub use store::Store;
pub(crate) use store::Words;
#[cfg(feature = "native")]
pub use unfinished::abandon_files;
