//! The convolution as nine matrix products, one per tap, without barriers, for software drivers. It is the
//! direct counterpart of [`winograd`].
//!
//! With zeros around the map, each tap sees the same map, shifted. So no columns need to be written out.
//!
//! [`winograd`]: crate::ops::winograd

use std::ops::Range;

use super::{After, BLOCK, Conv};
use crate::engine::kernel::{Kernel, Value, kernel};
use crate::engine::tape::{Shape, Tape, Tensor};

/// The pixels that go through both steps together, in whole rows. There are many, because each time two more
/// rows are written.
const PIXELS: usize = 2048;
/// The least number of rows, for the same reason.
const ROWS: usize = 4;

/// The values between the two steps, as written and as read.
struct Workspace {
    pixels: Tensor,
    texels: Tensor,
}

/// The pixels of the workspace for some rows of the map. Rows include their zeros and are computed in blocks,
/// and taps reach two rows and two pixels beyond.
fn pixels(rows: usize, width: usize) -> usize {
    ((rows * (width + 1)).next_multiple_of(BLOCK) + 2 * (width + 2)).next_multiple_of(BLOCK)
}

/// Only whole rows of values are copied to texels.
fn texel_rows(values: usize) -> usize {
    values.next_multiple_of(crate::engine::memory::Texels::ROW as usize)
}

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, filter, after, .. } = conv;
    let (c_in, c_out) = (filter.c_in, filter.c_out);
    let Shape { width, height, .. } = x.shape;
    let kernel = |kernel: Kernel| kernel.storing("X", *x).storing("Y", *y);
    let with_relu = |plain: Kernel| kernel(plain).constant("RELU", *after == After::Relu);
    // All rows use the same workspace.
    let at_once = (PIXELS / width).max(ROWS).min(height);
    let most = pixels(at_once, width);
    let mut workspace = |[pixels, texels]: [&str; 2], c: usize| Workspace {
        pixels: tape.scratch(pixels, texel_rows(c * most)),
        texels: tape.scratch_texels(texels, c * most),
    };
    let there = workspace(["v", "v.texels"], c_in);
    let back = workspace(["dv", "dv.texels"], c_out);
    for rows in tape.bands(&[y.shape, x.shape]) {
        let (x_rows, y_rows) = (x.halo(&rows), y.halo(&rows));
        for first in (0..rows.len()).step_by(at_once) {
            let count = (rows.len() - first).min(at_once);
            let input = |c: usize, seen: &Range<usize>| -> [(&'static str, Value); 5] {
                [
                    ("w", width.into()),
                    ("h_in", seen.len().into()),
                    ("top", (rows.start + first - seen.start).into()),
                    ("c", c.into()),
                    ("rows", (count + 2).into()),
                ]
            };
            let bordered = |c: usize| [width + 2, count + 2, c / 4];
            let product: [(&'static str, Value); 5] = [
                ("w", width.into()),
                ("h", count.into()),
                ("first", first.into()),
                ("c_in", c_in.into()),
                ("c_out", c_out.into()),
            ];
            // A workgroup is one subgroup of 8 lanes and computes 32 channels of 32 pixels.
            let blocks = |c: usize| [(count * (width + 1)).div_ceil(BLOCK) * 8, c / BLOCK, 1];
            let values = |c: usize| texel_rows(c * pixels(count, width));

            tape.forward(kernel(kernel!("shifted_input", "forward")))
                .params(input(c_in, &x_rows))
                .bind("x", x.rows(x_rows.clone()))
                .bind("v", there.pixels)
                .grid(bordered(c_in));
            tape.forward_copy(there.pixels, there.texels, values(c_in));
            tape.forward(with_relu(kernel!("shifted_gemm", "forward")))
                .params(product)
                .bind("u", conv.weights)
                .bind("v", there.texels)
                .bind("bias", conv.bias)
                .bind("y", y.rows(rows.clone()))
                .grid(blocks(c_out));

            if x.grad.is_none() {
                continue;
            }
            tape.backward(with_relu(kernel!("shifted_input", "backward")))
                .params(input(c_out, &y_rows))
                .upstream_rows("dy", *y, y_rows.clone())
                .bind("kept", y.rows(y_rows.clone()))
                .bind("v", back.pixels)
                .grid(bordered(c_out));
            tape.backward_copy(back.pixels, back.texels, values(c_out));
            tape.backward(kernel(kernel!("shifted_gemm", "backward")))
                .params(product)
                .bind("u", conv.weights)
                .bind("v", back.texels)
                .grad_rows("dx", *x, rows.clone())
                .grid(blocks(c_in));
        }
    }
}
