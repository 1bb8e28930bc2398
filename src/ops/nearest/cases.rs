//! What the nearest neighbours must get right: the float64 reference and the cases.

use super::lattice::{BLOCK, Lattice};
use super::{PAINTING_SITES, SITES, Target, Term, Window, nearest, nearest_in_window, prepare, quads};
use crate::cases::{
    Candidate, Case, Input, Leaf, Recorded, Size, Table, in_both_precisions, sum, vgg19_maps,
};
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var};
use crate::ops::owned::Own;
use crate::ops::products::Variant;

const WEIGHT: f64 = 3.0;

/// The features of a site.
fn features_at(shape: Shape, x: &[f64], row: usize, column: usize) -> Vec<f64> {
    (0..shape.channels).map(|c| x[(row * shape.channels + c) * shape.width + column]).collect()
}

/// The sites of a lattice that begins at `begin`.
fn sites(lattice: Lattice, x: &[f64], (top, left): (usize, usize)) -> Vec<Vec<f64>> {
    let Shape { height, width, .. } = lattice.shape;
    let rows = (top..height).step_by(lattice.rows_apart);
    let at = |row| (left..width).step_by(lattice.columns_apart).map(move |column| (row, column));
    rows.flat_map(at).map(|(row, column)| features_at(lattice.shape, x, row, column)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The difference from the mean, and one by its length; zero where that is rounding.
fn centred(site: &[f64], mean: &[f64]) -> (Vec<f64>, f64) {
    let u: Vec<f64> = site.iter().zip(mean).map(|(x, m)| x - m).collect();
    let (length, origin) = (dot(&u, &u).sqrt(), dot(mean, mean).sqrt());
    let inverse = if length <= 0.5f64.powi(20) * origin { 0.0 } else { 1.0 / length };
    (u, inverse)
}

/// The mean of a painting's features and those of its lattice, as [`prepare`] gives them.
fn painting(shape: Shape, y: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let all = sites(Lattice { shape, rows_apart: 1, columns_apart: 1 }, y, (0, 0));
    let mean: Vec<f64> =
        (0..shape.channels).map(|c| sum(all.iter().map(|site| site[c])) / all.len() as f64).collect();
    let looked_at = sites(Lattice::new(shape, PAINTING_SITES), y, (0, 0));
    let normalized = looked_at.iter().map(|site| {
        let (u, inverse) = centred(site, &mean);
        u.iter().map(|u| u * inverse).collect()
    });
    let normalized = normalized.collect();
    (mean, normalized)
}

/// The loss of a map at an iteration.
fn reference(shape: Shape, step: usize, x: &[f64], mean: &[f64], features: &[Vec<f64>]) -> f64 {
    let lattice = Lattice::new(shape, SITES);
    let seen = sites(lattice, x, lattice.begin(step));
    let distance = |site: &Vec<f64>| {
        let (u, inverse) = centred(site, mean);
        let best = features.iter().map(|v| dot(&u, v)).fold(f64::NEG_INFINITY, f64::max);
        1.0 - best * inverse
    };
    WEIGHT * sum(seen.iter().map(distance)) / seen.len() as f64
}

/// The features of packed sites.
fn unpacked(channels: usize, packed: &[f64]) -> Vec<Vec<f64>> {
    let blocks = packed.chunks_exact(4 * quads(channels) * BLOCK);
    let of_block = |block: &[f64]| -> Vec<Vec<f64>> {
        let site = |site: usize| (0..channels).map(|c| block[(c / 4 * BLOCK + site) * 4 + c % 4]).collect();
        (0..BLOCK).map(site).collect()
    };
    blocks.flat_map(of_block).collect()
}

/// One pixel, one channel, primes, many channels; around the 8 channels that the search takes at a time,
/// blocks of 32 sites and workgroups of 64. Maps of more than 4096 sites have two lattices, of rows and of
/// both, and rows and columns that no lattice's distance divides.
///
/// Where two features of the painting are equally near within rounding, either gives the gradient. The
/// harness draws such values again, as it does near every other kink.
pub const TABLE: Table = Table {
    op: "nearest",
    edges: &[
        Size::new(2, 1, 1),
        Size::new(3, 5, 7),
        Size::new(4, 1, 33),
        Size::new(7, 31, 1),
        Size::new(8, 4, 8),
        Size::new(9, 3, 11),
        Size::new(16, 8, 8),
        Size::new(17, 5, 13),
        Size::new(65, 2, 3),
        Size::new(128, 3, 43),
        Size::new(512, 1, 2),
        // Rows of whole 256 bytes can be split into bands.
        Size::new(4, 9, 16),
        // Many features, and in many channels.
        Size::new(8, 64, 64),
        Size::new(512, 17, 17),
        Size::new(3, 65, 64),
        Size::new(3, 131, 67),
    ],
    // The layers of the finish.
    network: |height, width| vgg19_maps(height, width)[1..4].to_vec(),
    at: |size| {
        // The cosine of one channel is 1 or -1: it jumps, and nowhere has a slope.
        if size.c_in == 1 {
            return Vec::new();
        }
        let moves = Lattice::new(size.shape(), SITES).offsets() > 1;
        // One is enough where hundreds of channels take their time.
        let steps: &[u32] = if moves && size.c_in < 64 { &[0, 1, 5] } else { &[2] };
        let given = steps.iter().flat_map(|step| in_both_precisions(size, |size| given(size, *step)));
        let small = size.shape().len() <= 1 << 14 && !moves;
        let prepared = small.then(|| in_both_precisions(size, from_painting));
        let seen = (12..4096).contains(&size.shape().pixels()) && size.c_in < 64;
        let windows = seen.then(|| in_both_precisions(size, in_window));
        given.chain(prepared.into_iter().flatten()).chain(windows.into_iter().flatten()).collect()
    },
};

/// How many sites of a painting a map of this size is compared with.
fn sites_beside(shape: Shape) -> usize {
    match shape.channels {
        64.. => Target::sites(shape).next_multiple_of(BLOCK),
        // More than a workgroup of `tiled` multiplies at a time.
        _ if shape.pixels() == SITES => 65 * BLOCK,
        _ => 3 * BLOCK,
    }
}

/// With features of a painting that are given.
fn given(size: Size, step: u32) -> Case {
    let shape = size.shape();
    let (c, sites) = (shape.channels, sites_beside(shape));
    let inputs = [
        Input::vary("x", shape),
        Input::fixed("features", Shape::new(1, 1, Target::features_len(c, sites))),
        Input::fixed("mean", Shape::new(1, 1, Target::mean_len(c))).scaled(0.25),
    ];
    let reference = move |inputs: &[Vec<f64>]| {
        vec![reference(shape, step as usize, &inputs[0], &inputs[2][..c], &unpacked(c, &inputs[1]))]
    };
    let case = Case::new("nearest", size, inputs, reference).called(&format!("step {step}"));
    with_variants(case, step, move |_, inputs| Target {
        features: inputs[1].var.value,
        mean: inputs[2].var.value,
        sites,
    })
}

/// With a painting, which is as wide as the map is high.
fn from_painting(size: Size) -> Case {
    let shape = size.shape();
    let of_painting = Shape::new(shape.channels, shape.width.min(13) + 1, shape.height.min(9));
    let inputs = [Input::vary("x", shape), Input::fixed("y", of_painting).map()];
    let reference = move |inputs: &[Vec<f64>]| {
        let (mean, features) = painting(of_painting, &inputs[1]);
        vec![reference(shape, 1, &inputs[0], &mean, &features)]
    };
    let case = Case::new("nearest", size, inputs, reference).called("of a painting");
    with_variants(case, 1, |tape, inputs| prepare(tape, inputs[1].var))
}

/// The map as a window of a larger one, with a lattice of sites. The tile owns the whole window. The window
/// begins in the 24th row and the eighth column of the map, which the picture was halved once to become.
fn in_window(size: Size) -> Case {
    let (shape, step) = (size.shape(), 5);
    let (c, sites) = (shape.channels, sites_beside(shape));
    let whole = Shape::new(c, shape.height + 100, shape.width + 60);
    let inputs = [
        Input::vary("x", shape),
        Input::fixed("features", Shape::new(1, 1, Target::features_len(c, sites))),
        Input::fixed("mean", Shape::new(1, 1, Target::mean_len(c))).scaled(0.25),
    ];
    let origin = (24, 8);
    let reference = move |inputs: &[Vec<f64>]| {
        let lattice = Lattice::new(whole, SITES);
        let begin = lattice.begin(step);
        let along = |begin: usize, length: usize, apart: usize| (begin..length).step_by(apart);
        let rows = along(begin.0, whole.height, lattice.rows_apart);
        let columns = along(begin.1, whole.width, lattice.columns_apart);
        let all = rows.clone().count() * columns.clone().count();
        let within = |origin: usize, length: usize| move |at: &usize| (origin..origin + length).contains(at);
        let features = unpacked(c, &inputs[1]);
        let mut distances = Vec::new();
        for row in rows.filter(within(origin.0, shape.height)) {
            for column in columns.clone().filter(within(origin.1, shape.width)) {
                let site = features_at(shape, &inputs[0], row - origin.0, column - origin.1);
                let (u, inverse) = centred(&site, &inputs[2][..c]);
                let best = features.iter().map(|v| dot(&u, v)).fold(f64::NEG_INFINITY, f64::max);
                distances.push(1.0 - best * inverse);
            }
        }
        vec![WEIGHT * sum(distances.into_iter()) / all as f64]
    };
    let case = Case::new("nearest", size, inputs, reference).called("in a window");
    Variant::ALL.into_iter().fold(case, |case, variant| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let (features, mean) = (inputs[1].var.value, inputs[2].var.value);
            let target = Target { features, mean, sites };
            let (losses, counter) = (tape.state("losses", 1), tape.state("step", 1));
            let own = Own { rectangle: tape.state("rectangle", 6), halvings: 1 };
            let (weight, slot) = (tape.knob(WEIGHT), Slot { losses, index: 0 });
            let x = inputs[0].var;
            let term = Term { weight, step: counter, slot, variant };
            nearest_in_window(tape, x, &target, term, Window { whole, own });
            let rectangle = [0, 2 * shape.height, 0, 2 * shape.width, 2 * origin.0, 2 * origin.1];
            let words = |values: &[usize]| values.iter().map(|n| f32::from_bits(*n as u32)).collect();
            let starts = vec![(counter, words(&[step])), (own.rectangle, words(&rectangle))];
            Ok(Recorded { y: loss(losses), starts })
        };
        case.candidate(Candidate::new(variant.name(), record).needs(move |gpu| variant.runs_on(gpu)))
    })
}

/// All variants, compared with what `target` records.
fn with_variants(
    case: Case,
    step: u32,
    target: impl Fn(&mut Tape, &[Leaf]) -> Target + Clone + Send + Sync + 'static,
) -> Case {
    Variant::ALL.into_iter().fold(case, |case, variant| {
        let target = target.clone();
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let target = target(tape, inputs);
            let (losses, counter) = (tape.state("losses", 1), tape.state("step", 1));
            let weight = tape.knob(WEIGHT);
            let term = Term { weight, step: counter, slot: Slot { losses, index: 0 }, variant };
            nearest(tape, inputs[0].var, &target, term);
            Ok(Recorded { y: loss(losses), starts: vec![(counter, vec![f32::from_bits(step)])] })
        };
        case.candidate(Candidate::new(variant.name(), record).needs(move |gpu| variant.runs_on(gpu)))
    })
}

fn loss(losses: Tensor) -> Var {
    Var { shape: Shape::new(1, 1, 1), precision: Precision::Single, value: losses, grad: None }
}
