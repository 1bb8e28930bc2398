//! Mean of squared differences from a fixed target: the content loss, and the style loss on Gram matrices.

use super::reduce::{Slot, reduce, shares};
use crate::kernel;
use crate::tape::{Shape, Tape, Tensor, Var, View};
use crate::testing::{Case, Input};

/// `losses[slot] = weight / n * sum (x - target)^2`; `dx = 2 weight / n (x - target)`. The gradient starts here.
pub fn mse(tape: &mut Tape, x: Var, target: Tensor, weight: f64, slot: Slot) {
    let n = x.shape.len();
    let row = x.shape.channels * x.shape.width;
    let bands = tape.bands(&[x.shape]);
    // Whole workgroups, and partial sums of a band that begin where a binding may begin.
    let shares = shares(n / bands.len()).next_multiple_of(64);
    let partial = tape.scratch("partial", shares * bands.len());
    for (index, band) in bands.iter().enumerate() {
        let params = [
            ("n", (row * band.len()).into()),
            ("shares", shares.into()),
            ("scale", (weight / n as f64).into()),
        ];
        let part = |tensor: Tensor, range: std::ops::Range<usize>| View { tensor, range: Some(range) };
        let values = band.start * row..band.end * row;
        tape.forward(kernel!("mse", "forward"))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .bind("reference", part(target, values.clone()))
            .bind("partial", part(partial, index * shares..(index + 1) * shares))
            .grid([shares, 1, 1]);
        tape.backward(kernel!("mse", "backward"))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .bind("reference", part(target, values))
            .grad_rows("dx", x, band.clone())
            .grid([shares, 1, 1]);
    }
    reduce(tape, partial, shares * bands.len(), slot);
}

/// One value, a prime, one more than the shares of a workgroup, a content layer's size.
pub fn cases() -> Vec<Case> {
    let weight = 3.0;
    [Shape::new(1, 1, 1), Shape::new(1, 1, 97), Shape::new(5, 5, 41), Shape::new(512, 4, 6)]
        .map(|shape| {
            Case::new("mse", format!("{shape}"), [Input::vary("x", shape), Input::fixed("target", shape)])
                .record_loss(move |tape, inputs, slot| {
                    mse(tape, inputs[0].var, inputs[1].var.value, weight, slot);
                    Ok(())
                })
                .reference(move |inputs| {
                    let squares = inputs[0].iter().zip(&inputs[1]).map(|(x, t)| (x - t) * (x - t));
                    vec![weight * squares.sum::<f64>() / shape.len() as f64]
                })
        })
        .into()
}
