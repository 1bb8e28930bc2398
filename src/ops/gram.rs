//! Gram matrix of a feature map.

use std::ops::Range;

use crate::cases::{Candidate, Case, Input, Leaf, Size, Table, in_both_precisions, vgg19_maps};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::kernel;
use crate::engine::kernel::{Source, Value};
use crate::engine::tape::{Shape, Tape, Tensor, Var, band_pixels};

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

    /// Whether the variant can compute the matrix of `c` channels on this device.
    pub fn supports(self, gpu: &Gpu, c: usize) -> bool {
        match self {
            Self::Naive | Self::Tiled => true,
            Self::Subgroup => gpu.has_subgroups_of(8) && c.is_multiple_of(32),
        }
    }
}

/// The rows that are worked on together. As texels, a map goes through one workspace in pieces that stay in
/// the cache.
fn pieces(tape: &Tape, x: Var, variant: Variant) -> Vec<Range<usize>> {
    let c = x.shape.channels;
    let bands = tape.bands_of(&[x.shape], band_pixels(c * c));
    if variant != Variant::Subgroup {
        return bands;
    }
    let values = PIECE.max(x.shape.len() / MOST_PIECES);
    bands.iter().flat_map(|band| Tape::pieces(band, &[x], values)).collect()
}

/// The channels of a workgroup of [`Variant::Tiled`].
const TILE: usize = 64;

/// The most values of a piece, unless one row has more or the map is large: 2 MiB.
const PIECE: usize = 1 << 19;

/// The approximate limit on the pieces of a map. Each has a partial matrix, and all of these must fit into
/// one binding.
const MOST_PIECES: usize = 64;

/// The number of partial matrices of a piece: enough to keep a device busy, few enough to be small compared
/// with the map.
fn shares(shape: Shape, pieces: &[Range<usize>], variant: Variant) -> usize {
    let c = shape.channels;
    // Only the tiles of one triangle are computed.
    let tiles = |size: usize| c.div_ceil(size) * (c.div_ceil(size) + 1) / 2;
    let wanted = match variant {
        Variant::Naive => (2048 / c).min(32),
        // A few workgroups for each processor of the largest GPU.
        Variant::Tiled => (512 / tiles(TILE)).div_ceil(pieces.len()),
        // The values that each one writes cost as much as many pixels.
        Variant::Subgroup => (128 / tiles(32)).div_ceil(pieces.len()).min(32),
    };
    wanted.clamp(1, pieces[0].len())
}

/// `g = x x^T / (c n)` for `x` of `c` channels and `n` pixels; `dx = (dg + dg^T) x / (c n)`.
///
/// The sum over pixels is split into shares of rows. They are added in a fixed order.
pub fn gram(tape: &mut Tape, x: Var, variant: Variant) -> Var {
    let pieces = pieces(tape, x, variant);
    let g = tape.output("g", Shape::new(1, x.shape.channels, x.shape.channels), x);
    let gram = Gram { x, g, variant, shares: shares(x.shape, &pieces, variant) };
    gram.forward(tape, &pieces);
    if x.grad.is_some() {
        gram.backward(tape, &pieces);
    }
    g
}

/// A Gram matrix on the tape.
struct Gram {
    x: Var,
    g: Var,
    variant: Variant,
    shares: usize,
}

