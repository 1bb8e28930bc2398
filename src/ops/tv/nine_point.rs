//! Squared differences of nine points, straight and diagonal.

use crate::cases::sum;
use crate::engine::kernel::{Knob, Value};
use crate::engine::tape::Shape;

/// The factors on the sums of squares of straight and diagonal differences.
pub(super) fn factors(shape: Shape, weight: Knob) -> [Value; 2] {
    let Shape { channels, height, width } = shape;
    let pairs = channels * (height + 1) * (width + 1);
    [weight.scaled(2.0 / 3.0, shape.len() as f64), weight.scaled(2.0 / 12.0, pairs as f64)]
}

pub(super) fn reference(shape: Shape, weight: f64, x: &[f64]) -> f64 {
    let Shape { channels, height, width } = shape;
    // Rows and columns of the framed picture, from 0 on.
    let at = |c: usize, row: usize, column: usize| {
        let (row, column) = (row.clamp(1, height) - 1, column.clamp(1, width) - 1);
        x[(row * channels + c) * width + column]
    };
    // The mean of squared differences from a place of each window to another; windows begin at `first`.
    let mean = |first: usize, [from, to]: [(usize, usize); 2]| {
        let windows = (0..channels)
            .flat_map(|c| (first..=height).flat_map(move |r| (first..=width).map(move |k| (c, r, k))));
        let squares =
            windows.map(|(c, r, k)| (at(c, r + to.0, k + to.1) - at(c, r + from.0, k + from.1)).powi(2));
        sum(squares) / (channels * (height + 1 - first) * (width + 1 - first)) as f64
    };
    let beside = mean(1, [(0, 0), (0, 1)]);
    let below = mean(1, [(0, 0), (1, 0)]);
    let falling = mean(0, [(0, 0), (1, 1)]);
    let rising = mean(0, [(0, 1), (1, 0)]);
    2.0 * weight * ((beside + below) / 3.0 + (falling + rising) / 12.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: two pixels in a row, 1 apart. Of two differences to the right one is 1, and none of those
    /// down. Of the six pairs along a diagonal, those from the left column to the right one of the picture
    /// are 1: two of each.
    #[test]
    fn two_pixels() {
        let found = reference(Shape::new(1, 1, 2), 3.0, &[0.25, 1.25]);
        let expected = 2.0 * 3.0 * (0.5 / 3.0 + (2.0 / 6.0) / 12.0 + (2.0 / 6.0) / 12.0);
        assert!((found - expected).abs() < 1e-15, "{found} instead of {expected}");
    }
}
