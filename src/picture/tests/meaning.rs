//! What decides how pixels are meant: which page of a file, how it stands, and what its colours are.

use super::files::{Entry, Layout, entries};
use super::*;
use ExtendedColorType::Rgb8;

#[track_caller]
fn open(bytes: &[u8]) -> Picture {
    Picture::from_bytes("test", bytes).unwrap()
}

/// A block of EXIF with orientation 6 as an entry of that kind, in either byte order.
fn turned(kind: u16, big_endian: bool) -> Vec<u8> {
    let orientation = Entry(0x0112, kind, vec![6]);
    Layout { big_endian, big: false }.page(vec![orientation], vec![])
}

/// A PNG of 3 x 2 pixels with these chunks after its header, and those after its pixels.
fn png(colour: png::ColorType, before: &[(&[u8; 4], &[u8])], after: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 3, 2);
    encoder.set_color(colour);
    let mut writer = encoder.write_header().unwrap();
    let write = |writer: &mut png::Writer<_>, chunks: &[(&[u8; 4], &[u8])]| {
        chunks
            .iter()
            .for_each(|(name, body)| writer.write_chunk(png::chunk::ChunkType(**name), body).unwrap());
    };
    write(&mut writer, before);
    let samples: &[u8] = &[204, 102, 128].repeat(6);
    writer.write_image_data(&samples[..6 * colour.samples()]).unwrap();
    write(&mut writer, after);
    writer.finish().unwrap();
    file
}

#[test]
fn orientation_is_found_wherever_programs_put_it() {
    let sample = [200; 3 * 2 * 3];
    let source = Source::png((3, 2), Rgb8, &sample);
    for big_endian in [false, true] {
        // As SHORT, LONG and BYTE.
        for kind in [3, 4, 1] {
            let block = turned(kind, big_endian);
            let marked = [b"Exif\0\0", block.as_slice()].concat();
            for format in [Format::Jpeg, Format::Png, Format::WebP] {
                let plain = Source { format, exif: Some(&block), ..source }.read();
                assert_eq!((plain.width, plain.height), (2, 3), "{format:?} {kind}");
                let odd = Source { format, exif: Some(&marked), ..source };
                if format != Format::Jpeg {
                    assert_eq!((odd.read().width, odd.read().notes.len()), (2, 0), "{format:?} {kind}");
                }
            }
            let rgb = png::ColorType::Rgb;
            for chunk in [&block, &marked] {
                assert_eq!(open(&png(rgb, &[], &[(b"eXIf", chunk)])).width, 2, "behind the pixels");
                let digits: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
                for name in ["exif", "APP1"] {
                    let text = format!("Raw profile type {name}\0\n{name}\n{:8}\n{digits}\n", chunk.len());
                    assert_eq!(open(&png(rgb, &[(b"tEXt", text.as_bytes())], &[])).width, 2, "as text");
                    let (key, text) = text.split_once('\0').unwrap();
                    let packed = {
                        use std::io::Write;
                        let mut encoder =
                            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                        encoder.write_all(text.as_bytes()).unwrap();
                        [key.as_bytes(), &[0, 0], &encoder.finish().unwrap()].concat()
                    };
                    assert_eq!(open(&png(rgb, &[], &[(b"zTXt", &packed)])).width, 2, "as packed text");
                }
            }
            let mut page = entries(3, 2, &[8], 1, 1);
            page.push(Entry(0x0112, kind, vec![6]));
            let p = open(&Layout { big_endian, big: false }.page(page, vec![vec![0, 1, 2, 3, 4, 5]]));
            assert_eq!((p.width, p.height), (2, 3));
            assert_eq!(p.rgb[..6], [3.0, 0.0, 4.0, 1.0, 5.0, 2.0].map(|v: f32| v / 255.0));
        }
    }
    // Nonsense is no orientation.
    let mut page = entries(3, 2, &[8], 1, 1);
    page.push(Entry(0x0112, 3, vec![9]));
    assert_eq!(open(&Layout::default().page(page, vec![vec![0; 6]])).width, 3);
}

