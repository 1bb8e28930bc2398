//! The Wasserstein-2 distance between the Gaussians of two feature maps: the style loss.

mod cases;
mod root;
mod statistics;
#[cfg(test)]
mod tests;

use super::gram::{Means, Products};
use super::masked::SiteWeights;
use super::products::Variant;
use super::reduce::reduce;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Knob, Value, kernel};
use crate::engine::tape::{Rhythm, Shape, Slot, Tape, Tensor, Var};
pub use cases::TABLE;
pub(crate) use root::PRODUCTS;
pub use statistics::{Prepared, Resident, Target, prepare};

/// Invocations of a workgroup that sum together, on a GPU and on the processor, whose workgroups are as wide
/// as a subgroup.
fn lanes(gpu: &Gpu) -> &'static str {
    if gpu.is_software() { "8u" } else { "64u" }
}

/// Records the mean of each channel of `x` and the covariance of the channels, `mean (x - mu)(x - mu)^T` over
/// all pixels, which is accumulated around the mean: nothing large cancels. Both are float32 and summed in a
/// fixed order. With weights, each pixel counts as often as its weight says.
pub fn moments(tape: &mut Tape, x: Var, variant: Variant, weights: Option<SiteWeights>) -> [Tensor; 2] {
    let (mean, covariance, _) = measured(tape, x, variant, weights);
    [mean, covariance]
}

/// The number of sites that count.
fn sites(x: Var, weights: Option<SiteWeights>) -> f64 {
    weights.map_or(x.shape.pixels() as f64, |weights| weights.sum)
}

fn measured(
    tape: &mut Tape,
    x: Var,
    variant: Variant,
    weights: Option<SiteWeights>,
) -> (Tensor, Tensor, Products) {
    let c = x.shape.channels;
    let covariance = tape.scratch("covariance", c * c);
    let mean = channel_sums(tape, x, 1.0 / sites(x, weights), weights);
    let products = Products::new(tape, x, variant, weights);
    products.forward(tape, covariance, (1.0 / sites(x, weights)).into(), Some(mean));
    (mean, covariance, products)
}

/// Each channel gets as many partial sums as keep about this many workgroups busy.
const BUSY: usize = 2048;

/// Records, for the forward pass, the sum of each channel of `x`, times `scale`.
pub(super) fn channel_sums(tape: &mut Tape, x: Var, scale: f64, weights: Option<SiteWeights>) -> Tensor {
    let Shape { channels: c, width: w, .. } = x.shape;
    let bands = tape.bands(&[x.shape]);
    let shares = (BUSY / c / bands.len()).clamp(1, bands[0].len());
    let parts = shares * bands.len();
    let (partial, mean) = (tape.scratch("sums", parts * c), tape.scratch("mean", c));
    let lanes = lanes(tape.gpu());
    let params = |rows: usize, share: usize, top: usize| {
        [
            ("c", c.into()),
            ("h", rows.into()),
            ("w", w.into()),
            ("scale", scale.into()),
            ("shares", shares.into()),
            ("share", share.into()),
            ("parts", parts.into()),
            ("top", top.into()),
        ]
    };
    for (index, band) in bands.iter().enumerate() {
        let kernel = match weights {
            None => kernel!("moments", "sum"),
            Some(_) => kernel!("moments", "sum_weighed"),
        };
        let mut sum = tape
            .forward(kernel.storing("Map", x).constant("LANES", lanes))
            .params(params(band.len(), index * shares, band.start))
            .bind("x", x.rows(band.clone()))
            .bind("partial", partial);
        if let Some(weights) = weights {
            sum = sum.bind("mask", weights.values);
        }
        sum.grid([1, c, shares]);
    }
    tape.forward(kernel!("moments", "finish"))
        .params(params(x.shape.height, 0, 0))
        .bind("partial", partial)
        .bind("mean", mean)
        .grid([c, 1, 1]);
    mean
}

/// What a loss keeps between the iterations that renew the transport. A resumed run needs it.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Half of `I - T`.
    pub gradient: Tensor,
    /// What each channel adds to the trace of `T S'`, when `T` was computed.
    pub traces: Tensor,
}

