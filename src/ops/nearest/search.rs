//! The search for the nearest sites, in each of the variants.

use super::lattice::BLOCK;
use crate::engine::kernel::kernel;
use crate::engine::tape::{Tape, Tensor};
use crate::ops::products::Variant;

/// The search for the nearest: a product of matrices, of which only the largest value of each row is kept.
pub(super) struct Search {
    pub(super) variant: Variant,
    pub(super) quads: usize,
    pub(super) slots: usize,
    /// Of the painting's features.
    pub(super) blocks: usize,
}

/// Bytes of the painting's features that a chunk has, about: on a processor all sites are compared with those
/// before the next come, and they stay in a cache.
const CHUNK: usize = 1 << 19;

/// Workgroups of [`Variant::Tiled`], about: a few for each processor of the largest GPU.
const WORKGROUPS: usize = 1024;

/// Sites of such a workgroup, and blocks of features that it multiplies them with at a time.
const TILE: usize = 64;
const TILE_BLOCKS: usize = 4;

/// The number of chunks of [`Variant::Naive`]; fewer if there are fewer blocks.
const CHUNKS: usize = 16;

impl Search {
    /// Blocks of a chunk.
    fn apart(&self) -> usize {
        match self.variant {
            Variant::Subgroup => (CHUNK / (BLOCK * self.quads * 16)).max(1),
            Variant::Tiled | Variant::Cooperative => {
                let chunks = WORKGROUPS.div_ceil(self.slots.div_ceil(TILE));
                self.blocks.div_ceil(chunks).next_multiple_of(TILE_BLOCKS)
            }
            Variant::Naive => self.blocks.div_ceil(CHUNKS),
        }
    }

    /// The number of parts of the painting. Each part gives one candidate for a site.
    pub(super) fn chunks(&self) -> usize {
        self.blocks.div_ceil(self.apart())
    }

    /// Records the search for what is nearest to `u`; gives, for each chunk, the largest product of each site
    /// and which feature it is with.
    pub(super) fn record(&self, tape: &mut Tape, u: Tensor, features: Tensor) -> (Tensor, Tensor) {
        let (slots, chunks) = (self.slots, self.chunks());
        let scores = tape.scratch("scores", chunks * slots);
        let candidates = tape.scratch("candidates", chunks * slots);
        let (kernel, names, from, grid) = match self.variant {
            Variant::Naive => {
                (kernel!("nearest_search", "search"), ["u", "features"], [u, features], [slots, chunks, 1])
            }
            // An invocation has four sites of 16 x 16 invocations.
            Variant::Tiled | Variant::Cooperative => {
                let grid = [slots.div_ceil(TILE) * 16, chunks * 16, 1];
                (kernel!("nearest_search_tiled", "search"), ["u", "features"], [u, features], grid)
            }
            // A workgroup of 8 lanes has a block.
            Variant::Subgroup => {
                let texels = [("sites", u, slots), ("painting", features, self.blocks * BLOCK)];
                let texels = texels.map(|(name, from, sites)| {
                    let len = 4 * self.quads * sites;
                    let texels = tape.scratch_texels(name, len);
                    tape.forward_copy(from, texels, len);
                    texels
                });
                let grid = [slots / BLOCK * 8, chunks, 1];
                (kernel!("nearest_search_subgroup", "search"), ["sites", "painting"], texels, grid)
            }
        };
        tape.forward(kernel)
            .params([
                ("quads", self.quads.into()),
                ("slots", slots.into()),
                ("blocks", self.blocks.into()),
                ("apart", self.apart().into()),
            ])
            .bind(names[0], from[0])
            .bind(names[1], from[1])
            .bind("scores", scores)
            .bind("candidates", candidates)
            .grid(grid);
        (scores, candidates)
    }
}
