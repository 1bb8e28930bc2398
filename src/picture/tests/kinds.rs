//! Every kind of file that is read, by value. The guide's table of kinds is made of the names here.

use super::files::Jpeg;
use super::tiffs::*;
use super::*;
use ExtendedColorType::{L8, La8, Rgb8, Rgb16, Rgba8};

/// A format, kinds of it, and what shows that they are read.
type Kind = (&'static str, &'static str, fn());

const KINDS: &[Kind] = &[
    ("JPEG", "gray and colour", gray_and_colour_jpegs),
    ("JPEG", "any sampling of the components, in one scan or several", jpegs_of_any_sampling),
    ("JPEG", "stored as RGB", jpegs_that_are_rgb),
    ("JPEG", "without its end marker (with a note)", jpegs_without_an_end),
    ("PNG", "8 and 16 bits, gray and colour, with and without alpha", pngs),
    ("PNG", "1 to 4 bits and palette", small_pngs),
    ("TIFF", "8 and 16 bits, gray and colour, either byte order, BigTIFF", tiffs),
    ("TIFF", "1 to 7 and 9 to 15 bits", tiffs_of_odd_depths),
    ("TIFF", "palette", tiffs_with_a_palette),
    ("TIFF", "YCbCr", tiffs_with_chroma),
    ("TIFF", "CMYK (with a note)", tiffs_with_inks),
    ("TIFF", "alpha, multiplied into the colour or not", tiffs_with_alpha),
    ("TIFF", "strips, tiles and planes", tiffs_in_pieces),
    ("TIFF", "LZW, Deflate, PackBits, ZSTD, LZMA, with and without predictor", compressed_tiffs),
    ("TIFF", "JPEG", tiffs_of_jpegs),
    ("TIFF", "Group 3 in one and two dimensions, Group 4, and runs without marks", faxes),
    ("WebP", "with and without loss, with and without alpha", webps),
    ("BMP", "1 to 32 bits, in runs or not, from below or from above", bmps),
    ("GIF", "palette, with and without transparency", gifs),
];

#[test]
fn every_kind_is_read() {
    KINDS.iter().for_each(|(_, _, check)| check());
}

/// Kinds of one format become one line.
fn table() -> String {
    let mut lines = vec!["| format | kinds that are read |".to_owned(), "|---|---|".to_owned()];
    for kinds in KINDS.chunk_by(|a, b| a.0 == b.0) {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.1).collect();
        lines.push(format!("| {} | {} |", kinds[0].0, names.join("; ")));
    }
    lines.join("\n")
}

/// What can be written, as the program itself has it.
fn written() -> String {
    let mut lines =
        vec!["| ending | `--depth` | `--quality` | alpha |".to_owned(), "|---|---|---|---|".to_owned()];
    for format in [Format::Png, Format::Jpeg, Format::Tiff, Format::WebP] {
        let mut picture = pattern(2, 1);
        picture.alpha = Some(vec![1.0, 0.4]);
        let (eight, sixteen) =
            (SaveOptions::default(), SaveOptions { depth16: true, ..SaveOptions::default() });
        let quality = SaveOptions { quality: Some(50), ..SaveOptions::default() };
        let can = |options: &SaveOptions| picture.to_bytes(format, options).is_ok();
        let read = Picture::from_bytes("test", &picture.to_bytes(format, &eight).unwrap()).unwrap();
        let exact = read.rgb == picture.rgb || format == Format::Jpeg;
        assert!(exact, "{format:?}");
        let loss = match (can(&quality), format) {
            (true, Format::Jpeg) => "1 to 100, else 92",
            (true, _) => "1 to 100, else lossless",
            (false, _) => "lossless",
        };
        lines.push(format!(
            "| `.{}` | {} | {loss} | {} |",
            format.ending(),
            if can(&sixteen) { "8, 16" } else { "8" },
            if read.alpha.is_some() { "kept" } else { "on white" },
        ));
    }
    lines.join("\n")
}

/// The guide has these tables word for word.
#[test]
fn the_guide_says_what_is_tested() {
    let guide = include_str!("../../../docs/guide/pictures.md");
    for table in [table(), written()] {
        assert!(guide.contains(&table), "docs/guide/pictures.md does not have this table:\n{table}");
    }
}

