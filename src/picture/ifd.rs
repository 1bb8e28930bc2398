//! Directories of entries, the structure of TIFF files and EXIF blocks: reading them within bounds, and
//! writing them.
//!
//! A header points at the first directory. A directory is a list of entries and points at the next directory.
//! An entry has a tag, a kind, a count and the position of its values (TIFF 6.0, section 2; BigTIFF has wider
//! counts and positions).
//!
//! This program has a reader of its own because libraries expect a supported picture in every directory, or
//! allocate whatever an entry claims, so that a small file can ask for gigabytes. Here a value is a part of
//! the file.

/// The most entries of a directory, and the most directories in a chain, that are read.
const MOST: usize = 4096;
const MOST_IN_ROW: usize = 256;
/// More fractions than any entry has that is read as fractions.
const FRACTIONS: usize = 16;

/// The kind of an entry's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    Byte = 1,
    /// With a zero byte at its end, which the count includes.
    Ascii = 2,
    Short = 3,
    Long = 4,
    Rational = 5,
    SByte = 6,
    Undefined = 7,
    SShort = 8,
    SLong = 9,
    SRational = 10,
    Float = 11,
    Double = 12,
    Ifd = 13,
    Long8 = 16,
    SLong8 = 17,
    Ifd8 = 18,
}

impl Kind {
    fn of(code: u16) -> Option<Self> {
        use Kind::*;
        const KINDS: [Kind; 16] = [
            Byte, Ascii, Short, Long, Rational, SByte, Undefined, SShort, SLong, SRational, Float, Double,
            Ifd, Long8, SLong8, Ifd8,
        ];
        KINDS.into_iter().find(|kind| *kind as u16 == code)
    }

    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            Self::Byte | Self::Ascii | Self::SByte | Self::Undefined => 1,
            Self::Short | Self::SShort => 2,
            Self::Long | Self::SLong | Self::Float | Self::Ifd => 4,
            _ => 8,
        }
    }

    /// The number of bytes that are reversed between byte orders.
    fn unit(self) -> usize {
        if matches!(self, Self::Rational | Self::SRational) { 4 } else { self.bytes() }
    }
}

/// A file or block that begins with the header.
#[derive(Clone, Copy)]
pub(super) struct Tiff<'a> {
    bytes: &'a [u8],
    pub big_endian: bool,
    /// Whether counts and positions have eight bytes.
    big: bool,
}

/// A tag with its values.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub tag: u16,
    pub kind: Kind,
    /// In the file's byte order.
    bytes: &'a [u8],
    big_endian: bool,
}

/// One directory.
pub(super) struct Directory<'a> {
    /// In the file's order, without damaged ones.
    pub entries: Vec<Entry<'a>>,
    /// Tags of entries whose kind or place makes no sense.
    pub lost: Vec<u16>,
    /// Whether there are fewer entries than the directory claims.
    pub cut: bool,
    /// The position of the next directory.
    pub next: usize,
}

impl<'a> Tiff<'a> {
    /// `None` if there is no such header.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (big_endian, big) = match bytes.first_chunk()? {
            b"II*\0" => (false, false),
            b"MM\0*" => (true, false),
            b"II+\0" => (false, true),
            b"MM\0+" => (true, true),
            _ => return None,
        };
        Some(Self { bytes, big_endian, big })
    }

    /// The position of the first directory.
    pub fn first(&self) -> Option<usize> {
        self.place(if self.big { 8 } else { 4 })
    }

    fn number(&self, at: usize, bytes: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(bytes)?)?;
        Some(number(bytes, self.big_endian))
    }

    /// A position or a count of values.
    fn place(&self, at: usize) -> Option<usize> {
        usize::try_from(self.number(at, if self.big { 8 } else { 4 })?).ok()
    }

    /// The directory at `at`, as far as it is there.
    pub fn directory(&self, at: usize) -> Directory<'a> {
        let (counter, size) = if self.big { (8, 20) } else { (2, 12) };
        let count = self.number(at, counter).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        let start = at.saturating_add(counter);
        let whole = count.min(self.bytes.len().saturating_sub(start) / size).min(MOST);
        let (mut entries, mut lost) = (Vec::with_capacity(whole), Vec::new());
        for at in (0..whole).map(|i| start + size * i) {
            match self.entry(at) {
                Some(entry) => entries.push(entry),
                None => lost.extend(self.number(at, 2).map(|tag| tag as u16)),
            }
        }
        let cut = count == 0 || whole < count;
        let next = if whole == count { self.place(start + size * count).unwrap_or(0) } else { 0 };
        Directory { entries, lost, cut, next }
    }

    /// The entry at `at`. `None` if it is damaged.
    fn entry(&self, at: usize) -> Option<Entry<'a>> {
        let tag = self.number(at, 2)? as u16;
        let kind = Kind::of(self.number(at + 2, 2)? as u16)?;
        let (wide, field) = if self.big { (8, at + 12) } else { (4, at + 8) };
        let length = self.place(at + 4)?.checked_mul(kind.bytes())?;
        let start = if length <= wide { field } else { self.place(field)? };
        let bytes = self.bytes.get(start..start.checked_add(length)?)?;
        Some(Entry { tag, kind, bytes, big_endian: self.big_endian })
    }

    /// All directories in a row, with where they are, each once.
    pub fn directories(&self) -> Vec<(usize, Directory<'a>)> {
        let mut found: Vec<(usize, Directory)> = Vec::new();
        let mut at = self.first().unwrap_or(0);
        while at != 0 && found.len() < MOST_IN_ROW && found.iter().all(|(known, _)| *known != at) {
            let directory = self.directory(at);
            let next = directory.next;
            found.push((at, directory));
            at = next;
        }
        found
    }
}

