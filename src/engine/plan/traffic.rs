//! The least number of bytes that a pass has to move: its inputs and its outputs, each counted once.

use std::collections::HashMap;
use std::ops::Range;

use crate::Result;
use crate::engine::kernel::Access;
use crate::engine::placement::ordered;
use crate::engine::tape::{Step, Tape, Tensor};

/// The steps of a pass, and the bytes that it has to move.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// `forward`, `backward` or `update`.
    pub(crate) name: &'static str,
    /// Its steps in the plan.
    pub(crate) steps: Range<usize>,
    /// The bytes of inputs and outputs.
    pub(crate) bytes: u64,
}

/// What a pass does with a tensor.
struct Use {
    /// The tensor held values before the pass.
    enters: bool,
    /// The tensor is last written in the pass, so somebody will read it later.
    leaves: bool,
    /// The number of its values that are used; values in several bands count once.
    values: usize,
}

impl Tape<'_> {
    /// The passes that have steps, in their order. Values that are written and read again within a pass may
    /// stay in a cache and are not counted.
    pub(crate) fn passes(&self) -> Result<Vec<Pass>> {
        let steps = ordered(self)?;
        let forward = self.groups.iter().map(|group| group.forward.len()).sum();
        let backward = steps.len() - self.updates.len();
        let ranges =
            [("forward", 0..forward), ("backward", forward..backward), ("update", backward..steps.len())];
        let mut passes = Vec::new();
        for (name, range) in ranges.into_iter().filter(|(_, range)| !range.is_empty()) {
            passes.push(Pass { name, bytes: self.bytes_of(&steps[range.clone()])?, steps: range });
        }
        Ok(passes)
    }

    fn bytes_of(&self, steps: &[Step]) -> Result<u64> {
        let mut uses: HashMap<usize, Use> = HashMap::new();
        let mut touch = |tensor: Tensor, values: usize, writes: bool| {
            let first = Use { enters: !writes, leaves: writes, values: 0 };
            let found = uses.entry(tensor.0).or_insert(first);
            found.leaves = writes;
            found.values = (found.values + values).min(self.tensors[tensor.0].len);
        };
        for step in steps {
            match step {
                Step::Copy { from, to, len, .. } => {
                    touch(from.tensor, *len, false);
                    touch(*to, *len, true);
                }
                Step::Dispatch(dispatch) => {
                    let interface = self.gpu.interface(&dispatch.kernel)?;
                    for (name, view) in &dispatch.bound {
                        let access = interface.bindings.iter().find(|b| b.name == *name).map(|b| b.access);
                        let len = view.range.as_ref().map_or(self.tensors[view.tensor.0].len, |r| r.len());
                        touch(view.tensor, len, access == Some(Access::Write));
                    }
                }
            }
        }
        let moved = |(tensor, u): (&usize, &Use)| {
            let times = u64::from(u.enters) + u64::from(u.leaves);
            times * u.values as u64 * self.tensors[*tensor].precision.bytes()
        };
        Ok(uses.iter().map(moved).sum())
    }
}
