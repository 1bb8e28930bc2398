//! The convolution with weights in uniform blocks: one dispatch for every 32 input and 32 output channels.

use super::{After, BLOCK, Conv};
use crate::engine::kernel::Value;
use crate::engine::kernel::{Kernel, kernel};
use crate::engine::tape::{Tape, View};

/// The weights of a block.
const WEIGHTS: usize = 9 * BLOCK * BLOCK;

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, filter, .. } = conv;
    let (c_in, c_out, width) = (filter.c_in, filter.c_out, x.shape.width);
    let relu = conv.after == After::Relu;
    for rows in tape.bands(&[y.shape, x.shape]) {
        let (x_rows, y_rows) = (x.halo(&rows), y.halo(&rows));
        let sums = |c: usize| c * rows.len() * width;
        let [forward_sums, backward_sums] =
            [("sums", c_out), ("dsums", c_in)].map(|(name, c)| tape.scratch(name, sums(c)));
        let grid = [rows.len() * width.div_ceil(8), 2, 1];
        // `turn` numbers the dispatches that add to the same sums.
        let params =
            |i: usize, o: usize, top: usize, seen: usize, turn: usize, of: usize| -> [(_, Value); 10] {
                [
                    ("w", width.into()),
                    ("h", rows.len().into()),
                    ("h_in", seen.into()),
                    ("top", (rows.start - top).into()),
                    ("c_in", c_in.into()),
                    ("c_out", c_out.into()),
                    ("i", (i * BLOCK).into()),
                    ("o", (o * BLOCK).into()),
                    ("begins", usize::from(turn == 0).into()),
                    ("ends", usize::from(turn + 1 == of).into()),
                ]
            };
        let (ins, outs) = (c_in / BLOCK, c_out / BLOCK);
        let weights = |i: usize, o: usize| {
            let start = (o * ins + i) * WEIGHTS;
            View { tensor: conv.weights, range: Some(start..start + WEIGHTS) }
        };
        let kernel = |kernel: Kernel| kernel.constant("RELU", relu).storing("X", *x).storing("Y", *y);
        for (o, i) in (0..outs).flat_map(|o| (0..ins).map(move |i| (o, i))) {
            tape.forward(kernel(kernel!("conv3x3_uniform", "forward")))
                .params(params(i, o, x_rows.start, x_rows.len(), i, ins))
                .bind("weights", weights(i, o))
                .bind("bias", conv.bias)
                .bind("x", x.rows(x_rows.clone()))
                .bind("y", y.rows(rows.clone()))
                .bind("sums", forward_sums)
                .grid(grid);
        }
        for (i, o) in (0..ins).flat_map(|i| (0..outs).map(move |o| (i, o))) {
            tape.backward(kernel(kernel!("conv3x3_uniform", "backward")))
                .params(params(i, o, y_rows.start, y_rows.len(), o, outs))
                .bind("weights", weights(i, o))
                .bind("kept", y.rows(y_rows.clone()))
                .upstream_rows("dy", *y, y_rows.clone())
                .bind("sums", backward_sums)
                .grad_rows("dx", *x, rows.clone())
                .grid(grid);
        }
    }
}
