//! JPEG files: their outline, found by walking over the markers, and their samples.

use std::io::Read;

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{ColorTransform, Decoder};

use super::xmp;

/// The most scans of a file. A malicious file can have thousands, and each takes as long to decode as a
/// picture.
const MAX_SCANS: usize = 500;

/// Two continuations of an unfinished scan. They have no markers, and differ in their first bits, so that at
/// most one of them can read as what a decoder adds by itself.
const MORE: [[u8; 64]; 2] = {
    let mut more = [[0; 64]; 2];
    let mut i = 0;
    while i < more[0].len() {
        more[0][i] = (i * 89 + 45) as u8 & 0x7f;
        more[1][i] = !more[0][i] & 0xfe;
        i += 1;
    }
    more
};

/// The end-of-image marker.
const END: [u8; 2] = [0xff, 0xd9];

const CUT: &str =
    "it is cut short: its data stop before the end of its pixels; download, copy or export it again";
const CLOSED: &str =
    "it is cut short: its end marker comes before the end of its pixels; download, copy or export it again";
const UNMARKED_INKS: &str = "it is a CMYK JPEG without Adobe's marker, so whether its inks are inverted cannot be \
                             known; convert it to RGB in an image editor first";
const END_NOTE: &str = "its end marker is missing, but all of its pixels are there";

/// What is found by walking over the markers of a file, without decoding.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outline<'a> {
    /// The marker of the frame, which determines the coding.
    pub process: u8,
    /// Bits of a sample.
    pub precision: u8,
    pub width: u16,
    pub height: u16,
    /// The identifiers of the colour components: one is gray, three are colour, four are inks.
    pub components: Vec<u8>,
    /// Whether JFIF's marker is there. If it is, three components are luminance and chroma.
    pub jfif: bool,
    /// The transform in Adobe's marker. If the marker is there, four inks are stored inverted.
    pub adobe: Option<u8>,
    /// EXIF without its marker.
    pub exif: Option<&'a [u8]>,
    /// A packet of XMP.
    pub xmp: Option<&'a [u8]>,
    /// Parts of a colour profile: number, how many there are, bytes.
    profile: Vec<(u8, u8, &'a [u8])>,
    /// The position of the end-of-image marker. Other pictures may follow it.
    pub end: Option<usize>,
    scans: usize,
    /// For each component, a bit for each of the 64 coefficients that the scans contain in full.
    done: Vec<u64>,
}

/// Walks over the markers, up to the end of the picture or of the file.
pub(super) fn outline(bytes: &[u8]) -> Outline<'_> {
    let mut outline = Outline::default();
    let _ = walk(bytes, &mut outline);
    outline
}

