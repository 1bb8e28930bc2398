//! Gram matrix of a feature map.

use std::ops::Range;

use crate::gpu::Gpu;
use crate::kernel;
use crate::kernel::{Source, Value};
use crate::tape::{Shape, Tape, Tensor, Var, View, band_pixels};
use crate::testing::{Candidate, Case, Input, Leaf, Size, Table, in_both_precisions, vgg19_maps};

/// How the Gram matrix is computed. `tune` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One output per invocation.
    Naive,
    /// Tiles of 64 channels over workgroup memory, for GPUs.
    Tiled,
    /// Tiles of 32 channels in registers, for software drivers.
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

    /// Whether it can compute the matrix of `c` channels on this device.
    pub fn supports(self, gpu: &Gpu, c: usize) -> bool {
        match self {
            Self::Naive | Self::Tiled => true,
            Self::Subgroup => gpu.has_subgroups_of(8) && c.is_multiple_of(32),
        }
    }
}

/// Rows that are worked on together. As texels, a map goes through one workspace in pieces that stay in a cache.
fn pieces(tape: &Tape, x: Var, variant: Variant) -> Vec<Range<usize>> {
    let c = x.shape.channels;
    let bands = tape.bands_of(&[x.shape], band_pixels(c * c));
    if variant != Variant::Subgroup {
        return bands;
    }
    let values = PIECE.max(x.shape.len() / MOST_PIECES);
    bands.iter().flat_map(|band| Tape::pieces(band, &[x], values)).collect()
}

/// Channels of a workgroup of [`Variant::Tiled`].
const TILE: usize = 64;

/// Values of a piece at most, unless one row has more or the map is large: 2 MiB.
const PIECE: usize = 1 << 19;

/// Pieces of a map, about: each has a partial matrix, and all of these have to fit into one binding.
const MOST_PIECES: usize = 64;

/// Partial matrices of a piece: enough to keep a device busy, few enough to be small beside the map.
fn shares(shape: Shape, pieces: &[Range<usize>], variant: Variant) -> usize {
    let c = shape.channels;
    // Tiles of which one triangle is computed.
    let tiles = |size: usize| c.div_ceil(size) * (c.div_ceil(size) + 1) / 2;
    let wanted = match variant {
        Variant::Naive => (2048 / c).min(32),
        // A few workgroups for each processor of the largest GPU.
        Variant::Tiled => (512 / tiles(TILE)).div_ceil(pieces.len()),
        // What each writes costs as much as many pixels.
        Variant::Subgroup => (128 / tiles(32)).div_ceil(pieces.len()).min(32),
    };
    wanted.clamp(1, pieces[0].len())
}

