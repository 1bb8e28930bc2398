//! What the Gram matrix must get right.

use super::{Variant, gram};
use crate::cases::{Candidate, Case, Input, Leaf, Size, Table, in_both_precisions, vgg19_maps};
use crate::engine::tape::{Shape, Tape};
use crate::ops::masked::{ResidentWeights, example};

/// The matrix in float64.
pub(crate) fn reference(shape: Shape, x: &[f64]) -> Vec<f64> {
    weighed(shape, x, &vec![1.0; shape.pixels()])
}

/// The same, where each pixel counts as `weights` say.
fn weighed(shape: Shape, x: &[f64], weights: &[f32]) -> Vec<f64> {
    let Shape { channels: c, width: w, .. } = shape;
    let sites: f64 = weights.iter().map(|m| f64::from(*m)).sum();
    let mut g = vec![0.0; c * c];
    for (row, weights) in x.chunks_exact(c * w).zip(weights.chunks_exact(w)) {
        for i in 0..c {
            for j in 0..c {
                let products = row[i * w..][..w].iter().zip(&row[j * w..][..w]).map(|(a, b)| a * b);
                let products = products.zip(weights).map(|(product, m)| product * f64::from(*m));
                g[i * c + j] += products.sum::<f64>() / (c as f64 * sites);
            }
        }
    }
    g
}

/// Sizes that also have weighed cases.
const WEIGHED_AT: [Size; 7] = [
    Size::new(3, 5, 7),
    Size::new(5, 3, 31),
    Size::new(4, 513, 1),
    Size::new(32, 4, 8),
    Size::new(33, 1, 17),
    Size::new(64, 7, 33),
    Size::new(96, 3, 11),
];

/// One value, primes, many channels; around tiles of 32 and 64 channels, columns of 4 and 16, blocks of 32
/// and 128 pixels, a workgroup of 64 and the 32 shares.
pub const TABLE: Table = Table {
    op: "gram",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(3, 5, 7),
        Size::new(4, 1, 33),
        Size::new(5, 3, 31),
        Size::new(7, 9, 8),
        Size::new(8, 31, 2),
        Size::new(9, 33, 1),
        Size::new(4, 513, 1),
        Size::new(31, 2, 15),
        Size::new(32, 1, 1),
        Size::new(32, 4, 8),
        Size::new(33, 1, 17),
        Size::new(63, 2, 16),
        Size::new(64, 3, 5),
        Size::new(64, 7, 33),
        Size::new(65, 2, 3),
        Size::new(3, 1, 127),
        Size::new(32, 8, 16),
        Size::new(32, 3, 43),
        // On matrix units, of 8 x 8 and of 16 x 16, some units of a workgroup have nothing to do.
        Size::new(48, 5, 7),
        Size::new(96, 3, 7),
        // A share of the pixels that is several steps there, and part of one.
        Size::new(16, 2, 61),
        Size::new(32, 1, 63),
        Size::new(96, 3, 11),
        Size::new(128, 9, 4),
        Size::new(512, 1, 1),
    ],
    network: vgg19_maps,
    at: |size| {
        let mut cases = in_both_precisions(size, |size| case(size, None));
        if WEIGHED_AT.contains(&size) {
            let weighed = |size: Size| case(size, Some(example(size.shape().pixels()))).called("weighed");
            cases.extend(in_both_precisions(size, weighed));
        }
        cases
    },
};

fn case(size: Size, weights: Option<Vec<f32>>) -> Case {
    let shape = size.shape();
    let counts = weights.clone();
    // The bench makes the cases of a picture before it refuses the picture, so none may need its memory.
    let truth = move |inputs: &[Vec<f64>]| match &counts {
        Some(counts) => weighed(shape, &inputs[0], counts),
        None => reference(shape, &inputs[0]),
    };
    let case = Case::new("gram", size, [Input::vary("x", shape)], truth);
    Variant::OF_MAPS.into_iter().fold(case, |case, variant| {
        let weights = weights.clone();
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let upload = |weights: &Vec<f32>| ResidentWeights::upload(tape.gpu(), weights);
            let weights = weights.as_ref().map(upload).transpose()?.map(|weights| weights.on(tape));
            Ok(gram(tape, inputs[0].var, variant, weights).into())
        };
        case.candidate(
            Candidate::new(variant.name(), record)
                .only_half(variant.is_half())
                .needs(move |gpu| variant.supports(gpu, shape.channels)),
        )
    })
}
