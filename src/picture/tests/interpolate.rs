//! Tests of interpolation.

use super::*;

/// Value of channel `k` at column `x`, row `y` of what is brought to another size below.
fn value(k: usize, x: usize, y: usize) -> f64 {
    ((x * 7 + y * 13 + k * 5) % 32) as f64 / 31.0
}

/// Rows of channels, as the engine has them.
fn planes((width, height): (usize, usize), channels: usize) -> Vec<f64> {
    let row = |y: usize| (0..channels).flat_map(move |k| (0..width).map(move |x| value(k, x, y)));
    (0..height).flat_map(row).collect()
}

/// Figures of `torch.nn.functional.interpolate(..., align_corners=False)`, PyTorch 2.15 in float64.
#[test]
fn enlarging_agrees_with_pytorch() {
    use Interpolation::{Bicubic, Bilinear};
    // Of the last channel: top left, top right, middle, second of the last row, bottom right. Then the sum
    // of all channels.
    let cases = [
        (
            (7, 5),
            (10, 7),
            3,
            Bicubic,
            [0.271216375, 0.718365775, 0.549512097, 0.48396681, 0.22817232, 102.44891785],
        ),
        (
            (7, 5),
            (10, 7),
            3,
            Bilinear,
            [0.322580645, 0.64516129, 0.524193548, 0.524193548, 0.258064516, 101.928110599],
        ),
        (
            (1, 1),
            (3, 2),
            2,
            Bicubic,
            [0.161290323, 0.161290323, 0.161290323, 0.161290323, 0.161290323, 0.967741935],
        ),
        (
            (1, 1),
            (3, 2),
            2,
            Bilinear,
            [0.161290323, 0.161290323, 0.161290323, 0.161290323, 0.161290323, 0.967741935],
        ),
        (
            (4, 3),
            (4, 9),
            1,
            Bicubic,
            [-0.046594982, 0.745519713, 0.870967742, -0.035842294, 0.53046595, 14.960573477],
        ),
        (
            (4, 3),
            (4, 9),
            1,
            Bilinear,
            [0.0, 0.677419355, 0.870967742, 0.032258065, 0.483870968, 14.903225806],
        ),
        (
            (2, 9),
            (3, 13),
            1,
            Bicubic,
            [-0.054245271, 0.21076369, 0.758064516, 0.362972969, 0.545518806, 16.188974702],
        ),
        (
            (2, 9),
            (3, 13),
            1,
            Bilinear,
            [0.0, 0.225806452, 0.758064516, 0.370967742, 0.483870968, 16.462779156],
        ),
    ];
    for (from, to, channels, how, expected) in cases {
        let found = interpolate(&planes(from, channels), channels, from, to, how);
        assert_eq!(found.len(), channels * to.0 * to.1);
        let at = |x: usize, y: usize| found[(y * channels + channels - 1) * to.0 + x];
        let (right, bottom) = (to.0 - 1, to.1 - 1);
        let sum = found.iter().sum();
        let figures = [at(0, 0), at(right, 0), at(to.0 / 2, to.1 / 2), at(1, bottom), at(right, bottom), sum];
        // The figures have nine decimals.
        let near = figures.iter().zip(expected).all(|(a, b): (&f64, f64)| (a - b).abs() <= 6e-10);
        assert!(near, "{from:?} to {to:?}, {how:?}: {figures:?} instead of {expected:?}");
    }
}

#[test]
fn the_same_size_keeps_the_bits() {
    for how in [Interpolation::Bilinear, Interpolation::Bicubic] {
        let values = planes((7, 5), 3);
        assert_eq!(interpolate(&values, 3, (7, 5), (7, 5), how), values);
    }
}

/// Second moments have roots, so that no interpolation of theirs may be below 0.
#[test]
fn bilinear_values_stay_in_range() {
    let spikes: Vec<_> = (0..35).map(|i| if i % 3 == 0 { 1.0 } else { 0.0 }).collect();
    let range = |how| {
        let found = interpolate(&spikes, 1, (7, 5), (23, 17), how);
        found.into_iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (low, high) = range(Interpolation::Bilinear);
    assert!(low >= 0.0 && high <= 1.0 + 1e-15, "{low} to {high}");
    let (low, high) = range(Interpolation::Bicubic);
    assert!(low < -0.05 && high > 1.05, "{low} to {high}");
}
