//! Total variation of the picture in nine points: squared differences, straight and diagonal.

use super::reduce::{reduce, shares};
use crate::cases::{Candidate, Case, Input, Leaf, Size, Table, sum, widen};
use crate::engine::kernel::{Knob, kernel};
use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var, View};

/// `losses[slot] = 2 weight (h/3 + v/3 + d/12 + d'/12)` of `x` with a frame of copies of its outermost pixels.
///
/// `h` and `v` are the means of the squared differences between each of the `H W` pixels and its neighbours to the
/// right and below. A difference to the frame is 0 and counts in the mean. `d` and `d'` are the means along both
/// diagonals, of all `(H + 1)(W + 1)` pairs within the frame.
///
/// Squares treat all directions more alike than [`super::tv`] does, and leave no flat patches. `dx` is the sum of the
/// differences of a pixel, and of its copies in the frame, to their neighbours, each times twice its factor.
///
/// `exact` holds the values of `x` in the precision `real`, from which differences are computed.
pub fn tv9(tape: &mut Tape, x: Var, exact: Tensor, real: Real, weight: Knob, slot: Slot) {
    let Shape { channels, height, width } = x.shape;
    let pairs = channels * (height + 1) * (width + 1);
    let bands = tape.bands(&[x.shape_in(real), x.shape]);
    // The partial sums of a band begin where a binding may begin.
    let shares = shares(x.shape.len() / bands.len()).next_multiple_of(64);
    let partial = tape.scratch("partial", shares * bands.len());
    for (index, rows) in bands.iter().enumerate() {
        let seen = x.shape_in(real).halo(rows, Precision::Single);
        let params = [
            ("c", channels.into()),
            ("h", rows.len().into()),
            ("w", width.into()),
            ("h_in", seen.len().into()),
            ("top", (rows.start - seen.start).into()),
            ("shares", shares.into()),
            ("straight", weight.scaled(2.0 / 3.0, x.shape.len() as f64)),
            ("diagonal", weight.scaled(2.0 / 12.0, pairs as f64)),
        ];
        tape.forward(kernel!("tv9", "forward").constant("real", real.wgsl()))
            .params(params)
            .bind("x", x.rows_of(exact, real, seen.clone()))
            .bind("partial", View { tensor: partial, range: Some(index * shares..(index + 1) * shares) })
            .grid([shares, 1, 1]);
        tape.backward(kernel!("tv9", "backward").constant("real", real.wgsl()))
            .params(params)
            .bind("x", x.rows_of(exact, real, seen))
            .grad_rows("dx", x, rows.clone())
            .grid([channels * width, rows.len(), 1]);
    }
    reduce(tape, partial, shares * bands.len(), slot);
}

pub(crate) fn reference(shape: Shape, weight: f64, x: &[f64]) -> f64 {
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

/// One pixel, one row, one column, primes, and sizes around the 64 values of a workgroup and the values of a
/// share; one channel and many, although pictures have three. Both precisions.
pub const TABLE: Table = Table {
    op: "tv9",
    edges: &[
        Size::new(3, 1, 1),
        Size::new(3, 1, 2),
        Size::new(3, 1, 5),
        Size::new(3, 5, 1),
        Size::new(1, 2, 2),
        Size::new(4, 3, 16),
        Size::new(5, 2, 13),
        Size::new(3, 7, 11),
        Size::new(3, 4, 21),
        Size::new(3, 19, 67),
        Size::new(64, 3, 5),
        // Rows of a multiple of 256 bytes can be split into bands.
        Size::new(4, 11, 16),
        // In float64 every second row begins at a multiple of 256 bytes, in float32 every fourth.
        Size::new(3, 9, 16),
    ],
    network: |height, width| vec![Size::new(3, height, width)],
    at: |size| vec![case(size)],
};

fn case(size: Size) -> Case {
    let shape = size.shape();
    let candidate = |real: Real| {
        let record = move |tape: &mut Tape, inputs: &[Leaf], slot: Slot| {
            let exact = tape.gpu().upload("exact", &real.encode(&widen(&inputs[0].values)))?;
            let exact = tape.given("exact", &exact);
            let weight = tape.knob(10.0);
            tv9(tape, inputs[0].var, exact, real, weight, slot);
            Ok(())
        };
        Candidate::loss(real.wgsl(), record).needs(move |gpu| real == Real::F32 || Real::of(gpu) == real)
    };
    Case::new("tv9", size, [Input::vary("x", shape)], move |inputs| vec![reference(shape, 10.0, &inputs[0])])
        .candidate(candidate(Real::F32))
        .candidate(candidate(Real::F64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: two pixels in a row, 1 apart. Of two differences to the right one is 1, and none of those down. Of the
    /// six pairs along a diagonal, those from the left column to the right one of the picture are 1: two of each.
    #[test]
    fn two_pixels() {
        let found = reference(Shape::new(1, 1, 2), 3.0, &[0.25, 1.25]);
        let expected = 2.0 * 3.0 * (0.5 / 3.0 + (2.0 / 6.0) / 12.0 + (2.0 / 6.0) / 12.0);
        assert!((found - expected).abs() < 1e-15, "{found} instead of {expected}");
    }
}