#[track_caller]
pub fn open(bytes: &[u8]) -> Picture {
    Picture::from_bytes("test", bytes).unwrap()
}

/// Planes of 8-bit values, pixel by pixel.
pub fn planes(pixels: &[[u8; 3]]) -> Vec<f32> {
    (0..3).flat_map(|c| pixels.iter().map(move |pixel| f32::from(pixel[c]) / 255.0)).collect()
}

pub fn gray(values: &[u8]) -> Vec<f32> {
    planes(&values.iter().map(|v| [*v; 3]).collect::<Vec<_>>())
}

/// Values of four columns and three rows, all different.
pub const PIXELS: [[u8; 3]; 12] = {
    let mut pixels = [[0; 3]; 12];
    let mut i = 0;
    while i < 36 {
        pixels[i / 3][i % 3] = (i * 7 + 2) as u8;
        i += 1;
    }
    pixels
};

fn gray_and_colour_jpegs() {
    for (colour, samples) in [(L8, vec![77; 64]), (Rgb8, [200, 100, 50].repeat(64))] {
        let p = Source { format: Format::Jpeg, ..Source::png((8, 8), colour, &samples) }.read();
        let [r, .., b] = samples[..3] else { unreachable!() };
        assert_near(&[p.rgb[0], p.rgb[128]], &[f32::from(r) / 255.0, f32::from(b) / 255.0], 2.0 / 255.0);
    }
}

/// The green and black, and the garbage, that a decoder made of these are what this is about.
fn jpegs_of_any_sampling() {
    let [one, two, four] = [1, 2, 4];
    let full = [(one, one); 3];
    let samplings = [
        full,
        [(two, one), (one, one), (one, one)],
        [(one, two), (one, one), (one, one)],
        [(two, two), (one, one), (one, one)],
        [(four, one), (one, one), (one, one)],
        [(one, four), (one, one), (one, one)],
        [(four, two), (one, one), (one, one)],
        [(two, two), (two, one), (one, two)],
        // Luminance is the coarser.
        [(one, one), (two, two), (two, two)],
        [(one, one), (two, one), (two, one)],
        [(one, one), (one, two), (one, two)],
    ];
    let together: &[&[usize]] = &[&[0, 1, 2]];
    let apart: &[&[usize]] = &[&[0], &[1], &[2]];
    let mixed: &[&[usize]] = &[&[0], &[1, 2]];
    for (width, height) in [(96, 64), (65, 49), (17, 3)] {
        for sampling in samplings {
            for scans in [together, apart, mixed] {
                let jpeg =
                    Jpeg { size: (width, height), sampling: &sampling, scans, adobe: None, before: vec![] };
                // Luminance of 80 left and 180 right of the middle, which is at the edge of a block.
                let middle = usize::from(width) / 64 * 32;
                let most = sampling.iter().map(|s| usize::from(s.0)).max().unwrap();
                let columns = 8 * most / usize::from(sampling[0].0);
                let p =
                    open(&jpeg.bytes(|c, x, _| [if x * columns < middle { 80 } else { 180 }, 110, 150][c]));
                assert_eq!((p.width, p.height, p.notes.len()), (width.into(), height.into(), 0));
                // Chroma -18 and 22, by JFIF's formulas.
                let rgb =
                    |y: f32| [y + 1.402 * 22.0, y + 0.344_14 * 18.0 - 0.714_14 * 22.0, y - 1.772 * 18.0];
                for y in 0..p.height {
                    for x in (0..p.width).filter(|x| middle == 0 || x.abs_diff(middle) > 16) {
                        let found = [0, 1, 2].map(|c| p.rgb[(c * p.height + y) * p.width + x] * 255.0);
                        assert_near(&found, &rgb(if x < middle { 80.0 } else { 180.0 }), 2.5);
                    }
                }
            }
        }
    }
}