/// Some programs turn a picture in XMP only. Where both are there, EXIF counts.
#[test]
fn orientation_is_taken_from_xmp_where_exif_has_none() {
    let packets = [6, 1].map(|n| format!("<rdf:Description tiff:Orientation=\"{n}\"/>"));
    let exif = turned(3, false);
    let sample = [200; 3 * 2 * 3];
    let source = |format| Source { format, ..Source::png((3, 2), Rgb8, &sample) };
    let jpeg = |packet: &str, exif| {
        let body = [b"http://ns.adobe.com/xap/1.0/\0", packet.as_bytes()].concat();
        let length = (body.len() as u16 + 2).to_be_bytes();
        let file = Source { exif, ..source(Format::Jpeg) }.bytes();
        [&[0xff, 0xd8, 0xff, 0xe1], &length[..], &body, &file[2..]].concat()
    };
    let png = |packet: &str, exif: Option<&[u8]>| {
        let text = format!("XML:com.adobe.xmp\0\0\0\0\0{packet}");
        let exif: Vec<(&[u8; 4], &[u8])> = exif.map(|exif| (b"eXIf", exif)).into_iter().collect();
        super::meaning::png(png::ColorType::Rgb, &exif, &[(b"iTXt", text.as_bytes())])
    };
    let webp = |packet: &str, exif: Option<&[u8]>| {
        use img_parts::{ImageEXIF, riff, webp};
        let mut file =
            webp::WebP::from_bytes(Source { exif, ..source(Format::WebP) }.bytes().into()).unwrap();
        file.set_exif(exif.map(|exif| exif.to_vec().into()));
        if !file.has_chunk(webp::CHUNK_VP8X) {
            let header = [4, 0, 0, 0, 2, 0, 0, 1, 0, 0].to_vec();
            let chunk = riff::RiffChunk::new(webp::CHUNK_VP8X, riff::RiffContent::Data(header.into()));
            file.chunks_mut().insert(0, chunk);
        }
        let content = riff::RiffContent::Data(packet.as_bytes().to_vec().into());
        file.chunks_mut().push(riff::RiffChunk::new(*b"XMP ", content));
        file.encoder().bytes().to_vec()
    };
    let tiff = |packet: &str, exif: Option<&[u8]>| {
        let mut page = entries(3, 2, &[8], 1, 1);
        page.push(Entry(700, 1, packet.bytes().map(u64::from).collect()));
        page.extend(exif.map(|_| Entry(0x0112, 3, vec![6])));
        Layout::default().page(page, vec![vec![0; 6]])
    };
    let width = |bytes: Vec<u8>| open(&bytes).width;
    for (packet, alone) in [(&packets[0], 2), (&packets[1], 3)] {
        let found =
            [jpeg(packet, None), png(packet, None), webp(packet, None), tiff(packet, None)].map(width);
        assert_eq!(found, [alone; 4], "JPEG, PNG, WebP, TIFF: {packet}");
        let exif = Some(&exif[..]);
        let found =
            [jpeg(packet, exif), png(packet, exif), webp(packet, exif), tiff(packet, exif)].map(width);
        assert_eq!(found, [2; 4], "JPEG, PNG, WebP, TIFF with EXIF: {packet}");
    }
}

#[test]
fn of_several_pages_the_picture_is_taken() {
    let page = |width: u64, value: u8, kind: Option<(u16, u64)>| {
        let mut page = entries(width, 1, &[8], 1, 1);
        page.extend(kind.map(|(tag, value)| Entry(tag, 4, vec![value])));
        (page, vec![vec![value; width as usize]])
    };
    let width =
        |pages: &[(Vec<Entry>, Vec<Vec<u8>>)], below| open(&Layout::default().file(pages, below)).width;
    let (reduced, old_reduced, mask) = (Some((254, 1)), Some((255, 2)), Some((254, 4)));
    for kind in [reduced, old_reduced, mask] {
        assert_eq!(width(&[page(2, 9, kind), page(5, 7, None)], 0), 5, "{kind:?}");
        assert_eq!(width(&[page(2, 9, kind), page(5, 7, None)], 1), 5, "{kind:?}");
    }
    // Pages of a document: the first counts, whatever hangs below it.
    assert_eq!(width(&[page(2, 9, None), page(5, 7, None)], 0), 2);
    assert_eq!(width(&[page(3, 9, None), page(2, 9, reduced), page(1, 9, reduced)], 2), 3);
    assert_eq!(width(&[page(2, 9, Some((254, 2))), page(5, 7, Some((254, 2)))], 0), 2, "numbered pages");
    assert_eq!(width(&[page(2, 9, reduced), page(5, 7, reduced), page(3, 7, reduced)], 0), 5, "the largest");
}

