//! Tests of reading: kinds of samples, orientation, profiles, inks, and unusable files.

use moxcms::ColorProfile;
use proptest::prelude::*;

use super::files::Jpeg;
use super::*;

const F8: f32 = 255.0;
const F16: f32 = 65535.0;

/// For those who must know before pixels take memory.
#[test]
fn sizes_are_declared_without_pixels() {
    let samples = [9; 18];
    let kinds = [(Format::Png, 20), (Format::Jpeg, 4), (Format::WebP, 0), (Format::Tiff, 0)];
    for (format, cut) in kinds {
        let source = Source { format, ..Source::png((3, 2), ExtendedColorType::Rgb8, &samples) };
        let bytes = source.bytes();
        let size = Picture::declared_size("test", &bytes[..bytes.len() - cut]).unwrap();
        assert_eq!(size, (3, 2), "{format:?}");
    }
    let refused = |bytes: &[u8]| Picture::declared_size("test", bytes).unwrap_err().to_string();
    assert!(refused(b"no picture").contains("not a picture of a known kind"));
}

fn to_bytes(samples: &[u16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_ne_bytes()).collect()
}

#[test]
fn every_kind_of_samples_is_read_by_value() {
    use ExtendedColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
    let rgb8 = [0, 1, 2, 253, 254, 255];
    let p = Source::png((2, 1), Rgb8, &rgb8).read();
    assert_eq!((p.width, p.height, &p.alpha, p.notes.len()), (2, 1, &None, 0));
    assert_eq!(p.rgb, [0.0, 253.0 / F8, 1.0 / F8, 254.0 / F8, 2.0 / F8, 1.0]);
    for format in [Format::Tiff, Format::WebP] {
        let other = Source { format, ..Source::png((2, 1), Rgb8, &rgb8) }.read();
        assert_eq!((other.rgb, other.alpha), (p.rgb.clone(), None), "{format:?}");
    }

    let p = Source::png((2, 1), Rgba8, &[10, 20, 30, 51, 40, 50, 60, 255]).read();
    assert_eq!(p.rgb, [10.0, 40.0, 20.0, 50.0, 30.0, 60.0].map(|v| v / F8));
    assert_eq!(p.alpha, Some(vec![51.0 / F8, 1.0]));

    let p = Source::png((2, 1), L8, &[7, 200]).read();
    assert_eq!(p.rgb, [7.0, 200.0, 7.0, 200.0, 7.0, 200.0].map(|v| v / F8));
    let p = Source::png((1, 2), La8, &[7, 255, 200, 51]).read();
    assert_eq!((p.width, p.height), (1, 2));
    assert_eq!(p.rgb, [7.0, 200.0, 7.0, 200.0, 7.0, 200.0].map(|v| v / F8));
    assert_eq!(p.alpha, Some(vec![1.0, 51.0 / F8]));

    let samples = to_bytes(&[1, 256, 65534, 40000]);
    for format in [Format::Png, Format::Tiff] {
        let read = |size, colour, samples| Source { format, ..Source::png(size, colour, samples) }.read();
        assert_eq!(read((1, 1), Rgb16, &samples[..6]).rgb, [1.0, 256.0, 65534.0].map(|v| v / F16));
        let p = read((1, 1), Rgba16, &samples);
        assert_eq!(p.rgb, [1.0, 256.0, 65534.0].map(|v| v / F16));
        assert_eq!(p.alpha, Some(vec![40000.0 / F16]));
        assert_eq!(read((1, 1), L16, &samples[..2]).rgb, [1.0 / F16; 3]);
    }
    let p = Source::png((1, 1), La16, &samples[4..]).read();
    assert_eq!((p.rgb[0], p.alpha), (65534.0 / F16, Some(vec![40000.0 / F16])));
}

#[test]
fn jpeg_in_colour_and_gray() {
    let jpeg = |colour, samples: &[u8]| {
        Source { format: Format::Jpeg, ..Source::png((8, 8), colour, samples) }.read().rgb
    };
    let colour = jpeg(ExtendedColorType::Rgb8, &[200, 100, 50].repeat(64));
    let expected = [200.0, 100.0, 50.0].map(|v| [v / F8; 64]).concat();
    assert_near(&colour, &expected, 2.0 / F8);
    assert_near(&jpeg(ExtendedColorType::L8, &[77; 64]), &[77.0 / F8; 192], 1.0 / F8);
}