fn jpegs_that_are_rgb() {
    let jpeg = |adobe, before: &[u8]| {
        let (sampling, scans): (_, &[&[usize]]) = (&[(1, 1); 3], &[&[0, 1, 2]]);
        let jpeg = Jpeg { size: (8, 8), sampling, scans, adobe, before: before.to_vec() };
        let p = open(&jpeg.bytes(|c, _, _| [100, 120, 140][c]));
        [0, 64, 128].map(|i| p.rgb[i] * 255.0)
    };
    assert_near(&jpeg(Some(0), &[]), &[100.0, 120.0, 140.0], 1.0);
    let luminance = [100.0 + 1.402 * 12.0, 100.0 + 0.344_14 * 8.0 - 0.714_14 * 12.0, 100.0 - 1.772 * 8.0];
    assert_near(&jpeg(Some(1), &[]), &luminance, 2.0);
    // JFIF knows nothing else.
    let jfif = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
    assert_near(&jpeg(Some(0), jfif), &luminance, 2.0);
}

fn jpegs_without_an_end() {
    let whole = include_bytes!("../../../assets/photo.jpg");
    let p = open(&whole[..whole.len() - 2]);
    assert_eq!(p.notes, ["its end marker is missing, but all of its pixels are there"]);
    assert!(p.rgb == open(whole).rgb);
    assert!(open(&[&whole[..whole.len() - 2], &[0xff]].concat()).rgb == p.rgb);
}

fn pngs() {
    assert_eq!(Source::png((4, 3), Rgb8, PIXELS.as_flattened()).read().rgb, planes(&PIXELS));
    let samples: Vec<u8> = [1u16, 256, 65534].iter().flat_map(|v| v.to_ne_bytes()).collect();
    let p = Source::png((1, 1), Rgb16, &samples).read();
    assert_eq!(p.rgb, [1.0, 256.0, 65534.0].map(|v| v / 65535.0));
    let p = Source::png((1, 2), La8, &[7, 255, 200, 51]).read();
    assert_eq!((p.rgb.to_vec(), p.alpha), (gray(&[7, 200]), Some(vec![1.0, 0.2])));
}

fn small_pngs() {
    let write = |colour, depth, data: &[u8], palette: Option<&[u8]>| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 4, 1);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette.to_vec());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        open(&file).rgb
    };
    use png::{BitDepth, ColorType};
    assert_eq!(write(ColorType::Grayscale, BitDepth::One, &[0b1010_0000], None), gray(&[255, 0, 255, 0]));
    assert_eq!(write(ColorType::Grayscale, BitDepth::Two, &[0b0001_1011], None), gray(&[0, 85, 170, 255]));
    let palette = PIXELS[..4].as_flattened();
    let found = write(ColorType::Indexed, BitDepth::Four, &[0x01, 0x23], Some(palette));
    assert_eq!(found, planes(&PIXELS[..4]));
}

fn webps() {
    let webp = Source { format: Format::WebP, ..Source::png((4, 3), Rgb8, PIXELS.as_flattened()) };
    assert_eq!(webp.read().rgb, planes(&PIXELS));
    let webp = Source { format: Format::WebP, ..Source::png((1, 1), Rgba8, &[10, 20, 30, 51]) }.read();
    assert_eq!((webp.rgb.to_vec(), webp.alpha), (planes(&[[10, 20, 30]]), Some(vec![0.2])));
    let flat = Picture::new(16, 16, vec![0.6; 768]);
    let lossy = SaveOptions { quality: Some(90), ..SaveOptions::default() };
    assert_near(&open(&flat.to_bytes(Format::WebP, &lossy).unwrap()).rgb, &flat.rgb, 3.0 / 255.0);
}

