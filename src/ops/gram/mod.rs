//! Gram matrix of a feature map.

mod cases;

use std::ops::Range;

use crate::engine::kernel::{Kernel, Value, kernel};
use crate::engine::tape::{Phase, Shape, Tape, Tensor, Var, View, band_pixels};
use crate::ops::masked::{Masked, SiteWeights};
use crate::ops::products::{UNIT_TILES, Variant};
pub use cases::TABLE;
pub(crate) use cases::reference;

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

/// The invocations of a workgroup of [`Variant::Cooperative`].
const LANES: usize = 128;

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
        Variant::Tiled | Variant::Cooperative => (512 / tiles(TILE)).div_ceil(pieces.len()),
        // The values that each one writes cost as much as many pixels.
        Variant::Subgroup => (128 / tiles(32)).div_ceil(pieces.len()).min(32),
    };
    wanted.clamp(1, pieces[0].len())
}

/// `g = x x^T / (c n)` for `x` of `c` channels and `n` pixels; `dx = (dg + dg^T) x / (c n)`.
///
/// The sum over pixels is split into shares of rows. They are added in a fixed order. With weights `m`, each
/// pixel counts `m` times: `g = m x x^T / (c sum m)` in that sum, and its gradient is multiplied by `m`.
pub fn gram(tape: &mut Tape, x: Var, variant: Variant, weights: Option<SiteWeights>) -> Var {
    let g = tape.output("g", Shape::new(1, x.shape.channels, x.shape.channels), x);
    let sites = weights.map_or(x.shape.pixels() as f64, |weights| weights.sum);
    let scale = Value::Float(1.0 / (x.shape.channels as f64 * sites));
    let products = Products::new(tape, x, variant, weights);
    products.forward(tape, g.value, scale, None);
    if let Some(dg) = g.grad {
        products.backward(tape, dg, scale, None);
    }
    g
}

/// Records the gradient alone, of a window `x` of a map that has `values` values, from the gradient `dg` of
/// the whole map's matrix. With weights, the map has as many sites as these add up to.
pub(crate) fn pull(
    tape: &mut Tape,
    x: Var,
    values: f64,
    dg: Tensor,
    variant: Variant,
    weights: Option<SiteWeights>,
) {
    let scale = Value::Float(1.0 / values);
    Products::new(tape, x, variant, weights).backward(tape, dg, scale, None);
}

/// The means by which a gradient moves whole channels.
#[derive(Clone, Copy)]
pub(super) struct Means {
    /// Of the map.
    pub(super) own: Tensor,
    /// Of what it is compared with.
    pub(super) target: Tensor,
    /// What the target and the transport of the own mean leave of the gradient.
    pub(super) bias: Tensor,
}

/// The products of all pairs of channels of a map, and their gradient, in one of the variants.
pub(super) struct Products {
    x: Var,
    /// What weighs the map, if all sites do not count the same.
    masked: Option<Masked>,
    variant: Variant,
    pieces: Vec<Range<usize>>,
    shares: usize,
    /// The side of the matrices that the device multiplies at once, if it has matrix units.
    tile: usize,
}

impl Products {
    pub(super) fn new(tape: &Tape, x: Var, variant: Variant, weights: Option<SiteWeights>) -> Self {
        let pieces = pieces(tape, x, variant);
        let shares = shares(x.shape, &pieces, variant);
        let masked = weights.map(|weights| Masked::new(x, weights));
        Self { x, masked, variant, pieces, shares, tile: tape.gpu().matrix_tile().unwrap_or(8) }
    }

    /// The map as the kernels read it: itself, or its weighed copy.
    fn read(&self) -> Var {
        self.masked.as_ref().map_or(self.x, Masked::as_read)
    }

    /// The values of the largest piece.
    fn most(&self) -> usize {
        let Shape { channels: c, width: w, .. } = self.x.shape;
        self.pieces.iter().map(|rows| rows.len() * c * w).max().unwrap_or(0)
    }

    /// A place for weighed values of a piece, if the map is weighed.
    fn weighed(&self, tape: &mut Tape, name: &str) -> Option<Tensor> {
        self.masked.as_ref().map(|_| tape.scratch(name, self.most()))
    }

