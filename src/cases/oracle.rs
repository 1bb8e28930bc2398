//! The float64 side of a case: input values, the reference's result, and its derivatives by differences.

use std::sync::mpsc;
use std::thread;

use super::Case;
use super::outcome::Deviation;
use crate::engine::gpu::Gpu;

/// Up to this many values, each coordinate of the gradient is compared; beyond, random directions are used.
const ELEMENTWISE: usize = 2500;
/// Random directions are also used if comparing each coordinate would touch more numbers than this, as with
/// hundreds of channels.
const DEAR: usize = 1 << 25;
/// The number of directions that are compared if there are too many coordinates. A gradient that is wrong
/// anywhere differs in almost every direction.
const DIRECTIONS: usize = 8;
/// Half the step of a central difference. In float64 it leaves a relative error of about 1e-9.
const STEP: f64 = 1e-7;
/// The distance around the values within which kinks are searched, and the number of directions. The errors
/// of float32 are smaller (1e-6 for sums of about 1), so its results lie on the same side of every kink.
const FAR: f64 = 4e-6;
const FAR_DIRECTIONS: usize = 3;
/// How often values are drawn at most.
const DRAWS: usize = 8;

/// The most truths that are computed ahead and wait for the device.
const AHEAD: usize = 8;

/// The true result and derivatives of a case for some values of its inputs.
pub struct Truth {
    /// The values of each input.
    pub(super) values: Vec<Vec<f32>>,
    /// The reference's result.
    pub(super) expected: Vec<f64>,
    /// The size of the result from which on its error is relative to it.
    pub(super) floor: f64,
    /// The gradient of the result: derivatives are those of `sum(seeds * result)`.
    pub(super) seeds: Vec<f32>,
    /// For each input, its derivatives; none for constant inputs.
    pub(super) probes: Vec<Vec<Probe>>,
    /// Whether a kink is so close that float32 may be on its other side.
    near_kink: bool,
}

/// Calls `each` with the cases that run on a device and their truths. Another thread computes the truths
/// ahead, because that takes about as long as the work of the device.
///
/// # Errors
/// The first error of `each`.
pub fn with_truths<E>(
    gpu: &Gpu,
    cases: &[Case],
    mut each: impl FnMut(&Case, &Truth) -> Result<(), E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        let (ahead, ready) = mpsc::sync_channel(AHEAD);
        scope.spawn(move || {
            let mut here = cases.iter().enumerate().filter(|(_, case)| case.runs_on(gpu));
            // After an error nobody receives any more.
            here.all(|(seed, case)| ahead.send((case, case.truth(seed as u64))).is_ok());
        });
        ready.into_iter().try_for_each(|(case, truth)| each(case, &truth))
    })
}

impl Case {
    /// Draws values and computes their truth. If a value is closer to a kink than float32 can resolve, all
    /// are drawn again, at most a few times. An example is a ReLU whose sum is 1e-8: rounding decides whether
    /// it is open, and so whether its whole gradient is there or not.
    pub fn truth(&self, seed: u64) -> Truth {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut draw = || {
            let values = |i: &super::Input, random: &mut fastrand::Rng| {
                let drawn = (0..i.shape.len()).map(|_| i.low + random.f32() * (i.high - i.low)).collect();
                if i.is_map() { self.stored(drawn) } else { drawn }
            };
            let values = self.inputs.iter().map(|i| values(i, &mut random)).collect();
            self.truth_of(values, &mut random)
        };
        for _ in 1..DRAWS {
            let truth = draw();
            if !truth.near_kink {
                return truth;
            }
        }
        draw()
    }

    /// The truth for given values; anything else that is random is drawn from `random`.
    pub fn truth_of(&self, values: Vec<Vec<f32>>, random: &mut fastrand::Rng) -> Truth {
        let inputs: Vec<Vec<f64>> = values.iter().map(|v| super::widen(v)).collect();
        let expected = (self.reference)(&inputs);
        let floor = self.floor.as_ref().map_or(0.0, |floor| floor(&inputs));
        // The gradient of a loss starts at the loss itself, with 1.
        let seeds: Vec<f32> = match expected.len() {
            1 => vec![1.0],
            n => self.stored((0..n).map(|_| random.f32() * 2.0 - 1.0).collect()),
        };
        let (mut probes, mut near_kink) = (Vec::new(), false);
        for (index, input) in self.inputs.iter().enumerate() {
            let (of_input, near) = if input.differentiate {
                self.probe(&inputs, index, &expected, &seeds, random)
            } else {
                (Vec::new(), false)
            };
            probes.push(of_input);
            near_kink |= near;
        }
        Truth { values, expected, floor, seeds, probes, near_kink }
    }

    /// The values as maps store them.
    fn stored(&self, values: Vec<f32>) -> Vec<f32> {
        self.precision.decode(&self.precision.encode(&values), values.len())
    }

