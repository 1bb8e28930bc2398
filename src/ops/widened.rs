//! A map in float32, however it is stored: what later iterations compare with outlives the plan that measured
//! it.

use crate::cases::{Candidate, Case, Input, Recorded, Size, Table, in_both_precisions};
use crate::engine::kernel::kernel;
use crate::engine::precision::Precision;
use crate::engine::tape::{Tape, Tensor, Var};

/// Records, for the forward pass, `y = x` in float32; returns `y`, which has a buffer of its own.
pub fn widened(tape: &mut Tape, x: Var) -> Tensor {
    let row = x.shape.channels * x.shape.width;
    let y =
        Var { precision: Precision::Single, value: tape.state("widened", x.shape.len()), grad: None, ..x };
    for band in tape.bands(&[x.shape]) {
        // The shader has no `HALF`, because nothing is clamped.
        let kernel = match x.precision {
            Precision::Single => kernel!("widened", "forward"),
            Precision::Half => kernel!("widened", "forward").constant("Map", "f16"),
        };
        tape.forward(kernel)
            .params([("row", row.into())])
            .bind("x", x.rows(band.clone()))
            .bind("y", y.rows(band.clone()))
            .grid([row, band.len(), 1]);
    }
    y.value
}

/// One value, primes, rows around a workgroup of 64 values.
pub const TABLE: Table = Table {
    op: "widened",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(5, 3, 7),
        Size::new(1, 2, 63),
        Size::new(4, 3, 16),
        Size::new(5, 2, 13),
    ],
    network: |height, width| crate::cases::vgg19_maps(height, width).split_off(3),
    at: |size| in_both_precisions(size, case),
};

fn case(size: Size) -> Case {
    let shape = size.shape();
    let reference = |inputs: &[Vec<f64>]| inputs[0].clone();
    Case::new("widened", size, [Input::fixed("x", shape).map()], reference).candidate(Candidate::new(
        "plain",
        |tape, inputs| {
            let x = inputs[0].var;
            let value = widened(tape, x);
            Ok(Recorded::from(Var { precision: Precision::Single, value, grad: None, ..x }))
        },
    ))
}
