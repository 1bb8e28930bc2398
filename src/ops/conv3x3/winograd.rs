//! The convolution by Winograd's F(4x4, 3x3): 36 matrix products instead of 144 multiplications per output tile.
//!
//! A tile of 4 x 4 outputs depends on 6 x 6 inputs. Both are polynomials evaluated at six points in each direction,
//! where the convolution is a product (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). The
//! points 0, +-a, +-b and infinity, with a and b near sqrt(1/2) and sqrt(2), keep the rounding error near that of the
//! direct sum. Turning a filter by 180 degrees is the same as turning its tiles, so that the backward pass uses the same
//! transformed weights.
//!
//! Transformed weights take four times the memory of float32 ones, and sixteen times that of those that ship. Small pictures
//! keep them; large ones transform those of one layer after the other, in each pass.

use std::collections::HashMap;

use super::{After, BLOCK, Band, Conv, Filter, Gates, Variant};
use crate::engine::kernel::{Kernel, Value, kernel};
use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::tape::{Phase, Tape, Tensor};

/// Points in both directions together.
const POINTS: usize = 36;
/// Tiles that go through the three steps together on a processor, of many channels; of fewer, twice as many. Their values
/// stay in its cache, and share weights and barriers.
const TILES: usize = 128;
/// Channels, of inputs and outputs together, that are many.
const MANY: usize = 512;
/// Bytes that pass through the steps together on a GPU: enough to occupy it, and few enough that much stays in its cache.
const WORKSPACE: usize = 64 << 20;
/// Values of a row of texels.
const TEXEL_ROW: usize = crate::engine::memory::Texels::ROW as usize;

/// Transformed weights that go through a piece of memory together on their way to texels, unless a block of outputs has
/// more.
const PIECE: usize = 1 << 19;

/// How many transformed weights there are.
pub(super) fn packed_len(c_in: usize, c_out: usize) -> u64 {
    (POINTS * c_in * c_out) as u64
}

