//! EXIF: camera, time, place and author as a photograph's file tells them, and how they are carried over.
//!
//! EXIF is a TIFF file without a picture: a header and directories of entries. Each entry has a tag, a type,
//! a count and a value or its position ("Exif 2.32", chapter 4). Entries that remain true of a repainted
//! picture are read one by one, within bounds, and written again, so that nothing of a damaged or hostile
//! file is copied unchecked.
//!
//! No library reads this: the crate `tiff` insists on a picture in the file, and others take every value that
//! an entry claims, which lets a small file ask for gigabytes.

use std::io::{Cursor, Seek, Write};

use tiff::encoder::{DirectoryEncoder, TiffEncoder, TiffKindStandard};
use tiff::tags::{Tag, Type};
use tiff::{Directory, TiffResult};

/// The longest value that is carried over, in bytes. Captions are the longest values.
const MAX_VALUE: usize = 4 << 10;
/// The most bytes of values in all. JPEG has 64 KiB for these and the record of the run.
const MAX_TOTAL: usize = 24 << 10;
/// The longest comment that is read.
const MAX_COMMENT: usize = 1 << 20;

const COMMENT: u16 = 0x9286;
const COLOUR_SPACE: u16 = 0xa001;
/// Marks a comment's bytes as ASCII.
const ASCII: &[u8] = b"ASCII\0\0\0";

/// Camera, exposure, time, place and author, as a file tells them.
///
/// Entries that are not true of another picture are left out: orientation, thumbnails, sizes, resolution,
/// colour space, coordinates of the subject, the image's identifier, maker notes (whose layout is secret and
/// which break when they move) and the comment, whose place the [`Record`](crate::record::Record) takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exif {
    entries: Vec<Entry>,
}

impl Exif {
    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of entry `tag`.
    #[cfg(test)]
    pub(super) fn value(&self, tag: u16) -> Option<Vec<u8>> {
        self.entries.iter().find(|e| e.tag == tag).map(|e| e.value.clone())
    }

    /// Bytes of all values.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().map(|e| e.value.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn block(&self) -> TiffResult<Option<Vec<u8>>> {
        Contents { exif: self, software: None, comment: None }.block()
    }
}

/// The directory of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The directory that the header points at: camera and author.
    Main,
    /// The directory of entry 0x8769: exposure and times.
    Photo,
    /// The directory of entry 0x8825: position.
    Gps,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    place: Place,
    tag: u16,
    kind: Type,
    /// In the machine's byte order.
    value: Vec<u8>,
}

/// The types that entry `tag` may have; `None` if it is not carried over.
fn wanted(place: Place, tag: u16) -> Option<&'static [Type]> {
    const TEXT: &[Type] = &[Type::ASCII];
    const WHOLE: &[Type] = &[Type::BYTE, Type::SHORT, Type::LONG];
    const RATIO: &[Type] = &[Type::RATIONAL, Type::SRATIONAL];
    const OPAQUE: &[Type] = &[Type::UNDEFINED];
    const GPS: &[Type] = &[Type::BYTE, Type::ASCII, Type::SHORT, Type::RATIONAL, Type::UNDEFINED];
    Some(match (place, tag) {
        // Description, maker, model; last change; artist, computer; copyright.
        (Place::Main, 0x010e..=0x0110 | 0x0132 | 0x013b | 0x013c | 0x8298) => TEXT,
        // Rating in stars and in percent; Windows's title, comment, author, keywords and subject, in UTF-16.
        (Place::Main, 0x4746 | 0x4749 | 0x9c9b..=0x9c9f) => WHOLE,
        // Times with their offsets and fractions of seconds; owner, serial numbers, lens.
        (Place::Photo, 0x9003 | 0x9004 | 0x9010..=0x9012 | 0x9290..=0x9292) => TEXT,
        (Place::Photo, 0x8824 | 0xa430 | 0xa431 | 0xa433..=0xa435) => TEXT,
        // Exposure time, aperture; the same as logarithms with brightness, bias and distance; focal length.
        (Place::Photo, 0x829a | 0x829d | 0x9201..=0x9206 | 0x920a) => RATIO,
        // Weather and position of the camera; exposure index, digital zoom, lens.
        (Place::Photo, 0x9400..=0x9405 | 0xa215 | 0xa404 | 0xa432) => RATIO,
        // Programme, sensitivities, metering, light, flash, sensor.
        (Place::Photo, 0x8822 | 0x8827 | 0x8830..=0x8835 | 0x9207..=0x9209 | 0xa217) => WHOLE,
        // Processing, exposure and white balance modes, focal length on film, scene, contrast and the like.
        (Place::Photo, 0xa401..=0xa403 | 0xa405..=0xa40a | 0xa40c) => WHOLE,
        // Version; kinds of source and scene.
        (Place::Photo, 0x9000 | 0xa300 | 0xa301) => OPAQUE,
        (Place::Gps, 0x00..=0x1f) => GPS,
        _ => return None,
    })
}

