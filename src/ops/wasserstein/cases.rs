//! What the Wasserstein loss must get right.

use std::sync::{Arc, LazyLock};

use nalgebra::{DMatrix, SymmetricEigen};

use super::{Resident, prepare, wasserstein};
use crate::Result;
use crate::cases::{
    Candidate, Case, HALF, Input, Leaf, Size, Table, in_both_precisions, sum, vgg19_maps, widen,
};
use crate::engine::gpu::Gpu;
use crate::engine::tape::{Shape, Slot, Tape};
use crate::ops::cholesky::{EPSILON, LEAST_ENERGY};
use crate::ops::masked::{ResidentWeights, example};
use crate::ops::products::Variant;

/// The weight of the loss in all cases.
pub(super) const WEIGHT: f64 = 3.0;

/// Pixels of the painting in all cases: fewer than many maps have channels, and more than few have.
const PAINTED: usize = 24;

/// Mean of each channel in float64, and the map less that, a channel in each row.
pub(super) fn measure(shape: Shape, x: &[f64]) -> (Vec<f64>, DMatrix<f64>) {
    let Shape { channels: c, width: w, .. } = shape;
    let n = shape.pixels() as f64;
    let value = |i: usize, p: usize| x[(p / w * c + i) * w + p % w];
    let mean: Vec<f64> = (0..c).map(|i| sum((0..shape.pixels()).map(|p| value(i, p))) / n).collect();
    let centred = DMatrix::from_fn(c, shape.pixels(), |i, p| value(i, p) - mean[i]);
    (mean, centred)
}

/// The same where each pixel counts as its weight says. The rows of the matrix are multiplied by the weights'
/// roots.
fn measure_weighed(shape: Shape, x: &[f64], weights: &[f32]) -> (Vec<f64>, DMatrix<f64>) {
    let Shape { channels: c, width: w, .. } = shape;
    let m = |p: usize| f64::from(weights[p]);
    let sites = sum((0..shape.pixels()).map(m));
    let value = |i: usize, p: usize| x[(p / w * c + i) * w + p % w];
    let mean: Vec<f64> =
        (0..c).map(|i| sum((0..shape.pixels()).map(|p| m(p) * value(i, p))) / sites).collect();
    let centred = DMatrix::from_fn(c, shape.pixels(), |i, p| m(p).sqrt() * (value(i, p) - mean[i]));
    (mean, centred)
}

/// A painting as the reference needs it. Everything but the mean and the energy is in units of energy.
pub(super) struct Painting {
    pub mean: Vec<f64>,
    pub energy: f64,
    /// Mean and covariance as the device measures them.
    pub moments: [Vec<f32>; 2],
    /// The trace of the covariance with [`EPSILON`] on its diagonal.
    trace: f64,
    /// `B^T` with `B B^T` that covariance, and the squared lengths of the columns of `B`, which are
    /// eigenvectors: the longest first.
    transposed: DMatrix<f64>,
    lengths: Vec<f64>,
}

impl Painting {
    /// Of [`PAINTED`] pixels with values from `low` to `high`.
    pub fn new(c: usize, [low, high]: [f64; 2]) -> Self {
        let mut random = fastrand::Rng::with_seed(c as u64);
        let values: Vec<f64> = (0..c * PAINTED).map(|_| low + (high - low) * random.f64()).collect();
        let (mean, centred) = measure(Shape::new(c, 1, PAINTED), &values);
        let covariance = &centred * centred.transpose() / PAINTED as f64;
        let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let moments = [narrow(&mean), narrow(covariance.as_slice())];
        let [mean, covariance] = [widen(&moments[0]), widen(&moments[1])];
        let squares = |i: usize| covariance[i * c + i] + mean[i] * mean[i];
        let energy = ((0..c).map(squares).sum::<f64>() / c as f64).max(LEAST_ENERGY);
        let scaled = DMatrix::from_fn(c, c, |i, j| {
            covariance[i * c + j] / energy + if i == j { EPSILON } else { 0.0 }
        });
        let trace = scaled.trace();
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(scaled);
        let mut order: Vec<usize> = (0..c).collect();
        order.sort_by(|a, b| eigenvalues[*b].total_cmp(&eigenvalues[*a]));
        let lengths: Vec<f64> = order.iter().map(|k| eigenvalues[*k].max(EPSILON)).collect();
        let transposed = DMatrix::from_fn(c, c, |k, i| eigenvectors[(i, order[k])] * lengths[k].sqrt());
        Self { mean, energy, moments, trace, transposed, lengths }
    }

