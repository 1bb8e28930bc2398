//! The chunks of a PNG before and after its pixels: colours, EXIF and the record.

use std::io::Cursor;

use png::DecodingError;

use super::colour::Colour;
use super::save::TEXT_KEY;
use super::xmp;

/// The keyword of a text with EXIF, from programs that did not know the chunk for it.
const EXIF_KEYS: [&str; 2] = ["Raw profile type exif", "Raw profile type APP1"];

/// The contents of the chunks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Chunks {
    /// What the colours mean by other chunks than a profile. Of several the first in the order of the
    /// specification counts: `cICP`, a profile, `sRGB`, and then `cHRM` with `gAMA`.
    pub colour: Option<Colour>,
    pub exif: Option<Vec<u8>>,
    /// A packet of XMP.
    pub xmp: Option<String>,
    /// The text whose keyword is this program's name.
    pub record: Option<String>,
    /// Whether all chunks could be read.
    pub whole: bool,
}

impl Chunks {
    /// # Errors
    /// If the header is damaged.
    pub fn of(bytes: &[u8]) -> Result<Self, DecodingError> {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info()?;
        // Programs may put anything but colours after the pixels. Whatever comes before damage is still
        // valid.
        let whole = reader.finish().is_ok();
        let info = reader.info();
        let colour = if let Some(codes) = info.coding_independent_code_points {
            let range = u8::from(codes.is_video_full_range_image);
            Some(Colour::Codes([
                codes.color_primaries,
                codes.transfer_function,
                codes.matrix_coefficients,
                range,
            ]))
        } else if info.srgb.is_some() {
            Some(Colour::Srgb)
        } else {
            let point = |(x, y): (png::ScaledFloat, png::ScaledFloat)| {
                (f64::from(x.into_value()), f64::from(y.into_value()))
            };
            let primaries = info.chrm_chunk.map(|c| [c.white, c.red, c.green, c.blue].map(point));
            let gamma = info.gama_chunk.map(|gamma| f64::from(gamma.into_value()));
            (primaries.is_some() || gamma.is_some()).then(|| Colour::of_gamma(gamma, primaries))
        };
        let texts = &info.utf8_text;
        let named = |key: &str| texts.iter().find(|text| text.keyword == key)?.get_text().ok();
        let (record, xmp) = (named(TEXT_KEY), named(xmp::PNG_KEY));
        let exif = info.exif_metadata.as_deref().map(<[u8]>::to_vec).or_else(|| {
            let plain = info.uncompressed_latin1_text.iter().map(|t| (&t.keyword, Some(t.text.clone())));
            let packed = info.compressed_latin1_text.iter().map(|t| (&t.keyword, t.get_text().ok()));
            let utf8 = texts.iter().map(|t| (&t.keyword, t.get_text().ok()));
            let mut all = plain.chain(packed).chain(utf8);
            all.find_map(|(key, text)| hexadecimal(&text.filter(|_| EXIF_KEYS.contains(&key.as_str()))?))
        });
        Ok(Self { colour, exif, xmp, record, whole })
    }
}

/// Bytes as ImageMagick writes them: a name, their number, and lines of hexadecimal digits.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let mut words = text.split_ascii_whitespace();
    let length = words.nth(1)?.parse::<usize>().ok()?;
    let digits: Vec<u32> =
        words.flat_map(str::chars).map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    (bytes.len() == length).then_some(bytes)
}
