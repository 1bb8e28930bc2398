//! The convolution on matrix units, for GPUs that have them: one dispatch in each direction, in half
//! precision only.

use super::{Conv, Variant, in_one_dispatch};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, kernel};
use crate::engine::tape::Tape;

/// Invocations of a workgroup.
const LANES: usize = 128;
/// Channels that are summed between two barriers.
const STEP: usize = 16;

/// The tiles of channels and the rows of pixels of a unit, of which a workgroup has two by two.
fn unit(variant: Variant) -> [usize; 2] {
    match variant {
        Variant::CooperativeTiny => [1, 2],
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

/// The workgroups in each dimension.
fn groups(variant: Variant, tile: usize, [height, width, channels]: [usize; 3]) -> [usize; 3] {
    let [channel_tiles, rows] = unit(variant);
    [width.div_ceil(tile), height.div_ceil(2 * rows), channels.div_ceil(2 * channel_tiles * tile)]
}

/// The workgroups of a map's rows, columns and channels.
pub(super) fn workgroups(variant: Variant, gpu: &Gpu, size: [usize; 3]) -> usize {
    groups(variant, gpu.matrix_tile().unwrap_or(8), size).iter().product()
}

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    // `supports` has seen to it that there is one.
    let tile = tape.gpu().matrix_tile().unwrap_or(8);
    let [channel_tiles, rows] = unit(conv.filter.variant);
    let kernel = |kernel: Kernel| {
        let kernel = kernel.matrices(tile, ["Filters", "Pixels"]);
        kernel.constant("CHANNEL_TILES", format!("{channel_tiles}u")).constant("ROWS", format!("{rows}u"))
    };
    let kernels =
        [kernel!("conv3x3_cooperative", "forward"), kernel!("conv3x3_cooperative", "backward")].map(kernel);
    in_one_dispatch(tape, conv, kernels, |band, c| {
        let size = [band.rows.len(), conv.x.shape.width, c];
        let [across, down, deep] = groups(conv.filter.variant, tile, size);
        [across * LANES, down, deep]
    });
}