/// `g = x x^T / (c n)` for `x` of `c` channels and `n` pixels; `dx = (dg + dg^T) x / (c n)`.
///
/// The sum over pixels is split into shares of rows, which are added in a fixed order.
pub fn gram(tape: &mut Tape, x: Var, variant: Variant) -> Var {
    let Shape { channels: c, width: w, .. } = x.shape;
    let pieces = pieces(tape, x, variant);
    let shares = shares(x.shape, &pieces, variant);
    let g = tape.output("g", Shape::new(1, c, c), x);
    let parts = pieces.len() * shares;
    let partial = if parts == 1 { g.value } else { tape.scratch("partial", parts * c * c) };
    // One texel more, which is read but not used.
    let workspace = |tape: &mut Tape| {
        let values = |rows: &Range<usize>| rows.len() * c * w;
        tape.map_texels("x.texels", x, pieces.iter().map(values).max().unwrap_or(0) + 4)
    };
    let texels = (variant == Variant::Subgroup).then(|| workspace(tape));
    let params = |piece: &Range<usize>, index: usize| -> [(&'static str, Value); 6] {
        [
            ("c", c.into()),
            ("h", piece.len().into()),
            ("w", w.into()),
            ("scale", (1.0 / x.shape.len() as f64).into()),
            ("shares", shares.into()),
            ("share", (index * shares).into()),
        ]
    };
    let tiles = c.div_ceil(TILE);
    let tiled = |source: Source| source.storing("Map", x).constant("TILE", format!("{TILE}u"));
    let aligned = w.is_multiple_of(4);
    let subgroup = |source: Source| source.texels("MapTexels", x.precision).constant("ALIGNED", aligned);
    for (index, piece) in pieces.iter().enumerate() {
        if let Some(texels) = texels {
            tape.forward_copy(x.rows(piece.clone()), texels, piece.len() * c * w);
        }
        let (kernel, grid) = match variant {
            Variant::Naive => (kernel!("gram", "forward").storing("Map", x), [c * c, shares, 1]),
            // An invocation has 4 x 4 sums.
            Variant::Tiled => {
                (tiled(kernel!("gram_tiled", "forward")), [tiles * TILE / 4, tiles * TILE / 4, shares])
            }
            // A workgroup of 8 lanes has a tile of 32 x 32.
            Variant::Subgroup => {
                (subgroup(kernel!("gram_subgroup", "forward")), [c / 32 * 8, c / 32, shares])
            }
        };
        tape.forward(kernel)
            .params(params(piece, index))
            .bind(texels.map_or("x", |_| "texels"), texels.map_or(x.rows(piece.clone()), View::from))
            .bind("partial", partial)
            .grid(grid);
    }
    if parts > 1 {
        tape.forward(kernel!("gram_sum", "forward"))
            .params([("n", (c * c).into()), ("shares", parts.into())])
            .bind("partial", partial)
            .bind("g", g.value)
            .grid([c * c, 1, 1]);
    }
    if x.grad.is_none() {
        return g;
    }
    let sums = texels.map(|_| (symmetrize(tape, g, params(&pieces[0], 0)), workspace(tape)));
    let pieces: Vec<_> = pieces.iter().flat_map(|piece| tape.backward_pieces(x, piece)).collect();
    for piece in &pieces {
        let rows = tape.backward_rows(x, piece.clone());
        let backward = match (variant, sums) {
            (_, Some((sums, texels))) => {
                tape.backward_copy(rows, texels, piece.len() * c * w);
                tape.backward(subgroup(kernel!("gram_subgroup", "backward")).storing("Map", x))
                    .bind("s", sums)
                    .bind("texels", texels)
            }
            (Variant::Tiled, _) => {
                tape.backward(tiled(kernel!("gram_tiled", "backward"))).upstream("dg", g).bind("x", rows)
            }
            _ => {
                tape.backward(kernel!("gram", "backward").storing("Map", x)).upstream("dg", g).bind("x", rows)
            }
        };
        backward.params(params(piece, 0)).grad_rows("dx", x, piece.clone()).grid(match variant {
            Variant::Naive => [c * w, piece.len(), 1],
            // An invocation has four pixels of eight channels.
            Variant::Tiled => [(piece.len() * w).div_ceil(4), tiles * TILE / 8, 1],
            // A workgroup of 8 lanes has 32 channels, a lane four pixels of a row.
            Variant::Subgroup => [c / 32 * 8, (piece.len() * w.div_ceil(4)).div_ceil(8), 1],
        });
    }
    g
}

/// The texels of `(dg + dg^T) / (c n)`, which the gradient multiplies by.
fn symmetrize(tape: &mut Tape, g: Var, params: [(&'static str, Value); 6]) -> Tensor {
    let n = g.shape.len();
    let (sums, texels) = (tape.scratch("sums", n), tape.scratch_texels("sums.texels", n));
    tape.backward(kernel!("gram_subgroup", "symmetrize"))
        .params(params)
        .upstream("dg", g)
        .bind("sums", sums)
        .grid([g.shape.width, g.shape.width, 1]);
    tape.backward_copy(sums, texels, n);
    texels
}

pub(crate) fn reference(shape: Shape, x: &[f64]) -> Vec<f64> {
    let Shape { channels: c, width: w, .. } = shape;
    let mut g = vec![0.0; c * c];
    for row in x.chunks_exact(c * w) {
        for i in 0..c {
            for j in 0..c {
                let products = row[i * w..][..w].iter().zip(&row[j * w..][..w]).map(|(a, b)| a * b);
                g[i * c + j] += products.sum::<f64>() / shape.len() as f64;
            }
        }
    }
    g
}

/// One value, primes, many channels; around tiles of 32 and 64 channels, columns of 4 and 16, blocks of 32 and 128
/// pixels, a workgroup of 64 and the 32 shares.
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
        Size::new(96, 3, 11),
        Size::new(128, 9, 4),
        Size::new(512, 1, 1),
    ],
    network: vgg19_maps,
    at: |size| in_both_precisions(size, case),
};

fn case(size: Size) -> Case {
    let shape = size.shape();
    let case = Case::new("gram", size, [Input::vary("x", shape)], move |inputs| reference(shape, &inputs[0]));
    Variant::ALL.into_iter().fold(case, |case, variant| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| Ok(gram(tape, inputs[0].var, variant).into());
        case.candidate(
            Candidate::new(variant.name(), record).needs(move |gpu| variant.supports(gpu, shape.channels)),
        )
    })
}
