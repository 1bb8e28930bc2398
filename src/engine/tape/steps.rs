//! The contents of a tape: tensors as declared, steps as recorded.

use std::ops::Range;

use super::{Tensor, View};
use crate::engine::kernel::{Kernel, Value};
use crate::engine::memory::Texels;
use crate::engine::precision::Precision;

/// Where a tensor lives.
pub(crate) enum Home {
    /// In a buffer shared with tensors that are not alive at the same time.
    Shared,
    /// In a buffer of its own, which starts as zeros (unless guarded) and lasts as long as the plan.
    Own,
    /// In memory of the caller.
    Given(Memory),
}

/// A piece of device memory.
#[derive(Clone)]
pub(crate) enum Memory {
    Buffer(wgpu::Buffer),
    Texels(Texels),
}

impl Memory {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Buffer(buffer) => buffer.size(),
            Self::Texels(texels) => texels.bytes(),
        }
    }
}

pub(crate) struct Declared {
    pub(crate) label: String,
    pub(crate) len: usize,
    pub(crate) precision: Precision,
    pub(crate) home: Home,
    /// Whether the tensor is a texture, see [`Texels`].
    pub(crate) texels: bool,
}

impl Declared {
    /// The size in bytes, a multiple of four as bindings need it.
    pub(crate) fn bytes(&self) -> u64 {
        (self.len as u64 * self.precision.bytes()).next_multiple_of(4).max(4)
    }
}

/// In which runs of a plan a step takes part: in the first ones, and later in every run whose number, from 0, is
/// a multiple of `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// The number of first runs.
    pub first: usize,
    /// Not 0.
    pub every: usize,
}

impl Rhythm {
    /// In every run.
    pub const ALWAYS: Self = Self { first: 0, every: 1 };

    /// Whether the step takes part in a run.
    pub(crate) fn is_due(self, run: usize) -> bool {
        run < self.first || run.is_multiple_of(self.every)
    }

    /// In how many of these runs it does.
    pub(crate) fn due_in(self, runs: Range<usize>) -> usize {
        let before = |run: usize| {
            let multiples = run.div_ceil(self.every) - self.first.min(run).div_ceil(self.every);
            self.first.min(run) + multiples
        };
        before(runs.end) - before(runs.start)
    }
}

/// One step as recorded.
#[derive(Clone)]
pub(crate) enum Step {
    Dispatch(Dispatch),
    /// Copies the first `len` values of a view of a buffer to a texture, beginning with its value number
    /// `at`, the first of a row.
    Copy {
        from: View,
        to: Tensor,
        at: usize,
        len: usize,
        rhythm: Rhythm,
    },
}

impl Step {
    pub(crate) fn rhythm(&self) -> Rhythm {
        match self {
            Self::Dispatch(Dispatch { rhythm, .. }) | Self::Copy { rhythm, .. } => *rhythm,
        }
    }
}

/// One dispatch as recorded.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(crate) label: String,
    pub(crate) kernel: Kernel,
    pub(crate) params: Vec<(&'static str, Value)>,
    pub(crate) bound: Vec<(&'static str, View)>,
    /// The gradient that is written. Its first writer must not accumulate.
    pub(crate) grad: Option<Tensor>,
    /// The number of invocations in each dimension.
    pub(crate) grid: [usize; 3],
    pub(crate) rhythm: Rhythm,
}

/// In which of a plan's two passes the forward steps of an op run, where a plan is run in passes. Backward
/// and updates belong to the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// In both.
    #[default]
    Every,
    /// In the first, which only looks.
    First,
    /// In the second.
    Second,
}

/// The dispatches of one op.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) turn: Turn,
    pub(crate) forward: Vec<Step>,
    pub(crate) backward: Vec<Step>,
}
