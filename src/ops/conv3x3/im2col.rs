//! The convolution as one matrix product, without barriers, for software drivers: the direct form of what [`winograd`] does.
//!
//! What a pixel depends on, 9 values of each channel, is written out as a column of a matrix. Some columns at a time go
//! through the product, so that they stay in a cache.
//!
//! [`winograd`]: crate::ops::winograd

use super::{After, Conv, halo};
use crate::kernel;
use crate::kernel::{Source, Value};
use crate::ops::winograd::BLOCK;
use crate::tape::{Phase, Tape, Tensor, View};

/// Pixels that go through the three steps together.
const PIXELS: usize = 128;
/// Values of a row of texels.
const TEXEL_ROW: usize = crate::memory::Texels::ROW as usize;

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
            let seen = |seen: &std::ops::Range<usize>| -> [(&'static str, Value); 2] {
                [("h_in", seen.len().into()), ("top", (rows.start - seen.start).into())]
            };

            let v = tape.scratch("v", (9 * c_in * stride).next_multiple_of(TEXEL_ROW));
            tape.forward(kernel(kernel!("im2col_input", "forward")))
                .params(params(c_in))
                .params(seen(&x_rows))
                .bind("x", x.rows(x_rows.clone()))
                .bind("v", v)
                .grid([count, c_in / 4 * 3, 1]);
            let gemm = kernel!("winograd_gemm", "forward");
            let m = product(tape, Phase::Forward, gemm, conv, v, [9 * c_in, c_out], stride);
            tape.forward(with_relu(kernel!("im2col_output", "forward")))
                .params(params(c_out))
                .bind("m", m)
                .bind("bias", conv.bias)
                .bind("y", y.rows(rows.clone()))
                .grid([4 * count, c_out / 4, 1]);

            if x.grad.is_none() {
                continue;
            }
            let dv = tape.scratch("dv", (9 * c_out * stride).next_multiple_of(TEXEL_ROW));
            tape.backward(with_relu(kernel!("im2col_input", "backward")))
                .params(params(c_out))
                .params(seen(&y_rows))
                .upstream_rows("dy", *y, y_rows.clone())
                .bind("kept", y.rows(y_rows.clone()))
                .bind("v", dv)
                .grid([count, c_out / 4 * 3, 1]);
            let gemm = kernel!("winograd_gemm", "backward");
            let dm = product(tape, Phase::Backward, gemm, conv, dv, [c_in, 9 * c_out], stride);
            tape.backward(kernel(kernel!("im2col_output", "backward")))
                .params(params(c_in))
                .bind("m", dm)
                .grad_rows("dx", *x, rows.clone())
                .grid([4 * count, c_in / 4, 1]);
        }
    }
}

/// Step 2: the product of all columns with the weights, whose sums are returned. Of `[c_in, c_out]`, the side that is summed
/// is nine times the filter's.
fn product(
    tape: &mut Tape,
    phase: Phase,
    gemm: Source,
    conv: &Conv,
    columns: Tensor,
    [c_in, c_out]: [usize; 2],
    stride: usize,
) -> View {
    let (summed, given) = if phase == Phase::Forward { (c_in, c_out) } else { (c_out, c_in) };
    let values = (summed * stride).next_multiple_of(TEXEL_ROW);
    let texels = tape.scratch_texels("columns.texels", values);
    tape.copy(phase, columns, (texels, 0), values);
    let sums = tape.scratch("m", given * stride);
    tape.record(phase, gemm.constant("POINTS", "1u"))
        .params([("c_in", c_in.into()), ("c_out", c_out.into()), ("stride", stride.into())])
        .bind("u", conv.weights)
        .bind("v", texels)
        .bind("m", sums)
        .grid([given / BLOCK * 8, stride / BLOCK, 1]);
    sums.into()
}
