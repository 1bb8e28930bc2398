//! 2x2 max pooling.

use crate::kernel;
use crate::tape::{Shape, Tape, Var};
use crate::testing::{Case, Input};

/// `y = max of each 2x2 window of x`, sizes rounded down; `dx` of a window's first maximum is `dy`, all else is 0.
pub fn pool(tape: &mut Tape, x: Var) -> Var {
    let Shape { channels, height, width } = x.shape;
    let shape = Shape::new(channels, height / 2, width / 2);
    let y = tape.output("y", shape, x);
    for rows in tape.bands(&[shape, x.shape]) {
        // The last band takes an odd last row along, which gets a zero gradient.
        let end = if rows.end == shape.height { height } else { 2 * rows.end };
        let rows_in = 2 * rows.start..end;
        let params = [("c", channels.into()), ("h", rows_in.len().into()), ("w", width.into())];
        tape.forward(kernel!("pool", "forward"))
            .params(params)
            .bind("x", x.rows(rows_in.clone()))
            .bind("y", y.rows(rows.clone()))
            .grid([channels * shape.width, rows.len(), 1]);
        tape.backward(kernel!("pool", "backward"))
            .params(params)
            .bind("x", x.rows(rows_in.clone()))
            .upstream_rows("dy", y, rows)
            .grad_rows("dx", x, rows_in.clone())
            .grid([channels * width.div_ceil(2), rows_in.len().div_ceil(2), 1]);
    }
    y
}

pub(crate) fn reference(shape: Shape, x: &[f64]) -> Vec<f64> {
    let Shape { channels, height, width } = shape;
    let mut y = Vec::new();
    for row in 0..height / 2 {
        for c in 0..channels {
            for column in 0..width / 2 {
                let at = |r: usize, k: usize| x[((2 * row + r) * channels + c) * width + 2 * column + k];
                y.push(at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1)));
            }
        }
    }
    y
}

/// The smallest window, odd sizes on either side and both, several workgroups.
pub fn cases() -> Vec<Case> {
    [
        Shape::new(1, 2, 2),
        Shape::new(3, 5, 4),
        Shape::new(4, 4, 7),
        Shape::new(5, 7, 9),
        Shape::new(64, 3, 11),
    ]
    .map(|shape| {
        Case::new("pool", format!("{shape}"), [Input::vary("x", shape)])
            .record(|tape, inputs| pool(tape, inputs[0].var))
            .reference(move |inputs| reference(shape, &inputs[0]))
    })
    .into()
}