impl Gram {
    /// The parameters for a piece with this number of rows, whose first partial matrix is `share`.
    fn params(&self, rows: usize, share: usize) -> [(&'static str, Value); 6] {
        let Shape { channels: c, width: w, .. } = self.x.shape;
        [
            ("c", c.into()),
            ("h", rows.into()),
            ("w", w.into()),
            ("scale", (1.0 / self.x.shape.len() as f64).into()),
            ("shares", self.shares.into()),
            ("share", share.into()),
        ]
    }

    /// The texels of a piece of the map, if the variant reads those instead of the map.
    fn workspace(&self, tape: &mut Tape, pieces: &[Range<usize>]) -> Option<Tensor> {
        let Shape { channels: c, width: w, .. } = self.x.shape;
        let most = pieces.iter().map(|rows| rows.len() * c * w).max().unwrap_or(0);
        // One more texel, which is read but not used.
        (self.variant == Variant::Subgroup).then(|| tape.map_texels("x.texels", self.x, most + 4))
    }

    /// A kernel with the constants of this variant.
    fn set_up(&self, kernel: Source) -> Source {
        match self.variant {
            Variant::Naive => kernel,
            Variant::Tiled => kernel.constant("TILE", format!("{TILE}u")),
            Variant::Subgroup => {
                let aligned = self.x.shape.width.is_multiple_of(4);
                kernel.texels("MapTexels", self.x.precision).constant("ALIGNED", aligned)
            }
        }
    }

    fn forward(&self, tape: &mut Tape, pieces: &[Range<usize>]) {
        let (x, shares) = (self.x, self.shares);
        let Shape { channels: c, width: w, .. } = x.shape;
        let parts = pieces.len() * shares;
        let partial = if parts == 1 { self.g.value } else { tape.scratch("partial", parts * c * c) };
        let texels = self.workspace(tape, pieces);
        let tiles = c.div_ceil(TILE);
        for (index, piece) in pieces.iter().enumerate() {
            let (kernel, grid) = match self.variant {
                Variant::Naive => (kernel!("gram", "forward").storing("Map", x), [c * c, shares, 1]),
                // An invocation computes 4 x 4 sums.
                Variant::Tiled => {
                    let kernel = kernel!("gram_tiled", "forward").storing("Map", x);
                    (kernel, [tiles * TILE / 4, tiles * TILE / 4, shares])
                }
                // A workgroup of 8 lanes computes a tile of 32 x 32.
                Variant::Subgroup => (kernel!("gram_subgroup", "forward"), [c / 32 * 8, c / 32, shares]),
            };
            let rows = x.rows(piece.clone());
            let (name, from) = match texels {
                None => ("x", rows),
                Some(texels) => {
                    tape.forward_copy(rows, texels, piece.len() * c * w);
                    ("texels", texels.into())
                }
            };
            tape.forward(self.set_up(kernel))
                .params(self.params(piece.len(), index * shares))
                .bind(name, from)
                .bind("partial", partial)
                .grid(grid);
        }
        if parts > 1 {
            tape.forward(kernel!("gram_sum", "forward"))
                .params([("n", (c * c).into()), ("shares", parts.into())])
                .bind("partial", partial)
                .bind("g", self.g.value)
                .grid([c * c, 1, 1]);
        }
    }

    fn backward(&self, tape: &mut Tape, pieces: &[Range<usize>]) {
        let x = self.x;
        let Shape { channels: c, width: w, .. } = x.shape;
        let texels = self.workspace(tape, pieces).map(|texels| (texels, self.symmetrize(tape)));
        for piece in pieces.iter().flat_map(|piece| tape.backward_pieces(x, piece)).collect::<Vec<_>>() {
            let rows = tape.backward_rows(x, piece.clone());
            let (kernel, grid) = match self.variant {
                Variant::Naive => (kernel!("gram", "backward"), [c * w, piece.len(), 1]),
                // An invocation computes four pixels of eight channels.
                Variant::Tiled => {
                    let pixels = piece.len() * w;
                    (kernel!("gram_tiled", "backward"), [pixels.div_ceil(4), c.div_ceil(TILE) * TILE / 8, 1])
                }
                // A workgroup of 8 lanes computes 32 channels, a lane four pixels of a row.
                Variant::Subgroup => {
                    let fours = piece.len() * w.div_ceil(4);
                    (kernel!("gram_subgroup", "backward"), [c / 32 * 8, fours.div_ceil(8), 1])
                }
            };
            if let Some((texels, _)) = texels {
                tape.backward_copy(rows.clone(), texels, piece.len() * c * w);
            }
            let backward = tape.backward(self.set_up(kernel).storing("Map", x));
            let backward = match texels {
                None => backward.upstream("dg", self.g).bind("x", rows),
                Some((texels, sums)) => backward.bind("s", sums).bind("texels", texels),
            };
            backward.params(self.params(piece.len(), 0)).grad_rows("dx", x, piece).grid(grid);
        }
    }

    /// The texels of `(dg + dg^T) / (c n)`, by which the gradient of [`Variant::Subgroup`] multiplies.
    fn symmetrize(&self, tape: &mut Tape) -> Tensor {
        let (c, n) = (self.x.shape.channels, self.g.shape.len());
        let (sums, texels) = (tape.scratch("sums", n), tape.scratch_texels("sums.texels", n));
        tape.backward(kernel!("gram_subgroup", "symmetrize"))
            .params(self.params(self.x.shape.height, 0))
            .upstream("dg", self.g)
            .bind("sums", sums)
            .grid([c, c, 1]);
        tape.backward_copy(sums, texels, n);
        texels
    }
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
