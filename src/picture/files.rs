//! Pictures from and to files.

use std::fs::File;
use std::path::Path;

use super::{Format, Input, Picture, SaveOptions, decode, name_of, read_all, unreadable};
use crate::disk::{check_replaceable, replace_file};
use crate::error::{Error, Result};

impl Picture {
    /// Reads a JPEG, PNG, TIFF, WebP, BMP or GIF file of up to 16 bits per sample, whatever its name ends in.
    ///
    /// It is read as [`Picture::from_bytes`] says.
    ///
    /// # Errors
    /// As [`Picture::from_bytes`], and if the file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let named = || -> Result<Self, String> {
            let bytes = read(path)?;
            let source = Some(Input::new(name_of(path), &bytes));
            Ok(Self { source, ..decode::decode(&bytes)? })
        };
        named().map_err(|why| Error::picture(path, why))
    }

    /// Writes the picture in the format of the path's ending, marked as sRGB, by [`replace_file`]'s rules.
    ///
    /// It is written as [`Picture::to_bytes`] says.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Setting`] if the format cannot hold the picture or the file cannot be
    /// written; whatever was at `path` is then untouched.
    ///
    /// [`replace_file`]: crate::disk::replace_file
    pub fn save(&self, path: &Path, options: &SaveOptions) -> Result<()> {
        let format = Format::of(path)?;
        options.check(path)?;
        let bytes = self.encode(format, options).map_err(|why| Error::write(path, why))?;
        replace_file(path, &bytes)
    }
}

/// Finds out, before a long run, whether [`Picture::save`] could write `path`: its ending is known, its
/// folder exists and takes new files, and what is there now may be replaced. Nothing is left behind.
///
/// # Errors
/// [`Error::Write`] says what stands in the way.
pub fn check_writable(path: &Path) -> Result<Format> {
    let format = Format::of(path)?;
    check_replaceable(path)?;
    Ok(format)
}

/// All bytes of a file, or why there are none.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    // On some systems a folder can be opened, and reading it fails with an obscure message.
    if path.is_dir() {
        return Err("it is a folder; name a picture inside it".into());
    }
    read_all(File::open(path).map_err(unreadable)?)
}
