//! What was measured on this machine, on disk: one file per adapter, driver and text of the shaders.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Choices;
use crate::Result;
use crate::disk::replace_file;
use crate::engine::gpu::Gpu;

/// The content of a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Adapter and driver, for people.
    device: String,
    /// Digest of adapter, driver and shaders.
    key: String,
    choices: Choices,
}

/// The file for one device.
pub(super) struct Cache {
    device: String,
    key: String,
    path: PathBuf,
}

impl Cache {
    /// In a folder, which need not be there yet.
    pub(super) fn new(gpu: &Gpu, folder: &Path) -> Self {
        let (device, key) = gpu.identity();
        Self { path: folder.join(format!("variants-{}.json", &key[..16])), device, key }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is stored; nothing if there is no file.
    ///
    /// # Errors
    /// Why the file is of no use.
    pub(super) fn read(&self) -> std::result::Result<Choices, String> {
        let wrong =
            |why: &str| format!("the measured variants in {} are ignored: {why}", self.path.display());
        let bytes = match std::fs::read(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Choices::new()),
            Err(error) => return Err(wrong(&error.to_string())),
            Ok(bytes) => bytes,
        };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| wrong("the file is damaged"))?;
        if stored.key != self.key {
            return Err(wrong("they are of another device, driver or version"));
        }
        match stored.choices.iter().find(|(class, variant)| !super::exists(class, variant)) {
            Some((class, variant)) => Err(wrong(&format!("there is no {variant:?} for {class:?}"))),
            None => Ok(stored.choices),
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// [`crate::Error::Write`].
    pub(super) fn write(&self, choices: &Choices) -> Result<()> {
        let stored = Stored { device: self.device.clone(), key: self.key.clone(), choices: choices.clone() };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| crate::Error::write(folder, e.to_string()))?;
        replace_file(&self.path, format!("{:#}\n", serde_json::json!(stored)).as_bytes())
    }
}
