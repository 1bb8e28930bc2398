//! The optimiser: which one moves the picture, what it keeps between iterations, by name, and how that is
//! carried to another size.

use std::convert::Infallible;

use crate::Result;
use crate::disk::{Store, Words};
use crate::engine::real::Real;
use crate::engine::tape::{Tape, Tensor, Var};
use crate::ops::adam::{Adam, Rule, STATE_WORDS, Schedule, adam, at_another_size, steps_counted};
use crate::ops::lbfgs::{Lbfgs, MEMORY_WORDS, PAIRS, lbfgs};
use crate::painting::choices::Optimizer;
use crate::painting::settings::Settings;
use crate::picture::Interpolation;

/// The name of the counters that every optimiser has.
const COUNTERS: &str = "state";

/// How values lie on the device and in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// A value for each of the picture's.
    Picture(Real),
    /// This number of 32-bit words. Some of them belong together as reals.
    Words(usize, Real),
}

/// What becomes of values where the run goes on at another size.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Carry {
    /// They are resized.
    Bicubic,
    /// They are resized and do not become negative.
    NotNegative,
    /// The count of the run's steps continues; the count at a size starts again.
    Counters,
    /// They begin as zeros again.
    Dropped,
}

/// Something that an optimiser keeps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) form: Form,
    carry: Carry,
}

impl Part {
    fn new(name: impl Into<String>, form: Form, carry: Carry) -> Self {
        Self { name: name.into(), form, carry }
    }

    /// Its length in 32-bit words, for a picture of `values` values.
    pub(crate) fn words(&self, values: usize) -> usize {
        match self.form {
            Form::Picture(real) => real.len(values),
            Form::Words(words, _) => words,
        }
    }

    /// Where it is kept: in `store`, if it is as long as the picture.
    pub(crate) fn store<'s>(&self, store: &'s Store) -> &'s Store {
        const MEMORY: &Store = &Store::memory();
        match self.form {
            Form::Picture(_) => store,
            Form::Words(..) => MEMORY,
        }
    }

    /// Its words at the beginning, for a picture of `values` values.
    pub(crate) fn zeros(&self, values: usize, store: &Store) -> Result<Words> {
        self.store(store).zeros(self.words(values))
    }

    /// The numbers in its words.
    pub(crate) fn decode(&self, words: &[f32]) -> Vec<f64> {
        match self.form {
            Form::Picture(real) | Form::Words(_, real) => real.decode(words),
        }
    }
}

/// What the optimiser of some settings keeps, for a picture in the precision `real`.
pub(crate) fn parts(settings: &Settings, real: Real) -> Vec<Part> {
    let picture = Form::Picture(real);
    let counters = Part::new(COUNTERS, Form::Words(STATE_WORDS, real), Carry::Counters);
    match settings.optimizer {
        Optimizer::Adam => vec![
            Part::new("m", picture, Carry::Bicubic),
            Part::new("v", picture, Carry::NotNegative),
            counters,
        ],
        Optimizer::Lbfgs => {
            let single = |name: String| Part::new(name, Form::Picture(Real::F32), Carry::Dropped);
            let pairs = ["s", "y"].into_iter().flat_map(|name| (0..PAIRS).map(move |k| format!("{name}{k}")));
            let last = ["step", "before"].map(str::to_owned);
            let memory = Part::new("memory", Form::Words(MEMORY_WORDS, Real::F32), Carry::Dropped);
            pairs.chain(last).map(single).chain([memory, counters]).collect()
        }
    }
}

/// The values of all parts, in their order, as they lie on the device.
pub(crate) type State = Vec<Words>;

/// The steps that were counted.
pub(crate) fn steps(parts: &[Part], state: &State) -> usize {
    let counters = parts.iter().zip(state).find(|(part, _)| part.name == COUNTERS);
    counters.map_or(0, |(_, words)| steps_counted(words))
}

/// The state with which a run goes on at another size. The picture has `values` values there, and `resize`
/// brings old ones to that size and then changes them. Adam's moments keep their meaning, because losses and step are the same at
/// every size. What L-BFGS knows of the curvature does not, and is dropped.
pub(crate) fn resized(
    parts: &[Part],
    state: &State,
    values: usize,
    store: &Store,
    resize: impl Fn(&Words, Interpolation, fn(f64) -> f64) -> Result<Words>,
) -> Result<State> {
    let carry = |(part, words): (&Part, &Words)| match part.carry {
        Carry::Counters => Ok(at_another_size(words.to_vec()).into()),
        Carry::Dropped => part.zeros(values, store),
        Carry::Bicubic => resize(words, Interpolation::Bicubic, |v| v),
        Carry::NotNegative => resize(words, Interpolation::Bilinear, |v| v.max(0.0)),
    };
    parts.iter().zip(state).map(carry).collect()
}

