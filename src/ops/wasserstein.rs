#![allow(missing_docs)]
use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::Knob;
use crate::engine::tape::*;
#[derive(Clone, Copy)]
pub struct Variant;
impl Variant {
    pub fn of(_: &Gpu, _: usize) -> Self {
        Self
    }
}
pub struct Target;
impl Target {
    pub fn blank(_: &mut Tape, _: usize) -> Self {
        Self
    }
}
pub struct Resident;
impl Resident {
    pub fn target(&self, _: &mut Tape) -> Target {
        Target
    }
    pub fn bytes(&self) -> u64 {
        0
    }
}
pub struct Moments {
    pub mean: Vec<f32>,
    pub covariance: Vec<f32>,
}
pub struct Statistics;
impl Statistics {
    pub fn new(_: &[(Moments, f64)]) -> Self {
        Self
    }
    pub fn upload(&self, _: &Gpu) -> Result<Resident> {
        Ok(Resident)
    }
}
pub fn moments(_: &mut Tape, x: Var, _: Variant) -> (Tensor, Tensor) {
    (x.value, x.value)
}
pub fn wasserstein(_: &mut Tape, _: Var, _: &Target, _: Knob, _: Slot, _: Variant, _: Option<()>) {}
