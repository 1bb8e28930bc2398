//! Adam on the processor, where the whole picture and its moments are: the formulas of `shaders/adam.wgsl`
//! and `average.wgsl` in float64, rounded to the run's precision where the shaders keep a value.

use crate::disk::Words;
use crate::engine::real::Real;
use crate::ops::adam::{Rule, STATE_WORDS};
use crate::painting::optimiser::State;
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::tiling::rows::{Rows, blocks, in_bands, threads};

/// The learning rate and its course, as numbers: see [`Schedule`](crate::ops::adam::Schedule).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) learning_rate: f64,
    pub(crate) decay: f64,
    pub(crate) decay_every: usize,
    /// The iteration of this size after which the rate falls, and within how many.
    pub(crate) settle: Option<(f64, f64)>,
}

impl Course {
    /// That of a stage.
    pub(crate) fn of(settings: &Settings, stage: &Stage) -> Self {
        Self {
            learning_rate: settings.learning_rate,
            decay: settings.decay,
            decay_every: settings.decay_every,
            settle: stage.settle,
        }
    }
}

/// `State` in the shader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counters {
    steps: u32,
    local: u32,
    learning_rate: f64,
    base: f64,
    rate: f64,
    corrections: [f64; 2],
}

impl Counters {
    /// From the words that checkpoints have.
    pub(crate) fn read(words: &[f32], real: Real) -> Self {
        let reals = real.decode(&words[2..2 + real.len(5)]);
        Self {
            steps: words[0].to_bits(),
            local: words[1].to_bits(),
            learning_rate: reals[0],
            base: reals[1],
            rate: reals[2],
            corrections: [reals[3], reals[4]],
        }
    }

    pub(crate) fn words(&self, real: Real) -> Vec<f32> {
        let mut words = vec![f32::from_bits(self.steps), f32::from_bits(self.local)];
        let [first, second] = self.corrections;
        words.extend(real.encode(&[self.learning_rate, self.base, self.rate, first, second]));
        words.resize(STATE_WORDS, 0.0);
        words
    }

    /// Counts a step in the words that checkpoints have; returns its rate.
    pub(super) fn step(words: &mut [f32], rule: &Rule, course: &Course, real: Real) -> f64 {
        let mut counters = Self::read(words, real);
        counters.advance(rule, course);
        words.copy_from_slice(&counters.words(real));
        Self::read(words, real).rate
    }

    /// Counts a step, and finds its rate.
    fn advance(&mut self, rule: &Rule, course: &Course) {
        if self.steps == 0 {
            self.learning_rate = course.learning_rate;
        } else {
            // The rate was changed: the decays so far stay.
            if self.base != course.learning_rate {
                self.learning_rate *= course.learning_rate / self.base;
            }
            if (self.steps as usize).is_multiple_of(course.decay_every) {
                self.learning_rate *= course.decay;
            }
        }
        self.base = course.learning_rate;
        self.rate = self.learning_rate;
        if let Some((from, over)) = course.settle {
            let behind = f64::from(self.local) - from;
            if behind > 0.0 {
                let turn = std::f64::consts::PI * (behind / over).min(1.0);
                self.rate *= 0.1 + 0.45 * (1.0 + turn.cos());
            }
        }
        for (correction, beta) in self.corrections.iter_mut().zip([rule.beta1, rule.beta2]) {
            *correction += (1.0 - beta) * (1.0 - *correction);
        }
        self.steps += 1;
        self.local += 1;
    }
}

/// A step of Adam along the gradient, which is multiplied by `factor`. The optimiser's state lies in the order
/// of its parts.
pub(crate) fn step(
    picture: &mut Rows,
    optimiser: &mut State,
    gradient: &Words,
    factor: f64,
    (rule, course): (&Rule, &Course),
    real: Real,
) {
    let [m, v, state] = optimiser.as_mut_slice() else { unreachable!("Adam has three parts") };
    Counters::step(state, rule, course, real);
    // What follows reads the counters as they are kept.
    let counters = Counters::read(state, real);
    let row = picture.row_words();
    let rows = picture.words().len() / row;
    let len = gradient.len() / rows.max(1);
    let threads = threads();
    for block in blocks(rows, row) {
        let band = block.len().div_ceil(threads).max(1);
        let words = block.start * row..block.end * row;
        let pictures = picture.words_mut()[words.clone()].chunks_mut(band * row);
        let moments = m[words.clone()].chunks_mut(band * row).zip(v[words].chunks_mut(band * row));
        let gradients = gradient[block.start * len..block.end * len].chunks(band * len);
        std::thread::scope(|scope| {
            for ((picture, (m, v)), gradient) in pictures.zip(moments).zip(gradients) {
                let counters = &counters;
                let mut work = move || {
                    let rows = picture.chunks_exact_mut(row).zip(m.chunks_exact_mut(row));
                    let rows = rows.zip(v.chunks_exact_mut(row)).zip(gradient.chunks_exact(len));
                    for (((picture, m), v), gradient) in rows {
                        let mut values = [&*picture, &*m, &*v].map(|words| real.decode(words));
                        move_row(&mut values, gradient, factor, rule, counters);
                        for (words, values) in [picture, m, v].into_iter().zip(&values) {
                            words.copy_from_slice(&real.encode(values));
                        }
                    }
                };
                if threads == 1 {
                    work();
                } else {
                    scope.spawn(work);
                }
            }
        });
        [picture.words(), m, v, gradient].into_iter().for_each(|words| words.unload());
    }
}

/// Adds the picture to the sum of the average, which keeps the share `keep` of itself.
pub(crate) fn average(sum: &mut Rows, picture: &Rows, keep: f64, real: Real) {
    let words = sum.row_words();
    in_bands(sum.words_mut(), words, &[picture.words()], |y, sum| {
        let before = real.decode(sum).into_iter().zip(picture.row(y));
        let next: Vec<f64> = before.map(|(sum, x)| keep * sum + (1.0 - keep) * x).collect();
        sum.copy_from_slice(&real.encode(&next));
    });
}

fn move_row(
    [picture, m, v]: &mut [Vec<f64>; 3],
    gradient: &[f32],
    factor: f64,
    rule: &Rule,
    counters: &Counters,
) {
    for i in 0..picture.len() {
        let g = factor * f64::from(gradient[i]);
        m[i] = rule.beta1 * m[i] + (1.0 - rule.beta1) * g;
        v[i] = rule.beta2 * v[i] + (1.0 - rule.beta2) * g * g;
        let mean = m[i] / counters.corrections[0];
        let root = (v[i] / counters.corrections[1]).sqrt();
        let next = picture[i] - counters.rate * mean / (root + rule.epsilon);
        picture[i] = if rule.clamp { next.clamp(0.0, 1.0) } else { next };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_back_from_their_words() {
        let rule = Rule { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, clamp: true };
        let course = Course { learning_rate: 0.25, decay: 0.5, decay_every: 3, settle: Some((2.0, 4.0)) };
        let mut counters = Counters::read(&[0.0; STATE_WORDS], Real::F64);
        for _ in 0..5 {
            counters.advance(&rule, &course);
            assert_eq!(Counters::read(&counters.words(Real::F64), Real::F64), counters);
        }
        // One decay after three steps, and two of the four steps of the fall after the second.
        assert!((counters.rate - 0.125 * 0.55).abs() < 1e-12, "{counters:?}");
        assert!((counters.corrections[0] - (1.0 - 0.9f64.powi(5))).abs() < 1e-12, "{counters:?}");
    }
}
