//! What can be counted of a pass without running it: the least number of bytes that it has to move, which are
//! its inputs and its outputs, each counted once; and its workgroups.

use std::collections::HashMap;
use std::ops::Range;

use crate::Result;
use crate::engine::kernel::Access;
use crate::engine::placement::{dispatch, ordered, workgroups};
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
    /// The workgroups of all its dispatches.
    pub(crate) workgroups: u64,
    /// The most bytes of workgroup memory that one of these has.
    pub(crate) workgroup_bytes: u32,
    /// The most bytes of its own variables that an invocation has.
    pub(crate) private_bytes: u32,
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
            let those = &steps[range.clone()];
            let (mut groups, mut workgroup_bytes, mut private_bytes) = (0, 0, 0);
            for dispatch in those.iter().filter_map(dispatch) {
                let interface = self.gpu.interface(&dispatch.kernel)?;
                let counts = workgroups(self.gpu, dispatch, interface.workgroup)?;
                groups += counts.into_iter().map(u64::from).product::<u64>();
                workgroup_bytes = workgroup_bytes.max(interface.workgroup_bytes);
                private_bytes = private_bytes.max(interface.private_bytes);
            }
            let bytes = self.bytes_of(those)?;
            passes.push(Pass {
                name,
                bytes,
                workgroups: groups,
                workgroup_bytes,
                private_bytes,
                steps: range,
            });
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
