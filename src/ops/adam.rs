//! The optimiser: Adam on the picture, with its step count and learning-rate schedule on the device.

use crate::kernel;
use crate::kernel::Source;
use crate::ops::mse::mse;
use crate::ops::reduce::Slot;
use crate::real::Real;
use crate::tape::{Tape, Tensor, Var};
use crate::testing::{Candidate, Case, Input, Leaf, Recorded, Size, Table, widen};

/// The number of 32-bit words of the optimiser's counters (`State` in the shader), in either precision.
pub(crate) const STATE_WORDS: usize = 8;

/// The number of steps done, which is the first of the counters.
pub(crate) fn steps_counted(state: &[f32]) -> usize {
    state[0].to_bits() as usize
}

/// Adam's constants and the learning-rate schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Learning rate of the first iterations.
    pub learning_rate: f64,
    /// Factor on the learning rate every [`Self::decay_every`] iterations.
    pub decay: f64,
    /// The number of iterations between decays; at least 1.
    pub decay_every: usize,
}

/// The log of losses that is written with each step.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The losses of an iteration.
    pub losses: Tensor,
    /// The number of losses.
    pub slots: usize,
    /// The number of iterations that are remembered.
    pub history: usize,
}

/// The optimiser's tensors.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// The losses of the last iterations, `history x slots`; row `t` modulo `history` has those of iteration
    /// `t`.
    pub log: Tensor,
    /// First moment.
    pub m: Tensor,
    /// Second moment.
    pub v: Tensor,
    /// Step count and derived values.
    pub state: Tensor,
}

/// Records, after all gradients, `log[t mod history] = losses` and Adam's step on the picture `x` (Kingma and
/// Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1):
/// `m = b1 m + (1 - b1) dx`, `v = b2 v + (1 - b2) dx^2`,
/// `x -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`.
///
/// `exact` holds the picture in the precision `real`; `x` becomes its rounded copy.
pub fn adam(tape: &mut Tape, x: Var, exact: Tensor, real: Real, log: Log, schedule: Schedule) -> Adam {
    let row = x.shape.channels * x.shape.width;
    let bands = tape.bands(&[x.shape_in(real), x.shape]);
    let adam = Adam {
        log: tape.state("log", log.history * log.slots),
        m: tape.state("m", real.len(x.shape.len())),
        v: tape.state("v", real.len(x.shape.len())),
        state: tape.state("state", STATE_WORDS),
    };
    let params = [
        ("row", row.into()),
        ("decay_every", schedule.decay_every.into()),
        ("slots", log.slots.into()),
        ("history", log.history.into()),
    ];
    let kernel = |kernel: Source| {
        let (rate, decay) = (format!("{:?}", schedule.learning_rate), format!("{:?}", schedule.decay));
        kernel.constant("real", real.wgsl()).constant("LEARNING_RATE", rate).constant("DECAY", decay)
    };
    tape.update(kernel(kernel!("adam", "advance")))
        .params(params)
        .bind("state", adam.state)
        .bind("losses", log.losses)
        .bind("log", adam.log)
        .grid([1; 3]);
    for rows in bands {
        let part = |tensor: Tensor| x.rows_of(tensor, real, rows.clone());
        tape.update(kernel(kernel!("adam", "step")))
            .params(params)
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

/// One pixel, primes, rows around a workgroup of 64 values; the first step, the second one, and one at which
/// the learning rate decays. `tests/adam.rs` follows many steps.
pub const TABLE: Table = Table {
    op: "adam",
    edges: &[
        Size::new(3, 1, 1),
        Size::new(3, 5, 7),
        Size::new(3, 2, 21),
        Size::new(4, 3, 16),
        Size::new(5, 2, 13),
        // Rows of a multiple of 256 bytes can be split into bands.
        Size::new(4, 11, 16),
        // In float64 every second row begins at a multiple of 256 bytes, in float32 every fourth.
        Size::new(3, 9, 16),
    ],
    network: |height, width| vec![Size::new(3, height, width)],
    at: |size| [0, 1, 50].map(|t| case(size, t)).into(),
};

/// A step on `|x - target|^2 / 2`, whose gradient is `x - target`, after `t` earlier steps.
fn case(size: Size, t: u32) -> Case {
    let schedule = Schedule { learning_rate: 0.3, decay: 0.8, decay_every: 50 };
    let shape = size.shape();
    let moment = if t == 0 { 0.0 } else { 1.0 };
    let inputs = [
        Input::fixed("start", shape),
        Input::fixed("target", shape),
        Input::fixed("m", shape).scaled(moment),
        // Away from 0, where the length of a step is arbitrary.
        Input::fixed("v", shape).between(moment / 4.0, moment),
    ];
    let (beta1, beta2) = (0.9f64, 0.999f64);
    let reference = move |inputs: &[Vec<f64>]| {
        let next = (t + 1) as i32;
        let rate = schedule.learning_rate * schedule.decay.powi(t as i32 / 50);
        let step = |i: usize| {
            let g = inputs[0][i] - inputs[1][i];
            let m = beta1 * inputs[2][i] + (1.0 - beta1) * g;
            let v = beta2 * inputs[3][i] + (1.0 - beta2) * g * g;
            let (mean, square) = (m / (1.0 - beta1.powi(next)), v / (1.0 - beta2.powi(next)));
            inputs[0][i] - rate * mean / (square.sqrt() + 1e-8)
        };
        (0..inputs[0].len()).map(step).collect()
    };
    // The state that the earlier steps have left.
    let state = move |real: Real| {
        let rate = if t == 0 { 0.0 } else { schedule.learning_rate };
        let reals = [rate, 1.0 - beta1.powi(t as i32), 1.0 - beta2.powi(t as i32)];
        let mut state = vec![f32::from_bits(t); real.len(1)];
        state.extend(real.encode(&reals));
        state.resize(STATE_WORDS, 0.0);
        state
    };
    let candidate = |real: Real| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let x = tape.leaf("picture", shape);
            let exact = tape.state("exact", real.len(shape.len()));
            let losses = tape.state("losses", 1);
            mse(tape, x, inputs[1].var.value, shape.len() as f64 / 2.0, Slot { losses, index: 0 });
            let log = Log { losses, slots: 1, history: 1 };
            let adam = adam(tape, x, exact, real, log, schedule);
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
        .called(&format!("step {}", t + 1))
        .candidate(candidate(Real::F32))
        .candidate(candidate(Real::F64))
}
