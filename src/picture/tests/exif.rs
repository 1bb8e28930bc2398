//! Tests of EXIF and records. What is read here is written by another library, and what is written is read by
//! it.

use std::fs;

use ::exif::experimental::Writer;
use ::exif::{Context, Field, In, Rational, Reader, Tag, Value};
use proptest::prelude::*;

use super::*;
use crate::picture::exif::{Found, read};

fn field(tag: Tag, value: Value) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value }
}

fn text(tag: Tag, text: &str) -> Field {
    field(tag, Value::Ascii(vec![text.into()]))
}

fn ratios(tag: Tag, ratios: &[(u32, u32)]) -> Field {
    let ratio = |&(num, denom): &(u32, u32)| Rational { num, denom };
    field(tag, Value::Rational(ratios.iter().map(ratio).collect()))
}

/// What a camera knows that stays true.
fn lasting() -> Vec<Field> {
    vec![
        text(Tag::ImageDescription, "Harbour"),
        text(Tag::Make, "Maker"),
        // Four bytes with the one that ends it: they stand in the entry itself.
        text(Tag::Model, "M 1"),
        text(Tag::DateTime, "2024:05:06 07:08:09"),
        text(Tag::Artist, "Ann Author"),
        text(Tag::Copyright, "(c) Ann Author"),
        ratios(Tag::ExposureTime, &[(1, 125)]),
        ratios(Tag::FNumber, &[(56, 10)]),
        field(Tag::PhotographicSensitivity, Value::Short(vec![400])),
        field(Tag::ExifVersion, Value::Undefined(b"0232".to_vec(), 0)),
        text(Tag::DateTimeOriginal, "2024:05:06 07:08:08"),
        text(Tag::OffsetTimeOriginal, "+02:00"),
        field(Tag::ExposureBiasValue, Value::SRational(vec![::exif::SRational { num: -2, denom: 3 }])),
        ratios(Tag::FocalLength, &[(35, 1)]),
        text(Tag::LensModel, "35 mm"),
        text(Tag::GPSLatitudeRef, "N"),
        ratios(Tag::GPSLatitude, &[(52, 1), (30, 1), (1234, 100)]),
        field(Tag::GPSAltitudeRef, Value::Byte(vec![0])),
    ]
}

/// What is not true of another picture, or not understood.
fn passing() -> Vec<Field> {
    vec![
        field(Tag::Orientation, Value::Short(vec![6])),
        ratios(Tag::XResolution, &[(300, 1)]),
        field(Tag::PixelXDimension, Value::Long(vec![6000])),
        field(Tag::MakerNote, Value::Undefined(vec![7; 100], 0)),
        field(Tag::UserComment, Value::Undefined(b"ASCII\0\0\0nice".to_vec(), 0)),
        field(Tag::SubjectArea, Value::Short(vec![1, 2, 3])),
        text(Tag::ImageUniqueID, "0123456789abcdef"),
        text(Tag::Software, "camera 1.0"),
        field(Tag(Context::Tiff, 0xc4a5), Value::Undefined(vec![1; 20], 0)),
        // Of a type that it cannot have.
        field(Tag::LensMake, Value::Long(vec![3])),
    ]
}

pub(crate) fn camera(little_endian: bool) -> Vec<u8> {
    let fields = [lasting(), passing()].concat();
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let thumbnail = field(Tag::Compression, Value::Short(vec![6]));
    let thumbnail = Field { ifd_num: In::THUMBNAIL, ..thumbnail };
    writer.push_field(&thumbnail);
    writer.set_jpeg(b"thumbnail", In::THUMBNAIL);
    let mut block = Cursor::new(Vec::new());
    writer.write(&mut block, little_endian).unwrap();
    block.into_inner()
}

/// All entries of a file as text, sorted.
fn listing<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Vec<String> {
    let mut lines: Vec<_> =
        fields.into_iter().map(|f| format!("{} {} {:?}", f.ifd_num, f.tag, f.value)).collect();
    lines.sort();
    lines
}

