//! From the bytes of a picture file to planes.

use std::io::{Cursor, ErrorKind};

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits};

use super::exif::{self, Found};
use super::save::TEXT_KEY;
use super::{Format, Picture, icc, jpeg};

/// About what the largest camera sensors deliver; 2.4 GB as planes. More is taken for an attack or a mistake.
const MAX_PIXELS: u64 = 200_000_000;

/// The most bytes that a decoder may hold: [`MAX_PIXELS`] of four 16-bit channels, and its own buffers.
const MAX_DECODER: u64 = 2 << 30;

const DAMAGED: &str = "download, copy or export it again";
const CONVERT: &str = "convert it to PNG or JPEG first";
const UNMARKED_INKS: &str = "it is a CMYK JPEG without Adobe's marker, so whether its inks are inverted cannot be \
     known; convert it to RGB in an image editor first";
const INKS_NOTE: &str = "its CMYK inks were converted without their colour profile, so colours may be off; convert \
     it to RGB in an image editor for exact ones";
const EXIF_NOTE: &str = "its EXIF is damaged or too long in parts, which were left out";

/// # Errors
/// Says what is wrong with the file and what to try.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, String> {
    let format = recognise(bytes)?;
    let mut notes = Vec::new();
    let mut inks = false;
    let mut end = None;
    if format == Format::Jpeg {
        let Some(outline) = jpeg::outline(bytes) else {
            return Err(format!("it is cut short: its data stop before their end marker; {DAMAGED}"));
        };
        end = Some(outline.end);
        inks = outline.components == 4;
        if inks && !outline.adobe {
            return Err(UNMARKED_INKS.into());
        }
    }

    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER);
    let mut decoder = decoder(format, bytes, limits.clone()).map_err(explain)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("it has no pixels ({width} x {height}); {DAMAGED}"));
    }
    if pixels > MAX_PIXELS {
        return Err(format!(
            "it claims {width} x {height} pixels and {} million are the most that is read; scale it down first",
            MAX_PIXELS / 1_000_000
        ));
    }
    inks |= matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16);
    // Unreadable metadata is no reason to refuse a picture.
    let orientation = decoder.orientation().ok();
    let profile = decoder.icc_profile().unwrap_or_default();
    let exif = exif(format, bytes, decoder.as_mut());
    // The limits are set only now. The TIFF decoder applies the limit for pixels to the profile as well, and
    // a small picture would lose its profile.
    decoder.set_limits(limits).map_err(explain)?;

    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    if end.is_some_and(|end| differs(&image, &jpeg::continued(bytes, end))) {
        return Err(format!("it is cut short: its end marker comes before the end of its pixels; {DAMAGED}"));
    }
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (mut colour, alpha) = planes(image)?;

    // The decoder has already converted the inks to RGB, which their profile does not describe.
    let profile = if inks { None } else { profile };
    if inks {
        notes.push(INKS_NOTE.to_owned());
    }
    if let Err(why) = icc::to_srgb(&mut colour, width * height, profile.as_deref()) {
        notes.push(format!("its colour profile was ignored ({why}); its colours are taken as sRGB"));
    }
    let alpha = alpha.filter(|a| a.iter().any(|&a| a < 1.0));
    if let Some(alpha) = &alpha {
        paint_hidden(&mut colour, alpha)?;
    }
    if exif.damaged {
        notes.push(EXIF_NOTE.to_owned());
    }
    Ok(Picture { width, height, rgb: colour, alpha, exif: exif.exif, source: None, notes })
}

/// Whether this version of a JPEG has other samples than `image`, which was decoded before.
fn differs(image: &DynamicImage, jpeg: &[u8]) -> bool {
    let again = JpegDecoder::new(Cursor::new(jpeg)).and_then(DynamicImage::from_decoder);
    again.map_or(true, |again| again.as_bytes() != image.as_bytes())
}

/// The comment in the file, where [`Picture::save`] stores records.
///
/// # Errors
/// Says what is wrong with the file and what to try.
pub(crate) fn comment(bytes: &[u8]) -> Result<Option<String>, String> {
    let format = recognise(bytes)?;
    if format == Format::Png {
        return png_text(bytes).map_err(|_| format!("it is damaged or cut short; {DAMAGED}"));
    }
    let mut decoder = decoder(format, bytes, Limits::default()).map_err(explain)?;
    Ok(exif(format, bytes, decoder.as_mut()).comment)
}

/// The text of a PNG whose keyword is this program's name.
fn png_text(bytes: &[u8]) -> Result<Option<String>, png::DecodingError> {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info()?;
    // Other programs may move the text behind the pixels.
    reader.finish()?;
    let mut texts = reader.info().utf8_text.iter().filter(|text| text.keyword == TEXT_KEY);
    Ok(texts.next().and_then(|text| text.get_text().ok()))
}

