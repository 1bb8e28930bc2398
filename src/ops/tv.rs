//! Total variation of the picture.

use super::reduce::{Slot, reduce, shares};
use crate::kernel;
use crate::real::Real;
use crate::tape::{Shape, Tape, Tensor, Var};
use crate::testing::{Case, Input, widen};

/// `losses[slot] = weight / 2 (mean |vertical difference| + mean |horizontal difference|)`; `dx` is the sum of the
/// signs of the differences, each over its mean's count. A picture of one row has no vertical differences; their
/// mean counts as 0, and likewise for one column.
///
/// `exact` holds the values of `x` in the precision `real`, in which differences are taken.
pub fn tv(tape: &mut Tape, x: Var, exact: Tensor, real: Real, weight: f64, slot: Slot) {
    let Shape { channels, height, width } = x.shape;
    let mean = |count: usize| if count == 0 { 0.0 } else { weight / 2.0 / count as f64 };
    let shares = shares(x.shape.len());
    let params = [
        ("c", channels.into()),
        ("h", height.into()),
        ("w", width.into()),
        ("shares", shares.into()),
        ("vertical", mean(channels * (height - 1) * width).into()),
        ("horizontal", mean(channels * height * (width - 1)).into()),
    ];
    let partial = tape.scratch("partial", shares);
    tape.forward(kernel!("tv", "forward").constant("real", real.wgsl()))
        .params(params)
        .bind("x", exact)
        .bind("partial", partial)
        .grid([shares, 1, 1]);
    reduce(tape, partial, shares, slot);
    tape.backward(kernel!("tv", "backward").constant("real", real.wgsl()))
        .params(params)
        .bind("x", exact)
        .grad("dx", x)
        .grid([channels * width, height, 1]);
}

fn reference(shape: Shape, weight: f64, x: &[f64]) -> f64 {
    let Shape { channels, height, width } = shape;
    let row = channels * width;
    let (mut below, mut beside) = (0.0, 0.0);
    for i in 0..x.len() {
        if i + row < x.len() {
            below += (x[i + row] - x[i]).abs();
        }
        if i % width + 1 < width {
            beside += (x[i + 1] - x[i]).abs();
        }
    }
    let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
    let vertical = mean(below, channels * (height - 1) * width);
    weight / 2.0 * (vertical + mean(beside, channels * height * (width - 1)))
}

/// One pixel, one row, one column, primes, more values than shares; in both precisions.
pub fn cases() -> Vec<Case> {
    let sizes = [(1, 1), (1, 5), (5, 1), (7, 11), (19, 67)];
    let case = |(h, w), real: Real| {
        let shape = Shape::new(3, h, w);
        Case::new("tv", format!("{} {h}x{w}", real.wgsl()), [Input::vary("x", shape)])
            .needs(move |gpu| real == Real::F32 || Real::of(gpu) == real)
            .record_loss(move |tape, inputs, slot| {
                let exact = tape.gpu().upload("exact", &real.encode(&widen(&inputs[0].values)))?;
                let exact = tape.given("exact", &exact);
                tv(tape, inputs[0].var, exact, real, 10.0, slot);
                Ok(())
            })
            .reference(move |inputs| vec![reference(shape, 10.0, &inputs[0])])
    };
    sizes.into_iter().flat_map(|size| [case(size, Real::F32), case(size, Real::F64)]).collect()
}
