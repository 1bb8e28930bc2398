//! Total variation of the picture.

use super::reduce::{Slot, reduce, shares};
use crate::kernel;
use crate::tape::{Shape, Tape, Var};
use crate::testing::{Case, Input};

/// `losses[slot] = weight / 2 (mean |vertical difference| + mean |horizontal difference|)`; `dx` is the sum of the
/// signs of the differences, each over its mean's count. A picture of one row has no vertical differences; their
/// mean counts as 0, and likewise for one column.
pub fn tv(tape: &mut Tape, x: Var, weight: f64, slot: Slot) {
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
    tape.forward(kernel!("tv", "forward"))
        .params(params)
        .bind("x", x.value)
        .bind("partial", partial)
        .grid([shares, 1, 1]);
    reduce(tape, partial, shares, slot);
    tape.backward(kernel!("tv", "backward"))
        .params(params)
        .bind("x", x.value)
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

/// One pixel, one row, one column, primes, more values than shares.
pub fn cases() -> Vec<Case> {
    [(1, 1), (1, 5), (5, 1), (7, 11), (19, 67)]
        .map(|(h, w)| {
            let shape = Shape::new(3, h, w);
            Case::new("tv", format!("{shape}"), [Input::vary("x", shape)])
                .record_loss(|tape, inputs, slot| tv(tape, inputs[0].var, 10.0, slot))
                .reference(move |inputs| vec![reference(shape, 10.0, &inputs[0])])
        })
        .into()
}
