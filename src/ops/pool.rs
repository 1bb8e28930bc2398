//! 2x2 max pooling.

use crate::cases::{Candidate, Case, Input, Size, Table, in_both_precisions, vgg19_maps};
use crate::engine::kernel::kernel;
use crate::engine::tape::{Shape, Tape, Var};

/// `y` is the maximum of each 2x2 window of `x`, sizes rounded down. `dx` is `dy` at a window's first maximum
/// and 0 elsewhere.
pub fn pool(tape: &mut Tape, x: Var) -> Var {
    let Shape { channels, height, width } = x.shape;
    assert!(height > 1, "a map of at least two rows");
    let shape = Shape::new(channels, height / 2, width / 2);
    let y = tape.feature_map("y", shape, x);
    for rows in tape.bands(&[shape, x.shape]) {
        // The last band includes an odd last row, which gets a zero gradient.
        let end = if rows.end == shape.height { height } else { 2 * rows.end };
        let rows_in = 2 * rows.start..end;
        let params = [("c", channels.into()), ("h", rows_in.len().into()), ("w", width.into())];
        tape.forward(kernel!("pool", "forward").storing("Map", x))
            .params(params)
            .bind("x", x.rows(rows_in.clone()))
            .bind("y", y.rows(rows.clone()))
            .grid([channels * shape.width, rows.len(), 1]);
        tape.backward(kernel!("pool", "backward").storing("Map", x))
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

/// The smallest window, odd sizes on either side and both, rows around a workgroup of 64 windows, many
/// channels.
pub const TABLE: Table = Table {
    op: "pool",
    edges: &[
        Size::new(1, 2, 2),
        Size::new(1, 3, 3),
        Size::new(3, 5, 4),
        Size::new(4, 4, 7),
        Size::new(5, 7, 9),
        Size::new(3, 2, 42),
        Size::new(4, 3, 32),
        Size::new(5, 2, 26),
        Size::new(1, 13, 131),
        Size::new(64, 3, 11),
        Size::new(512, 2, 3),
    ],
    network: |height, width| {
        let mut maps = vgg19_maps(height, width);
        maps.pop();
        maps
    },
    at: |size| {
        if size.height.min(size.width) >= 2 { in_both_precisions(size, case) } else { Vec::new() }
    },
};

fn case(size: Size) -> Case {
    let shape = size.shape();
    Case::new("pool", size, [Input::vary("x", shape)], move |inputs| reference(shape, &inputs[0]))
        .candidate(Candidate::new("plain", |tape, inputs| Ok(pool(tape, inputs[0].var).into())))
}
