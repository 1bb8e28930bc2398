//! The strips or tiles of a page: decompressing them and assembling them to rows of pixels.

use jpeg_decoder::ColorTransform;

use super::compression::Compression;
use super::fax::{self, Coding};
use super::samples::{Meaning, Samples};
use super::{Directory, Fault, MAX_BYTES, Page, tag};
use crate::picture::jpeg;

/// The most bytes by which all chunks together may be longer than the file. Some programs store equal tiles
/// only once.
const MAX_SHARED: usize = 64 << 20;

/// The most bytes of samples of a chunk, if the picture has fewer.
const MAX_CHUNK: u64 = 256 << 20;

/// How the samples of a page are stored.
pub(super) struct Chunks<'a> {
    page: &'a Page<'a>,
    compression: Compression,
    /// How the rows of a fax are coded.
    fax: Option<Coding>,
    predictor: bool,
    /// Whether a byte's lowest bit comes first.
    reversed: bool,
    /// Whether each channel has separate chunks.
    planar: bool,
    /// Columns and rows of one chunk.
    size: (usize, usize),
    /// Chunks side by side, and one above the other.
    grid: (usize, usize),
    /// The compressed bytes of every chunk, by channel if planar, then row by row.
    parts: Vec<&'a [u8]>,
}

impl<'a> Chunks<'a> {
    pub fn of(page: &'a Page<'a>, meaning: &Meaning) -> Result<Self, Fault> {
        let directory = &page.directory;
        let (width, height) = (page.width as usize, page.height as usize);
        let samples = u64::from(page.width) * u64::from(page.height);
        let size = samples.saturating_mul(meaning.channels as u64).saturating_mul(meaning.bytes() as u64);
        if size > MAX_BYTES {
            return Err(Fault::TooLarge);
        }
        let compression = Compression::of(directory.number(tag::COMPRESSION).unwrap_or(1))?;
        let predictor = match directory.number(tag::PREDICTOR).unwrap_or(1) {
            _ if !compression.has_predictor() => false,
            1 => false,
            2 if matches!(meaning.bits, 8 | 16) => true,
            _ => return Err(Fault::unread("it is a TIFF with an unusual predictor")),
        };
        let fax = coding(directory, compression)?;
        if fax.is_some() && (meaning.bits, meaning.channels) != (1, 1) {
            return Err(Fault::Damaged);
        }
        if compression == Compression::Jpeg && meaning.bits != 8 {
            return Err(Fault::unread(&format!(
                "it is a TIFF with JPEG of {} bits per sample",
                meaning.bits
            )));
        }
        let planar = directory.number(tag::PLANAR) == Some(2) && meaning.channels > 1;
        let side = |tag| directory.number(tag).and_then(|side| usize::try_from(side).ok());
        let (columns, rows, places, lengths) = match side(tag::TILE_WIDTH) {
            Some(columns) => {
                let rows = side(tag::TILE_HEIGHT).ok_or(Fault::Damaged)?;
                (columns, rows, tag::TILE_PLACES, tag::TILE_LENGTHS)
            }
            None => {
                let rows = side(tag::STRIP_ROWS).unwrap_or(height).min(height);
                (width, rows, tag::STRIP_PLACES, tag::STRIP_LENGTHS)
            }
        };
        // A tile may be larger than the picture, but not so large that it needs much memory.
        if columns == 0 || rows == 0 || columns > width.max(4096) || rows > height.max(4096) {
            return Err(Fault::Damaged);
        }
        let own = (columns * rows) as u64 * (meaning.channels * meaning.bytes()) as u64;
        if own > size.max(MAX_CHUNK) {
            return Err(Fault::TooLarge);
        }
        let grid = (width.div_ceil(columns), height.div_ceil(rows));
        let count = grid.0 * grid.1 * if planar { meaning.channels } else { 1 };
        let parts = parts(page, count, places, lengths)?;
        let reversed = directory.number(tag::FILL_ORDER) == Some(2) && compression != Compression::Jpeg;
        Ok(Self { page, compression, fax, predictor, reversed, planar, size: (columns, rows), grid, parts })
    }

    /// All samples, pixel by pixel.
    pub fn read(&self, meaning: &Meaning) -> Result<Samples, Fault> {
        let (width, height) = (self.page.width as usize, self.page.height as usize);
        let mut samples = Samples::zeros(width * height * meaning.channels, meaning);
        for (i, part) in self.parts.iter().enumerate() {
            let per_plane = self.grid.0 * self.grid.1;
            let (channel, i) = (i / per_plane, i % per_plane);
            let (x, y) = (i % self.grid.0 * self.size.0, i / self.grid.0 * self.size.1);
            // Strips end with the picture; tiles have their full size everywhere.
            let is_strip = self.size.0 == width && self.grid.0 == 1;
            let rows = if is_strip { self.size.1.min(height - y) } else { self.size.1 };
            let visible = (self.size.0.min(width - x), rows.min(height - y));
            let channels = if self.planar { 1 } else { meaning.channels };
            let chunk = self.chunk(part, rows, visible.1, channels, meaning)?;
            for row in 0..visible.1 {
                let from = row * self.size.0 * channels;
                let to = ((y + row) * width + x) * meaning.channels + channel;
                samples.put(to, meaning.channels / channels, &chunk, from, visible.0 * channels);
            }
        }
        Ok(samples)
    }

