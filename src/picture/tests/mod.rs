//! Tests of pictures: small files are built here by value, read, resized, written and read again.

mod colours;
mod decode;
pub(crate) mod exif;
mod files;
mod interpolate;
mod kinds;
mod meaning;
mod recolour;
mod regions;
mod resize;
mod save;
mod tiffs;

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::*;

/// A file to be built: samples in the machine's byte order, and metadata.
#[derive(Clone, Copy)]
struct Source<'a> {
    format: Format,
    size: (u32, u32),
    colour: ExtendedColorType,
    samples: &'a [u8],
    icc: Option<&'a [u8]>,
    exif: Option<&'a [u8]>,
}

impl<'a> Source<'a> {
    fn png(size: (u32, u32), colour: ExtendedColorType, samples: &'a [u8]) -> Self {
        Self { format: Format::Png, size, colour, samples, icc: None, exif: None }
    }

    fn bytes(self) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        match self.format {
            Format::Png => self.write(PngEncoder::new(&mut file)),
            Format::Jpeg => self.write(JpegEncoder::new_with_quality(&mut file, 100)),
            Format::Tiff => self.write(TiffEncoder::new(&mut file)),
            Format::WebP => self.write(WebPEncoder::new_lossless(&mut file)),
        }
        file.into_inner()
    }

    fn write(self, mut encoder: impl ImageEncoder) {
        if let Some(icc) = self.icc {
            encoder.set_icc_profile(icc.to_vec()).unwrap();
        }
        if let Some(exif) = self.exif {
            encoder.set_exif_metadata(exif.to_vec()).unwrap();
        }
        encoder.write_image(self.samples, self.size.0, self.size.1, self.colour).unwrap();
    }

    fn read(self) -> Picture {
        Picture::from_bytes("test", &self.bytes()).unwrap()
    }
}

/// A little-endian TIFF header and a directory with tag 274 only.
fn orientation(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

/// The reason why these bytes are refused.
fn refusal(bytes: &[u8]) -> String {
    let text = Picture::from_bytes("test", bytes).expect_err("these bytes are no good picture").to_string();
    assert_sentence(&text, "cannot use picture test: ");
    text
}

/// Every error text names its subject, gives a reason and, after a semicolon, something to try.
#[track_caller]
pub(crate) fn assert_sentence(text: &str, start: &str) {
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("; ") && !text.ends_with('.') && !text.contains('\n'), "{text}");
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "off by {worst}: {found:?} instead of {expected:?}");
}

/// A picture whose values differ from pixel to pixel, plane to plane.
pub(crate) fn pattern(width: usize, height: usize) -> Picture {
    let value = |i: usize| (i * 37 % 256) as f32 / 255.0;
    Picture::new(width, height, (0..3 * width * height).map(value).collect())
}

/// A picture whose planes run through `moduli` values in steps of `steps`.
fn steps(width: usize, height: usize, steps: [usize; 3], moduli: [usize; 3]) -> Picture {
    let plane = |(step, modulus): (usize, usize)| {
        (0..width * height).map(move |i| ((i * step + 11) % modulus) as f32 / (modulus - 1) as f32)
    };
    Picture::new(width, height, steps.into_iter().zip(moduli).flat_map(plane).collect())
}
