//! The values of a kernel's parameters, and knobs, which change them between the runs of a plan.

/// The value of a uniform member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A `u32` member.
    U32(u32),
    /// An `f32` or `f64` member.
    Float(f64),
    /// The same, which follows a [`Knob`]: the knob's value times the first factor, divided by the second.
    Follows(Knob, f64, f64),
}

/// A number that may be changed while a plan exists, between its runs: a loss weight, a learning rate. It is
/// made by [`Tape::knob`](crate::engine::tape::Tape::knob) and turned by
/// [`Plan::turn`](crate::engine::plan::Plan::turn). No shader is compiled for it: the parameters that follow
/// it are rewritten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knob {
    pub(crate) index: usize,
    /// The value that it begins with.
    pub(crate) value: f64,
}

impl Knob {
    /// The value of a parameter: this knob's times `times`, divided by `over`.
    pub fn scaled(self, times: f64, over: f64) -> Value {
        Value::Follows(self, times, over)
    }
}

impl From<Knob> for Value {
    fn from(knob: Knob) -> Self {
        knob.scaled(1.0, 1.0)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        // Nothing so large gets past the device's limits, which are checked when a plan is finished.
        Self::U32(value.try_into().unwrap_or(u32::MAX))
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Float(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// A parameter that follows a knob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    /// The number of the knob.
    pub(crate) knob: usize,
    /// Where the parameter stands, in bytes.
    pub(crate) offset: usize,
    pub(super) width: usize,
    pub(super) times: f64,
    pub(super) over: f64,
}

impl Follower {
    /// What stands there when the knob has `value`.
    pub(crate) fn bytes(&self, value: f64) -> Vec<u8> {
        float_bytes(value * self.times / self.over, self.width)
    }
}

/// A number as a float of 4 or 8 bytes.
pub(super) fn float_bytes(value: f64, width: usize) -> Vec<u8> {
    if width == 8 { value.to_ne_bytes().to_vec() } else { (value as f32).to_ne_bytes().to_vec() }
}
