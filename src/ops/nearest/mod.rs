//! Mean cosine distance of a map's sites to the nearest of a painting's: the finish (after Kolkin, Kucera,
//! Paris, Sykora, Shechtman and Shakhnarovich, "Neural Neighbor Style Transfer", 2022).

mod cases;
mod gathered;
mod lattice;
mod search;

use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, Knob, Value, kernel};
use crate::engine::plan::Plan;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var};
use crate::ops::owned::Own;
use crate::ops::products::Variant;
use crate::ops::reduce::reduce;
pub use cases::TABLE;
pub(crate) use gathered::{Gathered, gather};
use lattice::{BLOCK, Lattice};
use search::Search;

/// Sites of a map that one iteration looks at, at most.
pub(crate) const SITES: usize = 4096;

/// Sites of a painting that are looked at, at most.
pub(crate) const PAINTING_SITES: usize = 16384;

/// How a kind of device searches for the nearest.
pub(crate) fn variant(gpu: &Gpu) -> Variant {
    if gpu.is_software() && Variant::Subgroup.runs_on(gpu) {
        Variant::Subgroup
    } else if gpu.quirks().slow_compiler {
        Variant::Naive
    } else {
        Variant::Tiled
    }
}

/// What sites are compared with: features of a painting, without their mean and of length 1. They stay on the
/// device.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Sites in blocks of 32: channels in fours up to a multiple of 8, then the 32 sites, four values each.
    /// [`Target::features_len`] values.
    pub features: Tensor,
    /// The mean of the painting's features, which is taken from the map's, too. [`Target::mean_len`] values.
    pub mean: Tensor,
    /// Sites of the painting that are looked at; the last block repeats the first of them.
    pub sites: usize,
}

impl Target {
    /// Sites that are looked at of a painting's map of `shape`: all of them, or a lattice of at most 16384.
    pub fn sites(shape: Shape) -> usize {
        Lattice::new(shape, PAINTING_SITES).places()
    }

    /// The number of values of [`Self::features`].
    pub fn features_len(channels: usize, sites: usize) -> usize {
        4 * quads(channels) * sites.next_multiple_of(BLOCK)
    }

    /// What a painting of `shape` would give, without its values: for tapes that are only measured.
    pub fn blank(tape: &mut Tape, shape: Shape) -> Self {
        let sites = Self::sites(shape);
        Self {
            features: tape.state("target.features", Self::features_len(shape.channels, sites)),
            mean: tape.state("target.mean", Self::mean_len(shape.channels)),
            sites,
        }
    }

    /// What the largest painting would give to maps of so many channels: for tapes that are only measured.
    pub(crate) fn most(tape: &mut Tape, channels: usize) -> Self {
        Self::blank(tape, Shape::new(channels, 1, PAINTING_SITES))
    }

    /// The number of values of [`Self::mean`].
    pub fn mean_len(channels: usize) -> usize {
        4 * quads(channels)
    }
}

/// A [`Target`] that has left the plan which prepared it.
pub struct Resident {
    features: wgpu::Buffer,
    mean: wgpu::Buffer,
    sites: usize,
}

