//! The convolution on matrix units, for GPUs that have them: one dispatch in each direction, in half
//! precision only.

use super::{Conv, Variant, in_one_dispatch};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, kernel};
use crate::engine::tape::Tape;

/// Invocations for each unit of a workgroup: a subgroup of most GPUs.
const LANES: usize = 32;
/// Channels that are summed between two barriers.
const STEP: usize = 16;

/// What a workgroup computes: units, each of some tiles of channels of some rows of pixels.
struct Shape {
    channel_tiles: usize,
    rows: usize,
    /// Units beside each other, of other channels.
    across: usize,
    /// Units below each other, of other rows.
    down: usize,
}

/// Few rows cost more pixels of the frame, few channels more loads for each product: docs/lab/performance.md counts.
fn shape(variant: Variant) -> Shape {
    match variant {
        Variant::CooperativeTiny => Shape { channel_tiles: 1, rows: 2, across: 1, down: 2 },
        Variant::CooperativeSmall => Shape { channel_tiles: 1, rows: 4, across: 2, down: 2 },
        Variant::CooperativeLarge => Shape { channel_tiles: 4, rows: 4, across: 2, down: 2 },
        _ => Shape { channel_tiles: 2, rows: 4, across: 2, down: 2 },
    }
}

/// Whether the device has matrix units, and channels fill the tiles of a unit in both directions. Those of the large
/// form must fill its workgroups, for half of its units would have nothing to do with 64 channels.
pub(super) fn supports(variant: Variant, gpu: &Gpu, c_in: usize, c_out: usize) -> bool {
    let Shape { channel_tiles, across, .. } = shape(variant);
    let tiles = if variant == Variant::CooperativeLarge { across * channel_tiles } else { channel_tiles };
    let fill = |channels: usize| {
        let whole = |tile: usize| channels.is_multiple_of(tile * tiles);
        channels.is_multiple_of(STEP) && gpu.matrix_tile().is_some_and(whole)
    };
    fill(c_in) && fill(c_out)
}

/// The workgroups in each dimension.
fn groups(variant: Variant, tile: usize, [height, width, channels]: [usize; 3]) -> [usize; 3] {
    let Shape { channel_tiles, rows, across, down } = shape(variant);
    [width.div_ceil(tile), height.div_ceil(down * rows), channels.div_ceil(across * channel_tiles * tile)]
}

/// The workgroups of a map's rows, columns and channels.
pub(super) fn workgroups(variant: Variant, gpu: &Gpu, size: [usize; 3]) -> usize {
    groups(variant, gpu.matrix_tile().unwrap_or(8), size).iter().product()
}

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    // `supports` has seen to it that there is one.
    let tile = tape.gpu().matrix_tile().unwrap_or(8);
    let Shape { channel_tiles, rows, across, down } = shape(conv.filter.variant);
    let kernel = |kernel: Kernel| {
        kernel
            .matrices(tile, ["Filters", "Pixels"])
            .constant("CHANNEL_TILES", format!("{channel_tiles}u"))
            .constant("ROWS", format!("{rows}u"))
            .constant("ACROSS", format!("{across}u"))
            .constant("DOWN", format!("{down}u"))
    };
    let kernels =
        [kernel!("conv3x3_cooperative", "forward"), kernel!("conv3x3_cooperative", "backward")].map(kernel);
    in_one_dispatch(tape, conv, kernels, |band, c| {
        let size = [band.rows.len(), conv.x.shape.width, c];
        let [x, y, z] = groups(conv.filter.variant, tile, size);
        [x * across * down * LANES, y, z]
    });
}
