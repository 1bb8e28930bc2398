//! The first convolution, with three input channels: one form for software drivers and one for GPUs.
//!
//! This convolution reads very little, writes the largest map of all, and takes a hundredth of an iteration.
//! So the map is kept only for small pictures. Otherwise the gradient of the Gram matrix computes it again,
//! some rows at a time. The convolution's own gradient needs only one bit per value of the map.

use std::ops::Range;
use std::rc::Rc;

use super::{After, Band, Conv, Gates, Variant, edged};
use crate::architecture::Edge;
use crate::engine::kernel::Kernel;
use crate::engine::kernel::kernel;
use crate::engine::tape::{Phase, Recorder, Shape, Tape, Tensor, Var, View};

/// The number of values that are computed again at a time, unless one row has more: 2 MiB on a processor,
/// which stay in its cache, and 64 MiB on a GPU, which keep all of it busy.
const PIECES: [usize; 2] = [1 << 19, 1 << 24];

/// The parameters that all dispatches share.
#[derive(Clone, Copy)]
struct First {
    x: Var,
    y: Var,
    weights: Tensor,
    relu: bool,
    edge: Edge,
    /// Whether this is the form for GPUs.
    few: bool,
}

/// The number of channels whose gates share a word.
const WORD: usize = 32;

/// Records both directions.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, weights, edge, after, filter, .. } = *conv;
    let few = filter.variant == Variant::Few;
    let first = First { x, y, weights, relu: after == After::Relu, edge, few };
    let gates = Gates::new(tape, conv, first.words(), 1);
    for band in gates.bands(tape, conv) {
        first.forward(tape, Phase::Forward, &band.rows, y.rows(band.rows.clone()), gates.of(&band));
        first.backward(tape, &band, &gates);
    }
    // Without a ReLU here, the next op needs the whole map, with the values that a ReLU would remove.
    if first.relu && x.grad.is_some() && !tape.spends_memory() {
        let again = move |tape: &mut Tape, rows: Range<usize>| {
            let shape = Shape { height: rows.len(), ..y.shape };
            let z = tape.scratch("y again", shape.len());
            tape.set_precision(z, y.precision);
            // These gates exist already, but not every row of them can be bound by itself.
            let gates = tape.scratch("gates again", Shape { channels: first.words(), ..shape }.len());
            first.forward(tape, Phase::Backward, &rows, z.into(), gates.into());
            z
        };
        let values = PIECES[usize::from(!tape.gpu().is_software())];
        tape.recompute(y, values, Rc::new(again));
    }
}

impl First {
    /// The number of words of gates per pixel.
    fn words(&self) -> usize {
        self.y.shape.channels.div_ceil(WORD)
    }

    fn record<'t, 'g>(
        &self,
        tape: &'t mut Tape<'g>,
        phase: Phase,
        kernels: [Kernel; 2],
        rows: usize,
    ) -> Recorder<'t, 'g> {
        let [first, few] = kernels;
        let kernel = edged(if self.few { few } else { first }, self.edge);
        tape.record(phase, kernel.constant("RELU", self.relu).storing("X", self.x).storing("Y", self.y))
            .params([
                ("w", self.x.shape.width.into()),
                ("h", rows.into()),
                ("c_out", self.y.shape.channels.into()),
            ])
            .bind("weights", self.weights)
    }

    /// Computes some rows of the map and of its gates into `to` and `gates`.
    fn forward(&self, tape: &mut Tape, phase: Phase, rows: &Range<usize>, to: View, gates: View) {
        let x = self.x;
        let seen = x.halo(rows);
        let kernels = [kernel!("conv3x3_first", "forward"), kernel!("conv3x3_few", "forward")];
        self.record(tape, phase, kernels, rows.len())
            .params([("h_in", seen.len().into()), ("top", (rows.start - seen.start).into())])
            .params([("gate_rows", rows.len().into()), ("gate_top", 0.into())])
            .bind("x", x.rows(seen))
            .bind("y", to)
            .bind("own_gates", gates)
            .grid(match self.few {
                // An invocation computes four pixels of a row.
                false => [rows.len() * x.shape.width.div_ceil(4), 1, 1],
                // An invocation computes the channels of a pixel whose gates share a word.
                true => [rows.len() * x.shape.width, self.words(), 1],
            });
    }

