//! Recording one dispatch, and checking it against the shader's declaration.

use std::ops::Range;

use super::{Dispatch, Phase, Step, Tape, Tensor, Var, View};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, Value};
use crate::{Error, Result};

/// One dispatch while it is being recorded; [`Recorder::grid`] completes it.
pub struct Recorder<'t, 'g> {
    tape: &'t mut Tape<'g>,
    phase: Phase,
    dispatch: Dispatch,
    /// Set if the dispatch would serve only a gradient that is not needed.
    skip: bool,
}

impl<'t, 'g> Recorder<'t, 'g> {
    pub(super) fn new(tape: &'t mut Tape<'g>, phase: Phase, kernel: Kernel) -> Self {
        let label = tape.groups.last().map(|g| g.label.clone()).unwrap_or_default();
        let (params, bound) = Default::default();
        let skip = phase == Phase::Backward && !tape.differentiate;
        let dispatch =
            Dispatch { label, kernel, params, bound, grad: None, grid: [1; 3], rhythm: tape.rhythm };
        Self { tape, phase, dispatch, skip }
    }

    /// Sets members of the uniform block.
    pub fn params<const N: usize>(mut self, params: [(&'static str, Value); N]) -> Self {
        self.dispatch.params.extend(params);
        self
    }

    /// Binds the shader's variable `name`.
    pub fn bind(mut self, name: &'static str, view: impl Into<View>) -> Self {
        self.dispatch.bound.push((name, view.into()));
        self
    }

    /// As [`Self::bind`], for any number of tensors.
    pub(crate) fn bind_all(mut self, views: impl IntoIterator<Item = (&'static str, Tensor)>) -> Self {
        self.dispatch.bound.extend(views.into_iter().map(|(name, tensor)| (name, tensor.into())));
        self
    }

    /// Binds the gradient of `var` for reading. If there is none, the dispatch is not recorded.
    pub fn upstream(self, name: &'static str, var: Var) -> Self {
        let rows = 0..var.shape.height;
        self.upstream_rows(name, var, rows)
    }

    /// Like [`Self::upstream`], for some rows.
    pub fn upstream_rows(mut self, name: &'static str, var: Var, rows: Range<usize>) -> Self {
        match var.grad {
            Some(tensor) => self.bind(name, View { tensor, range: Some(var.shape.rows(rows)) }),
            None => {
                self.skip = true;
                self
            }
        }
    }

    /// Binds some rows of the gradient of `var`, to which several ops may add. For the first of these ops,
    /// the shader's `ACCUMULATE` becomes false, so that nothing needs to be cleared. The bands that one op
    /// writes must not overlap. If there is no gradient, the dispatch is not recorded.
    pub fn grad_rows(mut self, name: &'static str, var: Var, rows: Range<usize>) -> Self {
        self.dispatch.grad = var.grad;
        self.upstream_rows(name, var, rows)
    }

    /// Completes the dispatch with the number of invocations in each dimension.
    pub fn grid(self, invocations: [usize; 3]) {
        let Self { tape, phase, mut dispatch, skip } = self;
        if skip || tape.fault.is_some() {
            return;
        }
        dispatch.grid = invocations;
        if let Err(fault) = check(tape.gpu, &dispatch) {
            tape.fault = Some(fault);
            return;
        }
        tape.push(phase, Step::Dispatch(dispatch));
    }
}

/// Checks a dispatch against its shader's declaration.
fn check(gpu: &Gpu, dispatch: &Dispatch) -> Result<()> {
    let interface = gpu.interface(&dispatch.kernel)?;
    let wrong = |why: String| Err(Error::shader(dispatch.kernel.label(), why));
    interface.uniform(&dispatch.params)?;
    let declared =
        || interface.bindings.iter().filter(|b| b.access != crate::engine::kernel::Access::Uniform);
    if let Some(missing) = declared().find(|b| dispatch.bound.iter().all(|(name, _)| *name != b.name)) {
        return wrong(format!("nothing is bound to `{}`", missing.name));
    }
    match dispatch.bound.iter().find(|(name, _)| declared().all(|b| b.name != *name)) {
        Some((name, _)) => wrong(format!("there is no binding `{name}`")),
        None => Ok(()),
    }
}
