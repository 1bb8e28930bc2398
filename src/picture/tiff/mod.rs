//! TIFF files: which of their pages is the picture, what its entries say, and its samples (TIFF 6.0 and its
//! supplements).
//!
//! This program has a reader of its own because the available library supports fewer kinds than people have,
//! and reads some of them incorrectly: it always takes the first page, takes multiplied alpha for
//! unmultiplied, and knows only one order of the bits of a fax. Decompression is left to libraries.

mod chunks;
mod compression;
mod fax;
mod samples;

use super::ifd::{Directory, Tiff};
use super::{exif, raw};
use chunks::Chunks;
use samples::Meaning;

/// Tags of a page.
pub(super) mod tag {
    pub const KIND: u16 = 254;
    pub const OLD_KIND: u16 = 255;
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_PLACES: u16 = 273;
    pub const CHANNELS: u16 = 277;
    pub const STRIP_ROWS: u16 = 278;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const X_RESOLUTION: u16 = 282;
    pub const Y_RESOLUTION: u16 = 283;
    pub const PLANAR: u16 = 284;
    pub const FAX_OPTIONS: u16 = 292;
    pub const FAX_4_OPTIONS: u16 = 293;
    pub const RESOLUTION_UNIT: u16 = 296;
    pub const PREDICTOR: u16 = 317;
    pub const COLOUR_MAP: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_PLACES: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const BELOW: u16 = 330;
    pub const INKS: u16 = 332;
    pub const EXTRA: u16 = 338;
    pub const FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;
    pub const YCBCR_WEIGHTS: u16 = 529;
    pub const YCBCR_SHARES: u16 = 530;
    pub const YCBCR_RANGE: u16 = 532;
    pub const XMP: u16 = 700;
    pub const PROFILE: u16 = 34675;
}

/// The most bytes of samples that a page may have: those of the largest picture with four 16-bit channels.
const MAX_BYTES: u64 = 1_600_000_000;
/// The most pages that are read, and the most below one page.
const MAX_PAGES: usize = 512;
const MAX_BELOW: usize = 16;

/// Tags without which a page would have another meaning.
const DECISIVE: [u16; 23] = [
    tag::KIND,
    tag::WIDTH,
    tag::HEIGHT,
    tag::BITS,
    tag::COMPRESSION,
    tag::PHOTOMETRIC,
    tag::FILL_ORDER,
    tag::STRIP_PLACES,
    tag::CHANNELS,
    tag::STRIP_ROWS,
    tag::STRIP_LENGTHS,
    tag::PLANAR,
    tag::FAX_OPTIONS,
    tag::PREDICTOR,
    tag::COLOUR_MAP,
    tag::TILE_WIDTH,
    tag::TILE_HEIGHT,
    tag::TILE_PLACES,
    tag::TILE_LENGTHS,
    tag::EXTRA,
    tag::FORMAT,
    tag::JPEG_TABLES,
    tag::YCBCR_SHARES,
];

/// Why a file is refused.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The kind is not supported, or the file is not a picture. The text says what to try.
    Unread(String),
    /// It contradicts itself.
    Damaged,
    /// Samples are missing.
    Cut,
    /// The samples would take more than [`MAX_BYTES`].
    TooLarge,
}

impl Fault {
    /// The error for `it`, a kind that is not supported.
    fn unread(it: &str) -> Self {
        Self::Unread(format!("{it}, which is not read; convert it to PNG or JPEG first"))
    }
}

/// The page that is the picture.
pub(super) struct Page<'a> {
    directory: Directory<'a>,
    big_endian: bool,
    bytes: &'a [u8],
    pub width: u32,
    pub height: u32,
    pub orientation: Option<u8>,
    pub profile: Option<&'a [u8]>,
    /// A packet of XMP.
    pub xmp: Option<&'a [u8]>,
}

/// A picture as it is stored.
pub(super) struct Pixels {
    pub image: image::DynamicImage,
    /// Whether its colours are multiplied by its alpha.
    pub multiplied: bool,
    /// Whether it was made of four inks.
    pub inks: bool,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// Finds the picture in a file.
pub(super) fn open(bytes: &[u8]) -> Result<Page<'_>, Fault> {
    let tiff = Tiff::new(bytes).ok_or(Fault::Damaged)?;
    let mut pages: Vec<(Directory, bool)> = Vec::new();
    for (_, directory) in tiff.directories() {
        let below = directory.numbers(tag::BELOW, MAX_BELOW);
        pages.push((directory, false));
        // Previews and similar pages, and in some files the picture itself.
        for at in below.into_iter().filter_map(|at| usize::try_from(at).ok()) {
            if pages.len() < MAX_PAGES {
                pages.push((tiff.directory(at), true));
            }
        }
    }
    if let Some(kind) = raw::of_directories(bytes, pages.iter().map(|(directory, _)| directory)) {
        return Err(Fault::Unread(raw::refusal(kind)));
    }
    let first = pages.first().and_then(|(directory, _)| exif::orientation(directory));
    let (page, below) = choose(pages).ok_or(Fault::Damaged)?;
    // Without one of these entries the samples would have another meaning.
    if page.cut || page.lost.iter().any(|tag| DECISIVE.contains(tag)) {
        return Err(Fault::Cut);
    }
    let side = |tag| page.number(tag).and_then(|side| u32::try_from(side).ok()).ok_or(Fault::Damaged);
    Ok(Page {
        width: side(tag::WIDTH)?,
        height: side(tag::HEIGHT)?,
        orientation: exif::orientation(&page).or(first.filter(|_| below)),
        profile: page.get(tag::PROFILE).map(|entry| entry.bytes()),
        xmp: page.get(tag::XMP).map(|entry| entry.bytes()),
        directory: page,
        big_endian: tiff.big_endian,
        bytes,
    })
}

/// The first page in the chain that is not a reduced picture or a mask of another; else the first such page
/// below a page; else the largest.
fn choose(pages: Vec<(Directory<'_>, bool)>) -> Option<(Directory<'_>, bool)> {
    let side = |page: &Directory, tag| page.number(tag).unwrap_or(0);
    let size = |page: &Directory| side(page, tag::WIDTH).saturating_mul(side(page, tag::HEIGHT));
    let whole = |page: &Directory| {
        // 1 is a reduced picture and 4 a mask; of the older tag, 2 is a reduced picture.
        page.number(tag::KIND).unwrap_or(0) & 5 == 0 && page.number(tag::OLD_KIND) != Some(2)
    };
    let mut pages: Vec<_> = pages.into_iter().filter(|(page, _)| size(page) > 0).collect();
    let in_row = pages.iter().position(|(page, below)| !below && whole(page));
    let whole = in_row.or_else(|| pages.iter().position(|(page, _)| whole(page)));
    // Of equally large pages, the first is taken.
    let largest = || (0..pages.len()).rev().max_by_key(|&i| size(&pages[i].0));
    let chosen = whole.or_else(largest)?;
    Some(pages.swap_remove(chosen))
}

impl Page<'_> {
    /// Reads the picture.
    pub fn pixels(&self) -> Result<Pixels, Fault> {
        let meaning = Meaning::of(&self.directory)?;
        let chunks = Chunks::of(self, &meaning)?;
        let samples = chunks.read(&meaning)?;
        meaning.pixels(self.width, self.height, samples)
    }
}