/// What the file's EXIF says. Unreadable metadata is no reason to refuse a picture.
fn exif(format: Format, bytes: &[u8], decoder: &mut dyn ImageDecoder) -> Found {
    if format == Format::Tiff {
        return exif::read(bytes);
    }
    match decoder.exif_metadata() {
        Ok(None) => Found::default(),
        // Some programs put JPEG's marker before the block in other formats, too.
        Ok(Some(block)) => exif::read(block.strip_prefix(b"Exif\0\0").unwrap_or(&block)),
        Err(_) => Found { damaged: true, ..Found::default() },
    }
}

/// The format by content, because names can be wrong.
fn recognise(bytes: &[u8]) -> Result<Format, String> {
    if bytes.is_empty() {
        return Err("the file is empty; download or copy it again".into());
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Ok(Format::Jpeg),
        Ok(ImageFormat::Png) => Ok(Format::Png),
        Ok(ImageFormat::Tiff) => Ok(Format::Tiff),
        Ok(ImageFormat::WebP) => Ok(Format::WebP),
        Ok(other) => Err(format!("{other:?} pictures are not read; {CONVERT}")),
        // The files of phones; the brand that follows distinguishes HEIC from AVIF and video.
        Err(_) if bytes.get(4..8) == Some(b"ftyp") => {
            Err(format!("it is a HEIC or other MPEG-family file, which is not read; {CONVERT}"))
        }
        Err(_) => Err("it is not a picture of a known kind; use a JPEG, PNG, TIFF or WebP file".into()),
    }
}

/// Reads the header. PNG decompresses parts of it, so it must know the limits before; the others get them
/// later.
fn decoder(format: Format, bytes: &[u8], limits: Limits) -> ImageResult<Box<dyn ImageDecoder + '_>> {
    let bytes = Cursor::new(bytes);
    Ok(match format {
        Format::Jpeg => Box::new(JpegDecoder::new(bytes)?),
        Format::Png => Box::new(PngDecoder::with_limits(bytes, limits)?),
        Format::Tiff => Box::new(TiffDecoder::new(bytes)?),
        Format::WebP => Box::new(WebPDecoder::new(bytes)?),
    })
}

/// One (gray) or three (RGB) planes of colour in 0..1, and alpha if the file has it.
fn planes(image: DynamicImage) -> Result<(Vec<f32>, Option<Vec<f32>>), String> {
    Ok(match image {
        DynamicImage::ImageLuma8(i) => split(i.as_raw(), 1, u8::MAX),
        DynamicImage::ImageLumaA8(i) => split(i.as_raw(), 2, u8::MAX),
        DynamicImage::ImageRgb8(i) => split(i.as_raw(), 3, u8::MAX),
        DynamicImage::ImageRgba8(i) => split(i.as_raw(), 4, u8::MAX),
        DynamicImage::ImageLuma16(i) => split(i.as_raw(), 1, u16::MAX),
        DynamicImage::ImageLumaA16(i) => split(i.as_raw(), 2, u16::MAX),
        DynamicImage::ImageRgb16(i) => split(i.as_raw(), 3, u16::MAX),
        DynamicImage::ImageRgba16(i) => split(i.as_raw(), 4, u16::MAX),
        _ => {
            return Err(
                "its samples are not 8- or 16-bit integers; export it with 16 bits per channel".into()
            );
        }
    })
}

/// `samples` are stored pixel by pixel; if the number of `channels` is even, the last one is alpha.
fn split<T: Copy + Into<f32>>(samples: &[T], channels: usize, max: T) -> (Vec<f32>, Option<Vec<f32>>) {
    let max = max.into();
    let plane = |c: usize| samples.iter().skip(c).step_by(channels).map(move |&s| s.into() / max);
    let colours = channels - (channels + 1) % 2;
    let mut colour = Vec::with_capacity(samples.len() / channels * colours);
    (0..colours).for_each(|c| colour.extend(plane(c)));
    (colour, (colours < channels).then(|| plane(colours).collect()))
}

/// Gives fully transparent pixels the mean colour of the others, weighted by their visibility.
fn paint_hidden(colour: &mut [f32], alpha: &[f32]) -> Result<(), String> {
    let visible: f64 = alpha.iter().map(|&a| f64::from(a)).sum();
    if visible == 0.0 {
        return Err("all its pixels are fully transparent; use a picture that shows something".into());
    }
    for plane in colour.chunks_exact_mut(alpha.len()) {
        let sum: f64 = plane.iter().zip(alpha).map(|(&v, &a)| f64::from(v) * f64::from(a)).sum();
        let mean = (sum / visible) as f32;
        plane.iter_mut().zip(alpha).filter(|(_, a)| **a == 0.0).for_each(|(v, _)| *v = mean);
    }
    Ok(())
}

/// The library's own texts are for programmers and are not shown.
fn explain(e: ImageError) -> String {
    match e {
        ImageError::Limits(_) => {
            format!("reading it takes more than {} GiB of memory; scale it down first", MAX_DECODER >> 30)
        }
        ImageError::Unsupported(_) => format!(
            "it uses a feature of its format that is not read, such as samples that are not 8- or 16-bit integers; {CONVERT}"
        ),
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            format!("it is cut short; {DAMAGED}")
        }
        _ => format!("it is damaged or cut short; {DAMAGED}"),
    }
}