    /// The parameters for a piece with this number of rows, whose first partial matrix is `share`.
    fn params(&self, rows: usize, share: usize, scale: Value) -> [(&'static str, Value); 6] {
        let Shape { channels: c, width: w, .. } = self.x.shape;
        [
            ("c", c.into()),
            ("h", rows.into()),
            ("w", w.into()),
            ("scale", scale),
            ("shares", self.shares.into()),
            ("share", share.into()),
        ]
    }

    /// What the variant reads a piece of the map from, if not from the map itself.
    fn workspace(&self, tape: &mut Tape) -> Option<Tensor> {
        // One more texel, which is read but not used.
        (self.variant == Variant::Subgroup).then(|| tape.map_texels("x.texels", self.read(), self.most() + 4))
    }

    /// A kernel with the constants of this variant.
    fn set_up(&self, kernel: Kernel) -> Kernel {
        match self.variant {
            Variant::Naive => kernel,
            Variant::Cooperative if kernel.file == "gram_cooperative" => {
                kernel.matrices(self.tile, ["Left", "Right"])
            }
            // Its gradient is that of `Tiled`.
            Variant::Tiled | Variant::Cooperative => kernel.constant("TILE", format!("{TILE}u")),
            Variant::Subgroup => {
                let aligned = self.x.shape.width.is_multiple_of(4);
                kernel.texels("MapTexels", self.read().precision).constant("ALIGNED", aligned)
            }
        }
    }

    /// The entry point that subtracts means from the channels, if there are any, or the plain one.
    fn forward_kernel(&self, centred: bool) -> Kernel {
        let read = self.read();
        let kernel = match (self.variant, centred) {
            (Variant::Naive, false) => kernel!("gram", "forward").storing("Map", read),
            (Variant::Naive, true) => kernel!("gram", "forward_centred").storing("Map", read),
            (Variant::Tiled, false) => kernel!("gram_tiled", "forward").storing("Map", read),
            (Variant::Tiled, true) => kernel!("gram_tiled", "forward_centred").storing("Map", read),
            (Variant::Subgroup, false) => kernel!("gram_subgroup", "forward"),
            (Variant::Subgroup, true) => kernel!("gram_subgroup", "forward_centred"),
            (Variant::Cooperative, false) => kernel!("gram_cooperative", "forward").storing("Map", read),
            (Variant::Cooperative, true) => {
                kernel!("gram_cooperative", "forward_centred").storing("Map", read)
            }
        };
        self.set_up(kernel)
    }

    /// `g = scale x x^T`, where `mean` is subtracted from the channels of `x` if there is one.
    pub(super) fn forward(&self, tape: &mut Tape, g: Tensor, scale: Value, mean: Option<Tensor>) {
        let (x, shares) = (self.x, self.shares);
        let Shape { channels: c, width: w, .. } = x.shape;
        let parts = self.pieces.len() * shares;
        let partial = if parts == 1 { g } else { tape.scratch("partial", parts * c * c) };
        let texels = self.workspace(tape);
        let weighed = self.weighed(tape, "x.weighed");
        // A map that is weighed is less its mean already.
        let centre = mean.filter(|_| weighed.is_none());
        let tiles = c.div_ceil(TILE);
        for (index, piece) in self.pieces.iter().enumerate() {
            let grid = match self.variant {
                Variant::Naive => [c * c, shares, 1],
                // An invocation has 4 x 4 sums.
                Variant::Tiled => [tiles * TILE / 4, tiles * TILE / 4, shares],
                // A workgroup of 8 lanes has a tile of 32 x 32.
                Variant::Subgroup => [c / 32 * 8, c / 32, shares],
                Variant::Cooperative => {
                    let blocks = c.div_ceil(2 * UNIT_TILES * self.tile);
                    [blocks * LANES, blocks, shares]
                }
            };
            let mut rows = x.rows(piece.clone());
            if let Some((masked, y)) = self.masked.as_ref().zip(weighed) {
                masked.weigh(tape, Phase::Forward, (piece, rows), mean, y);
                rows = View::from(y);
            }
            let (name, from) = match texels {
                None => ("x", rows),
                Some(texels) => {
                    tape.forward_copy(rows, texels, piece.len() * c * w);
                    ("texels", texels.into())
                }
            };
            let mut forward = tape
                .forward(self.forward_kernel(centre.is_some()))
                .params(self.params(piece.len(), index * shares, scale))
                .bind(name, from)
                .bind("partial", partial);
            if let Some(mean) = centre {
                forward = forward.bind("mean", mean);
            }
            forward.grid(grid);
        }
        if parts > 1 {
            tape.forward(kernel!("gram_sum", "forward"))
                .params([("n", (c * c).into()), ("shares", parts.into())])
                .bind("partial", partial)
                .bind("g", g)
                .grid([c * c, 1, 1]);
        }
    }

    /// The entry point that adds a constant to each channel, if there are any, or the plain one.
    fn backward_kernel(&self, biased: bool) -> Kernel {
        let kernel = match (self.variant, biased) {
            (Variant::Naive, false) => kernel!("gram", "backward"),
            (Variant::Naive, true) => kernel!("gram", "backward_biased"),
            // The gradient multiplies by what an inverse root has enlarged, which float16 may not hold.
            (Variant::Tiled | Variant::Cooperative, false) => kernel!("gram_tiled", "backward"),
            (Variant::Tiled | Variant::Cooperative, true) => kernel!("gram_tiled", "backward_biased"),
            (Variant::Subgroup, false) => kernel!("gram_subgroup", "backward"),
            (Variant::Subgroup, true) => kernel!("gram_subgroup", "backward_biased"),
        };
        self.set_up(kernel).storing("Map", self.read())
    }

    /// `dx = scale ((dg + dg^T) x + bias)`, where `bias`, if there are means, has a value for each channel.
    /// What is weighed by `m` has `dx = scale m ((dg + dg^T) (x - own) + own - target)` instead.
    pub(super) fn backward(&self, tape: &mut Tape, dg: Tensor, scale: Value, means: Option<Means>) {
        let x = self.x;
        let weighed = self.weighed(tape, "x.weighed").zip(self.weighed(tape, "x.gradient"));
        let bias = means.map(|means| means.bias).filter(|_| weighed.is_none());
        let Shape { channels: c, width: w, .. } = x.shape;
        let texels = self.workspace(tape).map(|texels| (texels, self.symmetrize(tape, dg, scale)));
        let pieces = self.pieces.iter().flat_map(|piece| tape.backward_pieces(x, piece));
        for piece in pieces.collect::<Vec<_>>() {
            let mut rows = tape.backward_rows(x, piece.clone());
            if let Some((masked, (y, _))) = self.masked.as_ref().zip(weighed) {
                masked.weigh(tape, Phase::Backward, (&piece, rows), means.map(|means| means.own), y);
                rows = View::from(y);
            }
            let grid = match self.variant {
                Variant::Naive => [c * w, piece.len(), 1],
                // An invocation has four pixels of eight channels.
                Variant::Tiled | Variant::Cooperative => {
                    let pixels = piece.len() * w;
                    [pixels.div_ceil(4), c.div_ceil(TILE) * TILE / 8, 1]
                }
                // A workgroup of 8 lanes computes 32 channels, a lane four pixels of a row.
                Variant::Subgroup => {
                    let fours = piece.len() * w.div_ceil(4);
                    [c / 32 * 8, fours.div_ceil(8), 1]
                }
            };
            if let Some((texels, _)) = texels {
                tape.backward_copy(rows.clone(), texels, piece.len() * c * w);
            }
            let mut backward = tape.backward(self.backward_kernel(bias.is_some()));
            backward = match texels {
                None => backward.bind("dg", dg).bind("x", rows),
                Some((texels, sums)) => backward.bind("s", sums).bind("texels", texels),
            };
            if let Some(bias) = bias {
                backward = backward.bind("bias", bias);
            }
            let backward = backward.params(self.params(piece.len(), 0, scale));
            match self.masked.as_ref().zip(weighed) {
                None => backward.grad_rows("dx", x, piece).grid(grid),
                Some((masked, (_, dy))) => {
                    backward.bind("dx", dy).grid(grid);
                    masked.backward(tape, piece, dy, scale, means.map(|means| [means.own, means.target]));
                }
            }
        }
    }

    /// The texels of `scale (dg + dg^T)`, which the gradient of [`Variant::Subgroup`] multiplies by.
    fn symmetrize(&self, tape: &mut Tape, dg: Tensor, scale: Value) -> Tensor {
        let c = self.x.shape.channels;
        let (sums, texels) = (tape.scratch("sums", c * c), tape.scratch_texels("sums.texels", c * c));
        tape.backward(kernel!("gram_subgroup", "symmetrize"))
            .params(self.params(self.x.shape.height, 0, scale))
            .bind("dg", dg)
            .bind("sums", sums)
            .grid([c, c, 1]);
        tape.backward_copy(sums, texels, c * c);
        texels
    }
}
