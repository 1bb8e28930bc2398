//! Pictures: from a file to planar floats and back, with colour profiles, orientation and transparency.

mod colour;
mod colours;
mod comment;
mod decode;
mod encode;
mod enlarged;
pub(crate) mod exif;
#[cfg(feature = "native")]
mod files;
mod guided;
mod icc;
mod ifd;
mod interpolate;
mod jpeg;
#[cfg(not(feature = "native"))]
mod lossless_webp;
#[cfg(feature = "native")]
mod lossy_webp;
mod margin;
mod oklab;
mod planes;
mod png_chunks;
mod raw;
mod recolour;
mod regions;
mod resize;
mod save;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod tiff;
mod xmp;

use std::io::{ErrorKind, Read};
use std::path::Path;

pub use comment::Comment;
pub(crate) use decode::comment;
pub use exif::Exif;
#[cfg(feature = "native")]
pub use files::check_writable;
#[cfg(feature = "native")]
pub(crate) use files::read;
pub(crate) use interpolate::Enlargement;
pub use interpolate::{Interpolation, interpolate};
#[cfg(not(feature = "native"))]
use lossless_webp as lossy_webp;
pub(crate) use margin::{cropped_row, padded, padded_row};
pub use planes::Planes;
pub use regions::{LayerMasks, MAX_REGIONS, Mask, Masks, RegionColour, RegionMasks, RegionPicture, Regions};
pub use resize::{Filter, Size, contact_sheet, contact_sheet_size};
pub use save::{Format, SaveOptions};
pub use source::Input;

use crate::disk::sha256;
use crate::error::{Error, Result};

/// The longest file that is read: 2 GiB, far beyond any picture that is accepted.
const MAX_FILE: u64 = 2 << 30;

/// A picture in memory.
///
/// Where the file says how transparent its pixels are, that is kept in [`Picture::alpha`], apart from the
/// colour. Fully transparent pixels have no colour of their own, only whatever a program left there, so they
/// are given the mean colour of the visible ones: nothing hidden can bleed into a result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue plane, each `height x width`; sRGB-encoded, 0 to 1.
    pub rgb: Planes,
    /// `height x width`, 0 transparent to 1 opaque, not multiplied into the colour. `None` if all is opaque.
    pub alpha: Option<Vec<f32>>,
    /// Camera, time, place and author, as far as the file tells; [`Picture::save`] writes it.
    pub exif: Exif,
    /// The file it was read from.
    pub source: Option<Input>,
    /// What the user should know about how the file was read, in sentences; mostly none.
    pub notes: Vec<String>,
}

impl Picture {
    /// An opaque picture of three planes `height x width`.
    ///
    /// # Panics
    /// If `rgb` does not hold `3 * width * height` values, or none.
    pub fn new(width: usize, height: usize, rgb: Vec<f32>) -> Self {
        assert!(width > 0 && height > 0 && rgb.len() == 3 * width * height, "planes of {width} x {height}");
        Self::of(width, height, rgb.into())
    }

    fn of(width: usize, height: usize, rgb: Planes) -> Self {
        Self { width, height, rgb, alpha: None, exif: Exif::default(), source: None, notes: Vec::new() }
    }

    /// SHA-256 of size and colours, in hexadecimal digits.
    pub(crate) fn digest(&self) -> String {
        sha256::sized([self.width, self.height], &self.rgb)
    }

    /// The same pixels, with nothing of what the file told about them.
    pub fn bare(&self) -> Self {
        Self { alpha: self.alpha.clone(), ..Self::of(self.width, self.height, self.rgb.clone()) }
    }

    /// Uniform noise, the same for the same `seed`.
    pub fn noise(width: usize, height: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self::new(width, height, (0..3 * width * height).map(|_| random.f32()).collect())
    }

    /// Reads the bytes of a JPEG, PNG, TIFF, WebP, BMP or GIF file of up to 16 bits per sample. `name` is for
    /// error texts and [`Picture::source`].
    ///
    /// Its EXIF orientation is applied and its colours are converted to sRGB. The first frame counts, or the
    /// first page that is no thumbnail or mask of another.
    ///
    /// # Errors
    /// [`Error::Picture`] if the file is damaged, cut short or of another kind, holds more than 200 million
    /// pixels, or shows nothing because all its pixels are fully transparent.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let picture = decode::decode(bytes).map_err(|why| Error::picture(Path::new(name), why))?;
        Ok(Self { source: Some(Input::new(name, bytes)), ..picture })
    }

    /// Width and height that the bytes of a picture file declare, before its orientation is applied. No pixel
    /// is decoded, so that a picture can be scaled or refused before it takes memory.
    ///
    /// # Errors
    /// As [`Picture::from_bytes`], as far as the beginning of the file shows it.
    pub fn declared_size(name: &str, bytes: &[u8]) -> Result<(usize, usize)> {
        let (width, height) =
            decode::declared_size(bytes).map_err(|why| Error::picture(Path::new(name), why))?;
        Ok((width as usize, height as usize))
    }

    /// As [`Picture::from_bytes`], from whatever a reader gives until its end.
    ///
    /// # Errors
    /// As [`Picture::from_bytes`], and if the reader fails or gives more than 2 GiB.
    pub fn from_reader(name: &str, reader: impl Read) -> Result<Self> {
        let bytes = read_all(reader).map_err(|why| Error::picture(Path::new(name), why))?;
        Self::from_bytes(name, &bytes)
    }

    /// The colours as seen on a white ground, three planes.
    fn on_white(&self) -> Planes {
        let mut rgb = self.rgb.clone();
        if let Some(alpha) = &self.alpha {
            for plane in rgb.chunks_exact_mut(alpha.len()) {
                plane.iter_mut().zip(alpha).for_each(|(v, a)| *v = *v * a + (1.0 - a));
            }
        }
        rgb
    }
}

/// The name of a file without its folder, as records have it.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// All that a reader gives, or why not: a device or a pipe may never end.
fn read_all(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("it is larger than 2 GiB; scale the picture down first".into());
    }
    Ok(bytes)
}

fn unreadable(e: std::io::Error) -> String {
    match e.kind() {
        ErrorKind::NotFound => "there is no such file; check its path".into(),
        ErrorKind::PermissionDenied => "reading it is not permitted; change its permissions".into(),
        _ => format!("it cannot be read ({e}); check the disk or copy the file elsewhere"),
    }
}
