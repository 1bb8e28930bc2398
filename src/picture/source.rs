//! Where a picture came from.

use serde::{Deserialize, Serialize};

use crate::disk::sha256;

/// A file that went into a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Input {
    /// Its name, without the folder.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

impl Input {
    /// The file called `name` with these bytes.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), sha256: sha256::bytes(bytes) }
    }

    /// For messages; the name may come from a stranger's file.
    pub(crate) fn label(&self) -> String {
        format!("{:?} (SHA-256 {:.8}...)", self.name, self.sha256)
    }
}
