//! Tests of results in the colours of their photographs.

use super::*;
use crate::picture::oklab::Oklab;

/// The OKLab colour at column `x` of the first row.
fn lab(picture: &Picture, x: usize) -> Oklab {
    let pixels = picture.width * picture.height;
    Oklab::from_srgb([0, 1, 2].map(|plane| f64::from(picture.rgb[plane * pixels + x])))
}

/// Figures of the same formulas in numpy 2.4, with sums by `numpy.cumsum` and OKLab's inverse by
/// `numpy.linalg.inv`. Maps between them are float32 here.
#[test]
fn recolouring_agrees_with_numpy() {
    let small =
        [0.0957684, 0.2312146, 0.713112, 0.2276085, 0.3746078, 0.5358054, 0.2469755, 0.2435586, 0.7109281];
    let wide =
        [0.1608869, 0.2100481, 0.6622302, 0.2219909, 0.3718705, 0.572852, 0.1826044, 0.3157403, 0.652196];
    for ((width, height), figures, sum) in [((5, 4), small, 32.97823), ((200, 3), wide, 995.844)] {
        let result = steps(width, height, [37, 53, 29], [64, 61, 32]);
        let photograph = steps(width, height, [17, 17, 5], [31, 33, 21]);
        let found = result.recoloured(&photograph);
        let planes = found.rgb.chunks_exact(width * height);
        let values: Vec<_> = planes.flat_map(|plane| [plane[0], plane[7], plane[19]]).collect();
        assert_near(&values, &figures, 1e-5);
        assert_near(&[found.rgb.iter().sum::<f32>() / sum], &[1.0], 1e-5);
    }
}

/// A gray painting of an orange thing before a blue sky: the colours end where the painting's edge is, two
/// pixels beside the photograph's.
#[test]
fn colours_end_where_the_result_has_its_edge() {
    let (width, height) = (512, 12);
    let picture = |edge: usize, sky: [f32; 3], thing: [f32; 3]| {
        let plane =
            |p: usize| (0..width * height).map(move |i| if i % width < edge { sky[p] } else { thing[p] });
        Picture::new(width, height, (0..3).flat_map(plane).collect())
    };
    let photograph = picture(256, [0.55, 0.7, 0.95], [0.6, 0.3, 0.1]);
    let result = picture(254, [0.8; 3], [0.3; 3]);
    let found = result.recoloured(&photograph);
    for x in 0..width {
        let (l, expected) = (lab(&found, x).l, lab(&result, x).l);
        assert!((l - expected).abs() < 1e-4, "column {x}: lightness {l} instead of {expected}");
    }
    let blue = |x: usize| -lab(&found, x).b;
    let (sky, thing) = (blue(200), blue(300));
    assert!(sky > 0.05 && thing < -0.03, "{sky} {thing}");
    // Two columns of the thing were sky in the photograph. Left as they were, they would be a blue halo.
    let share = |x: usize| (blue(x) - thing) / (sky - thing);
    let shares: Vec<_> = (250..262).map(share).collect();
    assert!((200..254).all(|x| share(x) > 0.9) && (254..300).all(|x| share(x) < 0.5), "{shares:?}");
}

/// The photograph may have another size, and the result keeps its transparency.
#[test]
fn the_photograph_is_brought_to_the_size() {
    let mut result = Picture::new(6, 4, vec![0.5; 72]);
    result.alpha = Some((0..24).map(|i| i as f32 / 23.0).collect());
    let photograph = Picture::new(3, 2, [0.4, 0.5, 0.6].map(|v| [v; 6]).concat());
    let found = result.recoloured(&photograph);
    assert_eq!((found.width, found.height, &found.alpha), (6, 4, &result.alpha));
    let (l, colour) = (lab(&result, 0).l, lab(&photograph, 0));
    for x in 0..6 {
        let shown = lab(&found, x);
        assert!((shown.l - l).abs() < 1e-5, "{shown:?}");
        assert!((shown.a - colour.a).abs().max((shown.b - colour.b).abs()) < 1e-5, "{shown:?}");
    }
}
