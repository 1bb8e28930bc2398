//! The cases of the convolution and its float64 reference.

use super::{After, Filter, Variant, conv3x3};
use crate::architecture::{Edge, Pooling};
use crate::cases::{Candidate, Case, HALF, Input, Leaf, Size, Table, vgg19_maps, widen};
use crate::engine::gpu::Gpu;
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Tape};
use crate::ops::pool;

pub(crate) fn reference(
    shape: Shape,
    edge: Edge,
    relu: bool,
    x: &[f64],
    weights: &[f64],
    bias: &[f64],
) -> Vec<f64> {
    if edge == Edge::Replicate {
        return replicated(shape, relu, x, weights, bias);
    }
    let Shape { channels: c_in, height, width } = shape;
    let c_out = bias.len();
    let mut y = vec![0.0; height * c_out * width];
    for row in 0..height {
        for o in 0..c_out {
            let out = &mut y[(row * c_out + o) * width..][..width];
            out.fill(bias[o]);
            for i in 0..c_in {
                for tap in 0..9 {
                    let Some(r) = (row + tap / 3).checked_sub(1).filter(|r| *r < height) else { continue };
                    let weight = weights[(o * c_in + i) * 9 + tap];
                    let line = &x[(r * c_in + i) * width..][..width];
                    // The columns whose neighbour under this tap is inside the map.
                    let (from, to) = (usize::from(tap % 3 == 0), width - usize::from(tap % 3 == 2));
                    for column in from..to.max(from) {
                        out[column] += weight * line[column + tap % 3 - 1];
                    }
                }
            }
            if relu {
                out.iter_mut().for_each(|v| *v = v.max(0.0));
            }
        }
    }
    y
}

/// The same with the nearest pixel beyond the edge. It convolves the map with a frame of copies, and drops what the
/// frame itself gives.
fn replicated(shape: Shape, relu: bool, x: &[f64], weights: &[f64], bias: &[f64]) -> Vec<f64> {
    let Shape { channels, height, width } = shape;
    let framed = Shape::new(channels, height + 2, width + 2);
    let inside = |i: usize, n: usize| i.clamp(1, n) - 1;
    let mut copy = Vec::with_capacity(framed.len());
    for row in 0..framed.height {
        for c in 0..channels {
            let line = &x[(inside(row, height) * channels + c) * width..][..width];
            copy.extend((0..framed.width).map(|column| line[inside(column, width)]));
        }
    }
    let y = reference(framed, Edge::Zeros, relu, &copy, weights, bias);
    let lines = y.chunks_exact(framed.width).skip(bias.len()).take(height * bias.len());
    lines.flat_map(|line| &line[1..=width]).copied().collect()
}

