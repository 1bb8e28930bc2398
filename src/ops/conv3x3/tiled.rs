//! The convolution in tiles over workgroup memory, for GPUs: one dispatch in each direction.

use super::{After, Conv, Gates, Variant, edged};
use crate::engine::kernel::kernel;
use crate::engine::kernel::{Kernel, Value};
use crate::engine::tape::{Tape, band_pixels};

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

/// Records both directions, band by band.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, filter, after, .. } = conv;
    let (c_in, c_out, width) = (filter.c_in, filter.c_out, x.shape.width);
    let [channels, pixels] = tile(filter.variant);
    // A word of gates covers four channels of a 2 x 2 window.
    let gates = Gates::new(tape, conv, c_out.div_ceil(4), 2);
    let kernel = |kernel: Kernel| {
        let kernel = edged(kernel, conv.edge)
            .constant("CHANNELS", format!("{channels}u"))
            .constant("PIXELS", format!("{pixels}u"))
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
        let windows = band.blocks.len() * width.div_ceil(2);
        let grid = |c: usize| [(4 * windows).div_ceil(pixels) * LANES, c.div_ceil(channels) * LANES, 1];
        tape.forward(kernel(kernel!("conv3x3_tiled", "forward")))
            .params(params)
            .params(band.forward())
            .bind("weights", conv.weights)
            .bind("bias", conv.bias)
            .bind("x", x.rows(band.x_seen.clone()))
            .bind("y", y.rows(band.y.clone()))
            .bind("own_gates", gates.of(&band))
            .grid(grid(c_out));
        tape.backward(kernel(kernel!("conv3x3_tiled", "backward")))
            .params(params)
            .params(band.backward())
            .bind("weights", conv.weights)
            .upstream_rows("dy", *y, band.y_seen.clone())
            .bind("gates", gates.seen_by(&band))
            .grad_rows("dx", *x, band.rows.clone())
            .grid(grid(c_in));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Edge;
    use crate::engine::gpu::Gpu;
    use crate::engine::tape::{BAND_WORK, Shape, Step};
    use crate::ops::conv3x3::{Filter, conv3x3};

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