fn bmps() {
    // Four columns and three rows; `rows` are stored from above if `compression` is 0 or 3 and the height
    // negative.
    let write = |height: i32, bits: u16, compression: u32, tables: &[u8], rows: &[u8]| {
        let start = 54 + tables.len() as u32;
        let colours = if compression == 3 { 0 } else { tables.len() as u32 / 4 };
        let words = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let depth = [1, bits].map(u16::to_le_bytes).concat();
        let file = [
            b"BM",
            &words(&[start + rows.len() as u32, 0, start, 40, 4, height as u32])[..],
            &depth,
            &words(&[compression, rows.len() as u32, 0, 0, colours, 0]),
        ];
        [&file.concat(), tables, rows].concat()
    };
    let upward = |rows: &[u8]| rows.chunks(rows.len() / 3).rev().flatten().copied().collect::<Vec<u8>>();
    let in_blue =
        |with: &[u8]| PIXELS.iter().flat_map(|[r, g, b]| [&[*b, *g, *r], with].concat()).collect::<Vec<u8>>();
    // A fourth byte means nothing here.
    for (bits, rows) in [(24, in_blue(&[])), (32, in_blue(&[0])), (32, in_blue(&[77]))] {
        assert_eq!(open(&write(-3, bits, 0, &[], &rows)).rgb, planes(&PIXELS), "{bits}");
        let p = open(&write(3, bits, 0, &[], &upward(&rows)));
        assert_eq!((p.rgb.to_vec(), p.alpha), (planes(&PIXELS), None), "{bits}");
    }
    let palette: Vec<u8> = in_blue(&[0]);
    let nibbles = [0x01, 0x23, 0, 0, 0x45, 0x67, 0, 0, 0x89, 0xab, 0, 0];
    let bytes: Vec<u8> = (0..12).collect();
    // Two equal pixels as a run, others as they are; an end of the row, and of the picture.
    let runs_of_bytes = [0, 4, 8, 9, 10, 11, 0, 0, 0, 4, 4, 5, 6, 7, 0, 0, 2, 0, 2, 3, 0, 0, 0, 1];
    let runs_of_nibbles = [0, 4, 0x89, 0xab, 0, 0, 0, 4, 0x45, 0x67, 0, 0, 2, 0x00, 2, 0x33, 0, 0, 0, 1];
    let mut in_runs = PIXELS;
    (in_runs[1], in_runs[2]) = (PIXELS[0], PIXELS[3]);
    for (bits, compression, rows, pixels) in [
        (4, 0, upward(&nibbles), PIXELS),
        (8, 0, upward(&bytes), PIXELS),
        (8, 1, runs_of_bytes.to_vec(), in_runs),
        (4, 2, runs_of_nibbles.to_vec(), in_runs),
    ] {
        let p = open(&write(3, bits, compression, &palette, &rows));
        assert_eq!(p.rgb, planes(&pixels), "{bits} {compression}");
    }
    let two: Vec<u8> = palette[..8].to_vec();
    let p = open(&write(3, 1, 0, &two, &[0x50, 0, 0, 0, 0xa0, 0, 0, 0, 0xf0, 0, 0, 0]));
    let expected = [1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1].map(|i| PIXELS[i]);
    assert_eq!(p.rgb, planes(&expected));
    // Five bits each, and with masks six of green.
    let rows: Vec<u8> =
        [0x7c00u16, 0x03e0, 0x001f, 0x7fff].repeat(3).iter().flat_map(|v| v.to_le_bytes()).collect();
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3]].repeat(3);
    assert_eq!(open(&write(3, 16, 0, &[], &rows)).rgb, planes(&colours));
    let masks: Vec<u8> = [0xf800u32, 0x07e0, 0x001f].iter().flat_map(|v| v.to_le_bytes()).collect();
    let rows: Vec<u8> =
        [0xf800u16, 0x07e0, 0x001f, 0xffff].repeat(3).iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(open(&write(3, 16, 3, &masks, &rows)).rgb, planes(&colours));
}

fn gifs() {
    let mut file = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut file);
    let pixels: Vec<u8> = PIXELS.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
    encoder.encode(&pixels, 4, 3, Rgba8).unwrap();
    // Another frame, which does not count.
    encoder.encode(&[9; 48], 4, 3, Rgba8).unwrap();
    drop(encoder);
    assert_eq!(open(&file).rgb, planes(&PIXELS));
    let mut file = Vec::new();
    let pixels = [[200, 100, 50, 255], [0, 0, 0, 0]];
    image::codecs::gif::GifEncoder::new(&mut file).encode(pixels.as_flattened(), 2, 1, Rgba8).unwrap();
    assert_eq!(open(&file).alpha, Some(vec![1.0, 0.0]));
}
