//! Maps that are not kept for the backward pass, which computes them again instead.

use std::ops::Range;
use std::rc::Rc;

use super::{Tape, Tensor, Var, View};

/// Records, for the backward pass, that some rows of a map are computed again, and returns the tensor that
/// will hold them.
pub(super) type Recompute = Rc<dyn Fn(&mut Tape, Range<usize>) -> Tensor>;

/// A map that backward computes again.
pub(super) struct Recomputed {
    map: Tensor,
    /// The number of values computed at a time, unless the fewest possible rows have more.
    values: usize,
    again: Recompute,
}

impl Tape<'_> {
    /// Makes backward compute `var` again, about `values` of it at a time, so that it need not be kept.
    pub(crate) fn recompute(&mut self, var: Var, values: usize, again: Recompute) {
        self.recomputed.push(Recomputed { map: var.value, values, again });
    }

    fn recomputed(&self, var: Var) -> Option<&Recomputed> {
        self.recomputed.iter().find(|recomputed| recomputed.map == var.value)
    }

    /// Some rows of `var`, for the dispatches of the backward pass that are recorded next.
    pub(crate) fn backward_rows(&mut self, var: Var, rows: Range<usize>) -> View {
        match self.recomputed(var).map(|recomputed| recomputed.again.clone()) {
            Some(again) if self.differentiate => again(self, rows).into(),
            _ => var.rows(rows),
        }
    }

    /// The pieces of `rows` for which the backward pass should call [`Self::backward_rows`].
    pub(crate) fn backward_pieces(&self, var: Var, rows: &Range<usize>) -> Vec<Range<usize>> {
        match self.recomputed(var) {
            Some(recomputed) => Self::pieces(rows, &[var], recomputed.values),
            None => vec![rows.clone()],
        }
    }
}
