//! The precision of the optimised picture and of its optimiser: float64 where the device has it.

use crate::engine::gpu::Gpu;

/// The type that shaders call `real`. `shaders/adam.wgsl` explains why it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Real {
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
}

impl Real {
    /// The best precision of a device.
    pub fn of(gpu: &Gpu) -> Self {
        if gpu.has_float64() { Self::F64 } else { Self::F32 }
    }

    /// Its name in WGSL.
    pub fn wgsl(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// The length of `n` reals, in 32-bit values.
    pub fn len(self, n: usize) -> usize {
        match self {
            Self::F32 => n,
            Self::F64 => 2 * n,
        }
    }

    /// The bits of reals, as 32-bit values for a buffer.
    pub fn encode(self, values: &[f64]) -> Vec<f32> {
        match self {
            Self::F32 => values.iter().map(|v| *v as f32).collect(),
            Self::F64 => bytemuck::cast_slice(values).to_vec(),
        }
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(self, values: &[f32]) -> Vec<f64> {
        match self {
            Self::F32 => values.iter().map(|v| f64::from(*v)).collect(),
            Self::F64 => bytemuck::pod_collect_to_vec(values),
        }
    }
}
