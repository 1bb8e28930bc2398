use super::cases::{Painting, WEIGHT, measure};
use super::*;
use crate::cases::{relative_error, widen};
use crate::engine::plan::Plan;

/// A loss whose transport is renewed in every second iteration.
struct Loss {
    gpu: Gpu,
    plan: Plan,
    x: Var,
    losses: Tensor,
    clock: Tensor,
    kept: Kept,
}

const SHAPE: Shape = Shape { channels: 8, height: 3, width: 5 };

impl Loss {
    fn new(statistics: &Statistics) -> Self {
        let gpu = Gpu::new(None).unwrap();
        let mut tape = Tape::new(&gpu);
        let x = tape.leaf("x", SHAPE);
        tape.keep(x.grad.unwrap());
        let (losses, clock) = (tape.state("losses", 1), tape.state("clock", 1));
        let target = statistics.upload(&gpu).unwrap().target(&mut tape);
        let renewal = Renewal { clock, first: 0, every: 2 };
        let slot = Slot { losses, index: 0 };
        let weight = tape.knob(WEIGHT);
        let kept = wasserstein(&mut tape, x, &target, weight, slot, Variant::Tiled, Some(renewal));
        let plan = tape.finish().unwrap();
        Self { gpu, plan, x, losses, clock, kept }
    }

    /// Loss, gradient and half of `I - T` in an iteration.
    fn at(&self, iteration: u32, x: &[f32]) -> (f64, Vec<f64>, Vec<f64>) {
        let Self { gpu, plan, .. } = self;
        plan.write(gpu, self.x.value, x);
        plan.write(gpu, self.clock, &[f32::from_bits(iteration)]);
        plan.run(gpu);
        let read = |tensor: Tensor| widen(&plan.read(gpu, tensor).unwrap());
        (read(self.losses)[0], read(self.x.grad.unwrap()), read(self.kept.gradient))
    }
}

fn values(seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..SHAPE.len()).map(|_| 2.0 * random.f32() - 1.0).collect()
}

#[test]
fn a_transport_is_kept_between_renewals() {
    let painting = Painting::new(SHAPE.channels, [-1.0, 1.0]);
    let statistics = &painting.statistics;
    let loss = Loss::new(statistics);
    let first = values(1);
    let near: Vec<f32> = first.iter().zip(values(2)).map(|(x, d)| x + 1e-3 * d).collect();
    let (at_first, _, matrix) = loss.at(0, &first);
    let (at_near, gradient, still) = loss.at(1, &near);
    assert_eq!(matrix, still, "the transport was to be kept");

    let (mean, centred) = measure(SHAPE, &widen(&near));
    let slope = 2.0 * WEIGHT / (statistics.energy * SHAPE.len() as f64);
    let (c, w) = (SHAPE.channels, SHAPE.width);
    let expected: Vec<f64> = (0..SHAPE.len())
        .map(|i| {
            let (channel, pixel) = (i / w % c, i / (c * w) * w + i % w);
            let moved: f64 = (0..c).map(|k| 2.0 * matrix[channel * c + k] * centred[(k, pixel)]).sum();
            slope * (moved + mean[channel] - statistics.mean[channel])
        })
        .collect();
    let error = relative_error(&gradient, &expected);
    assert!(error < 1e-5, "the gradient with a kept transport is off by {error:.1e}");

    // What has changed is right to first order.
    let truth = |x: &[f32]| painting.loss(SHAPE, &widen(x), None);
    let (change, expected) = (at_near - at_first, truth(&near) - truth(&first));
    assert!((change / expected - 1.0).abs() < 0.02, "a change of {expected} becomes {change}");

    let (_, _, renewed) = loss.at(2, &near);
    assert_ne!(matrix, renewed, "the transport was to be renewed");
    let (_, _, fresh) = Loss::new(statistics).at(0, &near);
    assert_eq!(renewed, fresh);
}

#[test]
fn the_root_is_that_of_the_averaged_covariance() {
    let mut random = fastrand::Rng::with_seed(3);
    let c = 5;
    let maps: Vec<Vec<f64>> = (0..2).map(|_| (0..c * 7).map(|_| random.f64()).collect()).collect();
    let moments = maps.iter().map(|map| {
        let (mean, centred) = measure(Shape::new(c, 1, 7), map);
        let covariance = &centred * centred.transpose() / 7.0;
        let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect();
        Moments { mean: narrow(&mean), covariance: narrow(covariance.as_slice()) }
    });
    let weighted: Vec<(Moments, f64)> = moments.zip([3.0, 1.0]).collect();
    let found = Statistics::new(&weighted);

    // The same as of one picture that shows the first painting three times.
    let (mean, centred) =
        measure(Shape::new(c, 4, 7), &[&maps[0][..], &maps[0], &maps[0], &maps[1]].concat());
    let all: f64 =
        [3.0, 1.0].iter().zip(&maps).map(|(k, map)| k * map.iter().map(|v| v * v).sum::<f64>()).sum();
    let energy = all / (4 * c * 7) as f64;
    assert!((found.energy / energy - 1.0).abs() < 1e-6);
    assert!(relative_error(&found.mean, &mean) < 1e-6);
    let covariance = &centred * centred.transpose() / 28.0 / energy;
    let squared: Vec<f64> = (0..c * c)
        .map(|i| (0..c).map(|k| found.root[i / c * c + k] * found.root[i % c * c + k]).sum())
        .collect();
    let expected: Vec<f64> = (0..c * c)
        .map(|i| covariance[(i / c, i % c)] + if i % (c + 1) == 0 { EPSILON } else { 0.0 })
        .collect();
    assert!(relative_error(&squared, &expected) < 1e-6);
    let lengths: Vec<f64> = (0..c).map(|k| (0..c).map(|i| found.root[i * c + k].powi(2)).sum()).collect();
    assert!(lengths.is_sorted_by(|a, b| a >= b), "{lengths:?}");
}