/// The state with which a run goes on at the same size with other terms. L-BFGS must not take what the
/// gradient changed by that for curvature: without a last step, it makes no pair.
pub(crate) fn with_other_terms(parts: &[Part], mut state: State) -> State {
    for (part, words) in parts.iter().zip(&mut state) {
        if part.name == "step" {
            let Ok(()) = words.each_part_mut(|part| {
                part.fill(0.0);
                Ok::<(), Infallible>(())
            });
        }
    }
    state
}

/// Records the optimiser's step on the picture `x`, which `exact` holds in the precision `real`. The rule
/// comes with the factor on the gradient. What is returned are the optimiser's tensors, in the order of its
/// [`parts`].
pub(crate) fn record(
    tape: &mut Tape,
    settings: &Settings,
    x: Var,
    exact: Tensor,
    real: Real,
    schedule: Schedule,
    (rule, factor): (Rule, f64),
) -> Vec<Tensor> {
    match settings.optimizer {
        Optimizer::Adam => {
            let Adam { m, v, state } = adam(tape, x, exact, real, rule, factor, schedule);
            vec![m, v, state]
        }
        Optimizer::Lbfgs => {
            let Lbfgs { s, y, step, before, memory, schedule } =
                lbfgs(tape, x, exact, real, rule, factor, schedule);
            s.into_iter().chain(y).chain([step, before, memory, schedule]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::interpolate;

    fn state(settings: &Settings, size: (usize, usize)) -> (Vec<Part>, State) {
        let parts = parts(settings, Real::F64);
        let values = 3 * size.0 * size.1;
        let fill = |part: &Part| -> Vec<f32> {
            match part.form {
                Form::Picture(real) => real.encode(&vec![0.25; values]),
                Form::Words(words, _) => (0..words).map(|i| f32::from_bits(7 + i as u32)).collect(),
            }
        };
        let state = parts.iter().map(|part| fill(part).into()).collect();
        (parts, state)
    }

    fn larger(parts: &[Part], state: &State) -> State {
        let larger = |words: &Words, how, after: fn(f64) -> f64| {
            let values = interpolate(&Real::F64.decode(words), 3, (4, 3), (6, 5), how);
            Ok(Real::F64.encode(&values.into_iter().map(after).collect::<Vec<_>>()).into())
        };
        resized(parts, state, 90, &Store::memory(), larger).unwrap()
    }

    #[test]
    fn adams_moments_are_resized() {
        let (parts, state) = state(&Settings::painterly(), (4, 3));
        let next = larger(&parts, &state);
        for (part, words) in parts.iter().zip(&next) {
            assert_eq!(words.len(), part.words(90), "{}", part.name);
        }
        // A constant stays constant.
        assert!(
            next[..2].iter().all(|words| Real::F64.decode(words).iter().all(|v| (v - 0.25).abs() < 1e-12))
        );
        // Seven steps, none of them at this size.
        assert_eq!((steps(&parts, &next), next[2][1].to_bits()), (7, 0));
    }

    #[test]
    fn pairs_are_dropped_at_another_size() {
        let mut settings = Settings::painterly();
        settings.optimizer = Optimizer::Lbfgs;
        let (parts, state) = state(&settings, (4, 3));
        let next = larger(&parts, &state);
        for (part, words) in parts.iter().zip(&next) {
            assert_eq!(words.len(), part.words(90), "{}", part.name);
            assert!(part.name == COUNTERS || words.iter().all(|v| v.to_bits() == 0), "{}", part.name);
        }
        assert_eq!(steps(&parts, &next), 7);
        let copy = state.iter().map(|words| words.to_vec().into()).collect();
        let kept = with_other_terms(&parts, copy);
        let changed: Vec<_> =
            (0..parts.len()).filter(|i| kept[*i] != state[*i]).map(|i| parts[i].name.as_str()).collect();
        assert_eq!(changed, ["step"]);
    }
}
