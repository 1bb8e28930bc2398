//! The average of the iterates: steadier than the last of them, so it is what is shown, saved and carried on.

use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table, widen};
use crate::engine::kernel::kernel;
use crate::engine::real::Real;
use crate::engine::tape::{Tape, Tensor, Var};
use crate::ops::adam::EDGES;

/// Records, after the optimiser's step, `sum = keep * sum + (1 - keep) * x` for the picture `exact`, which
/// has the shape of `x` and the precision `real`; returns `sum`. It starts as zeros, so after `n` iterations
/// the average is `sum / (1 - keep^n)`, as in Adam (Kingma and Ba 2015, section 3).
pub fn average(tape: &mut Tape, x: Var, exact: Tensor, real: Real, keep: f64) -> Tensor {
    let row = x.shape.channels * x.shape.width;
    let sum = tape.state("average", real.len(x.shape.len()));
    for rows in tape.bands(&[x.shape_in(real), x.shape]) {
        tape.update(
            kernel!("average", "forward").constant("real", real.wgsl()).constant("KEEP", format!("{keep:?}")),
        )
        .params([("row", row.into())])
        .bind("x", x.rows_of(exact, real, rows.clone()))
        .bind("sum", x.rows_of(sum, real, rows.clone()))
        .grid([row, rows.len(), 1]);
    }
    sum
}

/// One picture and one average before it.
pub const TABLE: Table = Table {
    op: "average",
    edges: EDGES,
    network: |height, width| vec![Size::new(3, height, width)],
    at: |size| vec![case(size)],
};

fn case(size: Size) -> Case {
    let (shape, keep) = (size.shape(), 0.98);
    let inputs = [Input::fixed("picture", shape), Input::fixed("before", shape)];
    let reference = move |inputs: &[Vec<f64>]| {
        std::iter::zip(&inputs[0], &inputs[1]).map(|(x, sum)| keep * sum + (1.0 - keep) * x).collect()
    };
    let candidate = |real: Real| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let x = tape.leaf("x", shape);
            let exact = tape.state("exact", real.len(shape.len()));
            let sum = average(tape, x, exact, real, keep);
            let starts = vec![
                (exact, real.encode(&widen(&inputs[0].values))),
                (sum, real.encode(&widen(&inputs[1].values))),
            ];
            // The result in float32.
            let y = tape.leaf("y", shape);
            tape.update(kernel!("average", "rounded").constant("real", real.wgsl()))
                .params([("row", (shape.channels * shape.width).into())])
                .bind("sum", sum)
                .bind("y", y.value)
                .grid([shape.channels * shape.width, shape.height, 1]);
            Ok(Recorded { y: Var { grad: None, ..y }, starts })
        };
        Candidate::new(real.wgsl(), record).needs(move |gpu| real == Real::F32 || Real::of(gpu) == real)
    };
    Case::new("average", size, inputs, reference)
        .candidate(candidate(Real::F32))
        .candidate(candidate(Real::F64))
}
