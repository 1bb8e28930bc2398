//! From samples to the bytes of a picture file, with profile, EXIF and comment.

use std::borrow::Cow;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use img_parts::webp::WebP;
use img_parts::{Bytes, ImageEXIF, ImageICC};

use super::exif::Contents;
use super::ifd::{Kind, Value, Writer};
use super::save::TEXT_KEY;
use super::tiff::tag;
use super::{Comment, Exif, icc, lossy_webp};

/// The longest EXIF block of a JPEG: a segment of 64 KiB less its length and what says that it is EXIF.
const MAX_JPEG_EXIF: usize = 65535 - 2 - 6;

/// The approximate size of a TIFF's strips in bytes, as readers that work strip by strip expect it.
const STRIP: usize = 64 << 10;

pub(super) type Failure = Box<dyn std::error::Error>;

/// Samples pixel by pixel, and what goes with them.
pub(super) struct File<'a> {
    pub width: u32,
    pub height: u32,
    pub samples: Samples,
    /// Whether the samples are red, green, blue, alpha, and not only the first three.
    pub alpha: bool,
    pub exif: &'a Exif,
    pub comment: Option<&'a Comment>,
}

/// Samples of one depth.
pub(super) enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl File<'_> {
    pub fn png(&self) -> Result<Vec<u8>, Failure> {
        let mut info = png::Info::with_size(self.width, self.height);
        info.icc_profile = Some(Cow::Owned(icc::srgb()?));
        info.exif_metadata = self.contents(false).block()?.map(Cow::Owned);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::with_info(&mut file, info)?;
        encoder.set_color(if self.alpha { png::ColorType::Rgba } else { png::ColorType::Rgb });
        encoder.set_compression(png::Compression::Fast);
        encoder.set_filter(png::Filter::Adaptive);
        if let Some(comment) = self.comment {
            encoder.add_itxt_chunk(TEXT_KEY.into(), comment.text.clone())?;
        }
        match &self.samples {
            Samples::Eight(samples) => encoder.write_header()?.write_image_data(samples)?,
            Samples::Sixteen(samples) => {
                encoder.set_depth(png::BitDepth::Sixteen);
                let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
                encoder.write_header()?.write_image_data(&bytes)?;
            }
        }
        Ok(file)
    }

    pub fn tiff(&self) -> Result<Vec<u8>, Failure> {
        let channels: u16 = if self.alpha { 4 } else { 3 };
        let (depth, samples): (u16, &[u8]) = match &self.samples {
            Samples::Eight(samples) => (8, samples),
            Samples::Sixteen(samples) => (16, bytemuck::cast_slice(samples)),
        };
        let row = self.width as usize * usize::from(channels) * usize::from(depth / 8);
        let rows = (STRIP / row).max(1);
        let mut file = Writer::new();
        let strips = samples.chunks(row * rows);
        let lengths: Vec<u32> = strips.clone().map(|strip| strip.len() as u32).collect();
        let places = strips.map(|strip| file.add(strip)).collect::<Result<Vec<_>, _>>()?;
        let mut values = self.contents(true).write(&mut file)?;
        values.extend([
            Value::longs(tag::WIDTH, &[self.width]),
            Value::longs(tag::HEIGHT, &[self.height]),
            Value::shorts(tag::BITS, &vec![depth; usize::from(channels)]),
            Value::shorts(tag::COMPRESSION, &[1]),
            Value::shorts(tag::PHOTOMETRIC, &[2]),
            Value::longs(tag::STRIP_PLACES, &places),
            Value::shorts(tag::CHANNELS, &[channels]),
            Value::longs(tag::STRIP_ROWS, &[rows as u32]),
            Value::longs(tag::STRIP_LENGTHS, &lengths),
            // TIFF requires a resolution. The unit 1 means none, so these values only say that pixels are
            // square.
            Value::new(tag::X_RESOLUTION, Kind::Rational, bytemuck::cast_slice(&[1u32, 1])),
            Value::new(tag::Y_RESOLUTION, Kind::Rational, bytemuck::cast_slice(&[1u32, 1])),
            Value::shorts(tag::RESOLUTION_UNIT, &[1]),
            Value::new(tag::PROFILE, Kind::Undefined, icc::srgb()?),
        ]);
        // 2: alpha that is not multiplied into the colour.
        values.extend(self.alpha.then(|| Value::shorts(tag::EXTRA, &[2])));
        let main = file.directory(values)?;
        Ok(file.finish(main))
    }

    pub fn jpeg(&self, quality: u8) -> Result<Vec<u8>, Failure> {
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, quality);
        // Reading bounds what is carried over; only the record of very many styles is longer than the rest.
        let mut blocks = [self.contents(true), self.contents(false)].into_iter();
        let fits = |block: &Vec<u8>| block.len() <= MAX_JPEG_EXIF;
        let block = blocks.find_map(|contents| contents.block().ok().flatten().filter(fits));
        encoder.set_exif_metadata(block.unwrap_or_default())?;
        self.write(encoder)?;
        Ok(file)
    }

    /// Lossless, unless a quality is given.
    pub fn webp(&self, quality: Option<u8>) -> Result<Vec<u8>, Failure> {
        let block = self.contents(true).block()?;
        let Some(quality) = quality else {
            let mut file = Vec::new();
            let mut encoder = WebPEncoder::new_lossless(&mut file);
            encoder.set_exif_metadata(block.unwrap_or_default())?;
            self.write(encoder)?;
            return Ok(file);
        };
        let mut file = WebP::from_bytes(Bytes::from(lossy_webp::encode(
            self.eight()?,
            [self.width, self.height],
            self.alpha,
            quality,
        )?))?;
        file.set_icc_profile(Some(icc::srgb()?.into()));
        file.set_exif(block.map(Bytes::from));
        let mut bytes = Vec::new();
        file.encoder().write_to(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, mut encoder: impl ImageEncoder) -> Result<(), Failure> {
        let colour = if self.alpha { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
        encoder.set_icc_profile(icc::srgb()?)?;
        Ok(encoder.write_image(self.eight()?, self.width, self.height, colour)?)
    }

    fn eight(&self) -> Result<&[u8], Failure> {
        match &self.samples {
            Samples::Eight(samples) => Ok(samples),
            Samples::Sixteen(_) => Err("this format has 8 bits per sample".into()),
        }
    }

    /// What goes into EXIF, with or without the comment.
    fn contents(&self, with_comment: bool) -> Contents<'_> {
        Contents {
            exif: self.exif,
            software: self.comment.map(|comment| comment.software.as_str()),
            comment: self.comment.filter(|_| with_comment).map(|comment| comment.text.as_str()),
        }
    }
}