/// Between the Gaussian of `x` (mean `mu`, covariance `S`, `n` pixels of `c` channels) and the target's
/// (`mu_t`, `S_t`, energy `e`):
/// `losses[slot] = weight / e (mean_c (mu - mu_t)^2 + tr(S' + S'_t - 2 (A S' A)^(1/2)) / c)` with
/// `S' = S + EPSILON e I` ([`EPSILON`](super::cholesky::EPSILON)), `S'_t` likewise and `A = S'_t^(1/2)`
/// (Olkin and Pukelsheim, "The distance between two random vectors with given dispersion matrices", 1982).
///
/// The gradient is closed, `dx = 2 weight / (e n c) (x - mu_t - T (x - mu))` with `T = A (A S' A)^(-1/2) A`,
/// times [`Tape::gradient_scale`]: the way from `x` to where the optimal transport takes it. It starts here.
///
/// A target that is [`Target::within`] some sites is compared with those alone: each counts in `mu` and `S`
/// as often as its weight says, `n` is the sum of the weights, and the gradient of a site is multiplied by
/// its weight.
///
/// Without a `renewal` the transport is computed in every run, else it is kept between those that renew it: the
/// gradient and the trace of the root are then right to first order. The covariance changes little from one
/// iteration to the next, and the transport costs as much as some layers of a network.
pub fn wasserstein(
    tape: &mut Tape,
    x: Var,
    target: &Target,
    weight: Knob,
    slot: Slot,
    variant: Variant,
    renewal: Option<Rhythm>,
) -> Kept {
    let (mean, covariance, products) = measured(tape, x, variant, target.weights);
    let (kept, bias) = compare(tape, [mean, covariance], target, weight, slot, variant, renewal);
    if x.grad.is_some() {
        let slope = slope(tape, target, weight, x.shape.channels as f64 * sites(x, target.weights));
        let means = Means { own: mean, target: target.mean, bias };
        products.backward(tape, kept.gradient, slope, Some(means));
    }
    kept
}

/// The factor on the gradient of a map, from the number of its values.
fn slope(tape: &Tape, target: &Target, weight: Knob, values: f64) -> Value {
    weight.scaled(2.0 * tape.gradient_scale(), target.energy * values)
}

/// Records the distance alone, for a mean and a covariance that are there already, and what the gradient is
/// made of; see [`wasserstein`]. Returns that, and the constant of each channel.
pub(crate) fn compare(
    tape: &mut Tape,
    [mean, covariance]: [Tensor; 2],
    target: &Target,
    weight: Knob,
    slot: Slot,
    variant: Variant,
    renewal: Option<Rhythm>,
) -> (Kept, Tensor) {
    let c = target.channels;
    let mut own = |name: &str, len: usize| match renewal {
        Some(_) => tape.state(name, len),
        None => tape.scratch(name, len),
    };
    let kept = Kept { gradient: own("gradient", c * c), traces: own("traces", c) };
    let (bias, partial) = (tape.scratch("bias", c), tape.scratch("partial", c));
    let lanes = lanes(tape.gpu());
    let scale = weight.scaled(1.0, c as f64);
    tape.in_rhythm(renewal.unwrap_or(Rhythm::ALWAYS), |tape| {
        let moved = root::transport(tape, target, covariance, variant);
        tape.forward(kernel!("wasserstein", "renew").constant("PANELS", moved.panels))
            .params(target.params(scale))
            .bind("norm", moved.norm)
            .bind("transport", moved.transport)
            .bind("gradient", kept.gradient)
            .grid([c * c, 1, 1]);
        tape.forward(kernel!("wasserstein", "trace").constant("LANES", lanes))
            .params(target.params(scale))
            .bind("gradient", kept.gradient)
            .bind("traces", kept.traces)
            .bind("covariance", covariance)
            .bind("mean", mean)
            .grid([1, c, 1]);
    });
    tape.forward(kernel!("wasserstein", "finish").constant("LANES", lanes))
        .params(target.params(scale))
        .bind("gradient", kept.gradient)
        .bind("traces", kept.traces)
        .bind("covariance", covariance)
        .bind("mean", mean)
        .bind("target_mean", target.mean)
        .bind("bias", bias)
        .bind("partial", partial)
        .grid([1, c, 1]);
    reduce(tape, partial, c, slot);
    (kept, bias)
}

/// What [`compare`] leaves for the gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// [`Kept::gradient`].
    pub(crate) gradient: Tensor,
    /// The mean that was compared.
    pub(crate) mean: Tensor,
    /// The constant of each channel.
    pub(crate) bias: Tensor,
}

/// Records the gradient alone, of a window `x` of a map that has `values` values, from what was found for the
/// whole map. Of a target that is [`Target::within`] some sites, it is their gradient.
pub(crate) fn pull(
    tape: &mut Tape,
    x: Var,
    values: f64,
    target: &Target,
    weight: Knob,
    found: Found,
    variant: Variant,
) {
    let slope = slope(tape, target, weight, values);
    let means = Means { own: found.mean, target: target.mean, bias: found.bias };
    Products::new(tape, x, variant, target.weights).backward(tape, found.gradient, slope, Some(means));
}