    /// One-sided differences of the reference with respect to input `index`, by each of its values or in
    /// random directions; and whether a kink is near.
    fn probe(
        &self,
        inputs: &[Vec<f64>],
        index: usize,
        expected: &[f64],
        seeds: &[f32],
        random: &mut fastrand::Rng,
    ) -> (Vec<Probe>, bool) {
        // Differences are taken value by value and then added, so that values that do not change contribute
        // no rounding.
        let slope = |moved: &[Vec<f64>], step: f64| -> f64 {
            let results = (self.reference)(moved);
            let changes = results.iter().zip(expected).zip(seeds);
            changes.map(|((y, y0), seed)| (y - y0) * f64::from(*seed)).sum::<f64>() / step
        };
        let n = inputs[index].len();
        let touched = inputs.iter().map(Vec::len).sum::<usize>() + expected.len();
        let elementwise = n <= ELEMENTWISE && n * touched <= DEAR;
        let directions = if elementwise { FAR_DIRECTIONS } else { DIRECTIONS };
        let signs: Vec<Vec<bool>> =
            (0..directions).map(|_| (0..n).map(|_| random.bool()).collect()).collect();
        let directed = in_parallel(directions, || inputs.to_vec(), &|moved: &mut Vec<Vec<f64>>, at| {
            let mut side = |step: f64| {
                let steps = inputs[index].iter().zip(&signs[at]);
                let there = steps.map(|(v, up)| if *up { v + step } else { v - step });
                moved[index].iter_mut().zip(there).for_each(|(moved, v)| *moved = v);
                slope(moved, step)
            };
            let near = [side(-STEP), side(STEP)];
            let bent = at < FAR_DIRECTIONS && is_bent(near, [side(-FAR), side(FAR)]);
            (Probe { at, signs: Some(signs[at].clone()), left: near[0], right: near[1], kink: false }, bent)
        });
        let near_kink = directed.iter().any(|(_, bent)| *bent);
        let probes = if elementwise {
            in_parallel(n, || inputs.to_vec(), &|moved: &mut Vec<Vec<f64>>, at| {
                let here = inputs[index][at];
                let mut side = |step: f64| {
                    moved[index][at] = here + step;
                    slope(moved, moved[index][at] - here)
                };
                let (left, right) = (side(-STEP), side(STEP));
                moved[index][at] = here;
                Probe { at, signs: None, left, right, kink: false }
            })
        } else {
            directed.into_iter().map(|(probe, _)| probe).collect()
        };
        (marked(probes), near_kink)
    }
}

/// Whether one-sided differences at both distances and on both sides fit no parabola: then there is a kink
/// between them.
fn is_bent(near: [f64; 2], far: [f64; 2]) -> bool {
    let size = near.iter().chain(&far).fold(0.0f64, |size, slope| size.max(slope.abs()));
    let slopes = near[0] + near[1] - far[0] - far[1];
    let curvatures = (near[1] - near[0]) - (far[1] - far[0]) * (STEP / FAR);
    slopes.abs().max(curvatures.abs()) > 1e-5 * size
}

/// The reference's derivative with respect to one value, or in one direction of signs.
pub(super) struct Probe {
    at: usize,
    signs: Option<Vec<bool>>,
    left: f64,
    right: f64,
    /// Whether the two sides disagree, so that there is no derivative to compare with.
    pub(super) kink: bool,
}

/// Marks the kinks: derivatives whose two sides differ by more than curvature and rounding explain.
fn marked(mut probes: Vec<Probe>) -> Vec<Probe> {
    let squares = probes.iter().map(|p| p.left * p.left + p.right * p.right).sum::<f64>();
    let typical = (squares / (2 * probes.len().max(1)) as f64).sqrt();
    for probe in &mut probes {
        let size = probe.left.abs().max(probe.right.abs());
        probe.kink = (probe.left - probe.right).abs() > 1e-3 * size + 1e-5 * typical;
    }
    probes
}

impl Probe {
    fn project(&self, gradient: &[f64]) -> f64 {
        let directed = |(g, up): (&f64, &bool)| if *up { *g } else { -g };
        match &self.signs {
            None => gradient[self.at],
            Some(signs) => gradient.iter().zip(signs).map(directed).sum(),
        }
    }
}

/// Compares a gradient from the device with the reference's, to which another op may have added its own.
pub(super) fn compare(probes: &[Probe], found: &[f64], added: Option<&[f64]>) -> Deviation {
    let compared = probes.iter().filter(|probe| !probe.kink).map(|probe| {
        let expected = (probe.left + probe.right) / 2.0 + added.map_or(0.0, |added| probe.project(added));
        (probe.at, probe.project(found), expected)
    });
    Deviation::among(compared, 0.0)
}

/// Computes `work(0), work(1), ...` on all cores, each with its own `scratch`.
fn in_parallel<S, T: Send>(
    n: usize,
    scratch: impl Fn() -> S + Sync,
    work: &(dyn Fn(&mut S, usize) -> T + Sync),
) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let share = n.div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let run = |first: usize| {
            let scratch = &scratch;
            scope.spawn(move || {
                let mut scratch = scratch();
                (first..(first + share).min(n)).map(|i| work(&mut scratch, i)).collect::<Vec<_>>()
            })
        };
        let handles: Vec<_> = (0..n).step_by(share).map(run).collect();
        handles.into_iter().flat_map(|h| h.join().expect("the reference does not panic")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One-sided differences at both distances.
    fn bent(f: impl Fn(f64) -> f64) -> bool {
        let side = |step: f64| (f(step) - f(0.0)) / step;
        is_bent([side(-STEP), side(STEP)], [side(-FAR), side(FAR)])
    }

    #[test]
    fn kinks_bend_and_parabolas_do_not() {
        for kink in [0.0, STEP / 2.0, -STEP / 2.0, 5.0 * STEP, -5.0 * STEP, 0.9 * FAR, -0.9 * FAR] {
            assert!(bent(|x| (x - kink).max(0.0)), "a ReLU's kink at {kink}");
            assert!(bent(|x| 30.0 * x + (x - kink).abs()), "an absolute value's kink at {kink}");
        }
        assert!(!bent(|x| 2.0 * x));
        assert!(!bent(|x| 0.1 + x + 100.0 * x * x));
        assert!(!bent(|x| (x - 2.0 * FAR).max(0.0) + x));
    }
}
