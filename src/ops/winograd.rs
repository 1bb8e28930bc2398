//! The convolution by Winograd's F(4x4, 3x3): 36 matrix products instead of 144 multiplications per output tile.
//!
//! A tile of 4 x 4 outputs depends on 6 x 6 inputs. Both are polynomials evaluated at six points in each direction,
//! where the convolution is a product (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). The
//! points 0, +-a, +-b and infinity, with a and b near sqrt(1/2) and sqrt(2), keep the rounding error near that of the
//! direct sum. Turning a filter by
//! 180 degrees is the same as turning its tiles, so that the backward pass uses the same transformed weights.

use std::ops::Range;

use super::conv3x3::{After, Conv, Filter, Variant, halo};
use crate::kernel;
use crate::kernel::{Source, Value};
use crate::precision::Precision;
use crate::tape::{Shape, Tape, Tensor, View};

/// Points in both directions together.
const POINTS: usize = 36;
/// Tiles that go through the three steps together on a processor: their values stay in its cache.
const TILES: usize = 128;
/// Bytes of what goes through them together on a GPU: enough to have work for all of it, while much stays in its cache.
const WORKSPACE: usize = 64 << 20;
/// Channels of an output block, and tiles of an invocation's subgroup.
pub(super) const BLOCK: usize = 32;
/// Values of a row of texels.
const TEXEL_ROW: usize = crate::memory::Texels::ROW as usize;

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

/// How many transformed weights there are.
pub(super) fn packed_len(c_in: usize, c_out: usize) -> u64 {
    (POINTS * c_in * c_out) as u64
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

/// Tiles that go through the three steps together.
fn tiles_together(filter: &Filter) -> usize {
    match filter.variant {
        Variant::WinogradTiled => {
            (WORKSPACE / (4 * POINTS * (filter.c_in + filter.c_out))).max(TILES) / TILES * TILES
        }
        _ => TILES,
    }
}

/// Step 2: the matrix products for `count` tiles of `c_out` channels.
struct Product {
    kernel: Source,
    grid: [usize; 3],
}

impl Product {
    fn new(filter: &Filter, [shuffled, tiled]: [Source; 2], c_out: usize, count: usize) -> Self {
        let half = filter.precision == Precision::Half;
        if filter.variant == Variant::Winograd {
            // A workgroup is one subgroup of 8 lanes and computes 32 channels of 32 tiles.
            let kernel = if half {
                shuffled.constant("Weights", "texture_storage_2d<rgba16float, read>")
            } else {
                shuffled
            };
            return Self { kernel, grid: [c_out / BLOCK * 8, count.div_ceil(BLOCK), POINTS] };
        }
        // The larger a workgroup's tile, the less is loaded for each product, as long as there is work for all.
        let [channels, tiles] = [c_out, count].map(|n| if n > 64 { 128 } else { 64 });
        let kernel =
            tiled.constant("CHANNELS", format!("{channels}u")).constant("TILES", format!("{tiles}u"));
        let kernel = if half { kernel.constant("Weights", "vec4<f16>") } else { kernel };
        Self { kernel, grid: [c_out.div_ceil(channels) * 16, count.div_ceil(tiles) * 16, POINTS] }
    }
}

/// Records forward x -> v -> m -> y, backward dy -> v -> m -> dx, in bands of rows of tiles.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Shape { height, width, .. } = conv.x.shape;
    // A word of gates per channel and tile has a bit per pixel: whether ReLU and pooling let its value through. It is all
    // that backward needs to know of forward.
    let tiles = Shape::new(conv.filter.c_out, height.div_ceil(4), width.div_ceil(4));
    let gates = tape.scratch("gates", tiles.len());
    for band in tape.bands(&[tiles, conv.x.shape, conv.y.shape]) {
        record_band(tape, conv, (gates, tiles), band);
    }
}

