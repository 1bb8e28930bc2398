//! A step of L-BFGS on the processor, where the whole picture is: that of `ops/lbfgs`, whose state it shares.
//! Products are summed in float64, row by row, so that neither tiles nor processors change their bits.

use super::optimiser::{Counters, Course};
use super::rows::{Rows, in_bands};
use crate::disk::Words;
use crate::engine::real::Real;
use crate::ops::adam::Rule;
use crate::ops::lbfgs::{COUNT, FIRST, GAMMA, LONGEST, PAIRS, RHO};
use crate::painting::optimiser::State;

/// The direction, and how long its rows are.
struct Direction {
    q: Words,
    row: usize,
}

impl Direction {
    /// Adds `weight` times `added`, then multiplies by `scale`; returns the product with `other`.
    fn turn(&mut self, weight: f64, added: &Words, scale: f64, other: &Words) -> f64 {
        let row = self.row;
        let sums = in_bands(&mut self.q, row, &[added, other], |y, q| {
            let line = y * row..(y + 1) * row;
            let mut sum = 0.0;
            for ((q, added), other) in q.iter_mut().zip(&added[line.clone()]).zip(&other[line]) {
                *q = (scale * (f64::from(*q) + weight * f64::from(*added))) as f32;
                sum += f64::from(*q) * f64::from(*other);
            }
            sum
        });
        sums.iter().sum()
    }

    /// The sum of its squares.
    fn square(&mut self) -> f64 {
        let square = |_, q: &mut [f32]| q.iter().map(|q| f64::from(*q).powi(2)).sum::<f64>();
        in_bands(&mut self.q, self.row, &[], square).iter().sum()
    }
}

