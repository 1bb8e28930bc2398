//! The sites of a map that a tile owns, and what is summed over them: tiles overlap, and each site counts
//! once.

use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table, in_both_precisions, vgg19_maps};
use crate::engine::kernel::kernel;
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Tape, Tensor, Var, View};
use crate::ops::gram::Products;
use crate::ops::masked::SiteWeights;
use crate::ops::products::Variant;
use crate::ops::wasserstein::channel_sums;

/// What a tile owns of a map.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Four `u32`, in pixels of the window that the network sees: the first row and one past the last,
    /// then the columns. A site is owned if its first pixel is.
    pub rectangle: Tensor,
    /// How often the picture was halved on its way to the map.
    pub halvings: usize,
}

/// What is subtracted from the map's values.
#[derive(Clone, Copy, Debug)]
pub enum Less {
    /// A value for each channel.
    Shift(Tensor),
    /// A map of the same shape, in float32.
    Map(Tensor),
}

/// Values of a band at most, unless one row has more: 64 MiB, so that little memory serves all bands in turn.
const BAND: usize = 1 << 24;

/// Records, for the forward pass, `y = x - reference` where the tile owns a site and `y = 0` elsewhere;
/// returns `y`, in float32, in bands of rows.
pub fn owned(tape: &mut Tape, x: Var, own: Own, less: Less) -> Vec<Var> {
    let Shape { channels: c, width: w, .. } = x.shape;
    let bands = tape.bands_of(&[x.shape], BAND / c);
    let record = |rows: &std::ops::Range<usize>| {
        let shape = Shape { height: rows.len(), ..x.shape };
        let value = tape.scratch("owned", shape.len());
        let y = Var { shape, precision: Precision::Single, value, grad: None };
        let kernel = match less {
            Less::Shift(_) => kernel!("owned", "less_shift"),
            Less::Map(_) => kernel!("owned", "less_map"),
        };
        // The shader has no `HALF`, because nothing is clamped.
        let kernel = if x.precision == Precision::Half { kernel.constant("Map", "f16") } else { kernel };
        let (name, reference) = match less {
            Less::Shift(shift) => ("shift", shift.into()),
            Less::Map(map) => ("reference", View { tensor: map, range: Some(x.shape.rows(rows.clone())) }),
        };
        tape.forward(kernel)
            .params([
                ("c", c.into()),
                ("w", w.into()),
                ("top", rows.start.into()),
                ("halvings", own.halvings.into()),
            ])
            .bind("x", x.rows(rows.clone()))
            .bind("own", own.rectangle)
            .bind(name, reference)
            .bind("y", value)
            .grid([c * w, rows.len(), 1]);
        y
    };
    bands.iter().map(record).collect()
}

/// Sums over the sites of a band, less the shift of their channel.
#[derive(Clone, Copy, Debug)]
pub struct Sums {
    /// Of each channel.
    pub sum: Tensor,
    /// Of the products of each pair of channels.
    pub products: Tensor,
}

/// Records, for the forward pass, what is summed over the sites that the tile owns: for each band, sums and
/// products of `x - shift`. They are float32 and added in a fixed order.
pub fn sums(tape: &mut Tape, x: Var, own: Own, shift: Tensor, variant: Variant) -> Vec<Sums> {
    let c = x.shape.channels;
    let bands = owned(tape, x, own, Less::Shift(shift));
    let record = |y: Var| {
        let sum = channel_sums(tape, y, 1.0, None);
        let products = tape.scratch("products", c * c);
        Products::new(tape, y, variant, None).forward(tape, products, 1.0.into(), None);
        Sums { sum, products }
    };
    bands.into_iter().map(record).collect()
}

