//! The outline of a JPEG file: what the decoder does not report.

/// What is found by walking over the markers of a file, without decoding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outline {
    /// Colour components: 1 gray, 3 colour, 4 inks.
    pub components: u8,
    /// Whether Adobe's marker is there. If it is, the four inks are stored inverted.
    pub adobe: bool,
    /// The position of the end-of-image marker. Other pictures may follow it.
    pub end: usize,
}

/// `None` if the file stops before its end-of-image marker.
///
/// Decoders fill the missing part with gray and report success. That is right for a browser that shows a
/// picture while it loads, and wrong for a program that works on the picture for minutes.
pub(super) fn outline(bytes: &[u8]) -> Option<Outline> {
    let mut outline = Outline { components: 0, adobe: false, end: 0 };
    let mut at = 0;
    loop {
        // Inside entropy-coded data 0xFF is followed by 0 or a restart marker; fill bytes repeat 0xFF.
        let next = bytes
            .get(at..)?
            .windows(2)
            .position(|w| w[0] == 0xff && !matches!(w[1], 0x00 | 0x01 | 0xd0..=0xd7 | 0xff))?;
        let marker = bytes[at + next + 1];
        at += next + 2;
        match marker {
            0xd8 => continue,
            0xd9 => return Some(Outline { end: at - 2, ..outline }),
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let segment = bytes.get(at..at + length)?;
        match marker {
            // The frame headers. The three exceptions within their range are tables.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => outline.components = *segment.get(7)?,
            0xee => outline.adobe |= segment.get(2..).is_some_and(|s| s.starts_with(b"Adobe")),
            _ => {}
        }
        at += length;
    }
}

/// The continuation of an unfinished scan: no marker, and bits that no decoder can ignore.
const MORE: [u8; 64] = {
    let mut more = [0; 64];
    let mut i = 0;
    while i < more.len() {
        more[i] = (i * 89 + 45) as u8 & 0x7f;
        i += 1;
    }
    more
};

/// The file with more data inserted before the end-of-image marker at `end`.
///
/// A picture that is complete by then ignores these data. One that was cut and closed by a marker, as some
/// programs and cameras do, continues with them, and so turns out different.
pub(super) fn continued(bytes: &[u8], end: usize) -> Vec<u8> {
    [&bytes[..end], &MORE, &[0xff, 0xd9]].concat()
}
