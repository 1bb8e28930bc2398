//! The loss values, and the reduction of partial sums into them.

use crate::engine::kernel::kernel;
use crate::engine::tape::{Slot, Tape, Tensor};

/// Partial sums of a loss over `n` values: enough to fill a device, few enough to add quickly.
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
