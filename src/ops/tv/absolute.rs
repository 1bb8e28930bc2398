//! Absolute differences of neighbours, as in the book.

use crate::cases::sum;
use crate::engine::kernel::{Knob, Value};
use crate::engine::tape::Shape;

/// The factors on the sums of vertical and horizontal differences.
pub(super) fn factors(shape: Shape, weight: Knob) -> [Value; 2] {
    let Shape { channels, height, width } = shape;
    let mean = |count: usize| if count == 0 { Value::Float(0.0) } else { weight.scaled(0.5, count as f64) };
    [mean(channels * (height - 1) * width), mean(channels * height * (width - 1))]
}

pub(super) fn reference(shape: Shape, weight: f64, x: &[f64]) -> f64 {
    let Shape { channels, height, width } = shape;
    let row = channels * width;
    let difference = |i: usize, j: usize| (x[j] - x[i]).abs();
    let below = sum((row..x.len()).map(|i| difference(i - row, i)));
    let beside = sum((1..x.len()).filter(|i| i % width != 0).map(|i| difference(i - 1, i)));
    let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
    let vertical = mean(below, channels * (height - 1) * width);
    weight / 2.0 * (vertical + mean(beside, channels * height * (width - 1)))
}