/// What the other library finds in a file, less what makes a TIFF a picture.
fn found_in(path: &Path) -> Vec<String> {
    let file = fs::File::open(path).unwrap();
    let exif = Reader::new().read_from_container(&mut std::io::BufReader::new(file)).unwrap();
    let picture = |tag: Tag| tag.context() == Context::Tiff && (256..=284).contains(&tag.number());
    let camera = [Tag::ImageDescription, Tag::Make, Tag::Model, Tag::Orientation];
    let technical = |tag: Tag| {
        (picture(tag) && !camera.contains(&tag)) || [296, 317, 338, 339, 34675].contains(&tag.number())
    };
    let is_tiff = path.extension().is_some_and(|e| e == "tif");
    listing(exif.fields().filter(|f| !(is_tiff && technical(f.tag))))
}

#[test]
fn what_the_camera_knows_is_carried_over_by_value_between_all_formats() {
    let dir = tempfile::tempdir().unwrap();
    let gray = [128; 3 * 16 * 8];
    let expected = {
        let srgb = field(Tag::ColorSpace, Value::Short(vec![1]));
        let flashpix = field(Tag::FlashpixVersion, Value::Undefined(b"0100".to_vec(), 0));
        let mut lines = listing(lasting().iter().chain([&srgb, &flashpix]));
        // The other library remembers where in the file it found these bytes.
        lines.iter_mut().for_each(|line| *line = without_offset(line));
        lines
    };
    for little_endian in [true, false] {
        let block = camera(little_endian);
        for format in [Format::Jpeg, Format::Png, Format::WebP] {
            let source = Source { format, ..Source::png((16, 8), ExtendedColorType::Rgb8, &gray) };
            let picture = Source { exif: Some(&block), ..source }.read();
            assert_eq!((picture.width, picture.height), (8, 16), "orientation is applied");
            assert_eq!(picture.notes, [""; 0]);
            for name in ["a.jpg", "a.png", "a.webp", "a.tif"] {
                let path = dir.path().join(name);
                picture
                    .resized(Size::Exact { width: 5, height: 9 }, true)
                    .save(&path, &SaveOptions::default())
                    .unwrap();
                let found: Vec<_> = found_in(&path).iter().map(|line| without_offset(line)).collect();
                assert_eq!(found, expected, "{format:?} to {name}");
                // And read here again, from every format.
                let again = Picture::open(&path).unwrap();
                assert_eq!((again.width, again.height), (5, 9));
                assert_eq!((again.exif, again.notes), (picture.exif.clone(), vec![]), "{name}");
                let bytes = fs::read(&path).unwrap();
                assert!(!bytes.windows(9).any(|w| w == b"thumbnail"), "{name}");
            }
        }
    }
    let path = dir.path().join("lossy.webp");
    let source = Source::png((16, 8), ExtendedColorType::Rgb8, &gray);
    let options = SaveOptions { quality: Some(80), ..SaveOptions::default() };
    Source { exif: Some(&camera(true)), ..source }.read().save(&path, &options).unwrap();
    let found: Vec<_> = found_in(&path).iter().map(|line| without_offset(line)).collect();
    assert_eq!(found, expected);
}

/// `Undefined(0x00, ofs=0x1a)` without its second part.
fn without_offset(line: &str) -> String {
    line.split(", ofs=").next().unwrap_or_default().to_owned()
}

#[test]
fn without_anything_to_say_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "a.png", "a.webp"] {
        let path = dir.path().join(name);
        pattern(4, 4).save(&path, &SaveOptions::default()).unwrap();
        let file = fs::File::open(&path).unwrap();
        assert!(Reader::new().read_from_container(&mut std::io::BufReader::new(file)).is_err(), "{name}");
    }
}

/// An entry of a little-endian directory.
fn entry(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
}

fn block(count: u16, entries: &[Vec<u8>], rest: &[u8]) -> Vec<u8> {
    [b"II*\0\x08\0\0\0", &count.to_le_bytes()[..], &entries.concat(), &[0; 4], rest].concat()
}