/// Weights of `c_out x c_in x 3 x 3` as the network has them on the device, and whether they are bytes: where there are at
/// most 256 different values, as in the network that ships, these come first and a byte each tells which.
pub(super) fn compact(weights: &[f32]) -> (Vec<u32>, bool) {
    let mut numbers: HashMap<u32, u8> = HashMap::new();
    let mut bytes = Vec::with_capacity(weights.len());
    for bits in weights.iter().map(|w| w.to_bits()) {
        let next = u8::try_from(numbers.len());
        match (numbers.get(&bits), next) {
            (Some(number), _) => bytes.push(*number),
            (None, Ok(next)) => {
                numbers.insert(bits, next);
                bytes.push(next);
            }
            (None, Err(_)) => return (weights.iter().map(|w| w.to_bits()).collect(), false),
        }
    }
    let mut words = vec![0; 256];
    for (bits, number) in numbers {
        words[usize::from(number)] = bits;
    }
    words.extend(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    (words, true)
}

/// Records, for `phase`, that the weights are transformed, `c_out/32 x 36 x c_in/4 x 32 x 4`: block of outputs, point, four
/// inputs, output, input.
fn transformed(tape: &mut Tape, conv: &Conv, phase: Phase) -> Tensor {
    let Conv { filter, .. } = conv;
    let (c_in, c_out) = (filter.c_in, filter.c_out);
    let len = POINTS * c_in * c_out;
    let real = Real::of(tape.gpu());
    let kernel = kernel!("winograd_weights", "transform_filters")
        .constant("real", real.wgsl())
        .constant("DOUBLE", real == Real::F64)
        .constant("PALETTE", filter.palette);
    let precision = tape.weight_precision();
    let kernel = match precision {
        Precision::Single => kernel,
        Precision::Half => kernel.constant("HALF", true).constant("U", "f16"),
    };
    // Some outputs after the other, written to `to`.
    let record = |tape: &mut Tape, first: usize, outputs: usize, to: Tensor| {
        tape.record(phase, kernel.clone())
            .params([
                ("c_in", c_in.into()),
                ("first", (first * c_in).into()),
                ("filters", (outputs * c_in).into()),
            ])
            .bind("weights", conv.weights)
            .bind("u", to)
            .grid([outputs * c_in, 1, 1]);
    };
    if filter.variant == Variant::WinogradTiled {
        let all = tape.scratch("u", len);
        tape.set_precision(all, precision);
        record(tape, 0, c_out, all);
        return all;
    }
    let all = tape.scratch_texels("u.texels", len);
    let outputs = (PIECE / (POINTS * c_in) / BLOCK * BLOCK).clamp(BLOCK, c_out);
    let piece = tape.scratch("u", POINTS * c_in * outputs);
    for tensor in [all, piece] {
        tape.set_precision(tensor, precision);
    }
    for first in (0..c_out).step_by(outputs) {
        let outputs = outputs.min(c_out - first);
        record(tape, first, outputs, piece);
        tape.copy(phase, piece, (all, POINTS * c_in * first), POINTS * c_in * outputs);
    }
    all
}

/// Tiles that go through the three steps together.
fn tiles_together(filter: &Filter) -> usize {
    match filter.variant {
        Variant::WinogradTiled => {
            (WORKSPACE / (4 * POINTS * (filter.c_in + filter.c_out))).max(TILES) / TILES * TILES
        }
        _ if filter.c_in + filter.c_out > MANY => TILES,
        _ => 2 * TILES,
    }
}

/// What goes through step 2 in one direction: the transformed inputs, as texels where these are read faster, and the products.
struct Workspace {
    v: Tensor,
    /// With how many values are copied.
    texels: Option<(Tensor, usize)>,
    m: Tensor,
    /// Channels of `m`.
    products: usize,
    /// Tiles that they have room for.
    stride: usize,
}

impl Workspace {
    /// For `stride` tiles of inputs and of products, each of `channels`.
    fn new(tape: &mut Tape, names: [&str; 3], channels: [usize; 2], stride: usize, as_texels: bool) -> Self {
        // Texels are copied in whole rows.
        let [len, products] = channels.map(|c| (POINTS * c * stride).next_multiple_of(TEXEL_ROW));
        let texels = as_texels.then(|| (tape.scratch_texels(names[1], len), len));
        let (v, m) = (tape.scratch(names[0], len), tape.scratch(names[2], products));
        Self { v, texels, m, products: channels[1], stride }
    }

    /// Step 2: the 36 matrix products for `count` tiles, with the transformed weights `u`.
    fn multiply(&self, tape: &mut Tape, phase: Phase, filter: &Filter, u: Tensor, count: usize) {
        if let Some((texels, len)) = self.texels {
            tape.copy(phase, self.v, (texels, 0), len);
        }
        let (kernel, grid) = match filter.variant {
            Variant::WinogradTiled => in_workgroup_memory(tape, phase, self.products, count),
            _ => by_shuffles(tape, phase, self.products, count),
        };
        tape.record(phase, kernel)
            .params([
                ("c_in", filter.c_in.into()),
                ("c_out", filter.c_out.into()),
                ("stride", self.stride.into()),
            ])
            .bind("u", u)
            .bind("v", self.texels.map_or(self.v, |(texels, _)| texels))
            .bind("m", self.m)
            .grid(grid);
    }
}

/// The product for software drivers: a workgroup is one subgroup of 8 lanes and computes 32 channels of 32 tiles, or of 24 or
/// 16 if that is all.
fn by_shuffles(tape: &Tape, phase: Phase, channels: usize, count: usize) -> (Kernel, [usize; 3]) {
    let each = count.div_ceil(8).clamp(2, 4);
    let kernel = match phase {
        Phase::Backward => kernel!("winograd_gemm", "backward"),
        _ => kernel!("winograd_gemm", "forward"),
    };
    let kernel = kernel
        .texels("Weights", tape.weight_precision())
        .constant("TILES", format!("{each}u"))
        .constant("Sums", format!("mat4x{each}f"))
        .constant("Texels", format!("mat{each}x4f"));
    (kernel, [count.div_ceil(BLOCK) * 8, channels / BLOCK, POINTS])
}

/// The product for GPUs. The larger a workgroup's tile, the less is loaded for each product, as long as little of it is empty.
fn in_workgroup_memory(tape: &Tape, phase: Phase, channels: usize, count: usize) -> (Kernel, [usize; 3]) {
    let full = |n: usize| n.next_multiple_of(128) * 8 <= n.next_multiple_of(64) * 9;
    // Channels and tiles of a workgroup.
    let each = [channels, count].map(|n| if full(n) { 128 } else { 64 });
    let kernel = match phase {
        Phase::Backward => kernel!("winograd_gemm_tiled", "backward"),
        _ => kernel!("winograd_gemm_tiled", "forward"),
    };
    let kernel =
        kernel.constant("CHANNELS", format!("{}u", each[0])).constant("TILES", format!("{}u", each[1]));
    let kernel = match tape.weight_precision() {
        Precision::Single => kernel,
        Precision::Half => kernel.constant("Weights", "vec4<f16>"),
    };
    (kernel, [channels.div_ceil(each[0]) * 16, count.div_ceil(each[1]) * 16, POINTS])
}

/// Records forward x -> v -> m -> y, backward dy -> v -> m -> dx, in bands of rows of tiles.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    // A word of gates is of one channel of a tile.
    let gates = Gates::new(tape, conv, conv.filter.c_out, 4);
    let kept = tape.spends_memory().then(|| transformed(tape, conv, Phase::Preparation));
    kept.into_iter().for_each(|weights| tape.keep(weights));
    let u = kept.unwrap_or_else(|| transformed(tape, conv, Phase::Forward));
    let du = match (kept, conv.x.grad) {
        (None, Some(_)) => transformed(tape, conv, Phase::Backward),
        _ => u,
    };
    for band in gates.bands(tape, conv) {
        record_band(tape, conv, [u, du], &gates, &band);
    }
}

