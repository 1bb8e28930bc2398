//! Files that are not read although they look like supported pictures: the error names their kind.

use super::ifd::Directory;

const DNG_VERSION: u16 = 50706;
const PHOTOMETRIC: u16 = 262;

/// The kind of a file that begins with these bytes, and what to do with it; `None` if the kind is unknown.
pub(super) fn refused(bytes: &[u8]) -> Option<String> {
    let starts = |start: &[u8]| bytes.starts_with(start);
    let raw = [
        (&b"FUJIFILMCCD-RAW"[..], "RAF"),
        (b"IIRO", "ORF"),
        (b"IIRS", "ORF"),
        (b"MMOR", "ORF"),
        (b"IIU\0", "RW2"),
        (b"FOVb", "X3F"),
        (b"\0MRM", "MRW"),
    ];
    if let Some((_, kind)) = raw.iter().find(|(start, _)| starts(start)) {
        return Some(refusal(kind));
    }
    let convert =
        |name: &str| Some(format!("it is {name}, which is not read; convert it to PNG or JPEG first"));
    if bytes.get(4..8) == Some(b"ftyp") {
        let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        let brands = bytes.get(8..length.clamp(12, 256).min(bytes.len())).unwrap_or_default();
        let has =
            |names: &[&[u8; 4]]| brands.chunks_exact(4).any(|brand| names.iter().any(|name| brand == *name));
        return match () {
            () if has(&[b"crx "]) => Some(refusal("CR3")),
            () if has(&[b"avif", b"avis"]) => Some(
                "it is an AVIF picture, which is not read; convert it first, for example by `avifdec picture.avif \
                 picture.png`"
                    .into(),
            ),
            () if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) => Some(
                "it is a HEIC picture, which is not read; convert it first, for example by `heif-convert photo.heic \
                 photo.jpg`, or let the phone share it as JPEG"
                    .into(),
            ),
            () => Some("it is a video and not a picture; save one of its frames as PNG or JPEG first".into()),
        };
    }
    let others = [
        (&b"\0\0\0\x0cJXL "[..], "a JPEG XL picture"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (b"8BPS", "a Photoshop document"),
        (b"gimp xcf", "a GIMP document"),
        (b"%PDF", "a PDF document"),
        (b"<svg", "an SVG drawing"),
        (b"\0\0\x01\0", "an icon"),
        (b"v/1\x01", "an OpenEXR picture"),
        (b"#?RADIANCE", "a Radiance HDR picture"),
        (b"qoif", "a QOI picture"),
        (b"DDS ", "a DDS texture"),
    ];
    let known = others.iter().find(|(start, _)| starts(start));
    let portable = matches!(bytes, [b'P', b'1'..=b'7', b'\n' | b' ' | b'\r' | b'\t', ..]);
    known.map(|(_, name)| *name).or(portable.then_some("a PNM picture")).and_then(convert)
}

/// The kind of raw file that a TIFF with these directories is.
pub(super) fn of_directories<'a: 'b, 'b>(
    bytes: &[u8],
    mut directories: impl Iterator<Item = &'b Directory<'a>>,
) -> Option<&'static str> {
    if bytes.get(8..10) == Some(b"CR") {
        return Some("CR2");
    }
    directories.find_map(|directory| {
        if directory.get(DNG_VERSION).is_some() {
            return Some("DNG");
        }
        // Samples behind a colour filter, with or without its mosaic.
        matches!(directory.number(PHOTOMETRIC), Some(32803 | 34892)).then_some("NEF, ARW, PEF or the like")
    })
}

/// The error for a raw file.
pub(super) fn refusal(kind: &str) -> String {
    format!(
        "it is a camera's raw file ({kind}), which is not read; develop it to JPEG, TIFF or PNG first, in the camera's own \
         program or darktable"
    )
}
