//! Every kind of TIFF that is read, by value; the table of kinds lists them.

use std::io::Write;

use super::files::{Entry, Jpeg, Layout, entries};
use super::kinds::{PIXELS, gray, open, planes};
use super::*;

pub fn tiffs() {
    for big_endian in [false, true] {
        for big in [false, true] {
            let layout = Layout { big_endian, big };
            let file = layout.page(entries(4, 3, &[8; 3], 1, 2), vec![PIXELS.as_flattened().to_vec()]);
            assert_eq!(open(&file).rgb, planes(&PIXELS));
            let bytes = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
            let data = [1, 256, 65534].iter().flat_map(|v| bytes(*v)).collect();
            let p = open(&layout.page(entries(1, 1, &[16; 3], 1, 2), vec![data]));
            assert_eq!(p.rgb, [1.0, 256.0, 65534.0].map(|v| v / 65535.0));
            let file = layout.page(entries(2, 1, &[8], 1, 1), vec![vec![7, 200]]);
            assert_eq!(open(&file).rgb, gray(&[7, 200]));
            let file = layout.page(entries(2, 1, &[8], 1, 0), vec![vec![7, 200]]);
            assert_eq!(open(&file).rgb, gray(&[248, 55]), "white is zero");
        }
    }
}

pub fn tiffs_of_odd_depths() {
    let read = |bits, width, data: &[u8]| {
        open(&Layout::default().page(entries(width, 1, &[bits], 1, 1), vec![data.to_vec()])).rgb
            [..width as usize]
            .to_vec()
    };
    assert_eq!(read(1, 4, &[0b0110_0000]), [0.0, 1.0, 1.0, 0.0]);
    assert_near(&read(2, 4, &[0b0001_1011]), &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0], 1e-6);
    assert_near(&read(4, 3, &[0x0f, 0x70]), &[0.0, 1.0, 7.0 / 15.0], 1e-6);
    // Rounded to 8 bits: half a step at most.
    assert_near(&read(3, 3, &[0b1010_1111, 0]), &[5.0 / 7.0, 3.0 / 7.0, 6.0 / 7.0], 0.501 / 255.0);
    assert_near(&read(7, 2, &[0b0000_0011, 0b1111_1100]), &[1.0 / 127.0, 1.0], 0.501 / 255.0);
    assert_near(&read(12, 2, &[0xff, 0xf1, 0x23]), &[1.0, f32::from(0x123u16) / 4095.0], 1e-5);
}

pub fn tiffs_with_a_palette() {
    let map: Vec<u64> = (0..3).flat_map(|c| PIXELS[..4].iter().map(move |p| u64::from(p[c]) * 257)).collect();
    let read = |map: Vec<u64>| {
        let mut entries = entries(4, 1, &[2], 1, 3);
        entries.push(Entry(320, 3, map));
        open(&Layout::default().page(entries, vec![vec![0b0001_1011]])).rgb
    };
    assert_eq!(read(map.clone()), planes(&PIXELS[..4]));
    assert_eq!(read(map.iter().map(|v| v / 257).collect()), planes(&PIXELS[..4]), "of 8 bits");
    assert_eq!(read(map.iter().map(|v| v / 257 * 256).collect()), planes(&PIXELS[..4]), "in the upper half");
}

pub fn tiffs_with_chroma() {
    // Two units of 2 x 1, of which the last pixel is not in the picture.
    let mut page = entries(3, 1, &[8; 3], 1, 6);
    page.push(Entry(530, 3, vec![2, 1]));
    let p = open(&Layout::default().page(page, vec![vec![100, 120, 128, 128, 100, 0, 128, 228]]));
    let green = (100.0 - 0.299 * (100.0 + 1.402 * 100.0 * 127.0 / 127.0) - 0.114 * 100.0) / 0.587;
    let expected = [100.0, 120.0, 240.2, 100.0, 120.0, green, 100.0, 120.0, 100.0].map(|v: f32| v / 255.0);
    assert_near(&p.rgb, &expected, 0.6 / 255.0);
}

pub fn tiffs_with_inks() {
    let p = open(&Layout::default().page(entries(1, 1, &[8; 4], 1, 5), vec![vec![0, 55, 255, 102]]));
    assert_near(&p.rgb, &[0.6, 0.6 * 200.0 / 255.0, 0.0], 0.5 / 255.0);
    assert!(p.notes[0].contains("CMYK"), "{:?}", p.notes);
}