    /// The painting as the loss needs it, computed on the device.
    pub fn resident(&self, gpu: &Gpu) -> Result<Resident> {
        let mut tape = Tape::forward_only(gpu);
        let buffers = [gpu.upload("mean", &self.moments[0])?, gpu.upload("covariance", &self.moments[1])?];
        let moments = [tape.given("mean", &buffers[0]), tape.given("covariance", &buffers[1])];
        let sums = Slot { losses: tape.state("sums", 2), index: 0 };
        let prepared = prepare(&mut tape, moments, self.mean.len(), sums);
        let plan = tape.finish()?;
        plan.run(gpu);
        let trace = (self.trace - self.mean.len() as f64 * EPSILON) * self.energy;
        Ok(Resident::new(&plan, &prepared, [self.energy as f32, trace as f32]))
    }

    /// The loss by eigenvalues, all in units of energy. `S' = y y^T + d I` and `S'_t = B B^T`, where all
    /// columns of `B` after the first `k` are `sqrt(d)` long. So `B^T S' B = d^2 I + K K^T` with a `K` of
    /// `k + n` columns, and where these are fewer than the channels, all eigenvalues of `K K^T` but those of
    /// `K^T K` are 0.
    pub fn loss(&self, shape: Shape, x: &[f64], weights: Option<&[f32]>) -> f64 {
        let (c, d, lengths) = (shape.channels, EPSILON, &self.lengths);
        let (means, y) = self.seen(shape, x, weights);
        let seen = &self.transposed * &y;
        let longer = lengths.iter().filter(|length| **length > d * (1.0 + 1e-9)).count();
        let columns = longer + y.ncols();
        let roots = if columns < c {
            let k = DMatrix::from_fn(c, columns, |i, j| match j.checked_sub(longer) {
                Some(j) => seen[(i, j)],
                None if i == j => (d * (lengths[j] - d)).sqrt(),
                None => 0.0,
            });
            let others = SymmetricEigen::new(k.transpose() * k).eigenvalues;
            sum(others.iter().map(|v| (v + d * d).sqrt())) + (c - columns) as f64 * d
        } else {
            let diagonal = DMatrix::from_fn(c, c, |i, j| if i == j { d * lengths[i] } else { 0.0 });
            let m = &seen * seen.transpose() + diagonal;
            sum(SymmetricEigen::new(m).eigenvalues.iter().map(|v| v.max(0.0).sqrt()))
        };
        self.terms(shape, means, &y) - WEIGHT / c as f64 * 2.0 * roots
    }

    /// The terms from which the loss takes the roots.
    fn terms(&self, shape: Shape, means: f64, y: &DMatrix<f64>) -> f64 {
        let c = shape.channels as f64;
        let own = sum(y.iter().map(|v| v * v)) + c * EPSILON;
        WEIGHT / c * (means + own + self.trace)
    }

    /// The squared distance of the means, and `y` with `y y^T` the map's covariance; in units of energy.
    fn seen(&self, shape: Shape, x: &[f64], weights: Option<&[f32]>) -> (f64, DMatrix<f64>) {
        let Self { mean: target, energy, .. } = self;
        let (mean, centred, sites) = match weights {
            None => {
                let (mean, centred) = measure(shape, x);
                (mean, centred, shape.pixels() as f64)
            }
            Some(weights) => {
                let (mean, centred) = measure_weighed(shape, x, weights);
                (mean, centred, weights.iter().map(|m| f64::from(*m)).sum())
            }
        };
        let means = sum(mean.iter().zip(target).map(|(m, t)| (m - t) * (m - t))) / energy;
        (means, centred / (sites * energy).sqrt())
    }
}

/// The share of its terms from which on the loss is one of the cases' usual differences. Below, map and
/// painting agree by chance.
const USUAL: f64 = 0.1;

/// The bound where there are few pixels for the channels. The loss is a difference of traces ten times as
/// large; the root divides by eigenvalues of `S' S'_t` down to 1e-6 of the largest. Eight steps of four
/// products each leave three to five digits of them in float32.
const FEW_PIXELS: f64 = HALF;

/// The bound elsewhere: the same with better eigenvalues.
const MANY_PIXELS: f64 = 5e-5;

/// What matrix units add to the bound where there are few pixels: both factors of a product are off by 2^-11 of
/// themselves, and of few products the errors do not cancel.
const ROUNDED_FACTORS: f64 = HALF;

/// Values of a map and of a painting: from .. to.
#[derive(Clone, Copy)]
struct Values {
    name: &'static str,
    map: [f32; 2],
    painting: [f64; 2],
}

const ANY: Values = Values { name: "", map: [-1.0, 1.0], painting: [-1.0, 1.0] };