/// Moves the picture. The optimiser's state lies in the order of its parts; of `rule` only the clamp counts,
/// and the gradient is multiplied by `factor`.
pub(crate) fn step(
    picture: &mut Rows,
    optimiser: &mut State,
    gradient: &Words,
    factor: f64,
    (rule, course): (&Rule, &Course),
    real: Real,
) {
    let (pairs, rest) = optimiser.split_at_mut(2 * PAIRS);
    let (s, y) = pairs.split_at_mut(PAIRS);
    let [last, before, memory, state] = rest else { unreachable!("L-BFGS has four parts beside its pairs") };
    let rate = Counters::step(state, rule, course, real);
    let row = gradient.len() / (picture.words().len() / picture.row_words()).max(1);
    let q: Vec<f32> = gradient.iter().map(|g| (factor * f64::from(*g)) as f32).collect();
    let mut direction = Direction { q: q.into(), row };

    // What the last step changed the gradient by takes the place of the gradient before it.
    let change = before;
    let sums = in_bands(change, row, &[last], |at, change| {
        let line = at * row..(at + 1) * row;
        let mut sums = [0.0; 3];
        for ((change, g), s) in change.iter_mut().zip(&direction.q[line.clone()]).zip(&last[line]) {
            *change = *g - *change;
            let (d, g, s) = (f64::from(*change), f64::from(*g), f64::from(*s));
            sums = [sums[0] + s * d, sums[1] + d * d, sums[2] + g.abs()];
        }
        sums
    });
    let [curvature, square, length] =
        sums.iter().fold([0.0; 3], |all, own: &[f64; 3]| std::array::from_fn(|k| all[k] + own[k]));
    let mut count = memory[COUNT].to_bits() as usize;
    if curvature > 0.0 {
        s.rotate_right(1);
        y.rotate_right(1);
        // Its place is that of the oldest pair, and is filled below.
        std::mem::swap(&mut s[0], last);
        std::mem::swap(&mut y[0], change);
        memory.copy_within(RHO..RHO + PAIRS - 1, RHO + 1);
        memory[RHO] = (1.0 / curvature) as f32;
        memory[GAMMA] = (curvature / square) as f32;
        count = (count + 1).min(PAIRS);
        memory[COUNT] = f32::from_bits(count as u32);
    }
    let before = change;
    before.copy_from(&direction.q);
    gradient.unload();
    if count == 0 {
        let first = f64::from(FIRST) * gradient.len() as f64 / length;
        memory[GAMMA] = if length > 0.0 { first as f32 } else { 0.0 };
    }
    let (rho, gamma) = (|k: usize| f64::from(memory[RHO + k]), f64::from(memory[GAMMA]));

    // Down from the newest pair to the oldest, and up again.
    let mut alphas = [0.0; PAIRS];
    let mut product = if count > 0 { direction.turn(0.0, &s[0], 1.0, &s[0]) } else { 0.0 };
    for k in 0..count {
        alphas[k] = rho(k) * product;
        let (scale, other) = if k + 1 < count { (1.0, &s[k + 1]) } else { (gamma, &y[k]) };
        product = direction.turn(-alphas[k], &y[k], scale, other);
    }
    if count == 0 {
        direction.turn(0.0, gradient, gamma, gradient);
    }
    for k in (0..count).rev() {
        let weight = alphas[k] - rho(k) * product;
        product = direction.turn(weight, &s[k], 1.0, &y[k.saturating_sub(1)]);
    }
    let length = (direction.square() / gradient.len() as f64).sqrt();
    let rate = rate * (f64::from(LONGEST) / length.max(f64::from(LONGEST)));

    let next = |x: f64, q: f32| {
        let next = x - rate * f64::from(q);
        if rule.clamp { next.clamp(0.0, 1.0) } else { next }
    };
    let q = &direction.q;
    in_bands(last, row, &[picture.words()], |at, step| {
        let here = picture.row(at);
        for ((step, x), q) in step.iter_mut().zip(here).zip(&q[at * row..]) {
            *step = (next(x, *q) - x) as f32;
        }
    });
    let words = picture.row_words();
    in_bands(picture.words_mut(), words, &[], |at, values| {
        let here = real.decode(values).into_iter().zip(&q[at * row..]);
        let moved: Vec<f64> = here.map(|(x, q)| next(x, *q)).collect();
        values.copy_from_slice(&real.encode(&moved));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::adam::STATE_WORDS;
    use crate::ops::lbfgs::{FACTOR, Given, MEMORY_WORDS, RATE, dot, reference};

    /// A step against the op's reference, with no pairs, some and all; with a last step that fits and one that
    /// does not.
    #[test]
    fn it_is_that_of_the_op() {
        let mut random = fastrand::Rng::with_seed(5);
        let len = 3 * 7 * 5;
        for (pairs, fits) in [(0, false), (0, true), (3, true), (3, false), (PAIRS, true), (PAIRS, false)] {
            for clamp in [false, true] {
                let inputs: Vec<Vec<f64>> = (0..3 + pairs)
                    .map(|_| (0..len).map(|_| f64::from(random.f32() - 0.3)).collect())
                    .collect();
                let given = Given::new(&inputs, pairs, fits);
                let narrow = |values: &[f64]| Real::F32.encode(values);
                let kept = |own: &[Vec<f64>]| -> State {
                    (0..PAIRS).map(|k| own.get(k).map_or(vec![0.0; len], |v| narrow(v)).into()).collect()
                };
                let mut memory = vec![0.0; MEMORY_WORDS];
                memory[COUNT] = f32::from_bits(pairs as u32);
                for k in 0..pairs {
                    memory[RHO + k] = (1.0 / dot(&given.s[k], &given.y[k])) as f32;
                }
                if let (Some(s), Some(y)) = (given.s.first(), given.y.first()) {
                    memory[GAMMA] = (dot(s, y) / dot(y, y)) as f32;
                }
                let mut state = kept(&given.s);
                state.extend(kept(&given.y));
                let rest = [narrow(&given.step), narrow(&given.before), memory, vec![0.0; STATE_WORDS]];
                state.extend(rest.map(Words::from));
                let gradient: Vec<f32> =
                    inputs[0].iter().zip(&inputs[1]).map(|(x, target)| (x - target) as f32).collect();
                let gradient = gradient.into();
                let mut picture = Rows::new(Real::F64, 3 * 7, Real::F64.encode(&inputs[0]).into());
                let rule = Rule { clamp, ..Rule::PAPER };
                let course = Course { learning_rate: RATE, decay: 1.0, decay_every: 50, settle: None };
                step(&mut picture, &mut state, &gradient, FACTOR, (&rule, &course), Real::F64);
                let expected = reference(&inputs, pairs, fits, clamp);
                let found = Real::F64.decode(picture.words());
                for (found, expected) in found.iter().zip(&expected) {
                    // The direction is kept in float32, which twenty sums round off.
                    assert!((found - expected).abs() < 1e-5, "{pairs} pairs, {fits}: {found} not {expected}");
                }
                let moved = found.iter().zip(&inputs[0]).map(|(next, x)| (next - x) as f32);
                assert!(moved.eq(state[2 * PAIRS].iter().copied()), "{pairs} pairs: not the step it took");
            }
        }
    }
}
