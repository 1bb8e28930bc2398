//! The forms of the convolution, a row each. A row names what sets its form apart from a related one.
//!
//! A new form is its shader, its page in this folder, its name in [`Variant`] and its row in [`FORMS`]. Tuner, cases,
//! benchmark and command line go by the table, and `tests/mutants/list/` asks for a mistake in it.

use super::packing::{Packed, in_blocks, one_row_each, raw, taps_first, taps_first_halves};
use super::{BLOCK, Conv, Variant, cooperative, first, naive, shifted, tiled, uniform, winograd};
use crate::engine::gpu::Gpu;
use crate::engine::tape::Tape;

/// What a form is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MadeFor {
    /// People: the specification.
    Reading,
    /// GPUs; also what a processor gets for which no other form will do.
    Gpus,
    /// Drivers that compute on the processor.
    Processors,
    /// Devices that multiply matrices of float16, in half precision. Nobody takes it unless it, or a related form
    /// with larger workgroups, was measured to be the fastest.
    MatrixUnits,
}

/// Counts a form's workgroups for a map's rows, columns and channels.
type Workgroups = fn(Variant, &Gpu, [usize; 3]) -> usize;

/// A row of the table.
pub(super) struct Form {
    /// Which form it is.
    pub(super) variant: Variant,
    /// Its name on the command line, in reports and in caches.
    pub(super) name: &'static str,
    /// Unless something else is asked for or was measured, a device takes the first row which is made for it and supports
    /// the channels.
    pub(super) made_for: MadeFor,
    /// Whether the tuner measures it on a device.
    pub(super) competes: fn(&Gpu) -> bool,
    /// Whether it can do the pooling that follows.
    pub(super) pools: bool,
    /// Whether it can see the nearest pixel beyond the edge. All forms for three input channels must.
    pub(super) replicates: bool,
    /// Whether it transforms its weights, which half precision then rounds.
    pub(super) transforms: bool,
    /// Whether it can compute `c_in -> c_out` channels on a device.
    pub(super) supports: fn(Variant, &Gpu, usize, usize) -> bool,
    /// A related form, with the same weights in the same order, whose workgroups are smaller, and how many the form
    /// itself has.
    pub(super) smaller: Option<(Variant, Workgroups)>,
    /// Its weights on the device, from those of `c_out x c_in x 3 x 3` and `c_out` biases.
    pub(super) pack: fn(&[f32], &[f32]) -> Packed,
    /// Records both directions.
    pub(super) record: fn(&mut Tape, &Conv),
}

/// What most forms for GPUs have in common: they see what stands beyond the edge, pool, and take all channels.
const TILED: Form = Form {
    variant: Variant::Tiled,
    name: "tiled",
    made_for: MadeFor::Gpus,
    competes: |_| true,
    pools: true,
    replicates: true,
    transforms: false,
    supports: |_, _, _, _| true,
    smaller: None,
    pack: taps_first,
    record: tiled::record,
};

/// What the forms of matrix units have in common.
const COOPERATIVE: Form = Form {
    variant: Variant::Cooperative,
    name: "cooperative",
    made_for: MadeFor::MatrixUnits,
    replicates: false,
    supports: cooperative::supports,
    smaller: Some((Variant::CooperativeSmall, cooperative::workgroups)),
    pack: taps_first_halves,
    record: cooperative::record,
    ..TILED
};

/// What the forms for processors have in common that leave pooling to an op of its own.
const LANES: Form = Form {
    variant: Variant::Shifted,
    name: "shifted",
    made_for: MadeFor::Processors,
    pools: false,
    replicates: false,
    supports: |_, gpu, c_in, c_out| blocks_of_lanes(gpu, c_in, c_out, (9 * c_in * c_out) as u64),
    pack: |weights, bias| Packed::Texels(in_blocks(weights, bias)),
    record: shifted::record,
    ..TILED
};