/// What [`read`] found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// The entries to carry over.
    pub exif: Exif,
    /// The comment, if it is ASCII.
    pub comment: Option<String>,
    /// Whether something is damaged or exceeds the bounds.
    pub damaged: bool,
    /// Which directories were read, and whether a comment was found.
    pub visited: [bool; 3],
    pub commented: bool,
}

/// Reads an EXIF block, or a whole TIFF file.
pub(super) fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let reader = match bytes.first_chunk() {
        Some(b"II*\0") => Reader { bytes, big_endian: false },
        Some(b"MM\0*") => Reader { bytes, big_endian: true },
        // BigTIFF, whose directories have another layout.
        Some(b"II+\0" | b"MM\0+") => return found,
        _ => return Found { damaged: true, ..found },
    };
    match reader.u32(4) {
        Some(at) => reader.directory(Place::Main, at, &mut found),
        None => found.damaged = true,
    }
    // The order carries no information. Entries are written in this one.
    found.exif.entries.sort_by_key(|e| (e.place, e.tag));
    found
}

struct Reader<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Reader<'_> {
    fn take<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.take(at).map(if self.big_endian { u16::from_be_bytes } else { u16::from_le_bytes })
    }

    fn u32(&self, at: usize) -> Option<usize> {
        let read = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        self.take(at).map(|bytes| read(bytes) as usize)
    }

    /// Reads the directory at `at` and those below it. Each place is read once, however many entries point at
    /// it.
    fn directory(&self, place: Place, at: usize, found: &mut Found) {
        if std::mem::replace(&mut found.visited[place as usize], true) {
            return;
        }
        let count = self.u16(at).map_or(0, usize::from);
        let whole = self.bytes.len().saturating_sub(at + 2) / 12;
        found.damaged |= count == 0 || count > whole;
        for i in 0..count.min(whole) {
            if self.entry(place, at + 2 + 12 * i, found).is_none() {
                found.damaged = true;
            }
        }
    }

    /// Reads the entry of 12 bytes at `at`. `None` if it is damaged.
    fn entry(&self, place: Place, at: usize, found: &mut Found) -> Option<()> {
        let tag = self.u16(at)?;
        match (place, tag) {
            (Place::Main, 0x8769) => self.directory(Place::Photo, self.u32(at + 8)?, found),
            (Place::Main, 0x8825) => self.directory(Place::Gps, self.u32(at + 8)?, found),
            (Place::Photo, COMMENT) => {
                // Of equal entries, the first one counts.
                if std::mem::replace(&mut found.commented, true) {
                    return Some(());
                }
                let (_, value) = self.value(at, MAX_COMMENT)?;
                let text = value.strip_prefix(ASCII).and_then(|text| std::str::from_utf8(text).ok());
                found.comment = text.map(|text| text.trim_end_matches('\0').to_owned());
            }
            _ => {
                let Some(kinds) = wanted(place, tag) else { return Some(()) };
                let (kind, value) = self.value(at, MAX_VALUE)?;
                let known = found.exif.entries.iter().any(|e| (e.place, e.tag) == (place, tag));
                if found.exif.len() + value.len() > MAX_TOTAL {
                    return None;
                }
                if kinds.contains(&kind) && !value.is_empty() && !known {
                    found.exif.entries.push(Entry { place, tag, kind, value: self.native(kind, value) });
                }
            }
        }
        Some(())
    }

    /// The type and bytes of an entry's value. A value of at most four bytes is stored in the entry itself.
    fn value(&self, at: usize, most: usize) -> Option<(Type, &[u8])> {
        let kind = Type::from_u16(self.u16(at + 2)?)?;
        let length = self.u32(at + 4)?.checked_mul(bytes_of(kind))?;
        if length > most {
            return None;
        }
        let start = if length <= 4 { at + 8 } else { self.u32(at + 8)? };
        Some((kind, self.bytes.get(start..)?.get(..length)?))
    }

    /// A value in the machine's byte order; text ends with a zero byte.
    fn native(&self, kind: Type, value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        if self.big_endian != cfg!(target_endian = "big") {
            let unit = if matches!(kind, Type::RATIONAL | Type::SRATIONAL) { 4 } else { bytes_of(kind) };
            value.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        }
        if kind == Type::ASCII && value.last() != Some(&0) {
            value.push(0);
        }
        value
    }
}

