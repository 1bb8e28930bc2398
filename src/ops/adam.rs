//! The optimiser: Adam on the picture, its step count and learning-rate schedule on the device.

use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table, widen};
use crate::engine::kernel::{Kernel, Knob, Value, kernel};
use crate::engine::real::Real;
use crate::engine::tape::{Slot, Tape, Tensor, Var};
use crate::ops::mse::mse;

/// 32-bit words of the optimiser's counters, `State` in the shader, in either precision.
pub(crate) const STATE_WORDS: usize = 12;

/// The steps that these counters have counted: the first of them.
pub(crate) fn steps_counted(state: &[f32]) -> usize {
    state[0].to_bits() as usize
}

/// The counters of a run that goes on at another size, where no step has been taken yet.
pub(crate) fn at_another_size(mut state: Vec<f32>) -> Vec<f32> {
    state[1] = f32::from_bits(0);
    state
}

/// Adam's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Decay rate of the mean of gradients.
    pub beta1: f64,
    /// Decay rate of the mean of their squares.
    pub beta2: f64,
    /// Floor of the root that divides a step.
    pub epsilon: f64,
    /// Whether the picture is kept within 0 and 1.
    pub clamp: bool,
}

impl Rule {
    /// The constants of the paper, without a clamp.
    pub const PAPER: Self = Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clamp: false };
}

/// The learning-rate schedule. Each number may be changed while the plan exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Learning rate of the first iterations.
    pub learning_rate: Knob,
    /// Factor on the learning rate every [`Self::decay_every`] iterations.
    pub decay: Knob,
    /// Iterations between decays; at least 1.
    pub decay_every: Knob,
    /// Iteration of this plan after which the learning rate falls to a tenth of itself, along half a cosine.
    pub settle_from: Knob,
    /// Iterations that the fall takes; above 0.
    pub settle_over: Knob,
}

/// No iteration of any run: a learning rate that settles after it never does. Float32 holds it.
pub const NEVER: f64 = 4_294_967_296.0;

impl Schedule {
    /// A learning rate that is multiplied by `decay` every `decay_every` iterations and does not settle.
    pub fn decaying(tape: &mut Tape, learning_rate: f64, decay: f64, decay_every: usize) -> Self {
        Self {
            learning_rate: tape.knob(learning_rate),
            decay: tape.knob(decay),
            decay_every: tape.knob(decay_every as f64),
            settle_from: tape.knob(NEVER),
            settle_over: tape.knob(1.0),
        }
    }
}

/// The optimiser's tensors.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// First moment.
    pub m: Tensor,
    /// Second moment.
    pub v: Tensor,
    /// Step count and what follows from it.
    pub state: Tensor,
}

/// A kernel with the constants of the optimiser.
fn set_up(kernel: Kernel, real: Real, rule: Rule) -> Kernel {
    kernel
        .constant("real", real.wgsl())
        .constant("BETA1", format!("{:?}", rule.beta1))
        .constant("BETA2", format!("{:?}", rule.beta2))
        .constant("EPSILON", format!("{:?}", rule.epsilon))
        .constant("CLAMP", rule.clamp)
}