/// One pixel, one row, one column, primes, few and many channels, and sizes around the units of each form.
/// `naive` has 64 pixels. The tiles have 64 and 128 channels and pixels, and steps of 8 channels. `first` has
/// 4 x 4 pixels and 8 lanes; 32 channels share a word of gates there and in `few`. `uniform` has 8 pixels and
/// 32 channels. `shifted` has 32 channels of 32 pixels, rows with one additional pixel, and a number of rows
/// that it computes at once. Winograd has 4 x 4 pixels, 32, 64 and 128 channels, and 16, 24, 32, 64, 128 and
/// 256 tiles. On matrix units, tiles have 8 or 16 columns, and 8 to 128 channels of 4 or 8 rows belong together. The
/// sizes are tested with ReLU; the smaller ones also without. Three channels are also tested with the nearest pixel
/// beyond the edge.
pub const TABLE: Table = Table {
    op: "conv3x3",
    edges: &[
        Size::between(1, 1, 1, 1),
        Size::between(1, 3, 2, 2),
        Size::between(3, 4, 1, 7),
        Size::between(4, 3, 9, 1),
        Size::between(5, 1, 7, 9),
        Size::between(5, 7, 3, 3),
        Size::between(4, 5, 5, 13),
        Size::between(7, 9, 8, 8),
        Size::between(9, 7, 3, 21),
        Size::between(3, 64, 1, 1),
        Size::between(3, 64, 5, 6),
        Size::between(3, 33, 3, 5),
        Size::between(3, 40, 5, 6),
        Size::between(3, 8, 3, 3),
        Size::between(3, 8, 4, 4),
        Size::between(3, 8, 5, 5),
        Size::between(3, 8, 7, 4),
        Size::between(3, 8, 9, 35),
        Size::between(3, 8, 13, 1),
        Size::between(3, 5, 1, 11),
        // Rows of a multiple of 256 bytes can be split into bands.
        Size::between(3, 8, 9, 64),
        Size::between(3, 64, 9, 64),
        Size::between(64, 3, 4, 5),
        Size::between(8, 8, 7, 17),
        Size::between(16, 24, 5, 9),
        // Small enough for half precision, and more rows than a band has.
        Size::between(16, 16, 16, 96),
        // Small enough, too, for the form that needs the most channels.
        Size::between(128, 128, 5, 6),
        Size::between(64, 128, 3, 17),
        Size::between(64, 64, 16, 8),
        Size::between(8, 63, 1, 127),
        Size::between(65, 8, 8, 16),
        Size::between(65, 63, 3, 43),
        Size::between(129, 127, 5, 13),
        Size::between(1, 512, 2, 3),
        Size::between(512, 5, 3, 2),
        Size::between(32, 32, 1, 1),
        Size::between(32, 32, 1, 30),
        Size::between(32, 64, 4, 7),
        Size::between(32, 64, 5, 6),
        Size::between(64, 32, 4, 4),
        Size::between(64, 64, 17, 3),
        Size::between(96, 32, 8, 13),
        Size::between(32, 32, 8, 32),
        Size::between(64, 32, 4, 66),
        Size::between(32, 64, 12, 32),
        Size::between(32, 32, 20, 17),
        Size::between(32, 32, 3, 124),
        Size::between(32, 32, 16, 32),
        Size::between(32, 32, 25, 37),
        Size::between(32, 32, 12, 44),
        Size::between(32, 32, 4, 508),
        Size::between(32, 32, 4, 512),
        Size::between(32, 32, 12, 172),
        Size::between(32, 64, 47, 46),
        Size::between(32, 32, 61, 63),
        Size::between(32, 32, 65, 63),
        Size::between(128, 32, 8, 132),
        Size::between(32, 128, 4, 260),
        Size::between(32, 128, 5, 9),
        // The largest tiles of Winograd's product are tested with half weights, too.
        Size::between(32, 128, 1, 257),
        Size::between(128, 32, 1, 257),
    ],
    network: |height, width| {
        let maps = vgg19_maps(height, width);
        let mut c_in = 3;
        let mut sizes = Vec::new();
        for map in maps {
            sizes.push(Size { c_in, ..map });
            // In the deepest block that is tapped, there is only one convolution.
            if map.c_in != c_in {
                sizes.push(map);
            }
            c_in = map.c_in;
        }
        sizes
    },
    at: |size| {
        // The sum without a ReLU is tested as well, except at large sizes, where it would show nothing more.
        let small = size.shape().pixels() * size.c_in * size.c_out <= 1 << 19;
        let alone = (small || size.height == 1).then_some(After::Nothing);
        // Pooling is tested if there is a window and some variant has it built in. If the channels do not
        // fill whole words of gates, that is `tiled` alone.
        let window = size.height > 1 && size.width > 1;
        let blocks = size.c_in.is_multiple_of(32);
        let pooled =
            (window && (blocks || small && !size.c_out.is_multiple_of(4))).then_some(After::ReluPool);
        let afters = [Some(After::Relu), alone, pooled].into_iter().flatten();
        // Copies of the edge's pixels, of maps of so few channels as the first has.
        let edges = Edge::ALL.into_iter().filter(|edge| *edge == Edge::Zeros || small && size.c_in <= 4);
        let all = edges.flat_map(|edge| afters.clone().map(move |after| (edge, after)));
        let half = all.clone().filter(|_| small).map(|(edge, after)| case(size, edge, after).half());
        let rounded = alone.filter(|_| blocks).map(|_| half_weights(size));
        let products = alone.filter(|_| blocks && small).map(|_| half_products(size));
        all.map(|(edge, after)| case(size, edge, after)).chain(half).chain(rounded).chain(products).collect()
    },
};

/// In half precision, some forms round weights, too. Of values that are rounded already they make the same
/// sums, so that ReLU is open where it is for the reference.
fn inputs(size: Size) -> [Input; 3] {
    let Size { c_in, c_out, .. } = size;
    let x = Input::vary("x", size.shape());
    [
        if c_in == 3 { x.picture() } else { x },
        if c_in == 3 { weights(size) } else { weights(size).map() },
        Input::fixed("bias", Shape::new(c_out, 1, 1)),
    ]
}

