//! The tape: an op records its forward and its backward dispatches side by side.

mod bands;
mod recompute;
mod recorder;
mod steps;
mod var;

use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, Knob};
use crate::engine::memory::Texels;
use crate::engine::plan::Plan;
use crate::engine::precision::Precision;
pub use crate::engine::shape::Shape;
use crate::{Error, Result};
#[cfg(test)]
pub(crate) use bands::BAND_WORK;
pub(crate) use bands::{BAND_PIXELS, band_pixels};
use recompute::Recomputed;
pub use recorder::Recorder;
pub use steps::Rhythm;
pub(crate) use steps::{Declared, Dispatch, Group, Home, Memory, Step, Turn};
pub use var::{Slot, Tensor, Var, View};

/// Records ops until [`Tape::finish`] turns them into a [`Plan`].
pub struct Tape<'g> {
    pub(crate) gpu: &'g Gpu,
    pub(crate) tensors: Vec<Declared>,
    /// Steps that run once, before the first run.
    pub(crate) preparation: Vec<Step>,
    pub(crate) groups: Vec<Group>,
    pub(crate) updates: Vec<Step>,
    /// Of the steps that are recorded now.
    rhythm: Rhythm,
    differentiate: bool,
    map_precision: Precision,
    weight_precision: Precision,
    gradient_scale: f64,
    /// How many knobs were made.
    knobs: usize,
    binding_limit: u64,
    spends_memory: bool,
    /// Maps that the backward pass computes again, in the rows that it needs.
    recomputed: Vec<Recomputed>,
    fault: Option<Error>,
}

/// When a step runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Once, before the first run. Tensors that it writes and a run reads must be kept.
    Preparation,
    /// The ops in order.
    Forward,
    /// The ops in reverse order.
    Backward,
    /// After all gradients are complete.
    Update,
}

impl<'g> Tape<'g> {
    /// A tape that records forward and backward.
    pub fn new(gpu: &'g Gpu) -> Self {
        let (tensors, preparation, groups, updates) = Default::default();
        Self {
            gpu,
            tensors,
            preparation,
            groups,
            updates,
            rhythm: Rhythm::ALWAYS,
            differentiate: true,
            map_precision: Precision::Single,
            weight_precision: Precision::Single,
            gradient_scale: 1.0,
            knobs: 0,
            binding_limit: gpu.max_binding(),
            spends_memory: false,
            recomputed: Vec::new(),
            fault: None,
        }
    }

    /// A tape whose variables have no gradients: the same ops record only their forward half.
    pub fn forward_only(gpu: &'g Gpu) -> Self {
        Self { differentiate: false, ..Self::new(gpu) }
    }

    /// Stores feature maps and their gradients in `precision` from here on.
    pub fn set_map_precision(&mut self, precision: Precision) {
        self.map_precision = precision;
    }

    /// The precision of weights that Winograd has transformed.
    pub(crate) fn weight_precision(&self) -> Precision {
        self.weight_precision
    }

    /// See [`Self::weight_precision`].
    pub(crate) fn set_weight_precision(&mut self, precision: Precision) {
        self.weight_precision = precision;
    }

    /// Multiplies the gradients that losses start by a power of two, so that half precision, which has few
    /// exponents, can hold them. [`Self::gradient_scale`] is that power. An op that takes a gradient out of
    /// the network divides by it.
    pub fn scale_gradients(&mut self, scale: f64) {
        self.gradient_scale = scale;
    }

    /// See [`Self::scale_gradients`].
    pub fn gradient_scale(&self) -> f64 {
        self.gradient_scale
    }

    /// Makes a number that can be changed between the plan's runs; it begins as `value`.
    pub fn knob(&mut self, value: f64) -> Knob {
        self.knobs += 1;
        Knob { index: self.knobs - 1, value }
    }

    /// Splits maps into bands for bindings of at most `bytes`, so that tests meet bands at small sizes.
    pub(crate) fn limit_bindings(&mut self, bytes: u64) {
        self.binding_limit = bytes;
    }

    /// Whether memory is spent to save time: ops keep the form of their weights that they compute with, which
    /// is larger than what the network has on the device, and no map is computed again.
    pub(crate) fn spend_memory(&mut self, spend: bool) {
        self.spends_memory = spend;
    }