#[test]
fn raw_files_are_refused_by_that_name() {
    let thumbnail = |extra: Entry| {
        let mut page = entries(2, 1, &[8], 1, 1);
        page.extend([Entry(254, 4, vec![1]), extra]);
        (page, vec![vec![7; 2]])
    };
    let filter = (entries(4, 1, &[8], 1, 32803), vec![vec![1; 4]]);
    let dng = thumbnail(Entry(50706, 1, vec![1, 4, 0, 0]));
    let plain = thumbnail(Entry(305, 2, vec![0]));
    for (file, name) in [
        (Layout::default().file(&[dng, (entries(4, 1, &[8], 1, 32803), vec![vec![1; 4]])], 1), "(DNG)"),
        (Layout::default().file(&[plain, filter], 1), "(NEF, ARW, PEF or the like)"),
        (b"II*\0\x10\0\0\0CR\x02\0\0\0\0\0".to_vec(), "(CR2)"),
        (b"FUJIFILMCCD-RAW 0201".to_vec(), "(RAF)"),
        (b"IIRO\x08\0\0\0".to_vec(), "(ORF)"),
        (b"IIU\0\x08\0\0\0".to_vec(), "(RW2)"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom".to_vec(), "(CR3)"),
    ] {
        let text = refusal(&file);
        assert!(text.contains("a camera's raw file") && text.contains(name), "{text}");
    }
}

#[test]
fn what_is_no_picture_of_a_known_kind_is_called_by_its_name() {
    for (file, name) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "heif-convert"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf", "avifdec"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x14ftypisom\0\0\0\0mp42", "video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"%PDF-1.4", "PDF"),
        (b"P6\n1 1\n255\n", "PNM"),
    ] {
        let text = refusal(file);
        assert!(text.contains(name) && text.contains("not read") || text.contains("video"), "{text}");
    }
}

