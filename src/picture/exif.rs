//! EXIF: what a photograph's file says about camera, time, place and author, and carrying it over.
//!
//! It is a TIFF file without a picture: a header and directories of entries ("Exif 2.32", chapter 4). Entries
//! that are known to stay true of a repainted picture are read one by one, within bounds, and written afresh,
//! so that nothing of a damaged or hostile file is copied as it stands. Orientation and colour space, which
//! the pixels depend on, are read, too.

use super::ifd::{self, Directory, Kind, Tiff, TooLong, Value, Writer};

/// The longest value that is taken, in bytes; captions are the longest there are.
const MAX_VALUE: usize = 4 << 10;
/// Bytes of values that are taken in all. JPEG has 64 KiB for these and the record of the run.
const MAX_TOTAL: usize = 24 << 10;
/// The longest comment that is looked at.
const MAX_COMMENT: usize = 1 << 20;

const ORIENTATION: u16 = 0x0112;
const SOFTWARE: u16 = 0x0131;
const PHOTO: u16 = 0x8769;
const GPS: u16 = 0x8825;
const INTEROPERABILITY: u16 = 0xa005;
const VERSION: u16 = 0x9000;
const COMMENT: u16 = 0x9286;
const FLASHPIX: u16 = 0xa000;
const COLOUR_SPACE: u16 = 0xa001;
/// What says that a comment's bytes are ASCII.
const ASCII: &[u8] = b"ASCII\0\0\0";

/// What a file says about camera, exposure, time, place and author.
///
/// Left out, because it is not true of another picture: orientation, thumbnails, sizes, resolution, colour
/// space, coordinates of the subject, the image's identifier, maker notes (whose layout is secret and breaks
/// when they move) and the comment, whose place the [`Comment`](super::Comment) takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exif {
    entries: Vec<Entry>,
}

impl Exif {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of entry `tag`.
    #[cfg(test)]
    pub(crate) fn value(&self, tag: u16) -> Option<Vec<u8>> {
        self.entries.iter().find(|e| e.tag == tag).map(|e| e.value.clone())
    }

    /// Bytes of all values.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().map(|e| e.value.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn block(&self) -> Result<Option<Vec<u8>>, TooLong> {
        Contents { exif: self, software: None, comment: None }.block()
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The directory that the header points at: camera and author.
    Main,
    /// The one of entry 0x8769: exposure and times.
    Photo,
    /// The one of entry 0x8825.
    Gps,
    /// The one of entry 0xa005 of the photo's: by which rules a camera wrote the file.
    Interoperability,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    place: Place,
    tag: u16,
    kind: Kind,
    /// In the machine's byte order.
    value: Vec<u8>,
}

/// The types that entry `tag` may have; `None` if it is not carried over.
fn wanted(place: Place, tag: u16) -> Option<&'static [Kind]> {
    const TEXT: &[Kind] = &[Kind::Ascii];
    const WHOLE: &[Kind] = &[Kind::Byte, Kind::Short, Kind::Long];
    const RATIO: &[Kind] = &[Kind::Rational, Kind::SRational];
    const OPAQUE: &[Kind] = &[Kind::Undefined];
    const GPS: &[Kind] = &[Kind::Byte, Kind::Ascii, Kind::Short, Kind::Rational, Kind::Undefined];
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

/// The place of the directory that entry `tag` points at.
fn below(place: Place, tag: u16) -> Option<Place> {
    match (place, tag) {
        (Place::Main, PHOTO) => Some(Place::Photo),
        (Place::Main, GPS) => Some(Place::Gps),
        (Place::Photo, INTEROPERABILITY) => Some(Place::Interoperability),
        _ => None,
    }
}

/// What [`read`] found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// What is carried over.
    pub exif: Exif,
    /// The orientation of the picture, 1 to 8.
    pub orientation: Option<u8>,
    /// Whether the pixels are in Adobe RGB (1998), by the rules of cameras ("DCF 2.0").
    pub adobe_rgb: bool,
    /// The comment, if it is ASCII.
    pub comment: Option<String>,
    /// Whether something is damaged or beyond the bounds.
    pub damaged: bool,
    /// Which directories were read, and whether there was a comment.
    pub visited: [bool; 4],
    pub commented: bool,
    /// The colour space: 1 is sRGB, 2 used to be Adobe RGB.
    pub colour_space: Option<u64>,
    /// The rules of interoperability: R03 is the option file of Adobe RGB.
    pub rules: Option<[u8; 3]>,
}

/// Reads an EXIF block, or a whole TIFF file.
pub(crate) fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    // Some programs put JPEG's marker before the block in other formats, too.
    let bytes = bytes.strip_prefix(b"Exif\0").and_then(|rest| rest.get(1..)).unwrap_or(bytes);
    let Some(tiff) = Tiff::new(bytes) else { return Found { damaged: true, ..found } };
    match tiff.first() {
        Some(at) => read_directory(&tiff, Place::Main, at, &mut found),
        None => found.damaged = true,
    }
    // "DCF 2.0": for Adobe RGB, cameras mark the colour space as unknown, and the rules as those of the
    // option file.
    found.adobe_rgb = match found.colour_space {
        Some(2) => true,
        Some(1) => false,
        _ => found.rules == Some(*b"R03"),
    };
    // The order of entries has no meaning. Sorted, they are in the order in which they are written.
    found.exif.entries.sort_by_key(|e| (e.place, e.tag));
    found
}

