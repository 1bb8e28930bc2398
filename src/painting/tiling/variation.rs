//! Total variation on the processor, where the whole picture is: the formulas of `ops/tv.rs` and `ops/tv9.rs`
//! in float64, row by row.

use crate::disk::Words;
use crate::engine::tape::Shape;
use crate::painting::choices::Recipe;
use crate::painting::tiling::rows::{Rows, in_bands};

/// Total variation of a picture, `height x 3 x width`.
pub(crate) struct Variation {
    shape: Shape,
    recipe: Recipe,
}

/// The rows above, here and below of one channel. Beyond the picture, they are those nearest to it.
struct Neighbours<'a> {
    rows: [&'a [f64]; 3],
    /// Whether there is such a row.
    there: [bool; 3],
}

impl Variation {
    pub(crate) fn new(shape: Shape, recipe: Recipe) -> Self {
        Self { shape, recipe }
    }

    /// The factors on the sums of straight and of other differences: in the book's recipe those down and to
    /// the right, else those along rows and columns and along diagonals.
    fn factors(&self, weight: f64) -> [f64; 2] {
        let Shape { channels, height, width } = self.shape;
        let over = |factor: f64, count: usize| if count == 0 { 0.0 } else { factor * weight / count as f64 };
        match self.recipe {
            Recipe::Book => {
                [over(0.5, channels * (height - 1) * width), over(0.5, channels * height * (width - 1))]
            }
            Recipe::Painterly => {
                [over(2.0 / 3.0, self.shape.len()), over(2.0 / 12.0, channels * (height + 1) * (width + 1))]
            }
        }
    }

    /// Adds the gradient of `weight` times the variation of `picture` to `gradient`; returns the variation,
    /// so weighted.
    pub(crate) fn add(&self, picture: &Rows, weight: f64, gradient: &mut Words) -> f64 {
        let Shape { channels, height, width } = self.shape;
        let factors = self.factors(weight);
        let losses = in_bands(gradient, channels * width, &[picture.words()], |y, gradient| {
            let near = [y.saturating_sub(1), y, (y + 1).min(height - 1)].map(|y| picture.row(y));
            let there = [y > 0, true, y + 1 < height];
            let mut loss = 0.0;
            for c in 0..channels {
                let line = c * width..(c + 1) * width;
                let rows = std::array::from_fn(|i| &near[i][line.clone()]);
                let neighbours = Neighbours { rows, there };
                let gradient = &mut gradient[line];
                let sums = match self.recipe {
                    Recipe::Book => neighbours.absolute(factors, gradient),
                    Recipe::Painterly => neighbours.squared(factors, gradient),
                };
                loss += factors[0] * sums[0] + factors[1] * sums[1];
            }
            loss
        });
        losses.iter().sum()
    }
}

/// -1, 0 or 1.
fn sign(d: f64) -> f64 {
    if d == 0.0 { 0.0 } else { d.signum() }
}

impl Neighbours<'_> {
    /// Sums of absolute differences from the row below and from the pixel to the right.
    fn absolute(&self, [down, right]: [f64; 2], gradient: &mut [f32]) -> [f64; 2] {
        let [above, here, below] = self.rows;
        let mut sums = [0.0; 2];
        for x in 0..here.len() {
            let (mut vertical, mut horizontal) = (0.0, 0.0);
            // Beyond the picture there is no difference, because its copy is the row itself.
            vertical += sign(here[x] - above[x]) + sign(here[x] - below[x]);
            sums[0] += (below[x] - here[x]).abs();
            if x > 0 {
                horizontal += sign(here[x] - here[x - 1]);
            }
            if x + 1 < here.len() {
                horizontal += sign(here[x] - here[x + 1]);
                sums[1] += (here[x + 1] - here[x]).abs();
            }
            gradient[x] += (down * vertical + right * horizontal) as f32;
        }
        sums
    }

    /// Sums of squared differences to the right and down, and along both diagonals of all fours of neighbours
    /// whose first row is this one, with a frame of copies around the picture. The row that begins the
    /// picture has those above it, too.
    fn squared(&self, [straight, diagonal]: [f64; 2], gradient: &mut [f32]) -> [f64; 2] {
        let [above, here, below] = self.rows;
        let width = here.len();
        let at = |row: &[f64], x: isize| row[x.clamp(0, width as isize - 1) as usize];
        let square = |d: f64| d * d;
        let crossed = |upper: &[f64], lower: &[f64], x: isize| {
            square(at(lower, x + 1) - at(upper, x)) + square(at(lower, x) - at(upper, x + 1))
        };
        let mut sums = [0.0; 2];
        for x in -1..width as isize {
            sums[1] += crossed(here, below, x);
            if !self.there[0] {
                sums[1] += crossed(here, here, x);
            }
        }
        for x in 0..width {
            let (i, v) = (x as isize, here[x]);
            let (left, right) = (at(here, i - 1), at(here, i + 1));
            sums[0] += square(below[x] - v) + square(right - v);
            let plus = (v - above[x]) + (v - below[x]) + (v - left) + (v - right);
            let mut cross = 0.0;
            let columns = [(x > 0, -1), (x + 1 < width, 1)];
            for (row, there) in [(above, self.there[0]), (below, self.there[2])] {
                for (inside, side) in columns {
                    // The pixel itself has this neighbour, of the picture or of the frame.
                    cross += v - at(row, i + side);
                    // A copy of the pixel in the frame has the neighbours of its own corner of the picture.
                    if !there {
                        // Above or below: its diagonal neighbour is in the picture's row, beside the pixel.
                        cross += v - at(here, i + side);
                    }
                    if !inside {
                        // Beside: its diagonal neighbour is in the next row.
                        cross += v - row[x];
                    }
                }
            }
            gradient[x] += (2.0 * (straight * plus + diagonal * cross)) as f32;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::real::Real;
    use crate::ops::tv::Differences;

    /// Loss and gradient against the ops' references and their differences, at sizes where every pixel is at
    /// an edge, and others.
    #[test]
    fn it_is_that_of_the_ops() {
        let mut random = fastrand::Rng::with_seed(3);
        for (height, width) in [(1, 1), (1, 2), (2, 1), (1, 5), (4, 1), (2, 2), (3, 4), (7, 5)] {
            let shape = Shape::new(3, height, width);
            let picture: Vec<f64> = (0..shape.len()).map(|_| random.f64()).collect();
            for recipe in Recipe::ALL {
                let differences = match recipe {
                    Recipe::Book => Differences::Absolute,
                    Recipe::Painterly => Differences::NinePoint,
                };
                let reference = |picture: &[f64]| differences.reference(shape, 3.0, picture);
                let mut gradient = vec![0.0; shape.len()].into();
                let rows = Rows::new(Real::F64, 3 * width, Real::F64.encode(&picture).into());
                let loss = Variation::new(shape, recipe).add(&rows, 3.0, &mut gradient);
                assert!((loss - reference(&picture)).abs() < 1e-12, "{recipe} {height}x{width}");
                for i in 0..shape.len() {
                    let moved = |by: f64| {
                        let mut moved = picture.clone();
                        moved[i] += by;
                        reference(&moved)
                    };
                    let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    let off = (f64::from(gradient[i]) - slope).abs();
                    // What a difference of float64 and the rounding of the gradient to float32 leave.
                    assert!(off < 1e-6, "{recipe} {height}x{width}, value {i}: {} not {slope}", gradient[i]);
                }
            }
        }
    }
}
