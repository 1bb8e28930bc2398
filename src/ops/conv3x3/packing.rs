//! Weights of `c_out x c_in x 3 x 3` as the forms read them.

use super::{BLOCK, winograd};

/// What is uploaded.
pub(super) enum Packed {
    /// Values in a buffer.
    Values(Vec<f32>),
    /// Values in a buffer, in half precision.
    Halves(Vec<f32>),
    /// Values in a texture.
    Texels(Vec<f32>),
    /// Values that the device transforms: as they are, or as bytes, each the number of a value.
    Raw {
        /// The bits of the values; of bytes, first those of the values that they number.
        words: Vec<u32>,
        /// Whether they are bytes.
        palette: bool,
    },
}

/// `3 x 3 x c_in x c_out`: neighbouring output channels stand together.
pub(super) fn taps_first(weights: &[f32], bias: &[f32]) -> Packed {
    let (c_out, row) = (bias.len(), weights.len() / bias.len());
    let mut packed = Vec::with_capacity(weights.len());
    for tap in 0..9 {
        for i in (0..row).step_by(9) {
            packed.extend((0..c_out).map(|o| weights[o * row + i + tap]));
        }
    }
    Packed::Values(packed)
}

/// `3 x 3 x c_out x c_in` in half precision: neighbouring input channels stand together.
pub(super) fn taps_first_halves(weights: &[f32], _: &[f32]) -> Packed {
    Packed::Halves((0..9).flat_map(|tap| weights.iter().skip(tap).step_by(9).copied()).collect())
}

/// `c_out/32 x c_in/32 x 3 x 3 x 8 x 32 x 4`: blocks of outputs and of inputs, tap, four inputs, output, input.
pub(super) fn in_blocks(weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let c_out = bias.len();
    let c_in = weights.len() / (9 * c_out);
    let mut packed = Vec::with_capacity(weights.len());
    let blocks = |c: usize| (0..c).step_by(BLOCK);
    for (o, i) in blocks(c_out).flat_map(|o| blocks(c_in).map(move |i| (o, i))) {
        for (tap, i) in (0..9).flat_map(|tap| (i..i + BLOCK).step_by(4).map(move |i| (tap, i))) {
            for o in o..o + BLOCK {
                packed.extend((i..i + 4).map(|i| weights[(o * c_in + i) * 9 + tap]));
            }
        }
    }
    packed
}

/// Per output channel its 27 weights of three input channels, its bias, and nothing up to 32 values.
pub(super) fn one_row_each(weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let row = |(weights, bias): (&[f32], &f32)| {
        let mut row = weights.to_vec();
        row.push(*bias);
        row.resize(32, 0.0);
        row
    };
    weights.chunks_exact(27).zip(bias).flat_map(row).collect()
}

/// As the network has them, for the device to transform.
pub(super) fn raw(weights: &[f32], _: &[f32]) -> Packed {
    let (words, palette) = winograd::compact(weights);
    Packed::Raw { words, palette }
}
