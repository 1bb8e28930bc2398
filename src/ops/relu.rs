//! Rectified linear unit by itself, for taps that want the values before it.

use crate::kernel;
use crate::tape::{Shape, Tape, Var};
use crate::testing::{Case, Input};

/// `y = max(x, 0)`; `dx = dy` where `x > 0`, else 0.
pub fn relu(tape: &mut Tape, x: Var) -> Var {
    let row = x.shape.channels * x.shape.width;
    let y = tape.output("y", x.shape, x);
    for band in tape.bands(&[x.shape]) {
        let params = [("row", row.into())];
        let grid = [row, band.len(), 1];
        tape.forward(kernel!("relu", "forward"))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .bind("y", y.rows(band.clone()))
            .grid(grid);
        tape.backward(kernel!("relu", "backward"))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .upstream_rows("dy", y, band.clone())
            .grad_rows("dx", x, band)
            .grid(grid);
    }
    y
}

/// One value, a prime row, several workgroups.
pub fn cases() -> Vec<Case> {
    [Shape::new(1, 1, 1), Shape::new(5, 3, 7), Shape::new(64, 2, 9)]
        .map(|shape| {
            Case::new("relu", format!("{shape}"), [Input::vary("x", shape)])
                .record(|tape, inputs| relu(tape, inputs[0].var))
                .reference(|inputs| inputs[0].iter().map(|x| x.max(0.0)).collect())
        })
        .into()
}
