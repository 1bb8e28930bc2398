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
    fn new(painting: &Painting) -> Self {
        let gpu = Gpu::new(None).unwrap();
        let mut tape = Tape::new(&gpu);
        let x = tape.leaf("x", SHAPE);
        tape.keep(x.grad.unwrap());
        let (losses, clock) = (tape.state("losses", 1), tape.state("clock", 1));
        let target = painting.resident(&gpu).unwrap().target(&mut tape);
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
    let loss = Loss::new(&painting);
    let first = values(1);
    let near: Vec<f32> = first.iter().zip(values(2)).map(|(x, d)| x + 1e-3 * d).collect();
    let (at_first, _, matrix) = loss.at(0, &first);
    let (at_near, gradient, still) = loss.at(1, &near);
    assert_eq!(matrix, still, "the transport was to be kept");

    let (mean, centred) = measure(SHAPE, &widen(&near));
    let slope = 2.0 * WEIGHT / (painting.energy * SHAPE.len() as f64);
    let (c, w) = (SHAPE.channels, SHAPE.width);
    let expected: Vec<f64> = (0..SHAPE.len())
        .map(|i| {
            let (channel, pixel) = (i / w % c, i / (c * w) * w + i % w);
            let moved: f64 = (0..c).map(|k| 2.0 * matrix[channel * c + k] * centred[(k, pixel)]).sum();
            slope * (moved + mean[channel] - painting.mean[channel])
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
    let (_, _, fresh) = Loss::new(&painting).at(0, &near);
    assert_eq!(renewed, fresh);
}

/// The numbers that leave the device, and the order of the root's columns.
#[test]
fn what_is_prepared_is_the_covariance() {
    let gpu = Gpu::new(None).unwrap();
    let painting = Painting::new(9, [-0.5, 1.0]);
    let mut tape = Tape::forward_only(&gpu);
    let [mean, covariance] = painting.moments.each_ref().map(|values| gpu.upload("moments", values).unwrap());
    let moments = [tape.given("mean", &mean), tape.given("covariance", &covariance)];
    let sums = tape.state("sums", 2);
    let Prepared { root, .. } = prepare(&mut tape, moments, 9, Slot { losses: sums, index: 0 });
    let plan = tape.finish().unwrap();
    plan.run(&gpu);
    let read = |tensor: Tensor| widen(&plan.read(&gpu, tensor).unwrap());

    let variances = (0..9).map(|i| f64::from(painting.moments[1][10 * i])).sum::<f64>();
    let error = relative_error(&read(sums), &[painting.energy, variances]);
    assert!(error < 1e-6, "energy and variances are off by {error:.1e}");
    let (root, transposed) = (read(root.root), read(root.transposed));
    let mirrored: Vec<f64> = (0..81).map(|i| root[i % 9 * 9 + i / 9]).collect();
    assert_eq!(transposed, mirrored);
    // A column's pivot is its largest value, because the later channels have less left.
    let pivots: Vec<f64> =
        transposed.chunks(9).map(|column| column.iter().copied().fold(0.0, f64::max)).collect();
    assert!(pivots.is_sorted_by(|a, b| a >= b), "{pivots:?}");
}