#[test]
fn hidden_colours_become_the_visible_mean_and_opaque_alpha_is_dropped() {
    let samples = [100, 0, 0, 255, 200, 40, 0, 51, 255, 255, 255, 0];
    let p = Source::png((3, 1), ExtendedColorType::Rgba8, &samples).read();
    let mean = |a: f32, b: f32| (a + 0.2 * b) / 1.2;
    assert_near(&p.rgb[..3], &[100.0, 200.0, mean(100.0, 200.0)].map(|v| v / F8), 1e-6);
    assert_near(&p.rgb[3..6], &[0.0, 40.0, mean(0.0, 40.0)].map(|v| v / F8), 1e-6);
    assert_eq!(p.rgb[8], 0.0);

    let opaque = Source::png((1, 1), ExtendedColorType::Rgba8, &[1, 2, 3, 255]).read();
    assert_eq!(opaque.alpha, None);
    let hidden = Source::png((1, 1), ExtendedColorType::Rgba8, &[1, 2, 3, 0]).bytes();
    assert!(refusal(&hidden).contains("fully transparent"));
}

#[test]
fn orientation_is_applied() {
    // 0 1 2
    // 3 4 5
    let samples = [0u8, 1, 2, 3, 4, 5];
    let upright: [(u8, (usize, usize), [u8; 6]); 8] = [
        (1, (3, 2), [0, 1, 2, 3, 4, 5]),
        (2, (3, 2), [2, 1, 0, 5, 4, 3]),
        (3, (3, 2), [5, 4, 3, 2, 1, 0]),
        (4, (3, 2), [3, 4, 5, 0, 1, 2]),
        (5, (2, 3), [0, 3, 1, 4, 2, 5]),
        (6, (2, 3), [3, 0, 4, 1, 5, 2]),
        (7, (2, 3), [5, 2, 4, 1, 3, 0]),
        (8, (2, 3), [2, 5, 1, 4, 0, 3]),
    ];
    for (value, size, expected) in upright {
        for format in [Format::Png, Format::WebP] {
            let colour =
                if format == Format::Png { samples.to_vec() } else { samples.map(|v| [v; 3]).concat() };
            let kind = if format == Format::Png { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
            let source = Source { format, ..Source::png((3, 2), kind, &colour) };
            let p = Source { exif: Some(&orientation(value)), ..source }.read();
            assert_eq!((p.width, p.height), size, "orientation {value}");
            assert_eq!(p.rgb[..6], expected.map(|v| f32::from(v) / F8), "orientation {value}");
            assert!(p.exif.is_empty(), "it is applied, so it is not carried over");
        }
    }
    let gray = [128; 16 * 8];
    let source = Source::png((16, 8), ExtendedColorType::L8, &gray);
    let p = Source { format: Format::Jpeg, exif: Some(&orientation(6)), ..source }.read();
    assert_eq!((p.width, p.height), (8, 16));
}

/// Expected values come from the published matrices and curves, computed independently of this program.
#[test]
fn profiles_are_converted_to_srgb() {
    let convert = |profile: ColorProfile, colour, samples: &[u8], format| {
        let icc = profile.encode().unwrap();
        let source = Source { format, icc: Some(&icc), ..Source::png((8, 8), colour, samples) };
        let p = source.read();
        assert_eq!(p.notes, [""; 0]);
        [p.rgb[0], p.rgb[64], p.rgb[128]]
    };
    let rgb = [204, 102, 128].repeat(64);
    let deep = to_bytes(&[204 * 257, 102 * 257, 128 * 257].repeat(64));
    for (format, tolerance) in [(Format::Png, 1e-3), (Format::Jpeg, 2.0 / F8), (Format::WebP, 1e-3)] {
        let p3 = convert(ColorProfile::new_display_p3(), ExtendedColorType::Rgb8, &rgb, format);
        assert_near(&p3, &[0.859_57, 0.370_40, 0.500_78], tolerance);
    }
    let p3 = convert(ColorProfile::new_display_p3(), ExtendedColorType::Rgb16, &deep, Format::Tiff);
    assert_near(&p3, &[0.859_57, 0.370_40, 0.500_78], 1e-3);
    let adobe = convert(ColorProfile::new_adobe_rgb(), ExtendedColorType::Rgb8, &rgb, Format::Png);
    assert_near(&adobe, &[0.907_80, 0.400_62, 0.509_93], 1e-3);
    let gray =
        convert(ColorProfile::new_gray_with_gamma(1.8), ExtendedColorType::L8, &[128; 64], Format::Png);
    assert_near(&gray, &[0.574_15; 3], 1e-3);
    // A colour outside sRGB is clipped, not wrapped.
    let green = [0, 255, 0].repeat(64);
    let p3 = convert(ColorProfile::new_display_p3(), ExtendedColorType::Rgb8, &green, Format::Png);
    assert_near(&p3, &[0.0, 1.0, 0.0], 1e-6);
}

#[test]
fn an_srgb_profile_changes_no_bit() {
    let samples: Vec<u8> = (0..=255).flat_map(|v: u8| [v, v.wrapping_mul(37), 255 - v]).collect();
    let plain = Source::png((16, 16), ExtendedColorType::Rgb8, &samples);
    // The profile as another library rounds it, which moves (0.125, 1, 0) by half of an 8-bit step.
    let mut other = ColorProfile::new_srgb();
    other.green_colorant = moxcms::Xyzd { x: 0.385_117, y: 0.716_904, z: 0.097_061 };
    for icc in [icc::srgb().unwrap(), other.encode().unwrap()] {
        assert_eq!(Source { icc: Some(&icc), ..plain }.read().rgb, plain.read().rgb);
    }
}

#[test]
fn an_unusable_profile_is_ignored_with_a_note() {
    let source = Source::png((1, 1), ExtendedColorType::Rgb8, &[10, 20, 30]);
    let gray = ColorProfile::new_gray_with_gamma(2.2).encode().unwrap();
    for icc in [&b"no profile at all"[..], &[0; 200], &gray, &icc::srgb().unwrap()[..150]] {
        let p = Source { icc: Some(icc), ..source }.read();
        assert_eq!(p.rgb, [10.0, 20.0, 30.0].map(|v| v / F8));
        assert_eq!(p.notes.len(), 1);
        assert!(p.notes[0].starts_with("its colour profile was ignored ("), "{}", p.notes[0]);
    }
}

/// An 8 x 8 JPEG of one colour in four components. `adobe` is the transform that Adobe's marker announces.
fn ink_jpeg(stored: [u8; 4], adobe: Option<u8>) -> Vec<u8> {
    let (sampling, scans): (_, &[&[usize]]) = (&[(1, 1); 4], &[&[0, 1, 2, 3]]);
    Jpeg { size: (8, 8), sampling, scans, adobe, before: vec![] }.bytes(|c, _, _| stored[c])
}

#[test]
fn ink_jpegs_are_converted_or_refused() {
    let first = |bytes: &[u8]| {
        let p = Picture::from_bytes("test", bytes).unwrap();
        assert!(p.notes[0].contains("CMYK"), "{:?}", p.notes);
        [p.rgb[0], p.rgb[64], p.rgb[128]]
    };
    // Stored inverted: the colour is the product of the ink's absence and black's absence.
    let rgb = first(&ink_jpeg([200, 100, 50, 240], Some(0)));
    assert_near(&rgb, &[200.0, 100.0, 50.0].map(|v| v * 240.0 / (F8 * F8)), 1.5 / F8);
    // Luminance 100 without chroma is (100, 100, 100), and the inks are its inverse.
    let rgb = first(&ink_jpeg([100, 128, 128, 204], Some(2)));
    assert_near(&rgb, &[155.0 * 0.8 / F8; 3], 1.5 / F8);
    assert!(refusal(&ink_jpeg([200, 100, 50, 240], None)).contains("CMYK JPEG without Adobe's marker"));
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let (width, height) = (48, 40);
    let samples: Vec<u8> = (0..width * height * 3).map(|i: u32| (i * i / 7 % 256) as u8).collect();
    for format in [Format::Jpeg, Format::Png, Format::Tiff, Format::WebP] {
        let source = Source::png((width, height), ExtendedColorType::Rgb8, &samples);
        let whole = Source { format, ..source }.bytes();
        Picture::from_bytes("test", &whole).unwrap();
        // The last bytes may be a checksum or padding whose loss does not matter.
        for length in (0..whole.len() - 16).step_by(97).chain([whole.len() - 16]) {
            let text = refusal(&whole[..length]);
            let told = ["cut short", "empty", "known kind", "damaged"].iter().any(|w| text.contains(w));
            assert!(told, "{format:?} of {length} bytes: {text}");
        }
    }
    let source = Source::png((width, height), ExtendedColorType::Rgb8, &samples);
    let jpeg = Source { format: Format::Jpeg, ..source }.bytes();
    for length in 2..jpeg.len() {
        assert_eq!(jpeg::outline(&jpeg[..length]).end, None);
    }
    let outline = jpeg::outline(&jpeg);
    assert_eq!((outline.components.as_slice(), outline.adobe), (&[1, 2, 3][..], None));
    assert_eq!(outline.end, Some(jpeg.len() - 2));
}

#[test]
fn files_that_are_no_pictures() {
    assert!(refusal(b"").contains("the file is empty"));
    assert!(refusal(b"#!/bin/sh\necho hello\n").contains("not a picture of a known kind"));
    assert!(refusal(b"GIF89a\x01\0\x01\0").contains("cut short"));
    assert!(refusal(b"\0\0\0\x18ftypheic\0\0\0\0").contains("HEIC"));
    let float = to_bytes(&[0; 6]);
    let mut tiff = Cursor::new(Vec::new());
    TiffEncoder::new(&mut tiff).write_image(&float, 1, 1, ExtendedColorType::Rgb32F).unwrap();
    assert!(refusal(&tiff.into_inner()).contains("8- or 16-bit"));
    // A checksum that does not fit; the error text is ours, not a library's.
    let mut png = Source::png((1, 1), ExtendedColorType::Rgb8, &[1, 2, 3]).bytes();
    png[29] ^= 1;
    assert!(refusal(&png).ends_with("it is damaged or cut short; download, copy or export it again"));
}

#[test]
fn paths_that_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let text = |path: &Path| {
        let text = Picture::open(path).unwrap_err().to_string();
        assert_sentence(&text, &format!("cannot use picture {}: ", path.display()));
        text
    };
    assert!(text(&dir.path().join("none.png")).contains("no such file"));
    assert!(text(dir.path()).contains("it is a folder"));
}

