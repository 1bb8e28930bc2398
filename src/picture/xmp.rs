//! XMP: only the orientation is read, for files in which it is nowhere else.

/// The entry, in the form of an attribute or of an element.
const ENTRY: &[u8] = b"tiff:Orientation";

/// The keyword of a PNG's text, and what begins a segment of a JPEG.
pub(super) const PNG_KEY: &str = "XML:com.adobe.xmp";
pub(super) const JPEG_MARK: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// The orientation in a packet, 1 to 8.
pub(super) fn orientation(packet: &[u8]) -> Option<u8> {
    let places = packet.windows(ENTRY.len()).enumerate().filter(|(_, part)| *part == ENTRY);
    places.map(|(at, _)| &packet[at + ENTRY.len()..]).find_map(value)
}

/// The number of an entry: `="6"` of an attribute, or `>6<` of an element.
fn value(behind: &[u8]) -> Option<u8> {
    let rest = match behind.trim_ascii_start() {
        [b'=', rest @ ..] => match rest.trim_ascii_start() {
            [b'"' | b'\'', rest @ ..] => rest,
            _ => return None,
        },
        [b'>', rest @ ..] => rest,
        _ => return None,
    };
    match rest.trim_ascii_start() {
        [digit @ b'1'..=b'8', end, ..] if !end.is_ascii_digit() => Some(digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::orientation;

    #[test]
    fn the_entry_is_found_in_each_form() {
        for (packet, expected) in [
            (&br#"<rdf:Description tiff:Orientation="6" a="3"/>"#[..], Some(6)),
            (b"<rdf:Description tiff:Orientation = '8'/>", Some(8)),
            (b"<tiff:Orientation> 3 </tiff:Orientation>", Some(3)),
            (b"tiff:Orientation of <tiff:Orientation>2</tiff:Orientation>", Some(2)),
            (br#"tiff:Orientation="9""#, None),
            (br#"tiff:Orientation="10""#, None),
            (br#"tiff:Orientation="1"#, None),
            (b"tiff:Orientation", None),
            (b"", None),
        ] {
            assert_eq!(orientation(packet), expected, "{}", packet.escape_ascii());
        }
    }
}