/// Otherwise this block of 0.6 MB would take hours: each entry of one directory leads to each of another, and
/// to half a megabyte.
#[test]
fn each_directory_is_read_once() {
    let entries = 3000;
    let (photo, comment) = (14 + 12 * entries, 20 + 24 * entries);
    let (count, long) = (entries as u16, 500_000);
    let mut rest = count.to_le_bytes().to_vec();
    rest.extend(vec![entry(0x9286, 7, long, comment); entries as usize].concat());
    rest.extend([0; 4]);
    let text = b"ASCII\0\0\0".iter().copied().chain(std::iter::repeat(b'a')).take(long as usize);
    rest.extend(text);
    let found = read(&block(count, &vec![entry(0x8769, 4, 1, photo); entries as usize], &rest));
    assert_eq!(found.comment.map(|comment| comment.len()), Some(long as usize - 8));
    assert!(!found.damaged);
}

#[test]
fn damaged_exif_is_left_out_with_a_note_and_the_rest_is_kept() {
    let make = || entry(0x010f, 2, 4, u32::from_le_bytes(*b"abc\0"));
    let artist = |count, at| entry(0x013b, 2, count, at);
    let copyright = |count, at| entry(0x8298, 2, count, at);
    let cases = [
        ("a value beyond the end", block(2, &[make(), artist(100, 1000)], &[])),
        ("a position beyond the end", block(2, &[make(), artist(100, u32::MAX)], &[])),
        ("a value of 4 GiB", block(2, &[make(), artist(u32::MAX, 8)], &[])),
        ("a caption of 5000 bytes", block(2, &[make(), artist(5000, 38)], &[65; 5000])),
        ("an unknown type", block(2, &[make(), entry(0x013b, 99, 1, 8)], &[])),
        ("more entries than there are", block(65535, &[make()], &[])),
        ("a directory beyond the end", block(2, &[make(), entry(0x8769, 4, 1, 100_000)], &[])),
    ];
    let expected = Some(b"abc\0".to_vec());
    for (name, block) in cases {
        let found = read(&block);
        assert!(found.damaged, "{name}");
        assert_eq!(found.exif.value(0x010f), expected, "{name}");
        let gray = [1, 2, 3];
        let source = Source::png((1, 1), ExtendedColorType::Rgb8, &gray);
        let notes = Source { exif: Some(&block), ..source }.read().notes;
        assert_eq!(notes, ["its EXIF is damaged or too long in parts, which were left out"], "{name}");
    }
    // Directories that are one another's children, or their own, end all the same.
    let own = block(3, &[make(), entry(0x8769, 4, 1, 8), entry(0x8825, 4, 1, 8)], &[]);
    assert_eq!(read(&own).exif.value(0x010f), expected);
    // Many values from one place of the file do not add up to more than what is taken at most.
    let many = block(2, &[copyright(4000, 38), artist(4000, 38)], &[65; 4000]);
    assert!(!read(&many).damaged);
    let gps: Vec<_> = (1..=31).map(|tag| entry(tag, 2, 4000, 402)).collect();
    let mut greedy = block(31, &gps, &[65; 4000]);
    let main = greedy.len() as u32;
    greedy[4..8].copy_from_slice(&main.to_le_bytes());
    greedy.extend([&[1, 0], &entry(0x8825, 4, 1, 8)[..], &[0; 4]].concat());
    let found = read(&greedy);
    assert!(found.damaged && (20_000..=24 << 10).contains(&found.exif.len()), "{}", found.exif.len());
    assert_eq!(read(b"II+\0whatever"), Found { damaged: true, ..Found::default() });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a block, reading it ends, and what was taken can be written and is read the same
    /// again.
    #[test]
    fn any_block_is_read_and_what_was_taken_survives(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in any::<prop::sample::Index>(),
        little_endian: bool,
    ) {
        let mut block = camera(little_endian);
        for (at, value) in flips {
            let at = at.index(block.len());
            block[at] = value;
        }
        block.truncate(length.index(block.len() + 1));
        let exif = read(&block).exif;
        if let Some(written) = exif.block().unwrap() {
            let again = read(&written);
            prop_assert!(!again.damaged);
            // The version is said even where it was not known.
            let more = if again.exif.value(0x9000) == exif.value(0x9000) { 0 } else { 4 };
            prop_assert_eq!(again.exif.len(), exif.len() + more);
            let twice = read(&again.exif.block().unwrap().unwrap());
            prop_assert_eq!(twice.exif, again.exif);
        }
    }
}