#[test]
fn absurd_sizes_are_refused_before_they_are_allocated() {
    let mut png = Source::png((1, 1), ExtendedColorType::Rgb8, &[1, 2, 3]).bytes();
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let text = refusal(&png);
    assert!(text.contains("65536 x 65536") && text.contains("200 million"), "{text}");
    assert_eq!(Picture::declared_size("test", &png).unwrap_err().to_string(), text);
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &b| (0..8).fold(crc ^ u32::from(b), step))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a file contains, reading it gives a picture with values in range or an error, and never a
    /// panic.
    #[test]
    fn damage_never_panics(
        format in prop::sample::select(vec![Format::Png, Format::Jpeg, Format::Tiff, Format::WebP]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let samples: Vec<u8> = (0..16 * 9 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let icc = ColorProfile::new_display_p3().encode().unwrap();
        let source = Source::png((16, 9), ExtendedColorType::Rgb8, &samples);
        let mut bytes = Source { format, icc: Some(&icc), ..source }.bytes();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(p) = Picture::from_bytes("test", &bytes) {
            prop_assert_eq!(p.rgb.len(), 3 * p.width * p.height);
            prop_assert!(p.rgb.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }
}

/// A cut file as some programs and cameras leave it, closed by the end marker.
#[test]
fn a_jpeg_that_was_cut_and_closed_again_is_refused() {
    let bytes = include_bytes!("../../../assets/photo.jpg");
    let whole = Picture::from_bytes("whole", bytes).unwrap();
    let end = bytes.len() - 2;
    for cut in [end / 100, end / 10, end / 2, end - 900] {
        let bytes = [&bytes[..end - cut], &[0xff, 0xd9]].concat();
        let text = Picture::from_bytes("cut", &bytes).unwrap_err().to_string();
        assert!(
            text.contains("it is cut short: its end marker comes before the end of its pixels; "),
            "{text}"
        );
    }
    // Cut anywhere in its last units, some of whose blocks lie beyond the picture: refused, or nothing is
    // missing that is seen.
    let (sampling, scans): (_, &[&[usize]]) = (&[(2, 2), (1, 1), (1, 1)], &[&[0, 1, 2]]);
    for size in [(83, 53), (64, 49), (17, 48)] {
        let jpeg = Jpeg { size, sampling, scans, adobe: None, before: vec![] };
        let file = jpeg.bytes(|c, x, y| (c * 71 + x * 37 + y * 53 + x * y * 11) as u8);
        let (whole, end) = (Picture::from_bytes("whole", &file).unwrap(), file.len() - 2);
        for cut in 1..40 {
            for end_mark in [&[0xff, 0xd9][..], &[]] {
                let bytes = [&file[..end - cut], end_mark].concat();
                let seen = Picture::from_bytes("cut", &bytes).map_or(true, |p| p.rgb == whole.rgb);
                assert!(seen, "{size:?}: {cut} bytes are missing");
            }
        }
    }
    // Data after the end are not part of the picture; phones put a second picture there.
    let followed = [bytes.as_slice(), bytes].concat();
    assert!(Picture::from_bytes("whole", &followed).unwrap().rgb == whole.rgb);
    for bytes in [
        include_bytes!("../../../assets/painting.jpg").as_slice(),
        include_bytes!("../../../assets/coffee.jpg"),
    ] {
        Picture::from_bytes("whole", bytes).unwrap();
    }
}