/// Covariances that are 0, and a painting without energy.
const DEGENERATE: [Values; 4] = [
    Values { name: "constant", map: [0.3, 0.3], ..ANY },
    Values { name: "black", map: [0.0, 0.0], ..ANY },
    Values { name: "constant painting", painting: [0.3, 0.3], ..ANY },
    Values { name: "black painting", painting: [0.0, 0.0], ..ANY },
];

/// Sizes that also have degenerate cases.
const DEGENERATE_AT: [Size; 3] = [Size::new(5, 1, 5), Size::new(32, 4, 8), Size::new(64, 3, 5)];

/// Sizes that also have weighed cases.
const WEIGHED_AT: [Size; 6] = [
    Size::new(3, 5, 7),
    Size::new(7, 9, 8),
    Size::new(32, 4, 8),
    Size::new(33, 1, 17),
    Size::new(3, 1, 127),
    Size::new(64, 7, 33),
];

/// One pixel, primes, fewer pixels than channels, as many, and more; around tiles of 32 and 64 channels.
pub const TABLE: Table = Table {
    op: "wasserstein",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(1, 3, 5),
        Size::new(3, 5, 7),
        Size::new(5, 1, 5),
        Size::new(7, 9, 8),
        Size::new(8, 31, 2),
        Size::new(31, 2, 15),
        Size::new(32, 1, 1),
        Size::new(32, 4, 8),
        Size::new(33, 1, 17),
        Size::new(64, 3, 5),
        Size::new(64, 7, 33),
        Size::new(65, 2, 3),
        Size::new(3, 1, 127),
        Size::new(96, 3, 11),
        Size::new(16, 2, 61),
    ],
    network: vgg19_maps,
    at: |size| {
        let mut cases = in_both_precisions(size, |size| case(size, ANY, None));
        if WEIGHED_AT.contains(&size) {
            let weighed =
                |size: Size| case(size, ANY, Some(example(size.shape().pixels()))).called("weighed");
            cases.extend(in_both_precisions(size, weighed));
        }
        if DEGENERATE_AT.contains(&size) {
            cases.extend(DEGENERATE.map(|values| case(size, values, None).called(values.name)));
        }
        cases
    },
};

fn case(size: Size, values: Values, weights: Option<Vec<f32>>) -> Case {
    let shape = size.shape();
    // Made when it is needed first: the eigenvalues of hundreds of channels take a while.
    let painting = move || Painting::new(shape.channels, values.painting);
    let known = Arc::new(LazyLock::new(painting));
    let [low, high] = values.map;
    let inputs = [Input::vary("x", shape).between(low, high)];
    let few = shape.pixels() < 4 * shape.channels;
    let (own, counts) = (known.clone(), weights.clone());
    let truth = move |inputs: &[Vec<f64>]| vec![own.loss(shape, &inputs[0], counts.as_deref())];
    let (own, counts) = (known.clone(), weights.clone());
    let floor = move |inputs: &[Vec<f64>]| {
        let (means, y) = own.seen(shape, &inputs[0], counts.as_deref());
        USUAL * own.terms(shape, means, &y)
    };
    let case = Case::new("wasserstein", size, inputs, truth).floor(floor);
    Variant::OF_MAPS.into_iter().fold(case, |case, variant| {
        let (known, weights) = (known.clone(), weights.clone());
        let record = move |tape: &mut Tape, inputs: &[Leaf], slot: Slot| {
            let upload = |weights: &Vec<f32>| ResidentWeights::upload(tape.gpu(), weights);
            let weights = weights.as_ref().map(upload).transpose()?.map(|weights| weights.on(tape));
            let target = known.resident(tape.gpu())?.target(tape).within(weights);
            let weight = tape.knob(WEIGHT);
            wasserstein(tape, inputs[0].var, &target, weight, slot, variant, None);
            Ok(())
        };
        let bound = match (few, variant.is_half()) {
            (true, true) => FEW_PIXELS + ROUNDED_FACTORS,
            (true, false) => FEW_PIXELS,
            (false, _) => MANY_PIXELS,
        };
        let candidate = Candidate::loss(variant.name(), record).bound(bound).only_half(variant.is_half());
        // A software driver takes seconds for the others.
        let fits = move |gpu: &Gpu| match variant {
            Variant::Naive => shape.channels <= 128,
            Variant::Tiled => shape.channels <= 128 || !gpu.is_software(),
            Variant::Subgroup => variant.supports(gpu, shape.channels),
            Variant::Cooperative => {
                variant.supports(gpu, shape.channels) && (shape.channels <= 128 || !gpu.is_software())
            }
        };
        case.candidate(candidate.needs(fits))
    })
}