impl<'a> Directory<'a> {
    /// The first entry of that tag.
    pub fn get(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The first whole number of an entry.
    pub fn number(&self, tag: u16) -> Option<u64> {
        self.get(tag)?.numbers()?.next()
    }

    /// The whole numbers of an entry, but no more than `most`; none if it is not there.
    pub fn numbers(&self, tag: u16, most: usize) -> Vec<u64> {
        self.get(tag).and_then(|entry| Some(entry.numbers()?.take(most).collect())).unwrap_or_default()
    }
}

impl<'a> Entry<'a> {
    /// The bytes as they stand in the file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Unsigned whole numbers of any width; `None` if it has others.
    pub fn numbers(&self) -> Option<impl Iterator<Item = u64> + use<'a>> {
        use Kind::{Byte, Ifd, Ifd8, Long, Long8, Short};
        let big_endian = self.big_endian;
        let whole = matches!(self.kind, Byte | Short | Long | Long8 | Ifd | Ifd8);
        whole.then(|| self.bytes.chunks_exact(self.kind.bytes()).map(move |bytes| number(bytes, big_endian)))
    }

    /// Unsigned fractions; empty if it has others.
    pub fn fractions(&self) -> Vec<f64> {
        let number = |bytes: &[u8]| number(bytes, self.big_endian) as f64;
        let pairs = self.bytes.chunks_exact(8).filter(|_| self.kind == Kind::Rational).take(FRACTIONS);
        pairs.map(|pair| number(&pair[..4]) / number(&pair[4..])).collect()
    }

    /// The values in the machine's byte order; text ends with a zero byte.
    pub fn native(&self) -> Vec<u8> {
        let mut value = self.bytes.to_vec();
        if self.big_endian != cfg!(target_endian = "big") {
            value.chunks_exact_mut(self.kind.unit()).for_each(<[u8]>::reverse);
        }
        if self.kind == Kind::Ascii && value.last() != Some(&0) {
            value.push(0);
        }
        value
    }
}

fn number(bytes: &[u8], big_endian: bool) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
}

/// A file that is being written, in the machine's byte order. Everything in it begins at an even place, as
/// TIFF asks for.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

/// An entry that is to be written; its values are in the machine's byte order.
pub(super) struct Value {
    pub tag: u16,
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

impl Value {
    pub fn new(tag: u16, kind: Kind, bytes: impl Into<Vec<u8>>) -> Self {
        Self { tag, kind, bytes: bytes.into() }
    }

    pub fn shorts(tag: u16, values: &[u16]) -> Self {
        Self::new(tag, Kind::Short, bytemuck::cast_slice(values))
    }

    pub fn longs(tag: u16, values: &[u32]) -> Self {
        Self::new(tag, Kind::Long, bytemuck::cast_slice(values))
    }

    /// Text without its zero byte.
    pub fn text(tag: u16, text: &str) -> Self {
        Self::new(tag, Kind::Ascii, [text.as_bytes(), &[0]].concat())
    }
}

/// Why there can be no such file.
#[derive(Debug, thiserror::Error)]
#[error("it would have more than 4 GiB")]
pub(super) struct TooLong;

impl Writer {
    /// A header; [`Writer::finish`] tells it where the main directory is.
    pub fn new() -> Self {
        let mark: &[u8] = if cfg!(target_endian = "big") { b"MM\0*" } else { b"II*\0" };
        Self { bytes: [mark, &[0; 4]].concat() }
    }

    /// Adds bytes, and says where they are.
    pub fn add(&mut self, bytes: &[u8]) -> Result<u32, TooLong> {
        self.bytes.resize(self.bytes.len().next_multiple_of(2), 0);
        let at = u32::try_from(self.bytes.len()).map_err(|_| TooLong)?;
        self.bytes.extend(bytes);
        Ok(at)
    }

    /// Adds a directory with the values of its entries, and says where it is.
    pub fn directory(&mut self, mut values: Vec<Value>) -> Result<u32, TooLong> {
        values.sort_by_key(|value| value.tag);
        let mut directory = (values.len() as u16).to_ne_bytes().to_vec();
        for value in &values {
            let count = u32::try_from(value.bytes.len() / value.kind.bytes()).map_err(|_| TooLong)?;
            let mut field = [0; 4];
            match field.get_mut(..value.bytes.len()) {
                Some(field) => field.copy_from_slice(&value.bytes),
                None => field = self.add(&value.bytes)?.to_ne_bytes(),
            }
            directory.extend(value.tag.to_ne_bytes());
            directory.extend((value.kind as u16).to_ne_bytes());
            directory.extend(count.to_ne_bytes());
            directory.extend(field);
        }
        // There is no next one.
        directory.extend([0; 4]);
        self.add(&directory)
    }

    /// The file whose main directory is at `main`.
    pub fn finish(mut self, main: u32) -> Vec<u8> {
        self.bytes[4..8].copy_from_slice(&main.to_ne_bytes());
        self.bytes
    }
}
