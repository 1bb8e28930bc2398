//! Tests of sizes and resampling.

use super::*;

/// The value at column `x`, row `y` of the pictures whose resampled values are listed below.
fn ramp(x: usize, y: usize) -> f32 {
    ((x * 7 + y * 13) % 32) as f32 / 31.0
}

fn ramp_picture(width: usize, height: usize) -> Picture {
    let plane: Vec<_> = (0..width * height).map(|i| ramp(i % width, i / width)).collect();
    Picture::new(width, height, plane.repeat(3))
}

/// The figures are from Pillow 12 for the same values in its float mode, `Image.resize((w, h),
/// Image.BILINEAR)`.
#[test]
fn resampling_agrees_with_pillow() {
    // Top left, top right, middle, second of the last row, bottom right, sum.
    let cases = [
        ((17, 11), (7, 5), [0.409370, 0.505803, 0.498215, 0.544730, 0.530381, 17.451]),
        ((7, 5), (17, 11), [0.0, 0.322581, 0.483871, 0.671727, 0.967742, 90.4839]),
        ((16, 16), (5, 16), [0.317618, 0.415101, 0.403226, 0.617647, 0.511875, 40.0528]),
        ((9, 40), (4, 3), [0.472235, 0.511971, 0.471184, 0.467568, 0.543720, 6.0147]),
    ];
    for ((w, h), (width, height), expected) in cases {
        let p = ramp_picture(w, h).resized(Size::Exact { width, height }, false);
        assert_eq!((p.width, p.height, p.rgb.len()), (width, height, 3 * width * height));
        for plane in p.rgb.chunks_exact(width * height) {
            let at = |x: usize, y: usize| plane[y * width + x];
            let (right, bottom) = (width - 1, height - 1);
            let corners =
                [at(0, 0), at(right, 0), at(width / 2, height / 2), at(1, bottom), at(right, bottom)];
            assert_near(&corners, &expected[..5], 2e-6);
            assert_near(&[plane.iter().sum()], &expected[5..], 1e-4);
        }
    }
}

#[test]
fn the_same_size_means_the_same_bits() {
    let p = pattern(5, 4);
    assert_eq!(p.resized(Size::Exact { width: 5, height: 4 }, false), p);
    assert_eq!(p.resized(Size::Longest(5), true), p);
    assert_eq!(p.resized(Size::Longest(600), false), p);
}

#[test]
fn longest_keeps_the_aspect_ratio() {
    let of = |w, h, n, enlarge| Size::Longest(n).of(w, h, enlarge);
    assert_eq!(of(4000, 3000, 512, false), (512, 384));
    assert_eq!(of(3000, 4000, 512, false), (384, 512));
    assert_eq!(of(300, 200, 512, false), (300, 200));
    assert_eq!(of(300, 200, 512, true), (512, 341));
    assert_eq!(of(1000, 3, 10, false), (10, 1));
    assert_eq!(of(1000, 1, 10, false), (10, 1));
    assert_eq!(of(3, 2, 2, false), (2, 1), "4/3 is nearer to 1");
    assert_eq!(of(4, 3, 2, false), (2, 2), "half rounds up");
}

#[test]
fn hidden_colours_do_not_bleed() {
    // A visible red column beside hidden ones that a program left green.
    let mut p = Picture::new(4, 1, vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    p.alpha = Some(vec![1.0, 1.0, 0.0, 0.0]);
    let small = p.resized(Size::Exact { width: 2, height: 1 }, false);
    let alpha = small.alpha.unwrap();
    assert!(alpha[0] > 0.8 && alpha[1] > 0.05 && alpha[1] < 0.2, "{alpha:?}");
    assert_near(&small.rgb, &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0], 1e-6);

    // Far from everything visible, a colour keeps its value.
    let mut p = Picture::new(64, 1, [0.25, 0.5, 0.75].map(|v| [v; 64]).concat());
    p.alpha = Some((0..64).map(|x| if x < 8 { 1.0 } else { 0.0 }).collect());
    let small = p.resized(Size::Longest(16), false);
    assert_near(&small.rgb, &[0.25, 0.5, 0.75].map(|v| [v; 16]).concat(), 1e-6);
    assert_eq!(small.alpha.unwrap()[15], 0.0);
}

#[test]
fn sizes_are_read_as_users_write_them() {
    assert_eq!("512".parse::<Size>().unwrap(), Size::Longest(512));
    for text in ["450x300", "450X300", "450×300", " 450x300 "] {
        assert_eq!(text.parse::<Size>().unwrap(), Size::Exact { width: 450, height: 300 });
    }
    assert_eq!("65536x1".parse::<Size>().unwrap(), Size::Exact { width: 65536, height: 1 });
    for (text, why) in [
        ("0", "has no pixels"),
        ("0x300", "has no pixels"),
        ("300x0", "has no pixels"),
        ("65537", "is larger than 65536"),
        ("1x65537", "is larger than 65536"),
        ("99999999999999999999999", "is larger than 65536"),
        ("9x99999999999999999999999", "is larger than 65536"),
        ("-5", "is not a size"),
        ("+5", "is not a size"),
        ("", "is not a size"),
        ("x", "is not a size"),
        ("5x", "is not a size"),
        ("1x2x3", "is not a size"),
        ("5.5", "is not a size"),
        ("NaN", "is not a size"),
        ("450 x 300", "is not a size"),
        ("٥", "is not a size"),
    ] {
        let error = text.parse::<Size>().expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
        assert_sentence(&error, &format!("size `{text}` "));
    }
}

#[test]
fn a_contact_sheet_stands_on_white() {
    let (a, mut b) = (Picture::new(2, 2, vec![0.0; 12]), Picture::new(4, 4, vec![0.0; 48]));
    b.alpha = Some(vec![0.5; 16]);
    let sheet = contact_sheet(&[&a, &b], 1);
    assert_eq!((sheet.width, sheet.height), (7, 4));
    let row = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 1.0];
    let expected = [[1.0; 7], row, row, [1.0; 7]].concat().repeat(3);
    assert_near(&sheet.rgb, &expected, 1e-6);
    assert_eq!(contact_sheet(&[], 0).rgb, [1.0; 3]);
}