fn params(row: usize, factor: f64, schedule: Schedule) -> [(&'static str, Value); 7] {
    [
        ("row", row.into()),
        ("learning_rate", schedule.learning_rate.into()),
        ("decay", schedule.decay.into()),
        ("decay_every", schedule.decay_every.into()),
        ("settle_from", schedule.settle_from.into()),
        ("settle_over", schedule.settle_over.into()),
        ("factor", factor.into()),
    ]
}

/// Records that a step is counted and its learning rate found, before the optimiser takes it. Returns the
/// counters.
pub(super) fn advance(tape: &mut Tape, real: Real, rule: Rule, schedule: Schedule) -> Tensor {
    let state = tape.state("state", STATE_WORDS);
    tape.update(set_up(kernel!("adam", "advance"), real, rule))
        .params(params(0, 1.0, schedule))
        .bind("state", state)
        .grid([1; 3]);
    state
}

/// Records, after all gradients, Adam's step on the picture `x` (Kingma and Ba, "Adam: A Method for
/// Stochastic Optimization", 2015, algorithm 1): `m = b1 m + (1 - b1) dx`, `v = b2 v + (1 - b2) dx^2`,
/// `x -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`.
///
/// `exact` holds the picture in the precision `real`; `x` becomes it, rounded. The gradient is multiplied by
/// `factor` first, which only the floor `eps` notices.
pub fn adam(
    tape: &mut Tape,
    x: Var,
    exact: Tensor,
    real: Real,
    rule: Rule,
    factor: f64,
    schedule: Schedule,
) -> Adam {
    let row = x.shape.channels * x.shape.width;
    let bands = tape.bands(&[x.shape_in(real), x.shape]);
    let adam = Adam {
        m: tape.state("m", real.len(x.shape.len())),
        v: tape.state("v", real.len(x.shape.len())),
        state: advance(tape, real, rule, schedule),
    };
    for rows in bands {
        let part = |tensor: Tensor| x.rows_of(tensor, real, rows.clone());
        tape.update(set_up(kernel!("adam", "step"), real, rule))
            .params(params(row, factor, schedule))
            .bind("state", adam.state)
            .upstream_rows("dx", x, rows.clone())
            .bind("exact", part(exact))
            .bind("x", x.rows(rows.clone()))
            .bind("m", part(adam.m))
            .bind("v", part(adam.v))
            .grid([row, rows.len(), 1]);
    }
    adam
}

/// The sizes at which mistakes show in an op that goes over the picture: one pixel, primes, rows around a workgroup of
/// 64 values.
pub(super) const EDGES: &[Size] = &[
    Size::new(3, 1, 1),
    Size::new(3, 5, 7),
    Size::new(3, 2, 21),
    Size::new(4, 3, 16),
    Size::new(5, 2, 13),
    // Rows of whole 256 bytes can be split into bands.
    Size::new(4, 11, 16),
    // In float64 every second row begins at such a place, in float32 every fourth.
    Size::new(3, 9, 16),
    // More rows than L-BFGS has partial sums.
    Size::new(3, 300, 1),
];

/// The first step, the second, and one whose learning rate decays. `tests/it/adam.rs` follows many steps.
pub const TABLE: Table = Table {
    op: "adam",
    edges: EDGES,
    network: |height, width| vec![Size::new(3, height, width)],
    at: |size| {
        let painterly = Rule { beta1: 0.9, beta2: 0.99, epsilon: 2.6e-3, clamp: true };
        let book = [0, 1, 50].map(|t| case(size, t, Rule::PAPER, None));
        // Before the learning rate falls, during its fall, and after it.
        let settled =
            [(4, 7.0), (50, 40.0), (90, 40.0)].map(|(t, from)| case(size, t, painterly, Some(from)));
        book.into_iter().chain(settled).collect()
    },
};

/// A step on `|x - target|^2 / 2`, whose gradient is `x - target`, after `t` others. The learning rate may
/// settle after an iteration, within 24 more.
fn case(size: Size, t: u32, rule: Rule, settle_from: Option<f64>) -> Case {
    let (learning_rate, decay, over) = (0.3, 0.8f64, 24.0);
    let factor = if rule.clamp { 3.0 } else { 1.0 };
    let shape = size.shape();
    let moment = if t == 0 { 0.0 } else { 1.0 };
    let inputs = [
        Input::fixed("start", shape),
        Input::fixed("target", shape),
        Input::fixed("m", shape).scaled(moment),
        // Away from 0, where a step is as long as it likes.
        Input::fixed("v", shape).between(moment / 4.0, moment),
    ];
    let (beta1, beta2) = (rule.beta1, rule.beta2);
    let reference = move |inputs: &[Vec<f64>]| {
        let next = (t + 1) as i32;
        let behind = settle_from.map_or(0.0, |from| ((f64::from(t) - from) / over).clamp(0.0, 1.0));
        let settled = 0.1 + 0.45 * (1.0 + (std::f64::consts::PI * behind).cos());
        let rate = learning_rate * decay.powi(t as i32 / 50) * settled;
        let step = |i: usize| {
            let g = factor * (inputs[0][i] - inputs[1][i]);
            let m = beta1 * inputs[2][i] + (1.0 - beta1) * g;
            let v = beta2 * inputs[3][i] + (1.0 - beta2) * g * g;
            let (mean, square) = (m / (1.0 - beta1.powi(next)), v / (1.0 - beta2.powi(next)));
            let next = inputs[0][i] - rate * mean / (square.sqrt() + rule.epsilon);
            if rule.clamp { next.clamp(0.0, 1.0) } else { next }
        };
        (0..inputs[0].len()).map(step).collect()
    };
    // What the steps before have left.
    let state = move |real: Real| {
        let decays = if t.is_multiple_of(50) { (t as i32 / 50 - 1).max(0) } else { t as i32 / 50 };
        let base = if t == 0 { 0.0 } else { learning_rate };
        let reals =
            [base * decay.powi(decays), base, 0.0, 1.0 - beta1.powi(t as i32), 1.0 - beta2.powi(t as i32)];
        let mut state = vec![f32::from_bits(t); 2];
        state.extend(real.encode(&reals));
        state.resize(STATE_WORDS, 0.0);
        state
    };
    let candidate = |real: Real| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let x = tape.leaf("picture", shape);
            let exact = tape.state("exact", real.len(shape.len()));
            let losses = tape.state("losses", 1);
            let weight = tape.knob(shape.len() as f64 / 2.0);
            mse(tape, x, inputs[1].var.value, weight, Slot { losses, index: 0 });
            let mut schedule = Schedule::decaying(tape, learning_rate, decay, 50);
            schedule.settle_from = tape.knob(settle_from.unwrap_or(NEVER));
            schedule.settle_over = tape.knob(over);
            let adam = adam(tape, x, exact, real, rule, factor, schedule);
            let encoded = |input: usize| real.encode(&widen(&inputs[input].values));
            let starts = vec![
                (x.value, inputs[0].values.clone()),
                (exact, encoded(0)),
                (adam.m, encoded(2)),
                (adam.v, encoded(3)),
                (adam.state, state(real)),
            ];
            Ok(Recorded { y: Var { grad: None, ..x }, starts })
        };
        Candidate::new(real.wgsl(), record).needs(move |gpu| real == Real::F32 || Real::of(gpu) == real)
    };
    Case::new("adam", size, inputs, reference)
        .called(&format!("step {}{}", t + 1, if rule.clamp { " clamped" } else { "" }))
        .candidate(candidate(Real::F32))
        .candidate(candidate(Real::F64))
}