/// Bytes of one value.
fn bytes_of(kind: Type) -> usize {
    match kind {
        Type::SHORT | Type::SSHORT => 2,
        Type::LONG | Type::SLONG | Type::FLOAT | Type::IFD => 4,
        Type::RATIONAL | Type::SRATIONAL | Type::DOUBLE => 8,
        Type::LONG8 | Type::SLONG8 | Type::IFD8 => 8,
        _ => 1,
    }
}

/// What is to be written: the entries carried over, and those that this program adds.
#[derive(Clone, Copy)]
pub(super) struct Contents<'a> {
    pub exif: &'a Exif,
    /// Name and version of the program that wrote the picture.
    pub software: Option<&'a str>,
    /// ASCII.
    pub comment: Option<&'a str>,
}

/// The entries of the main directory that point at others, and the positions of those.
pub(super) struct Children(Vec<(Tag, u32)>);

impl Contents<'_> {
    /// A block for a file, or nothing if there are no entries.
    pub fn block(&self) -> TiffResult<Option<Vec<u8>>> {
        if self.exif.is_empty() && self.software.is_none() && self.comment.is_none() {
            return Ok(None);
        }
        let mut bytes = Cursor::new(Vec::new());
        let mut file = TiffEncoder::new(&mut bytes)?;
        let children = self.write_children(&mut file)?;
        let mut main = file.image_directory()?;
        self.write_main(&mut main, &children)?;
        main.finish()?;
        Ok(Some(bytes.into_inner()))
    }

    /// Writes the directories below the main one.
    pub fn write_children<W: Write + Seek>(&self, file: &mut TiffEncoder<W>) -> TiffResult<Children> {
        let mut children = Vec::new();
        for (place, tag) in [(Place::Photo, Tag::ExifDirectory), (Place::Gps, Tag::GpsDirectory)] {
            let comment = self.comment.filter(|_| place == Place::Photo);
            if comment.is_none() && !self.exif.entries.iter().any(|e| e.place == place) {
                continue;
            }
            let mut directory = file.extra_directory()?;
            self.write_entries(&mut directory, place)?;
            if place == Place::Photo {
                // 1 is sRGB.
                directory.write_tag(Tag::Unknown(COLOUR_SPACE), 1u16)?;
            }
            if let Some(comment) = comment {
                write(&mut directory, COMMENT, Type::UNDEFINED, &[ASCII, comment.as_bytes()].concat())?;
            }
            children.push((tag, directory.finish_with_offsets()?.offset));
        }
        Ok(Children(children))
    }

    /// Adds the entries of the main directory, of a block or of a picture.
    pub fn write_main<W: Write + Seek>(
        &self,
        main: &mut DirectoryEncoder<W, TiffKindStandard>,
        children: &Children,
    ) -> TiffResult<()> {
        self.write_entries(main, Place::Main)?;
        if let Some(software) = self.software {
            main.write_tag(Tag::Software, software)?;
        }
        children.0.iter().try_for_each(|(tag, at)| main.write_tag(*tag, *at))
    }

    fn write_entries<W: Write + Seek>(
        &self,
        directory: &mut DirectoryEncoder<W, TiffKindStandard>,
        place: Place,
    ) -> TiffResult<()> {
        let mut entries = self.exif.entries.iter().filter(|e| e.place == place);
        entries.try_for_each(|e| write(directory, e.tag, e.kind, &e.value))
    }
}

fn write<W: Write + Seek>(
    directory: &mut DirectoryEncoder<W, TiffKindStandard>,
    tag: u16,
    kind: Type,
    value: &[u8],
) -> TiffResult<()> {
    let entry = directory.write_entry_bytes(kind, value)?;
    let mut entries = Directory::empty();
    entries.extend([(Tag::from_u16_exhaustive(tag), entry)]);
    directory.extend_from(&entries);
    Ok(())
}
