//! A painting's statistics at a layer, as the loss needs them: mean, a root of the covariance, energy and
//! trace.

use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::Value;
use crate::engine::plan::Plan;
use crate::engine::tape::{Slot, Tape, Tensor};
use crate::ops::cholesky::{EPSILON, LEAST_ENERGY, cholesky};
use crate::ops::masked::SiteWeights;
use crate::ops::principal::{Root, principal};

/// Statistics on the tape that measures paintings, for a loss on another tape.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    channels: usize,
    mean: Tensor,
    pub(super) root: Root,
}

/// Records, for the forward pass, what the loss needs of a painting from mean and covariance of its sites.
/// Two numbers go into the slot and the next one, for [`Resident::new`].
pub fn prepare(tape: &mut Tape, [mean, covariance]: [Tensor; 2], channels: usize, slot: Slot) -> Prepared {
    let factor = cholesky(tape, mean, covariance, channels, slot);
    Prepared { channels, mean, root: principal(tape, factor, channels) }
}

/// The Gaussian of one or several paintings' features at a layer, on the device.
#[derive(Clone, Debug)]
pub struct Resident {
    channels: usize,
    /// Mean of the squared features over channels and sites, at least [`LEAST_ENERGY`].
    energy: f64,
    /// The trace of the covariance, with [`EPSILON`] on its diagonal, in units of energy.
    trace: f64,
    mean: wgpu::Buffer,
    /// `B` with `B B^T` that covariance, in units of energy, row by row. The columns become shorter, and the
    /// long ones are nearly principal axes.
    root: wgpu::Buffer,
    transposed: wgpu::Buffer,
}

impl Resident {
    /// Takes what was prepared out of a plan that has run, with the two numbers that were put into slots.
    pub fn new(plan: &Plan, prepared: &Prepared, [energy, trace]: [f32; 2]) -> Self {
        let Prepared { channels, mean, root: Root { root, transposed } } = *prepared;
        let buffer = |tensor| plan.buffer(tensor).clone();
        let energy = f64::from(energy).max(LEAST_ENERGY);
        Self {
            channels,
            energy,
            trace: f64::from(trace) / energy + channels as f64 * EPSILON,
            mean: buffer(mean),
            root: buffer(root),
            transposed: buffer(transposed),
        }
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> u64 {
        [&self.mean, &self.root, &self.transposed].into_iter().map(wgpu::Buffer::size).sum()
    }

    /// The mean of each channel, read from the device: sums over tiles are shifted by it.
    pub(crate) async fn mean(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        gpu.download_async(&self.mean, self.channels).await
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
    pub(crate) mean: Tensor,
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
