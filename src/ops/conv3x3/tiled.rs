//! The convolution in tiles over workgroup memory, for GPUs: one dispatch in each direction.

use super::{Conv, Variant, edged, in_one_dispatch};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, kernel};
use crate::engine::tape::Tape;

/// The invocations of a workgroup in each direction.
const LANES: usize = 16;

/// The channels and pixels of a workgroup.
fn tile(variant: Variant) -> [usize; 2] {
    match variant {
        Variant::TiledSmall => [64, 64],
        Variant::TiledLarge => [128, 128],
        _ => [64, 128],
    }
}

/// The workgroups in each of two dimensions, for so many windows of 2 x 2 pixels.
fn groups(variant: Variant, windows: usize, channels: usize) -> [usize; 2] {
    let [of_channels, of_pixels] = tile(variant);
    [(4 * windows).div_ceil(of_pixels), channels.div_ceil(of_channels)]
}

/// The workgroups of a map's rows, columns and channels.
pub(super) fn workgroups(variant: Variant, _: &Gpu, [height, width, channels]: [usize; 3]) -> usize {
    groups(variant, height.div_ceil(2) * width.div_ceil(2), channels).iter().product()
}

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let width = conv.x.shape.width;
    let [channels, pixels] = tile(conv.filter.variant);
    let kernel = |kernel: Kernel| {
        edged(kernel, conv.edge)
            .constant("CHANNELS", format!("{channels}u"))
            .constant("PIXELS", format!("{pixels}u"))
    };
    let kernels = [kernel!("conv3x3_tiled", "forward"), kernel!("conv3x3_tiled", "backward")].map(kernel);
    in_one_dispatch(tape, conv, kernels, |band, c| {
        let [across, deep] = groups(conv.filter.variant, band.blocks.len() * width.div_ceil(2), c);
        [across * LANES, deep * LANES, 1]
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Edge;
    use crate::engine::kernel::Value;
    use crate::engine::tape::{BAND_WORK, Shape, Step};
    use crate::ops::conv3x3::{After, Filter, conv3x3};

    /// A map so large that one dispatch would take seconds on a slow GPU is computed by several dispatches,
    /// which cover all its rows, forward and backward.
    #[test]
    fn no_dispatch_takes_long() {
        let gpu = Gpu::new(None).unwrap();
        let (c, size) = (256, 416);
        let weights = vec![0.0; 9 * c * c];
        let filter = Filter::upload(&gpu, "filter", Variant::Tiled, &weights, &vec![0.0; c]).unwrap();
        let mut tape = Tape::new(&gpu);
        let x = tape.leaf("x", Shape::new(c, size, size));
        conv3x3(&mut tape, x, &filter, Edge::Zeros, After::ReluPool);
        let rows = |step: &Step| match step {
            Step::Dispatch(dispatch) => match dispatch.params.iter().find(|(name, _)| *name == "h") {
                Some((_, Value::U32(rows))) => *rows as usize,
                other => panic!("{other:?} rows"),
            },
            Step::Copy { .. } => 0,
        };
        for steps in tape.groups.iter().flat_map(|group| [&group.forward, &group.backward]) {
            let bands: Vec<usize> = steps.iter().map(rows).collect();
            assert_eq!(bands.iter().sum::<usize>(), size);
            assert!(bands.iter().all(|rows| (rows * size * 9 * c * c) as u64 <= BAND_WORK), "{bands:?}");
        }
    }
}