/// The orientation in a TIFF directory.
pub(super) fn orientation(directory: &Directory) -> Option<u8> {
    directory
        .number(ORIENTATION)
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
}

/// Reads the directory at `at` and those below it, each place once, however many entries point there.
fn read_directory(tiff: &Tiff, place: Place, at: usize, found: &mut Found) {
    if std::mem::replace(&mut found.visited[place as usize], true) {
        return;
    }
    let directory = tiff.directory(at);
    let matters = |tag: &u16| below(place, *tag).is_some() || wanted(place, *tag).is_some();
    found.damaged |= directory.cut || directory.lost.iter().any(matters);
    if place == Place::Main {
        found.orientation = orientation(&directory);
    }
    for entry in &directory.entries {
        if read_entry(tiff, place, entry, found).is_none() {
            found.damaged = true;
        }
    }
}

/// `None` if the entry is damaged or too much.
fn read_entry(tiff: &Tiff, place: Place, entry: &ifd::Entry, found: &mut Found) -> Option<()> {
    let number = || entry.numbers()?.next();
    if let Some(below) = below(place, entry.tag) {
        read_directory(tiff, below, usize::try_from(number()?).ok()?, found);
        return Some(());
    }
    let value = entry.bytes();
    match (place, entry.tag) {
        (Place::Photo, COLOUR_SPACE) => found.colour_space = found.colour_space.or_else(number),
        (Place::Interoperability, 1) => found.rules = found.rules.or(value.first_chunk().copied()),
        (Place::Photo, COMMENT) => {
            // The first comment is used, as with all entries.
            if std::mem::replace(&mut found.commented, true) {
                return Some(());
            }
            if value.len() > MAX_COMMENT {
                return None;
            }
            let text = value.strip_prefix(ASCII).and_then(|text| std::str::from_utf8(text).ok());
            found.comment = text.map(|text| text.trim_end_matches('\0').to_owned());
        }
        (_, tag) => {
            let Some(kinds) = wanted(place, tag) else { return Some(()) };
            let known = found.exif.entries.iter().any(|e| (e.place, e.tag) == (place, tag));
            if value.len() > MAX_VALUE || found.exif.len() + value.len() > MAX_TOTAL {
                return None;
            }
            if kinds.contains(&entry.kind) && !value.is_empty() && !known {
                found.exif.entries.push(Entry { place, tag, kind: entry.kind, value: entry.native() });
            }
        }
    }
    Some(())
}

/// What is to be written: what was carried over, and what this program adds.
#[derive(Clone, Copy)]
pub(super) struct Contents<'a> {
    pub exif: &'a Exif,
    /// Name and version of the program that wrote the picture.
    pub software: Option<&'a str>,
    /// ASCII.
    pub comment: Option<&'a str>,
}

impl Contents<'_> {
    /// The block for a file; `None` if there is nothing to write.
    pub fn block(&self) -> Result<Option<Vec<u8>>, TooLong> {
        if self.exif.is_empty() && self.software.is_none() && self.comment.is_none() {
            return Ok(None);
        }
        let mut file = Writer::new();
        let main = self.write(&mut file)?;
        let main = file.directory(main)?;
        Ok(Some(file.finish(main)))
    }

    /// Writes the directories below the main one. Returns the entries of the main directory, for a block or
    /// for a picture.
    pub fn write(&self, file: &mut Writer) -> Result<Vec<Value>, TooLong> {
        let mut main = self.values(Place::Main);
        main.extend(self.software.map(|software| Value::text(SOFTWARE, software)));
        for (place, tag) in [(Place::Photo, PHOTO), (Place::Gps, GPS)] {
            let comment = self.comment.filter(|_| place == Place::Photo);
            let mut values = self.values(place);
            if comment.is_none() && values.is_empty() {
                continue;
            }
            if place == Place::Photo {
                // Every such directory must have these entries. 1 is sRGB.
                let version = Value::new(VERSION, Kind::Undefined, *b"0232");
                values.extend(
                    Some(version).filter(|version| values.iter().all(|value| value.tag != version.tag)),
                );
                values.push(Value::new(FLASHPIX, Kind::Undefined, *b"0100"));
                values.push(Value::shorts(COLOUR_SPACE, &[1]));
            }
            let comment = comment.map(|comment| [ASCII, comment.as_bytes()].concat());
            values.extend(comment.map(|comment| Value::new(COMMENT, Kind::Undefined, comment)));
            main.push(Value::longs(tag, &[file.directory(values)?]));
        }
        Ok(main)
    }

    fn values(&self, place: Place) -> Vec<Value> {
        let entries = self.exif.entries.iter().filter(|e| e.place == place);
        entries.map(|e| Value::new(e.tag, e.kind, e.value.clone())).collect()
    }
}