fn weights(Size { c_in, c_out, .. }: Size) -> Input {
    Input::fixed("weights", Shape::new(c_out * c_in, 3, 3)).scaled(1.0 / (3.0 * (c_in as f32).sqrt()))
}

/// Weights that are rounded to float16 for their products, by themselves. Without a ReLU, for it would be
/// open elsewhere. A weight, a sum of products and what it is added to are each off by 2^-11 of themselves at
/// most, and by half of that on average. Products are exact in float32, and their sums as exact as those of
/// all forms. Together that stays below [`HALF`].
fn half_products(size: Size) -> Case {
    let [x, _, bias] = inputs(size);
    let reference = move |i: &[Vec<f64>]| reference(size.shape(), Edge::Zeros, false, &i[0], &i[1], &i[2]);
    let case = Case::new("conv3x3", size, [x, weights(size), bias], reference).called("rounded weights");
    let variants = Variant::ALL.into_iter().filter(|variant| variant.is_half());
    let case = variants
        .fold(case, |case, variant| case.candidate(candidate(variant, size, Edge::Zeros, After::Nothing)));
    case.half()
}

/// The transformed weights in half precision by themselves, with few different values, which the device
/// stores as bytes. The transform back amplifies their rounding about four times, because large terms cancel.
fn half_weights(size: Size) -> Case {
    let few = |w: &f64| (w * 512.0).round() / 512.0;
    let reference = move |i: &[Vec<f64>]| {
        let weights: Vec<f64> = i[1].iter().map(few).collect();
        reference(size.shape(), Edge::Zeros, false, &i[0], &weights, &i[2])
    };
    let case = Case::new("conv3x3", size, inputs(size), reference).called("half weights");
    let variants = Variant::ALL.into_iter().filter(|variant| variant.form().transforms);
    variants.fold(case, |case, variant| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let (weights, bias) = (widen(&inputs[1].values), &inputs[2].values);
            let weights: Vec<f32> = weights.iter().map(|w| few(w) as f32).collect();
            tape.set_weight_precision(Precision::Half);
            let filter = Filter::upload(tape.gpu(), "filter", variant, &weights, bias)?;
            assert!(filter.palette, "few values make a palette");
            Ok(conv3x3(tape, inputs[0].var, &filter, Edge::Zeros, After::Nothing).into())
        };
        let needs = move |gpu: &Gpu| gpu.has_half() && variant.supports(gpu, size.c_in, size.c_out);
        case.candidate(Candidate::new(variant.name(), record).needs(needs).bound(4.0 * HALF))
    })
}

fn case(size: Size, edge: Edge, after: After) -> Case {
    let shape = size.shape();
    let c_out = size.c_out;
    let reference = move |i: &[Vec<f64>]| {
        let y = reference(shape, edge, after != After::Nothing, &i[0], &i[1], &i[2]);
        match after {
            After::ReluPool => pool::reference(Shape { channels: c_out, ..shape }, Pooling::Max, &y),
            _ => y,
        }
    };
    let case = Case::new("conv3x3", size, inputs(size), reference).called(match after {
        After::Nothing => "linear",
        After::Relu => "relu",
        After::ReluPool => "relu pool",
    });
    let case = if edge == Edge::Zeros { case } else { case.called(edge.name()) };
    let variants = Variant::ALL
        .into_iter()
        .filter(|variant| after != After::ReluPool || variant.pools())
        .filter(|variant| edge == Edge::Zeros || variant.replicates());
    variants.fold(case, |case, variant| case.candidate(candidate(variant, size, edge, after)))
}

fn candidate(variant: Variant, size: Size, edge: Edge, after: After) -> Candidate {
    let record = move |tape: &mut Tape, inputs: &[Leaf]| {
        let (weights, bias) = (&inputs[1].values, &inputs[2].values);
        let filter = Filter::upload(tape.gpu(), "filter", variant, weights, bias)?;
        Ok(conv3x3(tape, inputs[0].var, &filter, edge, after).into())
    };
    let candidate = Candidate::new(variant.name(), record).only_half(variant.is_half());
    candidate.needs(move |gpu| variant.supports(gpu, size.c_in, size.c_out))
}