/// Records some rows of tiles.
fn record_band(tape: &mut Tape, conv: &Conv, (gates, tiles): (Tensor, Shape), band: Range<usize>) {
    let Conv { x, y, filter, after, .. } = conv;
    let (c_in, c_out, width) = (filter.c_in, filter.c_out, x.shape.width);
    let (relu, pool) = (*after != After::Nothing, *after == After::ReluPool);
    let x_rows = 4 * band.start..(4 * band.end).min(x.shape.height);
    let y_rows = if pool { 2 * band.start..2 * band.end } else { x_rows.clone() };
    let (x_seen, y_seen) = (halo(&x_rows, x.shape, x.precision), halo(&y_rows, y.shape, y.precision));
    let gates_seen = halo(&band, tiles, Precision::Single);
    let gates_of = |rows| View { tensor: gates, range: Some(tiles.rows(rows)) };
    let written = {
        // A last row of pixels alone makes no window; something must be bound all the same.
        let end = y_rows.end.min(y.shape.height);
        if y_rows.start < end { y_rows.start..end } else { y_seen.clone() }
    };

    let total = band.len() * width.div_ceil(4);
    let stride = total.min(tiles_together(filter)).next_multiple_of(BLOCK);
    // All tiles go through the same workspace; texels are copied in whole rows.
    let values = |c: usize| (POINTS * c * stride).next_multiple_of(TEXEL_ROW);
    let [v, m] = [("v", c_in), ("m", c_out)].map(|(name, c)| tape.scratch(name, values(c)));
    let [dv, dm] = [("dv", c_out), ("dm", c_in)].map(|(name, c)| tape.scratch(name, values(c)));
    // Software drivers read texels faster than buffers.
    let as_texels = filter.variant == Variant::Winograd;
    let texels = as_texels.then(|| tape.scratch_texels("v.texels", values(c_in)));
    let dtexels = as_texels.then(|| tape.scratch_texels("dv.texels", values(c_out)));
    let edges = |kernel: Source| {
        let kernel = kernel.storing("X", *x).storing("Y", *y);
        if as_texels { kernel } else { kernel.constant("LINES", "16u") }
    };
    for first in (0..total).step_by(stride) {
        let count = stride.min(total - first);
        let params = |c: usize| -> [(&'static str, Value); 5] {
            [
                ("w", width.into()),
                ("c", c.into()),
                ("first", first.into()),
                ("tiles", count.into()),
                ("stride", stride.into()),
            ]
        };
        // What reads a map and its gates with their surroundings.
        let seen = |seen: &Range<usize>, top: usize| -> [(&'static str, Value); 4] {
            [
                ("h_in", seen.len().into()),
                ("top", (top - seen.start).into()),
                ("gate_rows", gates_seen.len().into()),
                ("gate_top", (band.start - gates_seen.start).into()),
            ]
        };
        let inner: [(&'static str, Value); 3] =
            [("c_in", c_in.into()), ("c_out", c_out.into()), ("stride", stride.into())];
        // Channels are a multiple of those of a workgroup, which are not checked.
        let edge = |c: usize| [count, c, 1];

        tape.forward(edges(kernel!("winograd_input", "forward")))
            .params(params(c_in))
            .params(seen(&x_seen, x_rows.start))
            .bind("x", x.rows(x_seen.clone()))
            .bind("v", v)
            .grid(edge(c_in));
        if let Some(texels) = texels {
            tape.forward_copy(v, texels, values(c_in));
        }
        let kernels = [kernel!("winograd_gemm", "forward"), kernel!("winograd_gemm_tiled", "forward")];
        let product = Product::new(filter, kernels, c_out, count);
        tape.forward(product.kernel)
            .params(inner)
            .bind("u", conv.weights)
            .bind("v", texels.unwrap_or(v))
            .bind("m", m)
            .grid(product.grid);
        tape.forward(
            edges(kernel!("winograd_output", "forward")).constant("RELU", relu).constant("POOL", pool),
        )
        .params(params(c_out))
        .params([("h", x_rows.len().into())])
        .bind("m", m)
        .bind("bias", conv.bias)
        .bind("y", y.rows(written.clone()))
        .bind("gates", gates_of(band.clone()))
        .grid(edge(c_out));

        if x.grad.is_none() {
            continue;
        }
        tape.backward(
            edges(kernel!("winograd_input", "backward")).constant("RELU", relu).constant("POOL", pool),
        )
        .params(params(c_out))
        .params(seen(&y_seen, y_rows.start))
        .upstream_rows("dy", *y, y_seen.clone())
        .bind("gates", gates_of(gates_seen.clone()))
        .bind("v", dv)
        .grid(edge(c_out));
        if let Some(texels) = dtexels {
            tape.backward_copy(dv, texels, values(c_out));
        }
        let kernels = [kernel!("winograd_gemm", "backward"), kernel!("winograd_gemm_tiled", "backward")];
        let product = Product::new(filter, kernels, c_in, count);
        tape.backward(product.kernel)
            .params(inner)
            .bind("u", conv.weights)
            .bind("v", dtexels.unwrap_or(dv))
            .bind("m", dm)
            .grid(product.grid);
        tape.backward(edges(kernel!("winograd_output", "backward")))
            .params(params(c_in))
            .params([("h", x_rows.len().into())])
            .bind("m", dm)
            .grad_rows("dx", *x, x_rows.clone())
            .grid(edge(c_in));
    }
}
