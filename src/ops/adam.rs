//! The optimiser: Adam on the picture, its step count and learning-rate schedule on the device.

use crate::kernel;
use crate::kernel::Source;
use crate::real::Real;
use crate::tape::{Tape, Tensor, Var};

/// Adam's constants and the learning-rate schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Learning rate of the first iterations.
    pub learning_rate: f64,
    /// Factor on the learning rate every [`Self::decay_every`] iterations.
    pub decay: f64,
    /// Iterations between decays; at least 1.
    pub decay_every: usize,
}

/// The log of losses that is kept along with the steps.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The losses of an iteration.
    pub losses: Tensor,
    /// How many there are.
    pub slots: usize,
    /// Iterations that are remembered.
    pub history: usize,
}

/// The optimiser's tensors.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Losses of the last iterations, `history x slots`, the iteration modulo `history` first.
    pub log: Tensor,
    /// First moment.
    pub m: Tensor,
    /// Second moment.
    pub v: Tensor,
    /// Step count and what follows from it.
    pub state: Tensor,
}

/// Records, after all gradients, `log[t mod history] = losses` and Adam's step on the picture `x` (Kingma and Ba,
/// "Adam: A Method for Stochastic Optimization", 2015, algorithm 1):
/// `m = b1 m + (1 - b1) dx`, `v = b2 v + (1 - b2) dx^2`, `x -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`.
///
/// `exact` holds the picture in the precision `real`; `x` becomes it, rounded.
pub fn adam(tape: &mut Tape, x: Var, exact: Tensor, real: Real, log: Log, schedule: Schedule) -> Adam {
    let row = x.shape.channels * x.shape.width;
    let adam = Adam {
        log: tape.state("log", log.history * log.slots),
        m: tape.state("m", real.len(x.shape.len())),
        v: tape.state("v", real.len(x.shape.len())),
        state: tape.state("state", 8),
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
    tape.update(kernel(kernel!("adam", "step")))
        .params(params)
        .bind("state", adam.state)
        .upstream("dx", x)
        .bind("exact", exact)
        .bind("x", x.value)
        .bind("m", adam.m)
        .bind("v", adam.v)
        .grid([row, x.shape.height, 1]);
    adam
}
