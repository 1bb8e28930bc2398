//! The loss values, and the reduction of partial sums into them.

use crate::kernel;
use crate::tape::{Tape, Tensor};

/// Where an op writes its loss: one element of the array of all losses.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The array of all losses.
    pub losses: Tensor,
    /// The index of this loss.
    pub index: usize,
}

/// The number of partial sums of a loss over `n` values: enough to keep a device busy, few enough to add
/// quickly.
pub fn shares(n: usize) -> usize {
    n.div_ceil(16).clamp(1, 16384)
}

/// `losses[slot] = sum of partial`, added in a fixed order.
pub fn reduce(tape: &mut Tape, partial: Tensor, n: usize, slot: Slot) {
    tape.forward(kernel!("reduce", "forward"))
        .params([("n", n.into()), ("slot", slot.index.into())])
        .bind("partial", partial)
        .bind("losses", slot.losses)
        .grid([256, 1, 1]);
}