/// As [`sums`] in one band, of sites each of which counts as often as its weight says, and not at all where
/// the tile does not own it: the sum of `x`, which is not shifted, and of the products of `x - shift`.
pub(crate) fn weighed_sums(
    tape: &mut Tape,
    x: Var,
    weights: SiteWeights,
    shift: Tensor,
    variant: Variant,
) -> Sums {
    let c = x.shape.channels;
    let sum = channel_sums(tape, x, 1.0, Some(weights));
    let products = tape.scratch("products", c * c);
    Products::new(tape, x, variant, Some(weights)).forward(tape, products, 1.0.into(), Some(shift));
    Sums { sum, products }
}

/// Records, for the forward pass, the sum of `x` over the sites that the tile owns, of each channel, for each
/// band.
pub(crate) fn channels(tape: &mut Tape, x: Var, own: Own) -> Vec<Tensor> {
    let zeros = tape.state("zeros", x.shape.channels);
    let bands = owned(tape, x, own, Less::Shift(zeros));
    bands.into_iter().map(|y| channel_sums(tape, y, 1.0, None)).collect()
}

/// One value, primes, rows around a workgroup of 64 values.
pub const TABLE: Table = Table {
    op: "owned",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(5, 3, 7),
        Size::new(1, 2, 63),
        Size::new(4, 3, 16),
        Size::new(5, 2, 13),
        // Rows of a multiple of 256 bytes can be split into bands.
        Size::new(4, 9, 16),
    ],
    network: |height, width| vgg19_maps(height, width).split_off(2),
    at: |size| {
        let case = |size| [false, true].map(|whole| in_both_precisions(size, |size| case(size, whole)));
        case(size).into_iter().flatten().collect()
    },
};

/// The differences from a whole map or from a value of each channel, of a map that was halved twice and of
/// which a tile owns the middle.
fn case(size: Size, whole: bool) -> Case {
    let shape = size.shape();
    let Shape { channels: c, height: h, width: w } = shape;
    // Sites of four pixels: the first counts if its first pixel does, and so does the last.
    let rectangle = [4 * (h / 3), 4 * h - 4 * (h / 4) + 3, 4 * (w / 3), 4 * w - 4 * (w / 4) + 1];
    let rows = h / 3..h - h / 4;
    let columns = w / 3..w - w / 4;
    let reference = if whole { shape } else { Shape::new(1, 1, c) };
    let inputs = [Input::fixed("x", shape).map(), Input::fixed("reference", reference)];
    let expected = move |inputs: &[Vec<f64>]| {
        let value = |(i, x): (usize, &f64)| {
            let (row, channel, column) = (i / (c * w), i / w % c, i % w);
            let reference = inputs[1][if whole { i } else { channel }];
            if rows.contains(&row) && columns.contains(&column) { x - reference } else { 0.0 }
        };
        inputs[0].iter().enumerate().map(value).collect()
    };
    let record = move |tape: &mut Tape, inputs: &[Leaf]| {
        let (x, reference) = (inputs[0].var, inputs[1].var.value);
        let own = Own { rectangle: tape.state("rectangle", 4), halvings: 2 };
        let less = if whole { Less::Map(reference) } else { Less::Shift(reference) };
        let value = tape.scratch("whole", shape.len());
        let y = Var { shape, precision: Precision::Single, value, grad: None };
        let mut top = 0;
        // Each band is a tensor of its own.
        for band in owned(tape, x, own, less) {
            let rows = top..top + band.shape.height;
            tape.forward(kernel!("widened", "forward"))
                .params([("row", (c * w).into())])
                .bind("x", band.value)
                .bind("y", y.rows(rows.clone()))
                .grid([c * w, rows.len(), 1]);
            top = rows.end;
        }
        tape.keep(y.value);
        let words = rectangle.map(|n| f32::from_bits(n as u32)).to_vec();
        Ok(Recorded { y, starts: vec![(own.rectangle, words)] })
    };
    Case::new("owned", size, inputs, expected)
        .called(if whole { "less a map" } else { "less a shift" })
        .candidate(Candidate::new("plain", record))
}
