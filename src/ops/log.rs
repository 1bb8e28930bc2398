//! The log of losses: what the processor reads of an iteration, and the count of iterations.

use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table};
use crate::engine::kernel::kernel;
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Tape, Tensor, Var};

/// The log's tensors.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Losses of the last iterations, `history x slots`; iteration `i` stands in row `i mod history`.
    pub losses: Tensor,
    /// Iterations that were logged: one `u32`. Ops whose work changes with the iteration read it.
    pub count: Tensor,
}

impl Log {
    /// Declares the log of `history` iterations of `slots` losses each. It is recorded by [`log`].
    pub fn new(tape: &mut Tape, slots: usize, history: usize) -> Self {
        Self { losses: tape.state("log", history * slots), count: tape.state("count", 1) }
    }
}

/// Records, after all gradients, `log[count mod history] = losses` and then `count += 1`, where `losses` has
/// `slots` values.
pub fn log(tape: &mut Tape, log: Log, losses: Tensor, slots: usize, history: usize) {
    tape.update(kernel!("log", "forward"))
        .params([("slots", slots.into()), ("history", history.into())])
        .bind("count", log.count)
        .bind("losses", losses)
        .bind("log", log.losses)
        .grid([1; 3]);
}

/// One loss and several, a log of one iteration and of several.
pub const TABLE: Table = Table {
    op: "log",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(1, 1, 7),
        Size::new(1, 3, 1),
        Size::new(1, 4, 5),
        Size::new(1, 7, 13),
    ],
    network: |_, _| vec![Size::new(1, 4, 7)],
    at: |size| if size.c_in == 1 { [0, 2, 5].map(|count| case(size, count)).into() } else { Vec::new() },
};

/// A log of as many iterations as the size has rows, each with as many losses as it has columns, when `count`
/// iterations were logged. The result is the log.
fn case(size: Size, count: usize) -> Case {
    let (slots, history) = (size.width, size.height);
    let inputs = [
        Input::fixed("losses", Shape::new(1, 1, slots)),
        Input::fixed("before", Shape::new(1, history, slots)),
    ];
    let row = count % history;
    let reference = move |inputs: &[Vec<f64>]| {
        let mut log = inputs[1].clone();
        log[row * slots..][..slots].copy_from_slice(&inputs[0]);
        log
    };
    let record = move |tape: &mut Tape, inputs: &[Leaf]| {
        let kept = Log::new(tape, slots, history);
        log(tape, kept, inputs[0].var.value, slots, history);
        let shape = Shape::new(1, history, slots);
        let starts =
            vec![(kept.losses, inputs[1].values.clone()), (kept.count, vec![f32::from_bits(count as u32)])];
        Ok(Recorded {
            y: Var { shape, precision: Precision::Single, value: kept.losses, grad: None },
            starts,
        })
    };
    Case::new("log", size, inputs, reference)
        .called(&format!("iteration {count}"))
        .candidate(Candidate::new("plain", record))
}
