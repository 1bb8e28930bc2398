//! The ways to compute products of many channels by many others: of a Gram matrix, of matrices, of the sites that the
//! nearest is searched among.

use crate::engine::gpu::Gpu;

/// The tiles along each side of a unit of [`Variant::Cooperative`], of which a workgroup has two by two.
pub(super) const UNIT_TILES: usize = 2;

/// How products are computed; what is computed is always the same. [`Tuning`](crate::network::tuning::Tuning) chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One output per invocation: the specification.
    Naive,
    /// Tiles of 64 x 64 outputs over workgroup memory, for GPUs.
    Tiled,
    /// Tiles of 32 x 32 outputs in registers, for software drivers.
    Subgroup,
    /// Tiles on matrix units, which multiply float16: Gram matrices and covariances in half precision.
    Cooperative,
}

impl Variant {
    /// Those that compute all kinds of products, in float32.
    pub const ALL: [Self; 3] = [Self::Naive, Self::Tiled, Self::Subgroup];
    /// Those that multiply the channels of maps.
    pub const OF_MAPS: [Self; 4] = [Self::Naive, Self::Tiled, Self::Subgroup, Self::Cooperative];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Tiled => "tiled",
            Self::Subgroup => "subgroup",
            Self::Cooperative => "cooperative",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::OF_MAPS.into_iter().find(|variant| variant.name() == name)
    }

    /// Whether this device has what the variant needs.
    pub fn runs_on(self, gpu: &Gpu) -> bool {
        match self {
            Self::Naive | Self::Tiled => true,
            Self::Subgroup => gpu.has_subgroups_of(8),
            Self::Cooperative => gpu.matrix_tile().is_some(),
        }
    }

    /// Whether it multiplies in half precision, and so serves maps in half precision only.
    pub fn is_half(self) -> bool {
        self == Self::Cooperative
    }

    /// What computes the other products where this one computes those of maps.
    pub fn in_float32(self) -> Self {
        if self.is_half() { Self::Tiled } else { self }
    }

    /// Whether the tuner measures it on this device: not the specification, nor what software does slowly.
    pub(crate) fn competes(self, gpu: &Gpu) -> bool {
        self != Self::Naive && !(self.is_half() && gpu.is_software())
    }

    /// Whether it can compute a `c x c` matrix on this device.
    pub fn supports(self, gpu: &Gpu, c: usize) -> bool {
        let fills = match self {
            Self::Naive | Self::Tiled => true,
            Self::Subgroup => c.is_multiple_of(32),
            Self::Cooperative => gpu.matrix_tile().is_some_and(|tile| c.is_multiple_of(UNIT_TILES * tile)),
        };
        fills && self.runs_on(gpu)
    }
}
