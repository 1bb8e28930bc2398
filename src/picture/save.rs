//! From planes to the bytes of a picture file.

use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::{Picture, atomic, icc};
use crate::error::{Error, Result};

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
    /// 8 bits, alpha; lossless.
    WebP,
}

impl Format {
    /// The format that the ending of `path` asks for.
    ///
    /// # Errors
    /// [`Error::Write`] if there is none or it is not known.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match ending.as_str() {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::Jpeg),
            "tif" | "tiff" => Ok(Self::Tiff),
            "webp" => Ok(Self::WebP),
            "" => Err(Error::write(path, "its name has no ending; end it in .png, .jpg, .tif or .webp")),
            _ => Err(Error::write(
                path,
                format!("`.{ending}` is not a known ending; end it in .png, .jpg, .tif or .webp"),
            )),
        }
    }

    /// Whether [`SaveOptions::depth16`] is possible.
    pub fn holds_16_bits(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// The longest side that a file of this format can have.
    pub fn max_side(self) -> usize {
        match self {
            Self::Jpeg => 65535,
            Self::WebP => 16384,
            // More than fits in memory.
            Self::Png | Self::Tiff => i32::MAX as usize,
        }
    }
}

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveOptions {
    /// 1 (small) to 100 (best), for JPEG only.
    pub jpeg_quality: u8,
    /// 16 bits per sample instead of 8, for PNG and TIFF only.
    pub depth16: bool,
}

impl Default for SaveOptions {
    /// JPEG quality 92, at which brush strokes keep their edges; 8 bits.
    fn default() -> Self {
        Self { jpeg_quality: 92, depth16: false }
    }
}

/// Finds out, before a long run, whether [`Picture::save`] could write `path`: its ending is known, its folder
/// exists and takes new files, and what is there now may be replaced. Nothing is left behind.
///
/// # Errors
/// [`Error::Write`] says what stands in the way.
pub fn check_writable(path: &Path) -> Result<Format> {
    let format = Format::of(path)?;
    atomic::check_replaceable(path)?;
    Ok(format)
}

impl Picture {
    /// Writes the picture in the format of the path's ending, marked as sRGB, by [`replace_file`]'s rules.
    ///
    /// Values are clamped to 0..1 and rounded to nearest. Alpha is written where the format has it; on JPEG
    /// the picture is put on a white ground.
    ///
    /// # Errors
    /// [`Error::Write`] if the format cannot hold the picture or the file cannot be written; whatever was at
    /// `path` is then untouched.
    ///
    /// [`replace_file`]: super::replace_file
    pub fn save(&self, path: &Path, options: &SaveOptions) -> Result<()> {
        let format = check_writable(path)?;
        let bytes = self.encode(format, options).map_err(|why| Error::write(path, why))?;
        atomic::replace_file(path, &bytes)
    }

    /// The bytes of a file, or why there can be none.
    fn encode(&self, format: Format, options: &SaveOptions) -> Result<Vec<u8>, String> {
        let side = self.width.max(self.height);
        if side > format.max_side() {
            return Err(format!(
                "{side} pixels are more than the {} this format allows; write PNG instead",
                format.max_side()
            ));
        }
        if options.depth16 && !format.holds_16_bits() {
            return Err("this format has 8 bits per sample; write 16 bits as PNG or TIFF".into());
        }
        if format == Format::Jpeg && !(1..=100).contains(&options.jpeg_quality) {
            return Err(format!("there is no JPEG quality {}; give 1 to 100", options.jpeg_quality));
        }
        let alpha = self.alpha.as_deref().filter(|_| format != Format::Jpeg);
        let (samples, colour) = match (options.depth16, alpha) {
            (false, None) => (self.samples(alpha, quantise8), ExtendedColorType::Rgb8),
            (false, Some(_)) => (self.samples(alpha, quantise8), ExtendedColorType::Rgba8),
            (true, None) => (self.samples(alpha, quantise16), ExtendedColorType::Rgb16),
            (true, Some(_)) => (self.samples(alpha, quantise16), ExtendedColorType::Rgba16),
        };
        let mut file = Cursor::new(Vec::new());
        let size = (self.width as u32, self.height as u32);
        match format {
            Format::Png => write(PngEncoder::new(&mut file), &samples, size, colour),
            Format::Jpeg => {
                write(JpegEncoder::new_with_quality(&mut file, options.jpeg_quality), &samples, size, colour)
            }
            Format::Tiff => write(TiffEncoder::new(&mut file), &samples, size, colour),
            Format::WebP => write(WebPEncoder::new_lossless(&mut file), &samples, size, colour),
        }?;
        Ok(file.into_inner())
    }

    /// Pixel by pixel, with `alpha` if given and else on white.
    fn samples<const N: usize>(&self, alpha: Option<&[f32]>, quantise: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
        let n = self.width * self.height;
        let flat = if alpha.is_none() && self.alpha.is_some() { Some(self.on_white()) } else { None };
        let rgb = flat.as_ref().unwrap_or(&self.rgb);
        let mut samples = Vec::with_capacity((3 + usize::from(alpha.is_some())) * n * N);
        for i in 0..n {
            (0..3).for_each(|c| samples.extend(quantise(rgb[c * n + i])));
            samples.extend(alpha.into_iter().flat_map(|a| quantise(a[i])));
        }
        samples
    }
}

fn quantise8(v: f32) -> [u8; 1] {
    [(v.clamp(0.0, 1.0) * 255.0).round() as u8]
}

/// In the machine's byte order, which the encoders expect.
fn quantise16(v: f32) -> [u8; 2] {
    ((v.clamp(0.0, 1.0) * 65535.0).round() as u16).to_ne_bytes()
}

fn write(
    mut encoder: impl ImageEncoder,
    samples: &[u8],
    (width, height): (u32, u32),
    colour: ExtendedColorType,
) -> Result<(), String> {
    let profile = icc::srgb().map_err(|e| format!("no sRGB profile could be made ({e}); report this"))?;
    encoder
        .set_icc_profile(profile)
        .map_err(|e| format!("it cannot be marked as sRGB ({e}); report this"))?;
    encoder
        .write_image(samples, width, height, colour)
        .map_err(|e| format!("it cannot be encoded ({e}); choose another format"))
}
