//! The bits that are kept of a map after ReLU and pooling, and the rows that belong together in a band.

use std::ops::Range;

use super::{After, Conv};
use crate::engine::kernel::Value;
use crate::engine::precision::Precision;
use crate::engine::tape::{BAND_PIXELS, Shape, Tape, Tensor, View};

/// One bit per value of a convolution's map: whether ReLU and pooling let it through. Backward needs nothing
/// else of forward. Pixels are grouped in blocks of `side x side`, whose bits share words.
pub(crate) struct Gates {
    words: Tensor,
    shape: Shape,
    side: usize,
}

/// A band of rows of blocks, with the corresponding rows of everything else.
pub(crate) struct Band {
    /// Rows of blocks.
    pub(crate) blocks: Range<usize>,
    /// Rows of the map, which has as many rows as x.
    pub(crate) rows: Range<usize>,
    /// Rows of x that the band reads.
    pub(crate) x_seen: Range<usize>,
    /// Rows of y that the band writes. If a last row of pixels forms no window, these are other rows, because
    /// something must be bound.
    pub(crate) y: Range<usize>,
    /// Rows of y whose gradient the band's rows of dx depend on.
    pub(crate) y_seen: Range<usize>,
    /// The first row of y that belongs to this band.
    y_start: usize,
    blocks_seen: Range<usize>,
}

impl Gates {
    /// Declares the gates of a convolution: `words` words for each block of `side x side` pixels, for all
    /// channels together.
    pub(crate) fn new(tape: &mut Tape, conv: &Conv, words: usize, side: usize) -> Self {
        let Shape { height, width, .. } = conv.x.shape;
        let shape = Shape::new(words, height.div_ceil(side), width.div_ceil(side));
        Self { words: tape.scratch("gates", shape.len()), shape, side }
    }

    /// The bands of rows of blocks within the device's limits, considering everything that is bound with
    /// them.
    pub(crate) fn bands(&self, tape: &Tape, conv: &Conv) -> Vec<Band> {
        self.bands_of(tape, conv, BAND_PIXELS)
    }

    /// Like [`Self::bands`], with at most `pixels` in a band.
    pub(crate) fn bands_of(&self, tape: &Tape, conv: &Conv, pixels: usize) -> Vec<Band> {
        let bands = tape.bands_of(&[self.shape, conv.x.shape, conv.y.shape], pixels);
        bands.into_iter().map(|blocks| self.band(conv, blocks)).collect()
    }

    fn band(&self, Conv { x, y, after, .. }: &Conv, blocks: Range<usize>) -> Band {
        let pooled = if *after == After::ReluPool { 2 } else { 1 };
        let rows = self.side * blocks.start..(self.side * blocks.end).min(x.shape.height);
        let y_start = rows.start / pooled;
        let y_end = (self.side * blocks.end / pooled).min(y.shape.height);
        let y_seen = y.halo(&(y_start..self.side * blocks.end / pooled));
        Band {
            x_seen: x.halo(&rows),
            y: if y_start < y_end { y_start..y_end } else { y_seen.clone() },
            blocks_seen: self.shape.halo(&blocks, Precision::Single),
            blocks,
            rows,
            y_seen,
            y_start,
        }
    }

    /// The gates of a band.
    pub(crate) fn of(&self, band: &Band) -> View {
        View { tensor: self.words, range: Some(self.shape.rows(band.blocks.clone())) }
    }

    /// The gates that the band's gradient depends on.
    pub(crate) fn seen_by(&self, band: &Band) -> View {
        View { tensor: self.words, range: Some(self.shape.rows(band.blocks_seen.clone())) }
    }
}

impl Band {
    /// The parameters about rows for a kernel that reads x.
    pub(crate) fn forward(&self) -> [(&'static str, Value); 4] {
        self.params(&self.x_seen, self.rows.start)
    }

    /// The parameters about rows for a kernel that reads the gradient of y.
    pub(crate) fn backward(&self) -> [(&'static str, Value); 4] {
        self.params(&self.y_seen, self.y_start)
    }

    fn params(&self, seen: &Range<usize>, start: usize) -> [(&'static str, Value); 4] {
        [
            ("h_in", seen.len().into()),
            ("top", (start - seen.start).into()),
            ("gate_rows", self.blocks_seen.len().into()),
            ("gate_top", (self.blocks.start - self.blocks_seen.start).into()),
        ]
    }
}
