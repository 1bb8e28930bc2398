//! Maps that are not kept for the backward pass, which computes them again.

use std::ops::Range;
use std::rc::Rc;

use super::{Tape, Tensor, Var, View};

/// Records for the backward pass that some rows of a map are computed again, and tells where they will be.
pub(super) type Recompute = Rc<dyn Fn(&mut Tape, Range<usize>) -> Tensor>;

/// A map that backward computes again.
pub(super) struct Recomputed {
    map: Tensor,
    /// Values that are computed at a time, unless few rows have more.
    values: usize,
    again: Recompute,
}

impl Tape<'_> {
    /// Gives `var` a way to be computed again, about `values` of it at a time, so that it need not be kept for the backward
    /// pass.
    pub(crate) fn recompute(&mut self, var: Var, values: usize, again: Recompute) {
        self.recomputed.push(Recomputed { map: var.value, values, again });
    }

    fn recomputed(&self, var: Var) -> Option<&Recomputed> {
        self.recomputed.iter().find(|recomputed| recomputed.map == var.value)
    }

    /// Some rows of `var` for what is recorded next for the backward pass.
    pub(crate) fn backward_rows(&mut self, var: Var, rows: Range<usize>) -> View {
        match self.recomputed(var).map(|recomputed| recomputed.again.clone()) {
            Some(again) if self.differentiate => again(self, rows).into(),
            _ => var.rows(rows),
        }
    }

    /// The pieces of `rows` that the backward pass should ask [`Self::backward_rows`] for.
    pub(crate) fn backward_pieces(&self, var: Var, rows: &Range<usize>) -> Vec<Range<usize>> {
        match self.recomputed(var) {
            Some(recomputed) => Self::pieces(rows, &[var], recomputed.values),
            None => vec![rows.clone()],
        }
    }
}
