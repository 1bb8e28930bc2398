//! A map whose sites are weighed: how the statistics of a region look at a whole map. The losses that use it
//! have its cases.

use std::ops::Range;

use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Value, kernel};
use crate::engine::precision::Precision;
use crate::engine::tape::{Phase, Shape, Tape, Tensor, Var, View};

/// How much each site of a map counts in a statistic, on a tape.
#[derive(Clone, Copy, Debug)]
pub struct SiteWeights {
    /// `height x width`, not negative.
    pub values: Tensor,
    /// Their sum, which is above 0: the number of sites.
    pub sum: f64,
}

impl SiteWeights {
    /// Weights without values for a map of `shape`, on a tape that serves only to be measured.
    pub fn blank(tape: &mut Tape, shape: Shape) -> Self {
        Self { values: tape.state("mask", shape.pixels()), sum: shape.pixels() as f64 }
    }
}

/// [`SiteWeights`] on the device.
#[derive(Clone, Debug)]
pub struct ResidentWeights {
    values: wgpu::Buffer,
    sum: f64,
}

impl ResidentWeights {
    /// Brings weights onto the device.
    ///
    /// # Errors
    /// [`crate::Error::Device`] or [`crate::Error::TooLarge`] if there is no room.
    pub fn upload(gpu: &Gpu, weights: &[f32]) -> Result<Self> {
        let sum = weights.iter().map(|v| f64::from(*v)).sum();
        Ok(Self { values: gpu.upload("mask", weights)?, sum })
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> u64 {
        self.values.size()
    }

    /// The sum of the weights: the number of sites.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The same on a tape.
    pub fn on(&self, tape: &mut Tape) -> SiteWeights {
        SiteWeights { values: tape.given("mask", &self.values), sum: self.sum }
    }
}

/// A weighed map's place: some of its rows in float32 at a time.
pub(super) struct Masked {
    x: Var,
    weights: SiteWeights,
}

impl Masked {
    pub(super) fn new(x: Var, weights: SiteWeights) -> Self {
        Self { x, weights }
    }

    /// The map as kernels read it here: in float32.
    pub(super) fn as_read(&self) -> Var {
        Var { precision: Precision::Single, ..self.x }
    }

    fn params(&self, top: usize, scale: Value) -> [(&'static str, Value); 4] {
        [
            ("c", self.x.shape.channels.into()),
            ("w", self.x.shape.width.into()),
            ("top", top.into()),
            ("scale", scale),
        ]
    }

    fn grid(&self, rows: &Range<usize>) -> [usize; 3] {
        [self.x.shape.channels * self.x.shape.width, rows.len(), 1]
    }

    /// Records `y = sqrt(m) (x - mean)` for some rows of `x`, which `from` holds; without a mean,
    /// `y = sqrt(m) x`.
    pub(super) fn weigh(
        &self,
        tape: &mut Tape,
        phase: Phase,
        (rows, from): (&Range<usize>, View),
        mean: Option<Tensor>,
        y: Tensor,
    ) {
        let kernel = match mean {
            None => kernel!("masked", "forward"),
            Some(_) => kernel!("masked", "forward_centred"),
        };
        let mut weigh = tape
            .record(phase, kernel.storing("Map", self.x))
            .params(self.params(rows.start, Value::Float(0.0)))
            .bind("x", from)
            .bind("mask", self.weights.values)
            .bind("y", y);
        if let Some(mean) = mean {
            weigh = weigh.bind("mean", mean);
        }
        weigh.grid(self.grid(rows));
    }

    /// Records `dx = sqrt(m) dy` for some rows, to which `scale m (mean - target)` is added if there are two
    /// means.
    pub(super) fn backward(
        &self,
        tape: &mut Tape,
        rows: Range<usize>,
        dy: Tensor,
        scale: Value,
        means: Option<[Tensor; 2]>,
    ) {
        let kernel = match means {
            None => kernel!("masked", "backward"),
            Some(_) => kernel!("masked", "backward_centred"),
        };
        let grid = self.grid(&rows);
        let mut backward = tape
            .backward(kernel.storing("Map", self.x))
            .params(self.params(rows.start, scale))
            .bind("mask", self.weights.values)
            .bind("dy", dy);
        if let Some([mean, target]) = means {
            backward = backward.bind("mean", mean).bind("target_mean", target);
        }
        backward.grad_rows("dx", self.x, rows).grid(grid);
    }
}

/// Weights for the cases of what uses them: zeros, ones and fractions. Of one site it is a fraction.
pub(super) fn example(sites: usize) -> Vec<f32> {
    (0..sites).map(|i| [0.25, 0.0, 1.0, 0.625, 0.0, 0.375, 1.0][i % 7]).collect()
}
