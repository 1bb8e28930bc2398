//! The convolution by Winograd's F(4x4, 3x3): 36 matrix products instead of 144 multiplications per output tile.
//!
//! A tile of 4 x 4 outputs depends on 6 x 6 inputs. Both are polynomials evaluated at six points in each direction,
//! where the convolution is a product (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). The
//! points 0, +-a, +-b and infinity, with a and b near sqrt(1/2) and sqrt(2), keep the rounding error near that of the
//! direct sum. Turning a filter by
//! 180 degrees is the same as turning its tiles, so that the backward pass uses the same transformed weights.

use std::ops::Range;

use super::conv3x3::Band;
use crate::kernel;
use crate::kernel::Value;
use crate::tape::{Shape, Tape};

/// Points in both directions together.
const POINTS: usize = 36;
/// Tiles that go through the three steps together: their values stay in the processor's cache.
const TILES: usize = 128;
/// Channels of an output block, and tiles of an invocation's subgroup.
const BLOCK: usize = 32;
/// Values of a row of texels.
const TEXEL_ROW: usize = crate::memory::Texels::ROW as usize / 4;

/// Row `p` holds what a filter of three taps is at point `p`, divided by the product of that point's distances from the
/// other finite points.
fn points() -> [[f64; 3]; 6] {
    // As in the shaders.
    let (a, b): (f64, f64) = (0.703125, 1.40625);
    let row = |p: f64, other: f64| {
        let scale = 2.0 * p * p * (p * p - other * other);
        [1.0 / scale, p / scale, p * p / scale]
    };
    let zero = [1.0 / (a * a * b * b), 0.0, 0.0];
    [zero, row(a, b), row(-a, b), row(b, a), row(-b, a), [0.0, 0.0, 1.0]]
}

/// Device memory of the transformed weights.
pub(super) fn packed_bytes(c_in: usize, c_out: usize) -> u64 {
    (POINTS * c_in * c_out * 4) as u64
}

/// Transformed weights `G w G^T`, `36 x c_out/32 x c_in/4 x 32 x 4`: point, block of outputs, four inputs, output,
/// input.
pub(super) fn pack(weights: &[f32], c_in: usize, c_out: usize) -> Vec<f32> {
    let points = points();
    let mut packed = vec![0.0; POINTS * c_in * c_out];
    for o in 0..c_out {
        for i in 0..c_in {
            let w = &weights[(o * c_in + i) * 9..][..9];
            let at =
                |row: usize, p: &[f64; 3]| -> f64 { (0..3).map(|k| p[k] * f64::from(w[row * 3 + k])).sum() };
            for (column, p) in points.iter().enumerate() {
                let rows: [f64; 3] = std::array::from_fn(|row| at(row, p));
                for (row, q) in points.iter().enumerate() {
                    let block = (row * 6 + column) * (c_out / BLOCK) + o / BLOCK;
                    let texel = (block * (c_in / 4) + i / 4) * BLOCK + o % BLOCK;
                    packed[texel * 4 + i % 4] = (0..3).map(|k| q[k] * rows[k]).sum::<f64>() as f32;
                }
            }
        }
    }
    packed
}

/// Records a band of rows: forward x -> v -> m -> y, backward dy -> v -> m -> dx.
pub(super) fn record(tape: &mut Tape, band: &Band) {
    let Band { x, y, filter, rows, .. } = band;
    let (x_rows, y_rows) = (band.around(*x), band.around(*y));
    let Shape { width, .. } = x.shape;
    let (c_in, c_out) = (filter.c_in, filter.c_out);
    let total = rows.len().div_ceil(4) * width.div_ceil(4);
    let stride = total.min(TILES).next_multiple_of(BLOCK);
    // All tiles go through the same workspace; texels are copied in whole rows.
    let values = |c: usize| (POINTS * c * stride).next_multiple_of(TEXEL_ROW);
    let [v, m] = [("v", c_in), ("m", c_out)].map(|(name, c)| tape.scratch(name, values(c)));
    let texels = tape.scratch_texels("v.texels", values(c_in));
    let [dv, dm] = [("dv", c_out), ("dm", c_in)].map(|(name, c)| tape.scratch(name, values(c)));
    let dtexels = tape.scratch_texels("dv.texels", values(c_out));
    for first in (0..total).step_by(stride) {
        let tiles = stride.min(total - first);
        // What reads a map with its surroundings, and what writes one.
        let reads = |c: usize, seen: &Range<usize>| -> [(&'static str, Value); 7] {
            [
                ("w", width.into()),
                ("h_in", seen.len().into()),
                ("top", (rows.start - seen.start).into()),
                ("c", c.into()),
                ("first", first.into()),
                ("tiles", tiles.into()),
                ("stride", stride.into()),
            ]
        };
        let writes = |c: usize| -> [(&'static str, Value); 6] {
            [
                ("w", width.into()),
                ("h", rows.len().into()),
                ("c", c.into()),
                ("first", first.into()),
                ("tiles", tiles.into()),
                ("stride", stride.into()),
            ]
        };
        let inner: [(&'static str, Value); 3] =
            [("c_in", c_in.into()), ("c_out", c_out.into()), ("stride", stride.into())];
        // A workgroup of the product is one subgroup of 8 lanes and computes 32 channels of 32 tiles.
        let edge = |c: usize| [tiles, c, 1];
        let product = |c: usize| [c / BLOCK * 8, tiles.div_ceil(BLOCK), POINTS];

        tape.forward(kernel!("winograd_input", "forward"))
            .params(reads(c_in, &x_rows))
            .bind("x", x.rows(x_rows.clone()))
            .bind("v", v)
            .grid(edge(c_in));
        tape.forward_copy(v, texels, values(c_in));
        tape.forward(kernel!("winograd_gemm", "forward"))
            .params(inner)
            .bind("u", band.weights)
            .bind("v", texels)
            .bind("m", m)
            .grid(product(c_out));
        tape.forward(kernel!("winograd_output", "forward").constant("RELU", band.relu))
            .params(writes(c_out))
            .bind("m", m)
            .bind("bias", band.bias)
            .bind("y", y.rows(rows.clone()))
            .grid(edge(c_out));

        if x.grad.is_none() {
            continue;
        }
        tape.backward(kernel!("winograd_input", "backward").constant("RELU", band.relu))
            .params(reads(c_out, &y_rows))
            .upstream_rows("dy", *y, y_rows.clone())
            .bind("kept", y.rows(y_rows.clone()))
            .bind("v", dv)
            .grid(edge(c_out));
        tape.backward_copy(dv, dtexels, values(c_out));
        tape.backward(kernel!("winograd_gemm", "backward"))
            .params(inner)
            .bind("u", band.weights)
            .bind("v", dtexels)
            .bind("m", dm)
            .grid(product(c_in));
        tape.backward(kernel!("winograd_output", "backward"))
            .params(writes(c_in))
            .bind("m", dm)
            .grad_rows("dx", *x, rows.clone())
            .grid(edge(c_in));
    }
}
