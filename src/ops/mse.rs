//! Mean of squared differences from a fixed target: the content loss, and the style loss on Gram matrices.

use super::reduce::{reduce, shares};
use crate::cases::{Candidate, Case, Input, Size, Table, in_both_precisions, sum, vgg19_maps};
use crate::engine::kernel::{Knob, kernel};
use crate::engine::tape::{Slot, Tape, Tensor, Var, View};

/// `losses[slot] = weight / n * sum (x - target)^2`; `dx = 2 weight / n (x - target)`, times
/// [`Tape::gradient_scale`]. The gradient starts here.
pub fn mse(tape: &mut Tape, x: Var, target: Tensor, weight: Knob, slot: Slot) {
    let n = x.shape.len();
    let row = x.shape.channels * x.shape.width;
    let bands = tape.bands(&[x.shape]);
    // Whole workgroups, and partial sums of a band that begin where a binding may begin.
    let shares = shares(n / bands.len()).next_multiple_of(64);
    let partial = tape.scratch("partial", shares * bands.len());
    let scale = tape.gradient_scale();
    for (index, band) in bands.iter().enumerate() {
        let part = |tensor: Tensor, range: std::ops::Range<usize>| View { tensor, range: Some(range) };
        let values = band.start * row..band.end * row;
        tape.forward(kernel!("mse", "forward").storing("Map", x))
            .params([
                ("n", (row * band.len()).into()),
                ("shares", shares.into()),
                ("scale", weight.scaled(1.0, n as f64)),
                ("slope", weight.scaled(2.0 * scale, n as f64)),
            ])
            .bind("x", x.rows(band.clone()))
            .bind("reference", part(target, values.clone()))
            .bind("partial", part(partial, index * shares..(index + 1) * shares))
            .grid([shares, 1, 1]);
    }
    reduce(tape, partial, shares * bands.len(), slot);
    pull(tape, x, n, target, weight);
}

/// Records the gradient alone, of a window `x` of a map that has `values` values.
pub(crate) fn pull(tape: &mut Tape, x: Var, values: usize, target: Tensor, weight: Knob) {
    let row = x.shape.channels * x.shape.width;
    let scale = tape.gradient_scale();
    let bands = tape.bands(&[x.shape]);
    // Nothing is summed: an invocation takes one value, or many where workgroups are dear.
    let lanes = match tape.gpu().quirks().dear_workgroups {
        true => shares(x.shape.len() / bands.len()).next_multiple_of(64),
        false => x.shape.len().min(1 << 20),
    };
    for band in bands {
        tape.backward(kernel!("mse", "backward").storing("Map", x))
            .params([
                ("n", (row * band.len()).into()),
                ("shares", lanes.into()),
                ("scale", weight.scaled(1.0, values as f64)),
                ("slope", weight.scaled(2.0 * scale, values as f64)),
            ])
            .bind("x", x.rows(band.clone()))
            .bind("reference", View { tensor: target, range: Some(x.shape.rows(band.clone())) })
            .grad_rows("dx", x, band)
            .grid([lanes, 1, 1]);
    }
}

/// `losses[slot] = 1 / n * sum x^2`: the energy of a map, which has no gradient here.
pub fn mean_square(tape: &mut Tape, x: Var, slot: Slot) {
    squares(tape, x, 1.0 / x.shape.len() as f64, slot);
}

/// `losses[slot] = scale * sum x^2`, which has no gradient here.
pub(crate) fn squares(tape: &mut Tape, x: Var, scale: f64, slot: Slot) {
    let n = x.shape.len();
    let row = x.shape.channels * x.shape.width;
    let bands = tape.bands(&[x.shape]);
    let shares = shares(n / bands.len()).next_multiple_of(64);
    let partial = tape.scratch("partial", shares * bands.len());
    for (index, band) in bands.iter().enumerate() {
        tape.forward(kernel!("mse", "squares").storing("Map", x))
            .params([
                ("n", (row * band.len()).into()),
                ("shares", shares.into()),
                ("scale", scale.into()),
                ("slope", 0.0.into()),
            ])
            .bind("x", x.rows(band.clone()))
            .bind("partial", View { tensor: partial, range: Some(index * shares..(index + 1) * shares) })
            .grid([shares, 1, 1]);
    }
    reduce(tape, partial, shares * bands.len(), slot);
}

/// One value, primes, around the 16 values of a share, the 64 shares of a workgroup and the most shares.
pub const TABLE: Table = Table {
    op: "mse",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(3, 1, 5),
        Size::new(1, 4, 4),
        Size::new(1, 1, 17),
        Size::new(1, 1, 97),
        Size::new(3, 11, 31),
        Size::new(4, 8, 32),
        Size::new(5, 5, 41),
        Size::new(64, 3, 7),
        Size::new(512, 4, 6),
        Size::new(1, 1, 262145),
    ],
    // The default's content layer and, for the style, the Gram matrices.
    network: |height, width| {
        let maps = vgg19_maps(height, width);
        let grams = maps[..4].iter().map(|map| Size::new(1, map.c_in, map.c_in));
        [maps[3]].into_iter().chain(grams).collect()
    },
    at: |size| in_both_precisions(size, case),
};

fn case(size: Size) -> Case {
    let weight = 3.0;
    let shape = size.shape();
    let inputs = [Input::vary("x", shape), Input::fixed("target", shape)];
    let reference = move |inputs: &[Vec<f64>]| {
        let squares = inputs[0].iter().zip(&inputs[1]).map(|(x, t)| (x - t) * (x - t));
        vec![weight * sum(squares) / shape.len() as f64]
    };
    Case::new("mse", size, inputs, reference).candidate(Candidate::loss(
        "plain",
        move |tape, inputs, slot| {
            let weight = tape.knob(weight);
            mse(tape, inputs[0].var, inputs[1].var.value, weight, slot);
            Ok(())
        },
    ))
}

/// As [`TABLE`], for the energy alone.
pub const SQUARES: Table = Table {
    op: "mean_square",
    at: |size| {
        in_both_precisions(size, |size| {
            let shape = size.shape();
            let reference =
                move |inputs: &[Vec<f64>]| vec![sum(inputs[0].iter().map(|x| x * x)) / shape.len() as f64];
            Case::new("mean_square", size, [Input::fixed("x", shape).map()], reference).candidate(
                Candidate::loss("plain", |tape, inputs, slot| {
                    mean_square(tape, inputs[0].var, slot);
                    Ok(())
                }),
            )
        })
    },
    ..TABLE
};
