//! The rectified linear unit by itself, for taps that want the values before it.

use crate::cases::{Candidate, Case, Input, Size, Table, in_both_precisions, vgg19_maps};
use crate::engine::kernel::kernel;
use crate::engine::tape::{Tape, Var};

/// `y = max(x, 0)`; `dx = dy` where `x > 0`, else 0.
pub fn relu(tape: &mut Tape, x: Var) -> Var {
    let row = x.shape.channels * x.shape.width;
    let y = tape.feature_map("y", x.shape, x);
    for band in tape.bands(&[x.shape]) {
        let params = [("row", row.into())];
        let grid = [row, band.len(), 1];
        tape.forward(kernel!("relu", "forward").storing("Map", x))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .bind("y", y.rows(band.clone()))
            .grid(grid);
        tape.backward(kernel!("relu", "backward").storing("Map", x))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .upstream_rows("dy", y, band.clone())
            .grad_rows("dx", x, band)
            .grid(grid);
    }
    y
}

/// One value, primes, rows around a workgroup of 64 values.
pub const TABLE: Table = Table {
    op: "relu",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(5, 3, 7),
        Size::new(1, 2, 63),
        Size::new(4, 3, 16),
        Size::new(5, 2, 13),
        Size::new(64, 2, 9),
        Size::new(512, 1, 1),
    ],
    // The block in which a layer is tapped before its ReLU: the deepest one of the defaults.
    network: |height, width| vgg19_maps(height, width).split_off(4),
    at: |size| in_both_precisions(size, case),
};

fn case(size: Size) -> Case {
    let reference = |inputs: &[Vec<f64>]| inputs[0].iter().map(|x| x.max(0.0)).collect();
    Case::new("relu", size, [Input::vary("x", size.shape())], reference)
        .candidate(Candidate::new("plain", |tape, inputs| Ok(relu(tape, inputs[0].var).into())))
}
