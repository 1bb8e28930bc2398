//! Weights from files.

use std::fs::File;
use std::path::Path;

use super::{Weights, load, unreadable};
use crate::architecture::LayerSpec;
use crate::error::{Error, Result};

impl Weights {
    /// The convolutions `specs` of a safetensors file. Only its header and the tensors asked for are read.
    ///
    /// # Errors
    /// As [`Weights::from_bytes`], and if the file cannot be read.
    pub fn from_file(path: &Path, specs: &[LayerSpec]) -> Result<Self> {
        let name = path.display().to_string();
        // On some systems a folder can be opened, and reading it fails with an obscure message.
        if path.is_dir() {
            return Err(Error::weights(name, "it is a folder; name a .safetensors file inside it"));
        }
        let file = File::open(path).map_err(|e| unreadable(&name, &e))?;
        load(&name, file, specs)
    }
}
