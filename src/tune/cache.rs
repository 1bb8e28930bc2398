//! The measurements on this machine, on disk: one file per adapter, driver and text of the shaders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use crate::gpu::Gpu;
use crate::picture::replace_file;
use crate::{Result, digest};

static SHADERS: Dir = include_dir!("$CARGO_MANIFEST_DIR/shaders");

/// The fastest variant of each class, by name.
pub(super) type Choices = BTreeMap<String, String>;

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

/// Adapter and driver for people, and the digest of adapter, driver and shaders, which is the key of files on
/// disk.
pub(crate) fn identity(gpu: &Gpu) -> (String, String) {
    let info = gpu.info();
    let device = gpu.description();
    let mut shaders: Vec<_> = SHADERS.files().collect();
    shaders.sort_by_key(|file| file.path());
    let texts: String =
        shaders.iter().map(|file| digest::bytes(file.contents())).collect::<Vec<_>>().join("\n");
    let key = digest::words(&format!("{device}\n{}\n{}\n{texts}", info.vendor, info.device));
    (device, key)
}

impl Cache {
    /// A file in a folder that need not exist yet.
    pub(super) fn new(gpu: &Gpu, folder: &Path) -> Self {
        let (device, key) = identity(gpu);
        Self { path: folder.join(format!("variants-{}.json", &key[..16])), device, key }
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The stored choices; none if there is no file.
    ///
    /// # Errors
    /// The reason why the file cannot be used.
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