    /// Computes some rows of the input's gradient.
    fn backward(&self, tape: &mut Tape, band: &Band, gates: &Gates) {
        let (x, rows) = (self.x, band.rows.len());
        let kernels = [kernel!("conv3x3_first", "backward"), kernel!("conv3x3_few", "backward")];
        self.record(tape, Phase::Backward, kernels, rows)
            .params(band.backward())
            .bind("gates", gates.seen_by(band))
            .upstream_rows("dy", self.y, band.y_seen.clone())
            .grad_rows("dx", x, band.rows.clone())
            .grid(match self.few {
                // An invocation computes four pixels of each of four rows.
                false => [rows.div_ceil(4) * x.shape.width.div_ceil(4), 1, 1],
                // An invocation computes one pixel.
                true => [rows * x.shape.width, 1, 1],
            });
    }
}

#[cfg(test)]
mod tests {
    use crate::architecture::Edge;
    use crate::engine::gpu::Gpu;
    use crate::engine::tape::{Shape, Tape};
    use crate::ops::conv3x3::{After, Filter, Variant, conv3x3};
    use crate::ops::{gram, products};

    /// The gradient of the picture is the same whether the map is kept or computed again, in pieces, for the
    /// Gram matrix. This also holds if bindings are so small that the map is split into bands with pieces of
    /// their own.
    #[test]
    fn the_map_is_the_same_kept_and_computed_again() {
        let gpu = Gpu::new(None).unwrap();
        let shape = Shape::new(3, 150, 128);
        let row = 64 * shape.width;
        // More rows than a band has; and a band has more rows than a piece.
        let band = 100;
        assert!(shape.height > band && (band - 2) * row > super::PIECES[0]);
        let mut random = fastrand::Rng::with_seed(1);
        let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| random.f32() - 0.5).collect() };
        let (weights, bias, picture) = (draw(9 * 3 * 64), draw(64), draw(shape.len()));
        let upstream = draw(64 * 64);
        let variants = [Variant::First, Variant::Few].into_iter().filter(|v| v.supports(&gpu, 3, 64));
        for (variant, edge) in variants.flat_map(|variant| Edge::ALL.map(|edge| (variant, edge))) {
            let filter = Filter::upload(&gpu, "filter", variant, &weights, &bias).unwrap();
            let run = |spend: bool, rows: usize| {
                let mut tape = Tape::new(&gpu);
                tape.spend_memory(spend);
                tape.limit_bindings((4 * rows * row) as u64);
                tape.op("conv");
                let x = tape.leaf("x", shape);
                let dx = x.grad.unwrap();
                tape.keep(dx);
                let y = conv3x3(&mut tape, x, &filter, edge, After::Relu);
                tape.op("gram");
                let g = gram::gram(&mut tape, y, products::Variant::Naive, None);
                let dg = g.grad.unwrap();
                tape.keep(dg);
                let plan = tape.finish().unwrap();
                plan.write(&gpu, x.value, &picture);
                plan.write(&gpu, dg, &upstream);
                plan.run(&gpu);
                let gradient = plan.read(&gpu, dx).unwrap();
                let bits: Vec<u32> = gradient.into_iter().map(f32::to_bits).collect();
                (bits, plan.describe_steps().lines().filter(|line| line.contains("conv3x3_f")).count())
            };
            let (kept, again, banded) = (run(true, 1000), run(false, 1000), run(false, band));
            assert!(kept.0 == again.0 && kept.0.iter().any(|bits| *bits != 0), "{} {edge}", variant.name());
            assert!(kept.0 == banded.0, "{} {edge} in bands", variant.name());
            let dispatches = [kept.1, again.1, banded.1];
            assert!(dispatches.is_sorted_by(|a, b| a < b), "{dispatches:?}");
        }
    }
}
