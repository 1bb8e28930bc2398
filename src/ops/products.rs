//! The ways to compute products of many channels by many others: of a Gram matrix, of matrices, of the sites that the
//! nearest is searched among.

use crate::engine::gpu::Gpu;

/// How products are computed; what is computed is always the same. `tune` or the kind of device chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One output per invocation: the specification.
    Naive,
    /// Tiles of 64 x 64 outputs over workgroup memory, for GPUs.
    Tiled,
    /// Tiles of 32 x 32 outputs in registers, for software drivers.
    Subgroup,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Naive, Self::Tiled, Self::Subgroup];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Tiled => "tiled",
            Self::Subgroup => "subgroup",
        }
    }

    /// Whether this device has what the variant needs.
    pub fn runs_on(self, gpu: &Gpu) -> bool {
        self != Self::Subgroup || gpu.has_subgroups_of(8)
    }

    /// Whether it can compute a `c x c` matrix on this device.
    pub fn supports(self, gpu: &Gpu, c: usize) -> bool {
        self.runs_on(gpu) && (self != Self::Subgroup || c.is_multiple_of(32))
    }
}
