//! Tests of palettes.

use super::*;

/// A picture whose planes are multiplied and then raised.
fn scaled(mut picture: Picture, factors: [f32; 3], offset: f32) -> Picture {
    let pixels = picture.width * picture.height;
    for (plane, factor) in picture.rgb.chunks_exact_mut(pixels).zip(factors) {
        plane.iter_mut().for_each(|v| *v = *v * factor + offset);
    }
    picture
}

fn photograph() -> Picture {
    steps(5, 4, [37, 53, 29], [64, 61, 32])
}

fn painting() -> Picture {
    scaled(steps(7, 3, [17, 17, 5], [31, 33, 21]), [0.5; 3], 0.2)
}

/// The first, the eighth and the last pixel of all planes, and the sum of all values.
#[track_caller]
fn assert_figures(picture: &Picture, values: [f32; 9], sum: f32) {
    let found: Vec<_> =
        picture.rgb.chunks_exact(20).flat_map(|plane| [plane[0], plane[7], plane[19]]).collect();
    assert_near(&found, &values, 1e-6);
    assert_near(&[picture.rgb.iter().sum()], &[sum], 1e-4);
}

/// Figures of numpy 2.4 in float64, by `numpy.linalg.eigh`. The tolerance is a few roundings to float32.
#[test]
fn colours_agree_with_numpy() {
    let full =
        [0.3086637, 0.3423286, 0.2721944, 0.3031611, 0.3776653, 0.5826641, 0.3209522, 0.509923, 0.4874364];
    assert_figures(&photograph().with_colours_of(&[(&painting(), 2.0)], 1.0), full, 26.7302);
    let half =
        [0.2416335, 0.2822754, 0.2154623, 0.2432472, 0.322166, 0.6413321, 0.3378955, 0.6098002, 0.5340408];
    assert_figures(&photograph().with_colours_of(&[(&painting(), 1.0)], 0.5), half, 28.1979);
    let other = scaled(steps(3, 3, [7, 3, 2], [8, 5, 9]), [1.0, 0.5, 0.25], 0.0);
    let both =
        [0.2472493, 0.2789799, 0.2371801, 0.1776837, 0.2990624, 0.532105, 0.2026387, 0.4452213, 0.4504407];
    assert_figures(&photograph().with_colours_of(&[(&painting(), 3.0), (&other, 1.0)], 1.0), both, 24.3135);
}

/// Black and white have such contrast that the photograph's colours leave the range.
#[test]
fn colours_are_clamped() {
    let values = [0.0, 0.0, 0.3688088, 0.0, 0.0, 0.3741036, 0.9973848, 1.0, 1.0];
    let hard = steps(4, 4, [9, 9, 4], [2, 2, 2]);
    assert_figures(&photograph().with_colours_of(&[(&hard, 1.0)], 1.0), values, 39.0083);
}

/// A picture of one colour has no spread of its own, and takes away that of another.
#[test]
fn pictures_of_one_colour_stay_finite() {
    let gray = Picture::new(3, 2, vec![0.5; 18]);
    let values =
        [0.4965174, 0.4973096, 0.4967608, 0.4965338, 0.497692, 0.502024, 0.4978454, 0.5016507, 0.5005959];
    assert_figures(&photograph().with_colours_of(&[(&gray, 1.0)], 1.0), values, 30.0);
    let black = Picture::new(1, 1, vec![0.0; 3]);
    let found = black.with_colours_of(&[(&painting(), 1.0)], 1.0);
    let mean = |plane: &[f32]| plane.iter().sum::<f32>() / 21.0;
    let expected: Vec<_> = painting().rgb.chunks_exact(21).map(mean).collect();
    assert_near(&found.rgb, &expected, 1e-6);
    assert_near(&painting().with_colours_of(&[(&black, 1.0)], 1.0).rgb, &[0.0; 63], 0.02);
}

#[test]
fn its_own_colours_change_nothing() {
    assert_near(&photograph().with_colours_of(&[(&photograph(), 1.0)], 1.0).rgb, &photograph().rgb, 1e-6);
    assert_near(&photograph().with_colours_of(&[(&painting(), 1.0)], 0.0).rgb, &photograph().rgb, 1e-7);
}

/// Hidden pixels have no part in a palette, and are moved as the others are.
#[test]
fn hidden_pixels_do_not_count() {
    let seen = painting();
    let mut larger =
        Picture::new(7, 4, Vec::from_iter(seen.rgb.chunks_exact(21).flat_map(|p| [p, &[1.0; 7]].concat())));
    larger.alpha = Some((0..28).map(|i| if i < 21 { 1.0 } else { 0.0 }).collect());
    let expected = photograph().with_colours_of(&[(&seen, 1.0)], 1.0);
    assert_near(&photograph().with_colours_of(&[(&larger, 1.0)], 1.0).rgb, &expected.rgb, 1e-6);

    let moved = larger.with_colours_of(&[(&photograph(), 1.0)], 1.0);
    let expected = seen.with_colours_of(&[(&photograph(), 1.0)], 1.0);
    moved
        .rgb
        .chunks_exact(28)
        .zip(expected.rgb.chunks_exact(21))
        .for_each(|(a, b)| assert_near(&a[..21], b, 1e-6));
    assert_eq!(moved.alpha, larger.alpha);
}
