//! The convolution on matrix units, for GPUs that have them: one dispatch in each direction, in half
//! precision only.

use super::{After, Conv, Gates, Variant};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::kernel;
use crate::engine::kernel::{Kernel, Value};
use crate::engine::tape::{Tape, band_pixels};

/// Invocations of a workgroup.
const LANES: usize = 128;
/// Channels that are summed between two barriers.
const STEP: usize = 16;

/// The tiles of channels and the rows of pixels of a unit, of which a workgroup has two by two.
fn unit(variant: Variant) -> [usize; 2] {
    match variant {
        Variant::CooperativeSmall => [2, 2],
        Variant::CooperativeLarge => [4, 4],
        _ => [2, 4],
    }
}

/// Whether the device has matrix units, and channels fill the tiles of a unit in both directions.
pub(super) fn supports(variant: Variant, gpu: &Gpu, c_in: usize, c_out: usize) -> bool {
    let fill = |channels: usize| {
        let whole = |tile: usize| channels.is_multiple_of(tile * unit(variant)[0]);
        channels.is_multiple_of(STEP) && gpu.matrix_tile().is_some_and(whole)
    };
    fill(c_in) && fill(c_out)
}

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, filter, after, .. } = conv;
    let (c_in, c_out, width) = (filter.c_in, filter.c_out, x.shape.width);
    // `supports` has seen to it that there is one.
    let tile = tape.gpu().matrix_tile().unwrap_or(8);
    let [channel_tiles, rows] = unit(filter.variant);
    // A word of gates covers four channels of a 2 x 2 window.
    let gates = Gates::new(tape, conv, c_out.div_ceil(4), 2);
    let kernel = |kernel: Kernel| {
        let matrix = |scalar: &str, role: &str| format!("coop_mat{tile}x{tile}<{scalar}, {role}>");
        let kernel = match tile {
            8 => kernel,
            _ => kernel
                .constant("TILE", format!("{tile}u"))
                .constant("Filters", matrix("f16", "A"))
                .constant("Pixels", matrix("f16", "B"))
                .constant("Sums", matrix("f32", "C")),
        };
        let kernel = kernel
            .constant("CHANNEL_TILES", format!("{channel_tiles}u"))
            .constant("ROWS", format!("{rows}u"))
            .constant("RELU", *after != After::Nothing)
            .constant("POOL", *after == After::ReluPool);
        kernel.storing("X", *x).storing("Y", *y)
    };
    for band in gates.bands_of(tape, conv, band_pixels(9 * c_in * c_out)) {
        let params: [(&'static str, Value); 4] = [
            ("w", width.into()),
            ("h", band.rows.len().into()),
            ("c_in", c_in.into()),
            ("c_out", c_out.into()),
        ];
        let grid = |c: usize| {
            let across = width.div_ceil(tile) * LANES;
            [across, band.rows.len().div_ceil(2 * rows), c.div_ceil(2 * channel_tiles * tile)]
        };
        tape.forward(kernel(kernel!("conv3x3_cooperative", "forward")))
            .params(params)
            .params(band.forward())
            .bind("weights", conv.weights)
            .bind("bias", conv.bias)
            .bind("x", x.rows(band.x_seen.clone()))
            .bind("y", y.rows(band.y.clone()))
            .bind("own_gates", gates.of(&band))
            .grid(grid(c_out));
        tape.backward(kernel(kernel!("conv3x3_cooperative", "backward")))
            .params(params)
            .params(band.backward())
            .bind("weights", conv.weights)
            .upstream_rows("dy", *y, band.y_seen.clone())
            .bind("gates", gates.seen_by(&band))
            .grad_rows("dx", *x, band.rows.clone())
            .grid(grid(c_in));
    }
}
