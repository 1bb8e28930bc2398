//! The first convolution, from three channels: a form for software drivers and one for GPUs.
//!
//! It reads next to nothing and writes the largest map there is, and is computed in a hundredth of an iteration. So the map
//! is not kept: backward computes again, some rows at a time, what it needs of it. A processor keeps that of a small picture.

use std::ops::Range;
use std::rc::Rc;

use super::conv3x3::{After, Conv, Variant, halo};
use crate::kernel;
use crate::kernel::{Source, Value};
use crate::tape::{Phase, Tape, Tensor, Var, View};

/// Values of what is computed again at a time, unless few rows have more: on a processor 2 MiB, which stay in its cache, on a
/// GPU 64, which are work for all of it.
const PIECES: [usize; 2] = [1 << 19, 1 << 24];

/// What is the same in all dispatches.
#[derive(Clone, Copy)]
struct First {
    x: Var,
    y: Var,
    weights: Tensor,
    relu: bool,
    /// Whether it is the form for GPUs.
    few: bool,
}

/// Records both directions.
pub(super) fn record(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, weights, after, filter, .. } = *conv;
    let few = filter.variant == Variant::Few;
    let first = First { x, y, weights, relu: after == After::Relu, few };
    let values = PIECES[usize::from(!tape.gpu().is_software())];
    let bands = tape.bands(&[y.shape, x.shape]);
    for rows in &bands {
        first.forward(tape, Phase::Forward, rows, y.rows(rows.clone()));
    }
    if x.grad.is_none() {
        return;
    }
    // Without a ReLU, whatever comes next wants to see what the ReLU would have let through.
    if first.relu && !tape.spends_memory() {
        let again = move |tape: &mut Tape, rows: Range<usize>| {
            let z = tape.scratch("y again", y.shape.rows(rows.clone()).len());
            tape.store_in(z, y.precision);
            first.forward(tape, Phase::Backward, &rows, z.into());
            z
        };
        tape.recompute(y, values, Rc::new(again));
    }
    for rows in bands.iter().flat_map(|band| Tape::pieces(band, &[y, x], values)) {
        first.backward(tape, &rows);
    }
}

impl First {
    fn params(&self, rows: &Range<usize>, seen: &Range<usize>) -> [(&'static str, Value); 5] {
        [
            ("w", self.x.shape.width.into()),
            ("h", rows.len().into()),
            ("h_in", seen.len().into()),
            ("top", (rows.start - seen.start).into()),
            ("c_out", self.y.shape.channels.into()),
        ]
    }

    fn kernel(&self, kernels: [Source; 2]) -> Source {
        let [first, few] = kernels;
        let kernel = if self.few { few } else { first };
        kernel.constant("RELU", self.relu).storing("X", self.x).storing("Y", self.y)
    }

    /// Some rows of the map, written to `to`.
    fn forward(&self, tape: &mut Tape, phase: Phase, rows: &Range<usize>, to: View) {
        let Self { x, y, weights, few, .. } = *self;
        let seen = halo(rows, x.shape, x.precision);
        let kernels = [kernel!("conv3x3_first", "forward"), kernel!("conv3x3_few", "forward")];
        tape.record(phase, self.kernel(kernels))
            .params(self.params(rows, &seen))
            .bind("weights", weights)
            .bind("x", x.rows(seen))
            .bind("y", to)
            .grid(match few {
                // An invocation computes four pixels of a row.
                false => [rows.len() * x.shape.width.div_ceil(4), 1, 1],
                // 16 channels of a pixel.
                true => [rows.len() * x.shape.width, y.shape.channels.div_ceil(16), 1],
            });
    }

    /// Some rows of the input's gradient.
    fn backward(&self, tape: &mut Tape, rows: &Range<usize>) {
        let Self { x, y, weights, few, .. } = *self;
        let seen = halo(rows, y.shape, y.precision);
        let kept = tape.backward_rows(y, seen.clone());
        let kernels = [kernel!("conv3x3_first", "backward"), kernel!("conv3x3_few", "backward")];
        tape.backward(self.kernel(kernels))
            .params(self.params(rows, &seen))
            .bind("weights", weights)
            .bind("kept", kept)
            .upstream_rows("dy", y, seen)
            .grad_rows("dx", x, rows.clone())
            .grid(match few {
                // An invocation computes four pixels of each of four rows.
                false => [rows.len().div_ceil(4) * x.shape.width.div_ceil(4), 1, 1],
                // A pixel.
                true => [rows.len() * x.shape.width, 1, 1],
            });
    }
}

#[cfg(test)]
mod tests {
    use crate::gpu::Gpu;
    use crate::ops::conv3x3::{After, Filter, Variant, conv3x3};
    use crate::ops::gram;
    use crate::precision::Precision;
    use crate::tape::{Shape, Tape};

    /// The gradient of the picture is the same whether the map is kept or computed again, in pieces, for the Gram matrix and
    /// for the ReLU.
    #[test]
    fn the_map_is_the_same_kept_and_computed_again() {
        let gpu = Gpu::new(None).unwrap();
        let shape = Shape::new(3, 65, 128);
        assert!(64 * shape.pixels() > super::PIECES[0]);
        let mut random = fastrand::Rng::with_seed(1);
        let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| random.f32() - 0.5).collect() };
        let (weights, bias, picture) = (draw(9 * 3 * 64), draw(64), draw(shape.len()));
        let upstream = draw(64 * 64);
        for variant in [Variant::First, Variant::Few].into_iter().filter(|v| v.supports(&gpu, 3, 64)) {
            let filter = Filter::upload(&gpu, "filter", variant, Precision::Single, &weights, &bias).unwrap();
            let run = |spend: bool| {
                let mut tape = Tape::new(&gpu);
                tape.spend_memory(spend);
                tape.op("conv");
                let x = tape.leaf("x", shape);
                let dx = x.grad.unwrap();
                tape.keep(dx);
                let y = conv3x3(&mut tape, x, &filter, After::Relu);
                tape.op("gram");
                let g = gram::gram(&mut tape, y, gram::Variant::Naive);
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
            let (kept, again) = (run(true), run(false));
            assert!(kept.0 == again.0 && kept.0.iter().any(|bits| *bits != 0), "{}", variant.name());
            assert!(kept.1 < again.1, "{} and {} dispatches", kept.1, again.1);
        }
    }
}