#[test]
fn a_tiff_that_is_not_read_says_why() {
    let page = |bits: &[u64], compression, photometric, extra: Option<Entry>| {
        let mut page = entries(2, 1, bits, compression, photometric);
        page.extend(extra);
        refusal(&Layout::default().page(page, vec![vec![0; 64]]))
    };
    let format = |format| Some(Entry(339, 3, vec![format]));
    for (text, why) in [
        (page(&[8; 3], 6, 6, None), "the old kind of JPEG in TIFF"),
        (page(&[8; 3], 34712, 2, None), "compressed by JPEG 2000"),
        (page(&[8; 3], 4711, 2, None), "compression 4711"),
        (page(&[1], 3, 0, Some(Entry(292, 4, vec![2]))), "uncompressed mode of fax"),
        (page(&[1], 4, 0, Some(Entry(293, 4, vec![2]))), "uncompressed mode of fax"),
        (page(&[32; 3], 1, 2, format(3)), "not 8- or 16-bit integers"),
        (page(&[16; 3], 1, 2, format(2)), "have signs"),
        (page(&[32; 3], 1, 2, None), "32 bits per sample"),
        (page(&[8, 8, 16], 1, 2, None), "different depths"),
        (page(&[8; 3], 1, 8, None), "CIE L*a*b*"),
        (page(&[8; 4], 1, 5, Some(Entry(332, 3, vec![2]))), "inks other than"),
        (page(&[8; 3], 5, 2, Some(Entry(317, 3, vec![3]))), "unusual predictor"),
    ] {
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn a_jpeg_that_is_not_read_says_why() {
    let jpeg = |process: u8, precision: u8, height: u8| {
        let frame = [0xff, process, 0, 11, precision, 0, height, 0, 8, 1, 1, 0x11, 0];
        refusal(&[&[0xff, 0xd8], &frame[..], &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0xff, 0xd9]].concat())
    };
    for (text, why) in [
        (jpeg(0xc1, 12, 8), "12 bits per sample"),
        (jpeg(0xc3, 8, 8), "without loss"),
        (jpeg(0xc9, 8, 8), "arithmetic coding"),
        (jpeg(0xc5, 8, 8), "hierarchical"),
        (jpeg(0xc0, 8, 0), "height only after its pixels"),
    ] {
        assert!(text.contains(why), "{text}");
    }
}

/// Expected values are those of the published matrices and curves, computed apart from this program.
const P3: [f32; 3] = [0.859_57, 0.370_40, 0.500_78];
const ADOBE: [f32; 3] = [0.907_80, 0.400_62, 0.509_93];
const SAME: [f32; 3] = [204.0 / 255.0, 102.0 / 255.0, 128.0 / 255.0];

fn first(p: &Picture) -> [f32; 3] {
    let n = p.width * p.height;
    [p.rgb[0], p.rgb[n], p.rgb[2 * n]]
}

fn chunk(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

#[test]
fn pngs_say_their_colours_in_chunks() {
    let rgb = png::ColorType::Rgb;
    let of = |chunks: &[(&[u8; 4], &[u8])]| {
        let p = open(&png(rgb, chunks, &[]));
        (first(&p), p.notes.len())
    };
    let check = |chunks: &[(&[u8; 4], &[u8])], expected: [f32; 3]| {
        let (found, notes) = of(chunks);
        assert_near(&found, &expected, 1e-3);
        assert_eq!(notes, 0);
    };
    let p3 = chunk(&[31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]);
    let adobe = chunk(&[31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000]);
    let srgb = chunk(&[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000]);
    let usual = chunk(&[45455]);
    let linear = chunk(&[100_000]);
    check(&[(b"cICP", &[12, 13, 0, 1])], P3);
    check(&[(b"cICP", &[1, 13, 0, 1])], SAME);
    check(&[(b"gAMA", &usual)], SAME);
    check(&[(b"gAMA", &usual), (b"cHRM", &srgb)], SAME);
    check(&[(b"cHRM", &srgb)], SAME);
    check(&[(b"gAMA", &usual), (b"cHRM", &adobe)], ADOBE);
    // x^(1/2.4) * 1.055 - 0.055 of 0.8, 0.4, 0.50196.
    let light = [0.906_33, 0.665_19, 0.736_65];
    check(&[(b"gAMA", &linear)], light);
    check(&[(b"gAMA", &linear), (b"cHRM", &srgb)], light);
    // The first in this order counts: cICP, a profile, sRGB, cHRM and gAMA.
    check(&[(b"cICP", &[12, 13, 0, 1]), (b"sRGB", &[0]), (b"gAMA", &linear)], P3);
    check(&[(b"sRGB", &[0]), (b"gAMA", &linear), (b"cHRM", &p3)], SAME);
    let profile = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    let packed = {
        use std::io::Write;
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&profile).unwrap();
        [b"a\0\0", encoder.finish().unwrap().as_slice()].concat()
    };
    check(&[(b"cICP", &[12, 13, 0, 1]), (b"iCCP", &packed)], P3);
    check(&[(b"iCCP", &packed), (b"gAMA", &linear)], ADOBE);
    // What is not read is told, and then as if it were not there.
    for codes in [[9, 16, 0, 1], [1, 13, 0, 0], [200, 13, 0, 1]] {
        assert_eq!(of(&[(b"cICP", &codes)]), (SAME, 1), "{codes:?}");
    }
    assert_eq!(of(&[(b"gAMA", &usual), (b"cHRM", &chunk(&[0; 8]))]).0, SAME);
    // Gray and 16 bits alike.
    let p = open(&png(png::ColorType::Grayscale, &[(b"gAMA", &linear)], &[]));
    assert_near(&first(&p), &[light[0]; 3], 1e-3);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1, 1);
    encoder.set_color(rgb);
    encoder.set_depth(png::BitDepth::Sixteen);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::gAMA, &linear).unwrap();
    writer.write_image_data(&[204, 204, 102, 102, 128, 128]).unwrap();
    writer.finish().unwrap();
    assert_near(&first(&open(&file)), &light, 1e-3);
}

