//! From the bytes of a picture file to planes.

use std::io::{Cursor, ErrorKind};

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, Limits};

use super::colour::{self, Colour};
use super::exif::{self, Found};
use super::png_chunks::Chunks;
use super::{Picture, jpeg, raw, tiff, xmp};

/// About what the largest camera sensors deliver; 2.4 GB as planes. More is taken for an attack or a mistake.
const MAX_PIXELS: u64 = 200_000_000;

/// The most bytes that a decoder may hold: [`MAX_PIXELS`] of four 16-bit channels, and its own buffers.
const MAX_DECODER: u64 = 2 << 30;

const DAMAGED: &str = "it is damaged or cut short; download, copy or export it again";
const CUT: &str = "it is cut short; download, copy or export it again";
const INKS_NOTE: &str = "its CMYK inks were converted without their colour profile, so colours may be off; convert \
     it to RGB in an image editor for exact ones";
const EXIF_NOTE: &str = "its EXIF is damaged or too long in parts, which were left out";

/// A kind of file that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Jpeg,
    Png,
    Tiff,
    WebP,
    Bmp,
    Gif,
}

/// The contents of a file, before orientation and conversion to sRGB.
struct Content {
    image: DynamicImage,
    colour: Colour,
    exif: Found,
    /// Whether colours are multiplied by alpha.
    multiplied: bool,
    /// Whether the colours were converted from inks.
    inks: bool,
    notes: Vec<String>,
}

impl Content {
    fn new(image: DynamicImage, colour: Colour, exif: Found) -> Self {
        Self { image, colour, exif, multiplied: false, inks: false, notes: Vec::new() }
    }
}

/// What EXIF says, with the orientation in a packet of XMP if EXIF has none.
fn with_xmp(exif: Found, packet: Option<&[u8]>) -> Found {
    let orientation = exif.orientation.or_else(|| packet.and_then(xmp::orientation));
    Found { orientation, ..exif }
}

/// # Errors
/// Says what is wrong with the file and what to try.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, String> {
    let content = match recognise(bytes)? {
        Kind::Jpeg => jpeg(bytes)?,
        Kind::Png => png(bytes)?,
        Kind::Tiff => tiff(bytes)?,
        Kind::WebP => webp(bytes)?,
        Kind::Bmp => Content::new(
            pixels_of(BmpDecoder::new(Cursor::new(bytes)).map_err(explain)?)?,
            colour::of_bmp(bytes),
            Found::default(),
        ),
        Kind::Gif => Content::new(
            pixels_of(GifDecoder::new(Cursor::new(bytes)).map_err(explain)?)?,
            Colour::Srgb,
            Found::default(),
        ),
    };
    let Content { mut image, mut colour, exif, multiplied, inks, mut notes } = content;
    if let Some(orientation) = exif.orientation.and_then(Orientation::from_exif) {
        image.apply_orientation(orientation);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (mut planes, alpha) = planes(image)?;
    if let Some(alpha) = alpha.as_ref().filter(|_| multiplied) {
        divide(&mut planes, alpha);
    }
    if inks {
        // The inks that their profile describes were already converted to RGB.
        colour = Colour::Srgb;
        notes.push(INKS_NOTE.to_owned());
    }
    if let Err(why) = colour::to_srgb(&mut planes, width * height, colour) {
        notes.push(format!("its colour profile was ignored ({why}); its colours are taken as sRGB"));
    }
    let alpha = alpha.filter(|a| a.iter().any(|&a| a < 1.0));
    if let Some(alpha) = &alpha {
        paint_hidden(&mut planes, alpha)?;
    }
    if exif.damaged {
        notes.push(EXIF_NOTE.to_owned());
    }
    Ok(Picture { width, height, rgb: planes.into(), alpha, exif: exif.exif, source: None, notes })
}

/// Width and height as the file declares them, before its orientation is applied. No pixel is decoded.
///
/// # Errors
/// Says what is wrong with the file and what to try.
pub(super) fn declared_size(bytes: &[u8]) -> Result<(u32, u32), String> {
    let sides = |decoder: &dyn ImageDecoder| decoder.dimensions();
    let read = || Cursor::new(bytes);
    let (width, height) = match recognise(bytes)? {
        Kind::Jpeg => {
            let outline = jpeg::outline(bytes);
            outline.check()?;
            (outline.width.into(), outline.height.into())
        }
        Kind::Png => sides(&PngDecoder::with_limits(read(), limits()).map_err(explain)?),
        Kind::Tiff => tiff::open(bytes).map(|page| (page.width, page.height)).map_err(fault)?,
        Kind::WebP => sides(&WebPDecoder::new(read()).map_err(explain)?),
        Kind::Bmp => sides(&BmpDecoder::new(read()).map_err(explain)?),
        Kind::Gif => sides(&GifDecoder::new(read()).map_err(explain)?),
    };
    check_size(width, height)?;
    Ok((width, height))
}

/// The comment in the file, where [`Picture::save`] stores records.
///
/// # Errors
/// Says what is wrong with the file and what to try.
pub(crate) fn comment(bytes: &[u8]) -> Result<Option<String>, String> {
    Ok(match recognise(bytes)? {
        Kind::Jpeg => jpeg::outline(bytes).exif.and_then(|block| exif::read(block).comment),
        Kind::Png => Chunks::of(bytes).ok().filter(|chunks| chunks.whole).ok_or(DAMAGED)?.record,
        Kind::Tiff => exif::read(bytes).comment,
        Kind::WebP => {
            let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(explain)?;
            block(&mut decoder).comment
        }
        Kind::Bmp | Kind::Gif => None,
    })
}

