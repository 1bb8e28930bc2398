//! What the loss knows of a painting at a layer: mean, covariance and its root, on the processor in float64.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::Value;
use crate::engine::tape::{Tape, Tensor};
use crate::ops::masked::SiteWeights;

/// What is added to the diagonal of a covariance, in units of the painting's energy, so that it has an inverse root.
pub const EPSILON: f64 = 0.01;

/// The least energy: that of a black painting would be 0, and everything is divided by it. Features are about as large as 1.
const LEAST_ENERGY: f64 = 1e-6;

/// Mean and covariance of a painting's feature map, as [`super::moments`] measures them.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Of each channel.
    pub mean: Vec<f32>,
    /// Of each pair of channels.
    pub covariance: Vec<f32>,
}

/// The Gaussian of one or several paintings' features at a layer.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Mean of each channel.
    pub mean: Vec<f64>,
    /// Mean of the squared features over channels and pixels, at least 1e-6.
    pub energy: f64,
    /// The trace of the covariance, with [`EPSILON`] on its diagonal, in units of energy.
    pub trace: f64,
    /// `B` with `B B^T` that covariance, in units of energy: row by row; the columns are eigenvectors, the longest first.
    pub root: Vec<f64>,
}

impl Statistics {
    /// Averages means and raw second moments of paintings by their weights, which are not negative and not all 0.
    pub fn new(paintings: &[(Moments, f64)]) -> Self {
        let c = paintings[0].0.mean.len();
        let total: f64 = paintings.iter().map(|(_, weight)| weight).sum();
        let mut mean = vec![0.0; c];
        let mut raw = DMatrix::<f64>::zeros(c, c);
        for (moments, weight) in paintings {
            let own: Vec<f64> = moments.mean.iter().map(|v| f64::from(*v)).collect();
            for i in 0..c {
                mean[i] += weight / total * own[i];
                for j in 0..c {
                    // Rounding leaves no asymmetry: both halves count.
                    let covariance = moments.covariance[i * c + j] + moments.covariance[j * c + i];
                    raw[(i, j)] += weight / total * (f64::from(covariance) / 2.0 + own[i] * own[j]);
                }
            }
        }
        let energy = (raw.trace() / c as f64).max(LEAST_ENERGY);
        let covariance = DMatrix::from_fn(c, c, |i, j| {
            let diagonal = if i == j { EPSILON } else { 0.0 };
            (raw[(i, j)] - mean[i] * mean[j]) / energy + diagonal
        });
        let trace = covariance.trace();
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..c).collect();
        order.sort_by(|a, b| eigenvalues[*b].total_cmp(&eigenvalues[*a]));
        // Rounding may leave what is no larger than that smaller.
        let length = |k: usize| eigenvalues[k].max(EPSILON).sqrt();
        let root = (0..c * c).map(|i| eigenvectors[(i / c, order[i % c])] * length(order[i % c])).collect();
        Self { mean, energy, trace, root }
    }

    /// Brings them onto the device.
    ///
    /// # Errors
    /// [`crate::Error::Device`] or [`crate::Error::TooLarge`] if there is no room.
    pub fn upload(&self, gpu: &Gpu) -> Result<Resident> {
        let c = self.mean.len();
        let narrow = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v as f32).collect::<Vec<f32>>();
        let transposed = (0..c * c).map(|i| self.root[i % c * c + i / c]);
        Ok(Resident {
            channels: c,
            energy: self.energy,
            trace: self.trace,
            mean: gpu.upload("painting.mean", &narrow(&mut self.mean.iter().copied()))?,
            root: gpu.upload("painting.root", &narrow(&mut self.root.iter().copied()))?,
            transposed: gpu.upload("painting.transposed", &narrow(&mut { transposed }))?,
        })
    }
}

/// [`Statistics`] on the device.
#[derive(Clone, Debug)]
pub struct Resident {
    channels: usize,
    energy: f64,
    trace: f64,
    mean: wgpu::Buffer,
    root: wgpu::Buffer,
    transposed: wgpu::Buffer,
}

impl Resident {
    /// Device memory in bytes.
    pub fn bytes(&self) -> u64 {
        [&self.mean, &self.root, &self.transposed].into_iter().map(wgpu::Buffer::size).sum()
    }

    /// The same as the target of a loss on a tape.
    pub fn target(&self, tape: &mut Tape) -> Target {
        Target {
            channels: self.channels,
            energy: self.energy,
            trace: self.trace,
            mean: tape.given("target.mean", &self.mean),
            root: tape.given("target.root", &self.root),
            transposed: tape.given("target.transposed", &self.transposed),
            weights: None,
        }
    }
}

/// What a loss on a tape is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub(super) channels: usize,
    pub(super) energy: f64,
    pub(super) trace: f64,
    pub(super) mean: Tensor,
    pub(super) root: Tensor,
    pub(super) transposed: Tensor,
    /// The sites that are compared with it; all of them if there are none.
    pub(super) weights: Option<SiteWeights>,
}

impl Target {
    /// A target without values, for a tape that serves only to be measured.
    pub fn blank(tape: &mut Tape, channels: usize) -> Self {
        Self {
            channels,
            energy: 1.0,
            trace: 1.0,
            mean: tape.state("target.mean", channels),
            root: tape.state("target.root", channels * channels),
            transposed: tape.state("target.transposed", channels * channels),
            weights: None,
        }
    }

    /// The same target, for some sites of the map alone.
    pub fn within(self, weights: Option<SiteWeights>) -> Self {
        Self { weights, ..self }
    }

    /// The parameters of the kernels in `wasserstein.wgsl`.
    pub(super) fn params(&self, scale: Value) -> [(&'static str, Value); 5] {
        let c = self.channels as f64;
        [
            ("n", self.channels.into()),
            ("epsilon", EPSILON.into()),
            ("energy", self.energy.into()),
            ("scale", scale),
            ("constant", (self.trace / c).into()),
        ]
    }
}