/// Records some rows of tiles.
fn record_band(tape: &mut Tape, conv: &Conv, [u, du]: [Tensor; 2], gates: &Gates, band: &Band) {
    let Conv { x, y, filter, after, .. } = conv;
    let (c_in, c_out, width) = (filter.c_in, filter.c_out, x.shape.width);
    let (relu, pool) = (*after != After::Nothing, *after == After::ReluPool);
    let total = band.blocks.len() * width.div_ceil(4);
    // All tiles go through the same workspaces.
    let stride = total.min(tiles_together(filter)).next_multiple_of(BLOCK);
    // Software drivers read texels faster than buffers.
    let as_texels = filter.variant == Variant::Winograd;
    let there = Workspace::new(tape, ["v", "v.texels", "m"], [c_in, c_out], stride, as_texels);
    let back = Workspace::new(tape, ["dv", "dv.texels", "dm"], [c_out, c_in], stride, as_texels);
    // Channels of an invocation of the first and the last step. A software driver allocates memory for each workgroup.
    let channels = if as_texels { 16 } else { 1 };
    let edges = |kernel: Kernel| {
        let kernel = kernel.storing("X", *x).storing("Y", *y);
        let lines = if as_texels { 1 } else { 16 };
        kernel.constant("LINES", format!("{lines}u")).constant("CHANNELS", format!("{channels}u"))
    };
    for first in (0..total).step_by(stride) {
        let count = stride.min(total - first);
        let params = |c: usize| -> [(&'static str, Value); 4] {
            [("w", width.into()), ("c", c.into()), ("first", first.into()), ("stride", stride.into())]
        };
        let last = [("h", band.rows.len().into()), ("tiles", count.into())];
        // Channels are a multiple of those of a workgroup, which are not checked.
        let edge = |c: usize| [count, c / channels, 1];

        tape.forward(edges(kernel!("winograd_input", "forward")))
            .params(params(c_in))
            .params(band.forward())
            .bind("x", x.rows(band.x_seen.clone()))
            .bind("v", there.v)
            .grid(edge(c_in));
        there.multiply(tape, Phase::Forward, filter, u, count);
        let kernel = kernel!("winograd_output", "forward").constant("RELU", relu).constant("POOL", pool);
        tape.forward(edges(kernel))
            .params(params(c_out))
            .params(last)
            .bind("m", there.m)
            .bind("bias", conv.bias)
            .bind("y", y.rows(band.y.clone()))
            .bind("gates", gates.of(band))
            .grid(edge(c_out));

        if x.grad.is_none() {
            continue;
        }
        let kernel = kernel!("winograd_input", "backward").constant("RELU", relu).constant("POOL", pool);
        tape.backward(edges(kernel))
            .params(params(c_out))
            .params(band.backward())
            .upstream_rows("dy", *y, band.y_seen.clone())
            .bind("gates", gates.seen_by(band))
            .bind("v", back.v)
            .grid(edge(c_out));
        back.multiply(tape, Phase::Backward, filter, du, count);
        tape.backward(edges(kernel!("winograd_output", "backward")))
            .params(params(c_in))
            .params(last)
            .bind("m", back.m)
            .grad_rows("dx", *x, band.rows.clone())
            .grid(edge(c_in));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Edge;
    use crate::engine::gpu::Gpu;
    use crate::engine::tape::Shape;
    use crate::ops::conv3x3::conv3x3;

    /// Weights that are kept and weights that are transformed in each pass are the same, and so is all that comes of them;
    /// in both precisions, in more pieces than one, and for a map in bands of rows.
    #[test]
    fn weights_are_the_same_kept_and_streamed() {
        let gpu = Gpu::new(None).unwrap();
        let (c_in, c_out) = (64, 512);
        let mut random = fastrand::Rng::with_seed(1);
        let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| random.f32() - 0.5).collect() };
        let (weights, bias, x_values) = (draw(9 * c_in * c_out), draw(c_out), draw(c_in * 120));
        assert!(POINTS * c_in * c_out > PIECE);
        let variants = [Variant::Winograd, Variant::WinogradTiled];
        let forms = variants.iter().flat_map(|variant| Precision::ALL.map(|precision| (*variant, precision)));
        for (variant, precision) in forms {
            let there = precision == Precision::Single || gpu.has_half();
            if !there || !variant.supports(&gpu, c_in, c_out) {
                continue;
            }
            let filter = Filter::upload(&gpu, "filter", variant, &weights, &bias).unwrap();
            let run = |keep: bool, rows: usize| {
                let mut tape = Tape::new(&gpu);
                tape.set_weight_precision(precision);
                tape.spend_memory(keep);
                tape.limit_bindings((4 * rows * c_out * 6) as u64);
                tape.op("conv");
                let x = tape.leaf("x", Shape::new(c_in, 20, 6));
                let dx = x.grad.unwrap();
                tape.keep(dx);
                let y = conv3x3(&mut tape, x, &filter, Edge::Zeros, After::Relu);
                tape.keep(y.value);
                tape.keep(y.grad.unwrap());
                let plan = tape.finish().unwrap();
                plan.write(&gpu, x.value, &x_values);
                plan.write(&gpu, y.grad.unwrap(), &vec![1.0; y.shape.len()]);
                // What is kept must last beyond the first run.
                plan.run(&gpu);
                plan.run(&gpu);
                let bits = |tensor| -> Vec<u32> {
                    plan.read(&gpu, tensor).unwrap().into_iter().map(f32::to_bits).collect()
                };
                (bits(y.value), bits(dx), plan.describe_steps().matches("winograd_output").count())
            };
            let (kept, streamed, banded) = (run(true, 1000), run(false, 1000), run(false, 12));
            assert!(kept == streamed, "{} {precision}", variant.name());
            assert!((&kept.0, &kept.1) == (&banded.0, &banded.1), "{} {precision} in bands", variant.name());
            assert!(banded.2 > kept.2, "{} and {} dispatches", banded.2, kept.2);
        }
    }
}
