//! Files that are written whole or not at all, and the digests by which files and runs are told apart.

mod replace;
pub(crate) mod sha256;
pub(crate) mod unfinished;

pub use replace::{check_replaceable, replace_file, same_file};
pub use unfinished::abandon_files;
