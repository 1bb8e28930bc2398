//! From planes to the bytes of a picture file.

use std::path::Path;

use super::encode::{File, Samples};
use super::{Comment, Picture};
use crate::error::{Error, Result};

/// What the comment is called among the texts of a PNG.
pub(super) const TEXT_KEY: &str = "impasto";
/// At which brush strokes keep their edges.
const JPEG_QUALITY: u8 = 92;

/// A kind of file that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// 8 or 16 bits, alpha; lossless.
    Png,
    /// 8 bits, no alpha; lossy.
    Jpeg,
    /// 8 or 16 bits, alpha; not compressed.
    Tiff,
    /// 8 bits, alpha; lossless, or lossy if a quality is given.
    WebP,
}

impl Format {
    /// The format that the ending of `path` asks for.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none or it is not known.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let refuse = |what: String| {
            let why = format!("cannot write {}: {what}; end it in .png, .jpg, .tif or .webp", path.display());
            Err(Error::Setting(why))
        };
        match ending.as_str() {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::Jpeg),
            "tif" | "tiff" => Ok(Self::Tiff),
            "webp" => Ok(Self::WebP),
            "" => refuse("its name has no file extension".into()),
            _ => refuse(format!("`.{ending}` is not a known file extension")),
        }
    }

    /// What the names of such files end in: `png`, `jpg`, `tif` or `webp`.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Tiff => "tif",
            Self::WebP => "webp",
        }
    }

    /// Whether [`SaveOptions::depth16`] is possible.
    pub fn holds_16_bits(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// Whether [`SaveOptions::quality`] is possible.
    pub fn has_quality(self) -> bool {
        matches!(self, Self::Jpeg | Self::WebP)
    }

    /// The longest side that a file of this format can have.
    pub fn max_side(self) -> usize {
        match self {
            Self::Jpeg => 65535,
            Self::WebP => 16383,
            // More than fits in memory.
            Self::Png | Self::Tiff => i32::MAX as usize,
        }
    }
}

/// How a picture is written. The default is 8 bits, JPEG of quality 92, WebP without loss, and no comment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SaveOptions {
    /// 1 (small) to 100 (best), for JPEG and WebP only.
    pub quality: Option<u8>,
    /// 16 bits per sample instead of 8, for PNG and TIFF only.
    pub depth16: bool,
    /// What made the picture.
    pub comment: Option<Comment>,
}

impl SaveOptions {
    /// Finds out, before a long run, whether a picture can be written to `path` like this.
    ///
    /// # Errors
    /// [`Error::Setting`] says which of the options its format does not have, or that there is no format.
    pub fn check(&self, path: &Path) -> Result<()> {
        self.check_for(Format::of(path)?, &path.display().to_string())
    }

    /// As [`SaveOptions::check`], for what `name` says in error texts.
    ///
    /// # Errors
    /// [`Error::Setting`] says which of the options the format does not have.
    pub fn check_for(&self, format: Format, name: &str) -> Result<()> {
        let refuse = |why: &str| Err(Error::Setting(format!("{name} {why}")));
        if self.depth16 && !format.holds_16_bits() {
            return refuse("can only have 8 bits per sample; write 16 bits as .png or .tif");
        }
        match self.quality {
            Some(_) if !format.has_quality() => refuse(
                "is written without loss, so there is no quality to choose; leave it out, or write .jpg or .webp",
            ),
            Some(quality) if !(1..=100).contains(&quality) => {
                Err(Error::Setting(format!("there is no quality {quality}; give 1 (small) to 100 (best)")))
            }
            _ => Ok(()),
        }
    }
}

impl Picture {
    /// The bytes of a file in a format, marked as sRGB.
    ///
    /// Values are clamped to 0..1 and rounded to nearest. Alpha is written where the format has it; on JPEG
    /// the picture is put on a white ground. [`Picture::exif`] and the comment go into every format; a JPEG
    /// has room for the record of about a hundred styles, and longer ones are left out.
    ///
    /// # Errors
    /// [`Error::Setting`] if the format does not have what `options` ask for, [`Error::Write`] if it cannot
    /// hold the picture.
    pub fn to_bytes(&self, format: Format, options: &SaveOptions) -> Result<Vec<u8>> {
        options.check_for(format, "the picture")?;
        self.encode(format, options).map_err(|why| Error::write(Path::new("the picture"), why))
    }

    /// The bytes of a file, or why there can be none.
    pub(super) fn encode(&self, format: Format, options: &SaveOptions) -> Result<Vec<u8>, String> {
        let side = self.width.max(self.height);
        if side > format.max_side() {
            return Err(format!(
                "{side} pixels are more than the {} this format allows; write PNG instead",
                format.max_side()
            ));
        }
        let alpha = self.alpha.as_deref().filter(|_| format != Format::Jpeg);
        let file = File {
            width: self.width as u32,
            height: self.height as u32,
            samples: match options.depth16 {
                false => Samples::Eight(self.samples(alpha, quantise8)),
                true => Samples::Sixteen(self.samples(alpha, quantise16)),
            },
            alpha: alpha.is_some(),
            exif: &self.exif,
            comment: options.comment.as_ref(),
        };
        let encoded = match format {
            Format::Png => file.png(),
            Format::Jpeg => file.jpeg(options.quality.unwrap_or(JPEG_QUALITY)),
            Format::Tiff => file.tiff(),
            Format::WebP => file.webp(options.quality),
        };
        encoded.map_err(|e| format!("it cannot be encoded ({e}); choose another format"))
    }

    /// Pixel by pixel, with `alpha` if given and else on white.
    fn samples<T>(&self, alpha: Option<&[f32]>, quantise: impl Fn(f32) -> T) -> Vec<T> {
        let n = self.width * self.height;
        let flat = if alpha.is_none() && self.alpha.is_some() { Some(self.on_white()) } else { None };
        let rgb = flat.as_ref().unwrap_or(&self.rgb);
        let mut samples = Vec::with_capacity((3 + usize::from(alpha.is_some())) * n);
        for i in 0..n {
            samples.extend((0..3).map(|c| quantise(rgb[c * n + i])));
            samples.extend(alpha.map(|a| quantise(a[i])));
        }
        samples
    }
}

fn quantise8(v: f32) -> u8 {
    (v.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn quantise16(v: f32) -> u16 {
    (v.clamp(0.0, 1.0) * 65535.0).round() as u16
}