    /// See [`Self::spend_memory`].
    pub(crate) fn spends_memory(&self) -> bool {
        self.spends_memory
    }

    /// The device the plan will run on.
    pub fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    /// Opens the next op: dispatches and tensors recorded from here on belong to it and carry its label.
    pub fn op(&mut self, label: impl Into<String>) {
        self.groups.push(Group { label: label.into(), ..Group::default() });
    }

    /// As [`Self::op`], with forward steps that run in one pass only: see [`Plan::submit_pass`].
    pub(crate) fn op_in(&mut self, turn: Turn, label: impl Into<String>) {
        self.groups.push(Group { label: label.into(), turn, ..Group::default() });
    }

    fn declare(&mut self, name: &str, len: usize, home: Home) -> Tensor {
        let label = match self.groups.last() {
            Some(group) if !group.label.is_empty() => format!("{}.{name}", group.label),
            _ => name.to_owned(),
        };
        self.tensors.push(Declared { label, len, precision: Precision::Single, home, texels: false });
        Tensor(self.tensors.len() - 1)
    }

    /// Scratch or kept values of an op: `len` values that live from their first writer to their last reader.
    pub fn scratch(&mut self, name: &str, len: usize) -> Tensor {
        self.declare(name, len, Home::Shared)
    }

    /// `len` values of its own that start as zeros and last as long as the plan.
    pub fn state(&mut self, name: &str, len: usize) -> Tensor {
        self.declare(name, len, Home::Own)
    }

    /// Values that the caller has on the device already, such as weights.
    pub fn given(&mut self, name: &str, buffer: &wgpu::Buffer) -> Tensor {
        self.given_memory(name, &Memory::Buffer(buffer.clone()))
    }

    /// As [`Self::scratch`], in a texture. `len` is rounded up to whole rows; only copies write it.
    pub(crate) fn scratch_texels(&mut self, name: &str, len: usize) -> Tensor {
        let tensor = self.declare(name, len.next_multiple_of(Texels::ROW as usize), Home::Shared);
        self.tensors[tensor.0].texels = true;
        tensor
    }

    /// As [`Self::scratch_texels`], for values of the feature map `x`, stored as they are there.
    pub(crate) fn map_texels(&mut self, name: &str, x: Var, len: usize) -> Tensor {
        let tensor = self.scratch_texels(name, len);
        self.tensors[tensor.0].precision = x.precision;
        tensor
    }

    /// As [`Self::given`], for either kind of memory.
    pub(crate) fn given_memory(&mut self, name: &str, memory: &Memory) -> Tensor {
        let tensor = self.declare(name, (memory.bytes() / 4) as usize, Home::Given(memory.clone()));
        self.tensors[tensor.0].texels = matches!(memory, Memory::Texels(_));
        tensor
    }

    /// The output of an op, differentiable where its input `from` is. Always float32: a picture, a Gram
    /// matrix.
    pub fn output(&mut self, name: &str, shape: Shape, from: Var) -> Var {
        let value = self.scratch(name, shape.len());
        let grad = from.grad.map(|_| self.scratch(&format!("d{name}"), shape.len()));
        Var { shape, precision: Precision::Single, value, grad }
    }

    /// As [`Self::output`], in the precision of feature maps.
    pub fn feature_map(&mut self, name: &str, shape: Shape, from: Var) -> Var {
        let var = self.output(name, shape, from);
        self.as_map(var)
    }

    /// A leaf: values that come from outside and last as long as the plan, and their gradient. Always
    /// float32.
    pub fn leaf(&mut self, name: &str, shape: Shape) -> Var {
        let value = self.state(name, shape.len());
        let grad = self.differentiate.then(|| self.scratch(&format!("d{name}"), shape.len()));
        Var { shape, precision: Precision::Single, value, grad }
    }

    /// The same in the precision of feature maps. To be asked for before the variable is used.
    pub(crate) fn as_map(&mut self, var: Var) -> Var {
        for tensor in std::iter::once(var.value).chain(var.grad) {
            self.set_precision(tensor, self.map_precision);
        }
        Var { precision: self.map_precision, ..var }
    }