/// `None` if the file stops in the middle.
fn walk<'a>(bytes: &'a [u8], outline: &mut Outline<'a>) -> Option<()> {
    let mut at = 0;
    loop {
        // Inside entropy-coded data 0xFF is followed by 0 or a restart marker; fill bytes repeat 0xFF.
        let next = bytes
            .get(at..)?
            .windows(2)
            .position(|w| w[0] == 0xff && !matches!(w[1], 0x00 | 0x01 | 0xd0..=0xd7 | 0xff))?;
        let marker = bytes[at + next + 1];
        at += next + 2;
        match marker {
            0xd8 => continue,
            0xd9 => {
                outline.end = Some(at - 2);
                return Some(());
            }
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let segment = bytes.get(at + 2..at + length)?;
        match marker {
            // The frame headers. The three exceptions within their range are tables.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => outline.frame(marker, segment)?,
            0xda => outline.scan(segment)?,
            0xe0 => outline.jfif |= segment.starts_with(b"JFIF\0"),
            0xe1 if segment.starts_with(b"Exif\0") => {
                outline.exif = outline.exif.or(segment.get(6..));
            }
            0xe1 => outline.xmp = outline.xmp.or(segment.strip_prefix(xmp::JPEG_MARK)),
            0xe2 => {
                if let Some([number, count, part @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") {
                    outline.profile.push((*number, *count, part));
                }
            }
            0xee if segment.starts_with(b"Adobe") => outline.adobe = segment.get(11).copied(),
            _ => {}
        }
        at += length;
    }
}

impl<'a> Outline<'a> {
    fn frame(&mut self, marker: u8, segment: &[u8]) -> Option<()> {
        let [precision, y0, y1, x0, x1, count, components @ ..] = segment else { return None };
        self.process = marker;
        self.precision = *precision;
        (self.height, self.width) = (u16::from_be_bytes([*y0, *y1]), u16::from_be_bytes([*x0, *x1]));
        self.components = components.chunks_exact(3).take(usize::from(*count)).map(|c| c[0]).collect();
        self.done = vec![0; self.components.len()];
        Some(())
    }

    fn scan(&mut self, segment: &[u8]) -> Option<()> {
        self.scans += 1;
        let (count, rest) = segment.split_first()?;
        let (components, rest) = rest.split_at_checked(2 * usize::from(*count))?;
        let [first, last, bits, ..] = rest else { return None };
        // The lowest bits that a later scan adds; only progressive files have such scans.
        if bits & 15 == 0 {
            let coefficients = (*first..=(*last).min(63)).fold(0, |all, i| all | 1u64 << i);
            for component in components.chunks_exact(2) {
                let known = self.components.iter().position(|name| *name == component[0]);
                known.into_iter().for_each(|i| self.done[i] |= coefficients);
            }
        }
        Some(())
    }

    /// Whether scans for all coefficients of every component are there, or at least begin.
    fn complete(&self) -> bool {
        !self.done.is_empty() && self.done.iter().all(|done| *done == u64::MAX)
    }

    /// The colour profile, if all its parts are there.
    pub fn profile(&self) -> Option<Vec<u8>> {
        let mut parts = self.profile.clone();
        parts.sort_by_key(|part| part.0);
        let whole = parts.iter().enumerate().all(|(i, part)| usize::from(part.0) == i + 1)
            && parts.iter().all(|part| usize::from(part.1) == parts.len());
        (whole && !parts.is_empty()).then(|| parts.iter().flat_map(|part| part.2).copied().collect())
    }

    /// # Errors
    /// Names the feature of the file that is not supported.
    pub fn check(&self) -> Result<(), String> {
        self.check_process()?;
        match self.components.len() {
            1 | 3 => Ok(()),
            4 if self.adobe.is_some() => Ok(()),
            4 => Err(UNMARKED_INKS.into()),
            n => Err(format!("it is a JPEG with {n} components, which is not read; convert it to PNG first")),
        }
    }

    /// As [`Outline::check`], for any components.
    pub fn check_process(&self) -> Result<(), String> {
        let name = match (self.process, self.precision) {
            (0xc0..=0xc2, 8) => None,
            (0xc0..=0xc2, _) => Some(format!("a JPEG with {} bits per sample", self.precision)),
            (0xc3, _) => Some("a JPEG without loss".to_owned()),
            (0xc5..=0xc7, _) => Some("a hierarchical JPEG".to_owned()),
            (0xc9..=0xcf, _) => Some("a JPEG with arithmetic coding".to_owned()),
            // There is no frame.
            _ => return Err(CUT.into()),
        };
        if let Some(name) = name {
            return Err(format!(
                "it is {name}, which is not read; convert it to PNG or an ordinary JPEG first"
            ));
        }
        if self.height == 0 {
            let why = "it gives its height only after its pixels, which is not read; save it again in an image editor";
            return Err(why.into());
        }
        Ok(())
    }

    /// The conversion of components to colours, chosen as libjpeg does.
    fn transform(&self) -> ColorTransform {
        match (self.components.as_slice(), self.adobe) {
            ([_], _) => ColorTransform::Grayscale,
            ([_, _, _], _) if self.jfif => ColorTransform::YCbCr,
            ([_, _, _], Some(0)) | ([b'R', b'G', b'B'], None) => ColorTransform::RGB,
            ([_, _, _], _) => ColorTransform::YCbCr,
            (_, Some(2)) => ColorTransform::YCCK,
            _ => ColorTransform::CMYK,
        }
    }
}

/// Samples as they are stored, after the colour transform.
pub(super) struct Samples {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub bytes: Vec<u8>,
}

/// The samples of a file with this outline, converted by `transform`. `None` if the file is damaged.
pub(super) fn samples(file: impl Read, outline: &Outline, transform: ColorTransform) -> Option<Samples> {
    if outline.scans > MAX_SCANS {
        return None;
    }
    let mut decoder = Decoder::new(file);
    decoder.set_color_transform(transform);
    // A malicious file can have several frames. The size of this one is the size that was checked.
    decoder.read_info().ok()?;
    let info = decoder.info()?;
    if (info.width, info.height) != (outline.width, outline.height) {
        return None;
    }
    let bytes = decoder.decode().ok()?;
    let (width, height) = (usize::from(outline.width), usize::from(outline.height));
    let channels = outline.components.len();
    (bytes.len() == width * height * channels).then_some(Samples { width, height, channels, bytes })
}

/// The picture in a file with this outline, and a note about it.
///
/// # Errors
/// Says what is wrong with the file and what to try.
pub(super) fn decode(
    bytes: &[u8],
    outline: &Outline,
) -> Result<(DynamicImage, Option<&'static str>), String> {
    outline.check()?;
    let (whole, cut) = match outline.end {
        Some(end) => (&bytes[..end], CLOSED),
        // The first half of a marker that was cut in the middle is not a sample.
        None if outline.complete() => {
            (&bytes[..bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0xff).count()], CUT)
        }
        None => return Err(CUT.into()),
    };
    let damaged = || match outline.end {
        Some(_) => "it is damaged or cut short; download, copy or export it again".to_owned(),
        None => CUT.to_owned(),
    };
    let transform = outline.transform();
    let found = samples(whole.chain(&END[..]), outline, transform).ok_or_else(damaged)?;
    // Decoders fill the missing part with gray and report success. That is right for a browser that shows a
    // picture while it loads, and wrong for a program that works on the picture for minutes. A complete
    // picture ignores more data before its end. One that was cut continues with them, and so turns out
    // different.
    for more in &MORE {
        let again = samples(whole.chain(&more[..]).chain(&END[..]), outline, transform);
        if again.is_none_or(|again| again.bytes != found.bytes) {
            return Err(cut.into());
        }
    }
    let (width, height) = (found.width as u32, found.height as u32);
    let image = match found.channels {
        1 => GrayImage::from_raw(width, height, found.bytes).map(DynamicImage::from),
        3 => RgbImage::from_raw(width, height, found.bytes).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, inks_to_rgb(&found.bytes)).map(DynamicImage::from),
    };
    Ok((image.ok_or_else(damaged)?, outline.end.is_none().then_some(END_NOTE)))
}

/// White light after four inks have absorbed their part; 0 is no ink.
pub(super) fn inks_to_rgb(inks: &[u8]) -> Vec<u8> {
    let left = |a: u8, b: u8| ((u32::from(255 - a) * u32::from(255 - b) + 127) / 255) as u8;
    inks.as_chunks().0.iter().flat_map(|&[c, m, y, k]| [left(c, k), left(m, k), left(y, k)]).collect()
}