    /// The samples of one chunk of `rows`, of which `needed` are in the picture.
    fn chunk(
        &self,
        part: &[u8],
        rows: usize,
        needed: usize,
        channels: usize,
        meaning: &Meaning,
    ) -> Result<Samples, Fault> {
        let columns = self.size.0;
        if self.compression == Compression::Jpeg {
            return self.jpeg(part, (columns, needed), channels, meaning);
        }
        let turned: Vec<u8>;
        let part = match self.reversed {
            false => part,
            true => {
                turned = part.iter().map(|byte| byte.reverse_bits()).collect();
                &turned
            }
        };
        if let Some(shares) = meaning.shares {
            let length = shares.bytes(columns, rows);
            let raw = self.compression.expand(part, length)?;
            let enough = raw.len() >= shares.bytes(columns, needed);
            return if enough {
                Ok(Samples::Eight(shares.spread(&raw, columns, needed)))
            } else {
                Err(Fault::Cut)
            };
        }
        let row = (columns * channels * meaning.bits).div_ceil(8);
        let mut raw = match self.fax {
            Some(coding) => fax::decode(part, coding, columns, rows),
            None => self.compression.expand(part, row * rows)?,
        };
        if raw.len() < row * needed {
            return Err(Fault::Cut);
        }
        raw.truncate(row * needed);
        Ok(match meaning.bits {
            8 => {
                if self.predictor {
                    raw.chunks_exact_mut(row).for_each(|row| {
                        (channels..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - channels]));
                    });
                }
                Samples::Eight(raw)
            }
            16 => {
                let number = if self.page.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
                let mut values: Vec<u16> = raw.as_chunks().0.iter().map(|bytes| number(*bytes)).collect();
                if self.predictor {
                    values.chunks_exact_mut(row / 2).for_each(|row| {
                        (channels..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - channels]));
                    });
                }
                Samples::Sixteen(values)
            }
            bits => Samples::unpack(&raw, row, columns * channels, bits),
        })
    }

    /// A chunk that is a JPEG file, whose tables may be stored in the page.
    fn jpeg(
        &self,
        part: &[u8],
        (columns, rows): (usize, usize),
        channels: usize,
        meaning: &Meaning,
    ) -> Result<Samples, Fault> {
        let tables = self.page.directory.get(tag::JPEG_TABLES).map(|tables| tables.bytes());
        // The end marker of the tables and the start marker of the chunk are removed.
        let tables = tables.and_then(|tables| tables.strip_suffix(b"\xff\xd9").unwrap_or(tables).get(2..));
        let body = part.get(2..).ok_or(Fault::Cut)?;
        let file = [&[0xff, 0xd8], tables.unwrap_or_default(), body, &[0xff, 0xd9]].concat();
        let outline = jpeg::outline(&file);
        outline.check_process().map_err(Fault::Unread)?;
        let fits = usize::from(outline.width) == columns
            && (rows..=rows.max(self.size.1) + 16).contains(&usize::from(outline.height))
            && outline.components.len() == channels;
        if !fits {
            return Err(Fault::Damaged);
        }
        let transform = match channels {
            1 => ColorTransform::Grayscale,
            3 if meaning.ycbcr_in_jpeg => ColorTransform::YCbCr,
            3 => ColorTransform::RGB,
            4 => ColorTransform::CMYK,
            n => return Err(Fault::unread(&format!("it is a TIFF with JPEG of {n} channels"))),
        };
        let mut found = jpeg::samples(file.as_slice(), &outline, transform).ok_or(Fault::Damaged)?;
        if channels == 4 {
            // The decoder takes inks as inverted, as they are in a JPEG file.
            found.bytes.iter_mut().for_each(|v| *v = 255 - *v);
        }
        found.bytes.truncate(columns * rows * channels);
        Ok(Samples::Eight(found.bytes))
    }
}

/// How the rows of a fax are coded; `None` if the page is none.
fn coding(directory: &Directory, compression: Compression) -> Result<Option<Coding>, Fault> {
    let options = |tag| directory.number(tag).unwrap_or(0);
    let (coding, options) = match compression {
        Compression::Rle => (Coding::Aligned, 0),
        Compression::Group3 if options(tag::FAX_OPTIONS) & 1 != 0 => {
            (Coding::Mixed, options(tag::FAX_OPTIONS))
        }
        Compression::Group3 => (Coding::Runs, options(tag::FAX_OPTIONS)),
        Compression::Group4 => (Coding::Differences, options(tag::FAX_4_OPTIONS)),
        _ => return Ok(None),
    };
    if options & 2 != 0 {
        return Err(Fault::unread("it is a TIFF with the uncompressed mode of fax"));
    }
    Ok(Some(coding))
}

/// The compressed bytes of `count` chunks.
fn parts<'a>(page: &Page<'a>, count: usize, places: u16, lengths: u16) -> Result<Vec<&'a [u8]>, Fault> {
    let (places, mut lengths) =
        (page.directory.numbers(places, count), page.directory.numbers(lengths, count));
    if places.len() < count || count == 0 {
        return Err(Fault::Damaged);
    }
    if lengths.is_empty() {
        // Some old programs omit the lengths. Each chunk then ends with the file at the latest.
        lengths = vec![u64::MAX; count];
    }
    if lengths.len() < count {
        return Err(Fault::Damaged);
    }
    let mut total = 0usize;
    let mut parts = Vec::with_capacity(count);
    for (place, length) in places.iter().zip(&lengths).take(count) {
        let place = usize::try_from(*place).map_err(|_| Fault::Cut)?;
        let rest = page.bytes.get(place..).ok_or(Fault::Cut)?;
        let part = &rest[..usize::try_from(*length).unwrap_or(usize::MAX).min(rest.len())];
        total = total.saturating_add(part.len());
        parts.push(part);
    }
    if total > page.bytes.len() + MAX_SHARED {
        return Err(Fault::Damaged);
    }
    Ok(parts)
}
