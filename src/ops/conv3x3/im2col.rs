//! The convolution as one matrix product, without barriers, for software drivers: the direct form of what [`winograd`] does.
//!
//! What a pixel depends on, 9 values of each channel, is written out as a column of a matrix. Some columns at a time go
//! through the product, so that they stay in a cache.
//!
//! [`winograd`]: crate::ops::winograd

use std::ops::Range;

use super::{After, Conv, halo};
use crate::kernel;
use crate::kernel::{Source, Value};
use crate::ops::winograd::BLOCK;
use crate::tape::{Tape, Tensor};

/// Pixels that go through the three steps together.
const PIXELS: usize = 128;

/// What goes from one of the three steps to the next.
struct Workspace {
    columns: Tensor,
    texels: Tensor,
    sums: Tensor,
}

/// Values that are copied to texels are whole rows.
fn texel_rows(values: usize) -> usize {
    values.next_multiple_of(crate::memory::Texels::ROW as usize)
}

/// `c_out x c_in x 3 x 3` to `c_out/32 x 3 x 3 x c_in/4 x 32 x 4`: block of outputs, tap, four inputs, output, input.
pub(super) fn pack(weights: &[f32], c_in: usize, c_out: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(weights.len());
    for o in (0..c_out).step_by(BLOCK) {
        for (tap, i) in (0..9).flat_map(|tap| (0..c_in).step_by(4).map(move |i| (tap, i))) {
            for o in o..o + BLOCK {
                packed.extend((i..i + 4).map(|i| weights[(o * c_in + i) * 9 + tap]));
            }
        }
    }
    packed
}

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, filter, after, .. } = conv;
    let (c_in, c_out) = (filter.c_in, filter.c_out);
    let kernel = |kernel: Source| kernel.storing("X", *x).storing("Y", *y);
    let with_relu = |source: Source| kernel(source).constant("RELU", *after == After::Relu);
    // All pixels go through the same workspace: columns, their texels, and sums.
    let most = PIXELS.min(4 * x.shape.height * x.shape.width.div_ceil(4)).next_multiple_of(BLOCK);
    let mut workspace = |[columns, texels, sums]: [&str; 3], summed: usize, given: usize| Workspace {
        columns: tape.scratch(columns, texel_rows(9 * summed * most)),
        texels: tape.scratch_texels(texels, 9 * summed * most),
        sums: tape.scratch(sums, given * most),
    };
    let there = workspace(["v", "v.texels", "m"], c_in, c_out);
    let back = workspace(["dv", "dv.texels", "dm"], c_out, c_in);
    for rows in tape.bands(&[y.shape, x.shape]) {
        let (x_rows, y_rows) = (halo(&rows, x.shape, x.precision), halo(&rows, y.shape, y.precision));
        let fours = rows.len() * x.shape.width.div_ceil(4);
        for first in (0..fours).step_by(PIXELS / 4) {
            let count = (fours - first).min(PIXELS / 4);
            let stride = (4 * count).next_multiple_of(BLOCK);
            let params = |c: usize| -> [(&'static str, Value); 6] {
                [
                    ("w", x.shape.width.into()),
                    ("h", rows.len().into()),
                    ("c", c.into()),
                    ("first", first.into()),
                    ("fours", count.into()),
                    ("stride", stride.into()),
                ]
            };
            let seen = |seen: &Range<usize>| -> [(&'static str, Value); 2] {
                [("h_in", seen.len().into()), ("top", (rows.start - seen.start).into())]
            };
            // Step 2. Of the channels, those that are summed count nine times.
            let gemm = |kernel: Source| kernel.constant("POINTS", "1u");
            let product = |c_in: usize, c_out: usize| -> [(&'static str, Value); 3] {
                [("c_in", c_in.into()), ("c_out", c_out.into()), ("stride", stride.into())]
            };
            let blocks = |c: usize| [c / BLOCK * 8, stride / BLOCK, 1];

            tape.forward(kernel(kernel!("im2col_input", "forward")))
                .params(params(c_in))
                .params(seen(&x_rows))
                .bind("x", x.rows(x_rows.clone()))
                .bind("v", there.columns)
                .grid([count, c_in / 4 * 3, 1]);
            tape.forward_copy(there.columns, there.texels, texel_rows(9 * c_in * stride));
            tape.forward(gemm(kernel!("winograd_gemm", "forward")))
                .params(product(9 * c_in, c_out))
                .bind("u", conv.weights)
                .bind("v", there.texels)
                .bind("m", there.sums)
                .grid(blocks(c_out));
            tape.forward(with_relu(kernel!("im2col_output", "forward")))
                .params(params(c_out))
                .bind("m", there.sums)
                .bind("bias", conv.bias)
                .bind("y", y.rows(rows.clone()))
                .grid([4 * count, c_out / 4, 1]);

            if x.grad.is_none() {
                continue;
            }
            tape.backward(with_relu(kernel!("im2col_input", "backward")))
                .params(params(c_out))
                .params(seen(&y_rows))
                .upstream_rows("dy", *y, y_rows.clone())
                .bind("kept", y.rows(y_rows.clone()))
                .bind("v", back.columns)
                .grid([count, c_out / 4 * 3, 1]);
            tape.backward_copy(back.columns, back.texels, texel_rows(9 * c_out * stride));
            tape.backward(gemm(kernel!("winograd_gemm", "backward")))
                .params(product(c_in, 9 * c_out))
                .bind("u", conv.weights)
                .bind("v", back.texels)
                .bind("m", back.sums)
                .grid(blocks(c_in));
            tape.backward(kernel(kernel!("im2col_output", "backward")))
                .params(params(c_in))
                .bind("m", back.sums)
                .grad_rows("dx", *x, rows.clone())
                .grid([4 * count, c_in / 4, 1]);
        }
    }
}