/// The format by content, because names can be wrong.
fn recognise(bytes: &[u8]) -> Result<Kind, String> {
    if bytes.is_empty() {
        return Err("the file is empty; download or copy it again".into());
    }
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Ok(Kind::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Kind::Png),
        [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => Ok(Kind::Tiff),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Kind::WebP),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Kind::Gif),
        [b'B', b'M', ..] if bytes.len() > 26 => Ok(Kind::Bmp),
        _ => Err(raw::refused(bytes).unwrap_or_else(|| {
            "it is not a picture of a known kind; use a JPEG, PNG, TIFF, WebP, BMP or GIF file".into()
        })),
    }
}

/// # Errors
/// If the picture has no pixels, or more than [`MAX_PIXELS`].
fn check_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("it has no pixels ({width} x {height}); download, copy or export it again"));
    }
    if pixels > MAX_PIXELS {
        return Err(format!(
            "it claims {width} x {height} pixels, and at most {} million are read; scale it down first",
            MAX_PIXELS / 1_000_000
        ));
    }
    Ok(())
}

fn jpeg(bytes: &[u8]) -> Result<Content, String> {
    let outline = jpeg::outline(bytes);
    outline.check()?;
    check_size(outline.width.into(), outline.height.into())?;
    let (image, note) = jpeg::decode(bytes, &outline)?;
    let exif = with_xmp(outline.exif.map(exif::read).unwrap_or_default(), outline.xmp);
    let colour = Colour::of_profile(outline.profile(), &exif);
    let notes = note.map(str::to_owned).into_iter().collect();
    Ok(Content { inks: outline.components.len() == 4, notes, ..Content::new(image, colour, exif) })
}

fn png(bytes: &[u8]) -> Result<Content, String> {
    // The decoder decompresses parts of the header, so it must know the limits before.
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(explain)?;
    let profile = decoder.icc_profile().unwrap_or_default();
    let chunks = Chunks::of(bytes).unwrap_or_default();
    let exif = chunks.exif.as_deref().map(exif::read).unwrap_or_default();
    let exif = with_xmp(exif, chunks.xmp.as_deref().map(str::as_bytes));
    let colour = match chunks.colour {
        Some(colour @ Colour::Codes(_)) => colour,
        _ if profile.is_some() => Colour::of_profile(profile, &exif),
        Some(colour) => colour,
        None => Colour::of_profile(None, &exif),
    };
    Ok(Content::new(pixels_of(decoder)?, colour, exif))
}

fn webp(bytes: &[u8]) -> Result<Content, String> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(explain)?;
    let (profile, exif) = (decoder.icc_profile().unwrap_or_default(), block(&mut decoder));
    let exif = with_xmp(exif, decoder.xmp_metadata().unwrap_or_default().as_deref());
    let colour = Colour::of_profile(profile, &exif);
    Ok(Content::new(pixels_of(decoder)?, colour, exif))
}

/// What the EXIF of a file says. Unreadable metadata is no reason to refuse a picture.
fn block(decoder: &mut impl ImageDecoder) -> Found {
    match decoder.exif_metadata() {
        Ok(block) => block.map(|block| exif::read(&block)).unwrap_or_default(),
        Err(_) => Found { damaged: true, ..Found::default() },
    }
}

/// What is wrong with a TIFF file.
fn fault(fault: tiff::Fault) -> String {
    match fault {
        tiff::Fault::Unread(why) => why,
        tiff::Fault::Damaged => DAMAGED.to_owned(),
        tiff::Fault::Cut => CUT.to_owned(),
        tiff::Fault::TooLarge => too_large(),
    }
}

fn tiff(bytes: &[u8]) -> Result<Content, String> {
    let page = tiff::open(bytes).map_err(fault)?;
    check_size(page.width, page.height)?;
    let exif = with_xmp(Found { orientation: page.orientation, ..exif::read(bytes) }, page.xmp);
    let colour = Colour::of_profile(page.profile.map(<[u8]>::to_vec), &exif);
    let tiff::Pixels { image, multiplied, inks, notes } = page.pixels().map_err(fault)?;
    Ok(Content { multiplied, inks, notes, ..Content::new(image, colour, exif) })
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER);
    limits
}

/// The first frame.
fn pixels_of(mut decoder: impl ImageDecoder) -> Result<DynamicImage, String> {
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    decoder.set_limits(limits()).map_err(explain)?;
    DynamicImage::from_decoder(decoder).map_err(explain)
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

/// Undoes the multiplication of colours by alpha.
fn divide(planes: &mut [f32], alpha: &[f32]) {
    for plane in planes.chunks_exact_mut(alpha.len()) {
        plane.iter_mut().zip(alpha).filter(|(_, a)| **a > 0.0).for_each(|(v, a)| *v = (*v / a).min(1.0));
    }
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

fn too_large() -> String {
    format!("reading it takes more than {} GiB of memory; scale it down first", MAX_DECODER >> 30)
}

/// The library's own texts are for programmers and are not shown.
fn explain(e: ImageError) -> String {
    match e {
        ImageError::Limits(_) => too_large(),
        ImageError::Unsupported(_) => {
            "it uses a feature of its format that is not read; convert it to PNG or JPEG first".to_owned()
        }
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => CUT.to_owned(),
        _ => DAMAGED.to_owned(),
    }
}