    /// The number of values of a tensor.
    pub(crate) fn len(&self, tensor: Tensor) -> usize {
        self.tensors[tensor.0].len
    }

    /// Stores a tensor in `precision`. To be asked for before it is used.
    pub(crate) fn set_precision(&mut self, tensor: Tensor, precision: Precision) {
        self.tensors[tensor.0].precision = precision;
    }

    /// Gives a tensor a buffer of its own, so that it can be read when the plan has run.
    pub fn keep(&mut self, tensor: Tensor) {
        self.tensors[tensor.0].home = Home::Own;
    }

    /// What `record` records takes part in some runs only. Between them its results last only if they are kept.
    pub(crate) fn in_rhythm<T>(&mut self, rhythm: Rhythm, record: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.rhythm, rhythm);
        let recorded = record(self);
        self.rhythm = outer;
        recorded
    }

    /// Records a dispatch of the forward pass.
    pub fn forward(&mut self, kernel: Kernel) -> Recorder<'_, 'g> {
        self.record(Phase::Forward, kernel)
    }

    /// Records a dispatch of the backward pass. Ops run backward in reverse order; the dispatches of one op
    /// run in the order in which they were recorded.
    pub fn backward(&mut self, kernel: Kernel) -> Recorder<'_, 'g> {
        self.record(Phase::Backward, kernel)
    }

    /// Records a dispatch that runs after all gradients are complete.
    pub fn update(&mut self, kernel: Kernel) -> Recorder<'_, 'g> {
        self.record(Phase::Update, kernel)
    }

    /// Records a dispatch of any phase.
    pub(crate) fn record(&mut self, phase: Phase, kernel: Kernel) -> Recorder<'_, 'g> {
        Recorder::new(self, phase, kernel)
    }

    /// Records, for the forward pass, that the first `len` values of `from` are copied to the texture `to`.
    /// They are whole texels, begin at a texel, and have the texture's precision.
    pub(crate) fn forward_copy(&mut self, from: impl Into<View>, to: Tensor, len: usize) {
        self.copy(Phase::Forward, from, (to, 0), len);
    }

    /// As [`Self::forward_copy`], for the backward pass.
    pub(crate) fn backward_copy(&mut self, from: impl Into<View>, to: Tensor, len: usize) {
        self.copy(Phase::Backward, from, (to, 0), len);
    }

    /// As [`Self::forward_copy`], in any phase and to the rows of the texture that begin with value number
    /// `at`.
    pub(crate) fn copy(
        &mut self,
        phase: Phase,
        from: impl Into<View>,
        (to, at): (Tensor, usize),
        len: usize,
    ) {
        if self.differentiate || phase != Phase::Backward {
            self.push(phase, Step::Copy { from: from.into(), to, at, len, rhythm: self.rhythm });
        }
    }

    fn push(&mut self, phase: Phase, step: Step) {
        if self.groups.is_empty() {
            self.groups.push(Group::default());
        }
        let group = self.groups.last_mut().expect("one was pushed if there was none");
        match phase {
            Phase::Preparation => self.preparation.push(step),
            Phase::Forward => group.forward.push(step),
            Phase::Backward => group.backward.push(step),
            Phase::Update => self.updates.push(step),
        }
    }

    /// Orders the dispatches, places the tensors and compiles the kernels.
    ///
    /// # Errors
    /// [`Error::Shader`] if a dispatch does not fit its shader's declaration, [`Error::TooLarge`] if the work
    /// does not fit the device.
    pub fn finish(self) -> Result<Plan> {
        self.finish_with(false)
    }

    /// Like [`Self::finish`], but every tensor has a buffer of its own with a guard after it and NaN inside,
    /// for tests: see [`Plan::guards_overwritten`].
    pub fn finish_guarded(self) -> Result<Plan> {
        self.finish_with(true)
    }

    fn finish_with(self, guarded: bool) -> Result<Plan> {
        Plan::new(self.sound()?, guarded)
    }

    /// The tape, unless something was recorded on it that does not fit its shader.
    pub(crate) fn sound(mut self) -> Result<Self> {
        self.fault.take().map_or(Ok(self), Err)
    }
}