pub fn tiffs_with_alpha() {
    let read = |bits: u64, photometric, extra: &[u64], data: &[u8]| {
        let channels = if photometric == 2 { 4 } else { 2 };
        let mut entries = entries(2, 1, &vec![bits; channels], 1, photometric);
        entries.extend((!extra.is_empty()).then(|| Entry(338, 3, extra.to_vec())));
        let p = open(&Layout { big_endian: true, big: false }.page(entries, vec![data.to_vec()]));
        (p.rgb, p.alpha, p.notes)
    };
    let data = [40, 20, 10, 51, 200, 100, 50, 255];
    let alpha = Some(vec![0.2, 1.0]);
    for plain in [&[2][..], &[]] {
        let (rgb, found, notes) = read(8, 2, plain, &data);
        assert_eq!(
            (rgb.to_vec(), found, notes.len()),
            (planes(&[[40, 20, 10], [200, 100, 50]]), alpha.clone(), 0)
        );
    }
    let (rgb, found, notes) = read(8, 2, &[1], &data);
    assert_near(&rgb, &planes(&[[200, 100, 50], [200, 100, 50]]), 1e-6);
    assert_eq!((found, notes.len()), (alpha.clone(), 0));
    let deep: Vec<u8> = data.iter().flat_map(|v| [*v; 2]).collect();
    let (rgb, found, _) = read(16, 2, &[1], &deep);
    assert_near(&rgb, &planes(&[[200, 100, 50], [200, 100, 50]]), 1e-6);
    assert_eq!(found, alpha.clone());
    let (rgb, found, _) = read(8, 1, &[2], &[40, 51, 200, 255]);
    assert_eq!((rgb.to_vec(), found), (gray(&[40, 200]), alpha.clone()));
    let (rgb, found, _) = read(8, 1, &[1], &[40, 51, 200, 255]);
    assert_near(&rgb, &gray(&[200, 200]), 1e-6);
    assert_eq!(found, alpha);
    // The meaning of the fourth channel is unknown.
    let (rgb, found, notes) = read(8, 2, &[0], &data);
    assert_eq!((rgb.to_vec(), found), (planes(&[[40, 20, 10], [200, 100, 50]]), None));
    assert!(notes[0].contains("an extra channel that is not declared"), "{notes:?}");
}

pub fn tiffs_in_pieces() {
    let rows = |from: usize, to: usize| PIXELS[4 * from..4 * to].as_flattened().to_vec();
    let mut strips = entries(4, 3, &[8; 3], 1, 2);
    strips[6] = Entry(278, 3, vec![2]);
    assert_eq!(open(&Layout::default().page(strips, vec![rows(0, 2), rows(2, 3)])).rgb, planes(&PIXELS));
    // Tiles of 3 x 2, which reach beyond the picture, in one piece and by channel.
    let tile = |x0: usize, y0: usize, channels: &[usize]| {
        let value = |x: usize, y: usize, c: usize| if x < 4 && y < 3 { PIXELS[y * 4 + x][c] } else { 99 };
        let places = (y0..y0 + 2).flat_map(|y| (x0..x0 + 3).map(move |x| (x, y)));
        places.flat_map(|(x, y)| channels.iter().map(move |c| value(x, y, *c))).collect::<Vec<u8>>()
    };
    let corners = [(0, 0), (3, 0), (0, 2), (3, 2)];
    let tiled = |planar| {
        let mut page = entries(4, 3, &[8; 3], 1, 2);
        page[6] = Entry(322, 3, vec![3]);
        page.extend([Entry(323, 3, vec![2]), Entry(284, 3, vec![planar])]);
        page
    };
    let whole = corners.map(|(x, y)| tile(x, y, &[0, 1, 2])).to_vec();
    assert_eq!(open(&Layout::default().page(tiled(1), whole)).rgb, planes(&PIXELS));
    let apart = (0..3).flat_map(|c| corners.map(|(x, y)| tile(x, y, &[c]))).collect();
    assert_eq!(open(&Layout::default().page(tiled(2), apart)).rgb, planes(&PIXELS));
}