#[test]
fn cameras_say_adobe_rgb_by_their_rules() {
    let samples = [204, 102, 128].repeat(64);
    let read = |space: u64, rules: &[u8; 4], icc: Option<&[u8]>, format| {
        let rules = rules.iter().map(|b| u64::from(*b)).collect();
        // The directories hang below one another by plain numbers, which this block has places for.
        let block = interoperable(space, rules);
        let source = Source { format, exif: Some(&block), icc, ..Source::png((8, 8), Rgb8, &samples) };
        first(&source.read())
    };
    for (format, tolerance) in [(Format::Jpeg, 2.0 / 255.0), (Format::Png, 1e-3), (Format::WebP, 1e-3)] {
        assert_near(&read(0xffff, b"R03\0", None, format), &ADOBE, tolerance);
        assert_near(&read(0xffff, b"R98\0", None, format), &SAME, tolerance);
        assert_near(&read(1, b"R98\0", None, format), &SAME, tolerance);
        assert_near(&read(2, b"R98\0", None, format), &ADOBE, tolerance);
        // A profile knows better.
        let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
        assert_near(&read(0xffff, b"R03\0", Some(&p3), format), &P3, tolerance);
    }
}

/// A block of EXIF with a colour space, and rules of interoperability.
fn interoperable(space: u64, rules: Vec<u64>) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
    };
    let directory = |entries: &[Vec<u8>]| {
        [&(entries.len() as u16).to_le_bytes()[..], &entries.concat(), &[0; 4]].concat()
    };
    let (photo, below) = (8 + 18, 8 + 18 + 30);
    let at = |place: u32| place.to_le_bytes();
    let rules: Vec<u8> = rules.into_iter().map(|b| b as u8).collect();
    [
        b"II*\0\x08\0\0\0".to_vec(),
        directory(&[entry(0x8769, 4, 1, at(photo))]),
        directory(&[entry(0xa001, 3, 1, at(space as u32)), entry(0xa005, 4, 1, at(below))]),
        directory(&[entry(1, 2, 4, rules.try_into().unwrap())]),
    ]
    .concat()
}

/// What this program writes, as others check it: places are even, the profile is of the kind it should be,
/// and alpha is said to be what it is.
#[test]
fn a_tiff_is_written_by_the_rules() {
    use crate::picture::ifd::{Kind, Tiff};
    let mut picture = pattern(5, 3);
    picture.alpha = Some(vec![0.5; 15]);
    let block = Layout::default().page(vec![Entry(0x010f, 2, b"Odd\0\0".map(u64::from).to_vec())], vec![]);
    let source = Source::png((1, 1), Rgb8, &[1, 2, 3]);
    picture.exif = Source { exif: Some(&block), ..source }.read().exif;
    let bytes = picture.to_bytes(Format::Tiff, &SaveOptions::default()).unwrap();
    let tiff = Tiff::new(&bytes).unwrap();
    let (at, main) = tiff.directories().pop().unwrap();
    assert!(at % 2 == 0 && main.lost.is_empty() && !main.cut);
    assert!(main.entries.is_sorted_by_key(|entry| entry.tag));
    for entry in &main.entries {
        let place = entry.bytes().as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(place.is_multiple_of(2), "tag {} is at {place}", entry.tag);
    }
    assert_eq!(main.get(34675).unwrap().kind, Kind::Undefined);
    assert_eq!((main.numbers(338, 9), main.numbers(258, 9)), (vec![2], vec![8; 4]));
    assert!(main.numbers(273, 9).iter().all(|place| place % 2 == 0));
    assert_eq!(main.get(0x010f).unwrap().bytes(), b"Odd\0\0");
}