/// All forms, in the order of [`Variant`].
pub(super) static FORMS: [Form; 14] = [
    Form {
        variant: Variant::Naive,
        name: "naive",
        made_for: MadeFor::Reading,
        competes: |_| false,
        pools: false,
        record: naive,
        ..TILED
    },
    Form {
        variant: Variant::Few,
        name: "few",
        pools: false,
        supports: |_, _, c_in, _| c_in == 3,
        pack: |weights, bias| Packed::Values(one_row_each(weights, bias)),
        record: first::record,
        ..TILED
    },
    Form { smaller: Some((Variant::TiledSmall, tiled::workgroups)), ..TILED },
    Form { variant: Variant::TiledSmall, name: "tiled_small", ..TILED },
    Form {
        variant: Variant::TiledLarge,
        name: "tiled_large",
        smaller: Some((Variant::Tiled, tiled::workgroups)),
        ..TILED
    },
    Form {
        variant: Variant::WinogradTiled,
        name: "winograd_tiled",
        replicates: false,
        transforms: true,
        supports: |_, _, c_in, c_out| whole_blocks(c_in, c_out),
        pack: raw,
        record: winograd::record,
        ..TILED
    },
    Form {
        variant: Variant::Winograd,
        name: "winograd",
        pools: true,
        transforms: true,
        supports: |_, gpu, c_in, c_out| blocks_of_lanes(gpu, c_in, c_out, winograd::packed_len(c_in, c_out)),
        pack: raw,
        record: winograd::record,
        ..LANES
    },
    Form {
        variant: Variant::First,
        name: "first",
        replicates: true,
        supports: |_, gpu, c_in, c_out| gpu.has_subgroups_of(8) && c_in == 3 && c_out.is_multiple_of(8),
        pack: |weights, bias| Packed::Texels(one_row_each(weights, bias)),
        record: first::record,
        ..LANES
    },
    LANES,
    Form {
        variant: Variant::Uniform,
        name: "uniform",
        // A GPU's driver might take long to compile it. The other forms for processors need subgroups that few GPUs have.
        competes: Gpu::is_software,
        supports: |_, gpu, c_in, c_out| whole_blocks(c_in, c_out) && !gpu.quirks().slow_compiler,
        pack: |weights, bias| Packed::Values(in_blocks(weights, bias)),
        record: uniform::record,
        ..LANES
    },
    COOPERATIVE,
    Form {
        variant: Variant::CooperativeSmall,
        name: "cooperative_small",
        smaller: Some((Variant::CooperativeTiny, cooperative::workgroups)),
        ..COOPERATIVE
    },
    Form {
        variant: Variant::CooperativeLarge,
        name: "cooperative_large",
        smaller: Some((Variant::Cooperative, cooperative::workgroups)),
        ..COOPERATIVE
    },
    Form { variant: Variant::CooperativeTiny, name: "cooperative_tiny", smaller: None, ..COOPERATIVE },
];

/// Whether channels fill the blocks of weights that lanes share.
fn whole_blocks(c_in: usize, c_out: usize) -> bool {
    c_in.is_multiple_of(BLOCK) && c_out.is_multiple_of(BLOCK)
}

/// The same, for subgroups that read this number of weights as texels.
fn blocks_of_lanes(gpu: &Gpu, c_in: usize, c_out: usize, values: u64) -> bool {
    whole_blocks(c_in, c_out) && gpu.has_subgroups_of(8) && gpu.has_texels_of(values)
}

impl Variant {
    /// All forms.
    pub const ALL: [Self; FORMS.len()] = {
        let mut all = [Self::Naive; FORMS.len()];
        let mut row = 0;
        while row < all.len() {
            all[row] = FORMS[row].variant;
            assert!(all[row] as usize == row, "rows stand in the order of Variant");
            row += 1;
        }
        all
    };

    /// Its row.
    pub(super) fn form(self) -> &'static Form {
        &FORMS[self as usize]
    }

    /// The form of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.name() == name)
    }

    /// The forms that a device takes unless something else is asked for or was measured, the better ones first.
    pub(crate) fn defaults(gpu: &Gpu) -> impl Iterator<Item = Self> {
        let kinds =
            if gpu.is_software() { &[MadeFor::Processors, MadeFor::Gpus][..] } else { &[MadeFor::Gpus] };
        let of = |kind| FORMS.iter().filter(move |form| form.made_for == kind).map(|form| form.variant);
        kinds.iter().flat_map(move |kind| of(*kind))
    }

    /// Whether the tuner measures it on this device.
    pub(crate) fn competes(self, gpu: &Gpu) -> bool {
        (self.form().competes)(gpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv3x3::Filter;

    /// A large GPU has work for all its processors wherever a smaller form can give it: conv5_1 at 512 x 512 pixels has
    /// maps of 32 x 32.
    #[test]
    fn small_maps_get_small_workgroups() {
        let gpu = Gpu::new(None).unwrap().with_matrix_tile(16);
        let form = |variant: Variant, channels: usize, side: usize| {
            let (weights, bias) = (vec![0.0; 9 * channels * channels], vec![0.0; channels]);
            Filter::upload(&gpu, "filter", variant, &weights, &bias)
                .unwrap()
                .for_map(&gpu, side, side)
                .variant
        };
        assert_eq!(form(Variant::TiledLarge, 64, 512), Variant::TiledLarge);
        assert_eq!(form(Variant::TiledLarge, 128, 256), Variant::TiledLarge);
        assert_eq!(form(Variant::TiledLarge, 256, 128), Variant::Tiled);
        assert_eq!(form(Variant::TiledLarge, 512, 32), Variant::TiledSmall);
        assert_eq!(form(Variant::Cooperative, 64, 512), Variant::Cooperative);
        assert_eq!(form(Variant::Cooperative, 512, 64), Variant::CooperativeSmall);
        assert_eq!(form(Variant::CooperativeLarge, 512, 32), Variant::CooperativeTiny);
        // 2 by 8 by 32 workgroups, of 16 columns, 4 rows and 16 channels.
        assert_eq!(cooperative::workgroups(Variant::CooperativeTiny, &gpu, [32, 32, 512]), 512);
        // Nothing smaller computes the same from the same weights.
        assert_eq!(form(Variant::WinogradTiled, 64, 16), Variant::WinogradTiled);
        assert_eq!(form(Variant::Naive, 64, 16), Variant::Naive);
    }
}