pub fn compressed_tiffs() {
    let deflate = |data: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let lzw = |data: &[u8]| {
        weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8).encode(data).unwrap()
    };
    let old_lzw = |data: &[u8]| weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 8).encode(data).unwrap();
    let zstd =
        |data: &[u8]| ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest);
    let packed = |data: &[u8]| [&[data.len() as u8 - 1], data, &[0x80]].concat();
    let data = PIXELS.as_flattened();
    let differences: Vec<u8> = data
        .chunks(12)
        .flat_map(|row| (0..12).map(move |i| if i < 3 { row[i] } else { row[i].wrapping_sub(row[i - 3]) }))
        .collect();
    let read = |code, predictor, data: Vec<u8>| {
        let mut page = entries(4, 3, &[8; 3], code, 2);
        page.push(Entry(317, 3, vec![predictor]));
        open(&Layout::default().page(page, vec![data])).rgb
    };
    type Pack<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let packs: [(u64, Pack); 5] =
        [(8, &deflate), (32946, &deflate), (5, &lzw), (5, &old_lzw), (50000, &zstd)];
    for (code, pack) in packs {
        assert_eq!(read(code, 1, pack(data)), planes(&PIXELS), "{code}");
        assert_eq!(read(code, 2, pack(&differences)), planes(&PIXELS), "{code}");
    }
    assert_eq!(read(32773, 1, packed(data)), planes(&PIXELS));
    // Of liblzma, with the filter of differences that libtiff asks it for: 10, 20 and so on to 120.
    let xz = [
        253, 55, 122, 88, 90, 0, 0, 0, 255, 18, 217, 65, 2, 1, 3, 1, 0, 33, 1, 22, 121, 32, 196, 238, 224, 0,
        11, 0, 6, 93, 0, 5, 108, 60, 0, 0, 0, 0, 0, 0, 0, 1, 26, 12, 219, 3, 29, 153, 6, 114, 158, 122, 1, 0,
        0, 0, 0, 0, 89, 90,
    ];
    let file = Layout::default().page(entries(12, 1, &[8], 34925, 1), vec![xz.to_vec()]);
    assert_eq!(open(&file).rgb, gray(&[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]));
    // Differences of 16 bits are those of numbers, not of bytes.
    let data: Vec<u8> = [300u16, 65336].iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut page = entries(2, 1, &[16], 8, 1);
    page.push(Entry(317, 3, vec![2]));
    let p = open(&Layout::default().page(page, vec![deflate(&data)]));
    assert_eq!(p.rgb[..2], [300.0, 100.0].map(|v| v / 65535.0));
}

pub fn tiffs_of_jpegs() {
    let (sampling, scans): (_, &[&[usize]]) = (&[(2, 2), (1, 1), (1, 1)], &[&[0, 1, 2]]);
    let strip = |y: u8| {
        let jpeg = Jpeg { size: (16, 16), sampling, scans, adobe: None, before: vec![] };
        jpeg.bytes(|c, _, _| [y, 110, 150][c])
    };
    let rgb = |y: f32| [y + 1.402 * 22.0, y + 0.344_14 * 18.0 - 0.714_14 * 22.0, y - 1.772 * 18.0];
    let mut page = entries(16, 32, &[8; 3], 7, 6);
    page[6] = Entry(278, 3, vec![16]);
    let p = open(&Layout::default().page(page, vec![strip(80), strip(180)]));
    for (row, y) in [(0, 80.0), (31, 180.0)] {
        assert_near(&[0, 1, 2].map(|c| p.rgb[(c * 32 + row) * 16] * 255.0), &rgb(y), 2.0);
    }
    // With the tables in the page, and values that are meant as they are.
    let whole = strip(80);
    let frame = whole.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let tables = [&whole[..frame], &[0xff, 0xd9]].concat();
    let mut page = entries(16, 16, &[8; 3], 7, 2);
    page.push(Entry(347, 7, tables.iter().map(|b| u64::from(*b)).collect()));
    let p = open(&Layout::default().page(page, vec![[&[0xff, 0xd8], &whole[frame..]].concat()]));
    assert_near(&[p.rgb[0], p.rgb[256], p.rgb[512]].map(|v| v * 255.0), &[80.0, 110.0, 150.0], 1.0);
}