impl Resident {
    /// Takes `target` out of a plan that has run; its tensors were kept.
    pub(crate) fn new(plan: &Plan, target: &Target) -> Self {
        let buffer = |tensor| plan.buffer(tensor).clone();
        Self { features: buffer(target.features), mean: buffer(target.mean), sites: target.sites }
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> u64 {
        self.features.size() + self.mean.size()
    }

    /// As a target on another tape.
    pub fn target(&self, tape: &mut Tape) -> Target {
        Target {
            features: tape.given("target.features", &self.features),
            mean: tape.given("target.mean", &self.mean),
            sites: self.sites,
        }
    }
}

/// Multiply-adds of the search where map and painting have the same `shape`.
pub(crate) fn products(shape: Shape) -> usize {
    Lattice::new(shape, SITES).places() * Target::sites(shape) * shape.channels
}

/// Fours of channels of a packed site: the search takes two at a time.
fn quads(channels: usize) -> usize {
    2 * channels.div_ceil(8)
}

/// Records, for the forward pass, what [`nearest`] needs of a painting whose features are `y`. A site that
/// differs from the mean of all by no more than 2^-20 of the mean's length has no direction, and is as far
/// from everything as what is at right angles.
pub fn prepare(tape: &mut Tape, y: Var) -> Target {
    let Shape { channels: c, height, .. } = y.shape;
    let lattice = Lattice::new(y.shape, PAINTING_SITES);
    let len = Target::features_len(c, lattice.places());
    let sums = tape.scratch("sums", height * c);
    let mean = tape.scratch("mean", Target::mean_len(c));
    let (packed, features) = (tape.scratch("differences", len), tape.scratch("features", len));
    let bands = tape.bands(&[y.shape]);
    let kernel = |kernel: Kernel| kernel.storing("Map", y);
    let zeros = [Value::Float(0.0); 2];
    let params = |top: usize, rows: usize| params(lattice, y.shape, 0, top, rows, 0, zeros);
    for rows in &bands {
        tape.forward(kernel(kernel!("nearest", "sum_rows")))
            .params(params(rows.start, rows.len()))
            .bind("x", y.rows(rows.clone()))
            .bind("first", y.rows(0..1))
            .bind("sums", sums)
            .grid([c, rows.len(), 1]);
    }
    tape.forward(kernel(kernel!("nearest", "average")))
        .params(params(0, height))
        .bind("row_sums", sums)
        .bind("first", y.rows(0..1))
        .bind("middle", mean)
        .grid([quads(c), 1, 1]);
    for rows in &bands {
        tape.forward(kernel(kernel!("nearest", "pack_painting")))
            .params(params(rows.start, rows.len()))
            .bind("x", y.rows(rows.clone()))
            .bind("mean", mean)
            .bind("packed", packed)
            .grid([lattice.slots(), quads(c), 1]);
    }
    tape.forward(kernel!("nearest", "normalize_painting"))
        .params(params(0, height))
        .bind("u", packed)
        .bind("mean", mean)
        .bind("packed", features)
        .grid([lattice.slots(), 1, 1]);
    Target { features, mean, sites: lattice.places() }
}

/// For the rows from `top` on of a window of a map of shape `whole`; each site has `chunks` results of the
/// search.
fn params(
    lattice: Lattice,
    whole: Shape,
    halvings: usize,
    top: usize,
    rows: usize,
    chunks: usize,
    [scale, slope]: [Value; 2],
) -> [(&'static str, Value); 18] {
    let Shape { channels, height, width } = lattice.shape;
    let [rows_apart, columns_apart, across, leap, places, slots] = lattice.params();
    [
        ("c", channels.into()),
        ("quads", quads(channels).into()),
        ("h", rows.into()),
        ("w", width.into()),
        ("top", top.into()),
        ("height", height.into()),
        ("chunks", chunks.into()),
        ("scale", scale),
        ("slope", slope),
        rows_apart,
        columns_apart,
        across,
        leap,
        places,
        slots,
        ("halvings", halvings.into()),
        ("whole_height", whole.height.into()),
        ("whole_width", whole.width.into()),
    ]
}

/// `losses[slot] = weight * mean over sites of (1 - u . v / |u|)`, where `u` is the difference of the site's
/// features from the target's mean and `v` that of the target's features whose product with `u` is largest,
/// the first of these. `v` is held fixed in `du = weight / n * ((u . v / |u|) u / |u| - v) / |u|`, times
/// [`Tape::gradient_scale`]. A `u` no longer than 2^-20 of the mean counts as at right angles to everything,
/// and has no gradient. The gradient starts here.
///
/// The sites are all of a map of up to 4096, or a lattice of at most 4096, whose offset follows from
/// [`Term::step`]. All sites have their turn before one has its second.
///
/// The weight enters by the shaders' parameters `scale` and `slope`, and both are proportional to it.
///
/// # Panics
/// If `target` has not as many values as its sites and the channels of `x` ask for.
pub fn nearest(tape: &mut Tape, x: Var, target: &Target, term: Term) {
    record(tape, x, target, term, None);
}

/// How the loss takes part in an objective.
#[derive(Clone, Copy)]
pub struct Term {
    /// Factor on the loss.
    pub weight: Knob,
    /// Its first value, a `u32`, is the number of iterations before this one.
    pub step: Tensor,
    /// Where the loss goes.
    pub slot: Slot,
    /// How the nearest is searched for.
    pub variant: Variant,
}

/// A window of a map.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// Shape of the whole map.
    pub(crate) whole: Shape,
    /// What the window's tile owns. The rectangle has two more values here: the row and the column of the
    /// picture at which the window begins.
    pub(crate) own: Own,
}

/// As [`nearest`], for a window `x` of a map: the lattice is that of the whole map, the loss is that of the
/// sites that the window's tile owns, and the gradient that of all sites of the window.
pub(crate) fn nearest_in_window(tape: &mut Tape, x: Var, target: &Target, term: Term, window: Window) {
    record(tape, x, target, term, Some(window));
}

fn record(tape: &mut Tape, x: Var, target: &Target, term: Term, window: Option<Window>) {
    let Term { weight, step, slot, variant } = term;
    let c = x.shape.channels;
    for (tensor, len) in
        [(target.features, Target::features_len(c, target.sites)), (target.mean, Target::mean_len(c))]
    {
        assert_eq!(tape.tensors[tensor.0].len, len, "{}", tape.tensors[tensor.0].label);
    }
    let whole = window.map_or(x.shape, |window| window.whole);
    let lattice = Lattice { shape: x.shape, ..Lattice::new(whole, SITES) };
    let halvings = window.map_or(0, |window| window.own.halvings);
    let tile = window.map(|window| ("tile", window.own.rectangle));
    let (quads, slots) = (quads(c), lattice.slots());
    let bands = tape.bands(&[x.shape]);
    let u = tape.scratch("differences", 4 * quads * slots);
    let search = Search { variant, quads, slots, blocks: target.sites.div_ceil(BLOCK) };
    let chunks = search.chunks();
    let scales = [weight.into(), weight.scaled(tape.gradient_scale(), 1.0)];
    let params = |top: usize, rows: usize| params(lattice, whole, halvings, top, rows, chunks, scales);
    let kernels = match window {
        None => [kernel!("nearest", "pack"), kernel!("nearest", "forward"), kernel!("nearest", "backward")],
        Some(_) => [
            kernel!("nearest", "pack_window"),
            kernel!("nearest", "forward_window"),
            kernel!("nearest", "backward_window"),
        ],
    };
    let [pack, forward, backward] = kernels;
    for rows in &bands {
        tape.forward(pack.clone().storing("Map", x))
            .bind_all(tile)
            .params(params(rows.start, rows.len()))
            .bind("x", x.rows(rows.clone()))
            .bind("mean", target.mean)
            .bind("step", step)
            .bind("packed", u)
            .grid([slots, quads, 1]);
    }
    let (scores, candidates) = search.record(tape, u, target.features);
    let (chosen, angles) = (tape.scratch("chosen", slots), tape.scratch("angles", 2 * slots));
    let partial = tape.scratch("partial", slots);
    let all = params(0, x.shape.height);
    let choice = [
        ("scores", scores),
        ("candidates", candidates),
        ("u", u),
        ("mean", target.mean),
        ("chosen", chosen),
        ("angles", angles),
    ];
    if window.is_some() {
        let choose = kernel!("nearest", "choose_in_window");
        tape.forward(choose).params(all).bind_all(choice).grid([slots, 1, 1]);
        tape.forward(forward).bind_all(tile).params(all).bind("found", angles)
    } else {
        tape.forward(forward).params(all).bind_all(choice)
    }
    .bind("step", step)
    .bind("partial", partial)
    .grid([slots, 1, 1]);
    reduce(tape, partial, slots, slot);
    for rows in bands {
        tape.backward(backward.clone().storing("Map", x))
            .bind_all(tile)
            .params(params(rows.start, rows.len()))
            .bind("step", step)
            .bind("u", u)
            .bind("features", target.features)
            .bind("neighbours", chosen)
            .bind("found", angles)
            .grad_rows("dx", x, rows.clone())
            .grid([quads * x.shape.width, rows.len(), 1]);
    }
}
