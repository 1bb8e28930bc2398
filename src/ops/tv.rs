//! Total variation of the picture.

use super::reduce::{reduce, shares};
use crate::cases::{Candidate, Case, Input, Leaf, Size, Table, sum, widen};
use crate::engine::kernel::{Knob, Value, kernel};
use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var, View};

/// `losses[slot] = weight / 2 (mean |vertical difference| + mean |horizontal difference|)`; `dx` is the sum
/// of the signs of the differences, each divided by the number of differences in its mean. A picture of one
/// row has no vertical differences, and their mean counts as 0; likewise for one column.
///
/// `exact` holds the values of `x` in the precision `real`, from which differences are computed.
pub fn tv(tape: &mut Tape, x: Var, exact: Tensor, real: Real, weight: Knob, slot: Slot) {
    let Shape { channels, height, width } = x.shape;
    let mean = |count: usize| if count == 0 { Value::Float(0.0) } else { weight.scaled(0.5, count as f64) };
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
            ("vertical", mean(channels * (height - 1) * width)),
            ("horizontal", mean(channels * height * (width - 1))),
        ];
        tape.forward(kernel!("tv", "forward").constant("real", real.wgsl()))
            .params(params)
            .bind("x", x.rows_of(exact, real, seen.clone()))
            .bind("partial", View { tensor: partial, range: Some(index * shares..(index + 1) * shares) })
            .grid([shares, 1, 1]);
        tape.backward(kernel!("tv", "backward").constant("real", real.wgsl()))
            .params(params)
            .bind("x", x.rows_of(exact, real, seen))
            .grad_rows("dx", x, rows.clone())
            .grid([channels * width, rows.len(), 1]);
    }
    reduce(tape, partial, shares * bands.len(), slot);
}

pub(crate) fn reference(shape: Shape, weight: f64, x: &[f64]) -> f64 {
    let Shape { channels, height, width } = shape;
    let row = channels * width;
    let difference = |i: usize, j: usize| (x[j] - x[i]).abs();
    let below = sum((row..x.len()).map(|i| difference(i - row, i)));
    let beside = sum((1..x.len()).filter(|i| i % width != 0).map(|i| difference(i - 1, i)));
    let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
    let vertical = mean(below, channels * (height - 1) * width);
    weight / 2.0 * (vertical + mean(beside, channels * height * (width - 1)))
}

/// One pixel, one row, one column, primes, and sizes around the 64 values of a workgroup and the values of a
/// share; one channel and many, although pictures have three. Both precisions.
pub const TABLE: Table = Table {
    op: "tv",
    edges: &[
        Size::new(3, 1, 1),
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
            tv(tape, inputs[0].var, exact, real, weight, slot);
            Ok(())
        };
        Candidate::loss(real.wgsl(), record).needs(move |gpu| real == Real::F32 || Real::of(gpu) == real)
    };
    Case::new("tv", size, [Input::vary("x", shape)], move |inputs| vec![reference(shape, 10.0, &inputs[0])])
        .candidate(candidate(Real::F32))
        .candidate(candidate(Real::F64))
}