pub fn faxes() {
    // Of libtiff: four rows of 20 pixels.
    let aligned: &[u8] = &[
        53, 158, 121, 231, 53, 221, 62, 62, 233, 241, 192, 53, 199, 67, 227, 161, 241, 208, 248, 232, 112,
        53, 67, 161, 208, 232, 116, 58, 29, 14, 135, 67, 161, 192,
    ];
    let group3: &[u8] = &[
        0, 19, 89, 231, 158, 112, 1, 53, 221, 62, 62, 233, 241, 192, 4, 215, 29, 15, 142, 135, 199, 67, 227,
        161, 192, 4, 213, 14, 135, 67, 161, 208, 232, 116, 58, 29, 14, 135,
    ];
    let filled: &[u8] = &[
        0, 1, 53, 158, 121, 231, 0, 1, 53, 221, 62, 62, 233, 241, 192, 1, 53, 199, 67, 227, 161, 241, 208,
        248, 232, 112, 1, 53, 67, 161, 208, 232, 116, 58, 29, 14, 135, 67, 161, 192,
    ];
    let mixed: &[u8] = &[
        0, 25, 172, 243, 207, 56, 0, 169, 2, 4, 233, 2, 4, 224, 3, 53, 199, 67, 227, 161, 241, 208, 248, 232,
        112, 1, 82, 72, 32, 189, 36, 130, 11, 192,
    ];
    let mixed_filled: &[u8] = &[
        0, 1, 154, 207, 60, 243, 128, 1, 82, 4, 9, 210, 4, 9, 192, 1, 154, 227, 161, 241, 208, 248, 232, 124,
        116, 56, 0, 1, 82, 72, 32, 189, 36, 130, 11, 192,
    ];
    let group4: &[u8] = &[
        38, 177, 120, 188, 94, 210, 4, 9, 210, 4, 9, 244, 130, 8, 46, 144, 65, 5, 210, 72, 32, 189, 36, 130,
        11, 192, 4, 0, 64,
    ];
    let rows =
        ["11100111001110011100", "11001001101100100110", "11010110101101011010", "10101010101010101010"];
    let expected: Vec<u8> = rows.concat().bytes().map(|bit| (bit - b'0') * 255).collect();
    let inverse: Vec<u8> = expected.iter().map(|v| 255 - v).collect();
    let kinds = [
        (2, 0, aligned),
        (3, 0, group3),
        (3, 4, filled),
        (3, 1, mixed),
        (3, 5, mixed_filled),
        (4, 0, group4),
    ];
    for (code, options, data) in kinds {
        let page = || {
            let mut page = entries(20, 4, &[1], code, 1);
            page.push(Entry(292, 4, vec![options]));
            page
        };
        for (photometric, values) in [(1, &expected), (0, &inverse)] {
            let read = |order, data: Vec<u8>| {
                let mut page = page();
                page[4] = Entry(262, 3, vec![photometric]);
                page.push(Entry(266, 3, vec![order]));
                open(&Layout::default().page(page, vec![data])).rgb
            };
            assert_eq!(read(1, data.to_vec()), gray(values), "{code} {options}");
            let reversed = data.iter().map(|byte| byte.reverse_bits()).collect();
            assert_eq!(read(2, reversed), gray(values), "{code} {options}, lowest bit first");
        }
        // The last row's last pixels need the last bytes.
        for length in 0..data.len() - if code == 4 { 4 } else { 1 } {
            let cut = Layout::default().page(page(), vec![data[..length].to_vec()]);
            assert!(refusal(&cut).contains("cut short"), "{code} {options}: {length}");
        }
    }
}

/// Random rows, which another program's encoder wrote, of all widths around whole bytes and beyond one code's
/// reach.
#[test]
fn rows_of_a_fax_follow_the_rows_above() {
    use fax::encoder::Encoder;
    use fax::{Color, VecWriter};
    let mut random = fastrand::Rng::with_seed(4);
    for width in (1..70).chain([2559, 2560, 2561, 5200]) {
        let mut above = vec![Color::White; width];
        let rows: Vec<Vec<Color>> = (0..9)
            .map(|_| {
                // Some pixels as above, and runs of others.
                for _ in 0..random.usize(..4) {
                    let (from, length) = (random.usize(..width), random.usize(..width));
                    let colour = if random.bool() { Color::Black } else { Color::White };
                    above[from..(from + length).min(width)].fill(colour);
                }
                above.clone()
            })
            .collect();
        let mut encoder = Encoder::new(VecWriter::new());
        for row in &rows {
            encoder.encode_line(row.iter().copied(), width as u16).unwrap();
        }
        let data = encoder.finish().unwrap().finish();
        let p = open(&Layout::default().page(entries(width as u64, 9, &[1], 4, 0), vec![data]));
        let expected =
            rows.concat().iter().map(|c| if *c == Color::Black { 0.0 } else { 1.0 }).collect::<Vec<_>>();
        assert!(p.rgb[..9 * width] == expected, "{width}");
    }
}
