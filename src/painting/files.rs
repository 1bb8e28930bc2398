//! Checkpoints, presets and records from and to files.

use std::fs::File;
use std::path::Path;

use super::checkpoint::{Checkpoint, read, unreadable};
use super::preset::Preset;
use super::provenance::Record;
use crate::disk::{Store, replace_file_with};
use crate::picture;
use crate::{Error, Result};

impl Checkpoint {
    /// Writes the checkpoint, a safetensors file, completely or not at all.
    ///
    /// # Errors
    /// [`Error::Write`]; a file that was at `path` is untouched then.
    pub fn save(&self, path: &Path) -> Result<()> {
        replace_file_with(path, |file| self.write(file))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::from_bytes`], and if the file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_in(path, &Store::memory())
    }

    /// Reads a checkpoint, whose picture and state go to `store`.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], and if they have no room there.
    pub fn open_in(path: &Path, store: &Store) -> Result<Self> {
        let name = path.display().to_string();
        let file = || -> Result<_, String> {
            let about = std::fs::metadata(path).map_err(unreadable)?;
            if !about.is_file() {
                return Err("it is not a file; name a checkpoint".into());
            }
            Ok((File::open(path).map_err(unreadable)?, about.len()))
        };
        let (file, length) = file().map_err(|why| Error::checkpoint(&name, why))?;
        read(file, length, &name, store)
    }
}

impl Preset {
    /// The bundled preset `name`, or otherwise the preset in the file at that path.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is neither, or if the file is not a preset.
    pub fn open(name: &Path) -> Result<Self> {
        if let Some(preset) = name.to_str().and_then(Self::bundled) {
            return Ok(preset);
        }
        let text = std::fs::read_to_string(name).map_err(|e| {
            let why = match e.kind() {
                std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
                _ => format!("as a file it cannot be read ({e})"),
            };
            let names = Self::names().collect::<Vec<_>>().join(", ");
            Error::Setting(format!(
                "no bundled preset is called {}, and {why}; name a TOML file or one of {names}",
                name.display()
            ))
        })?;
        Self::parse(&name.display().to_string(), &text)
    }
}

impl Record {
    /// Reads the record in a picture file.
    ///
    /// # Errors
    /// As [`Record::from_bytes`], and if the file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        picture::read(path).and_then(|bytes| Self::in_file(&bytes)).map_err(|why| Error::picture(path, why))
    }
}
