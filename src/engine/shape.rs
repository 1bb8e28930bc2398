//! The size of a feature map, and the order of its values.
//!
//! A feature map is stored row by row, and within a row channel by channel: element `(y, c, x)` stands at
//! `(y * channels + c) * width + x`. Any band of rows is therefore one contiguous range, which can be bound,
//! sent or computed by itself.

use std::fmt;
use std::ops::Range;

use crate::engine::precision::Precision;

/// The size of a feature map; the module's text has the order of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Feature channels; 3 for a picture.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// `channels` maps of `height` rows and `width` columns.
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of one channel.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Bands of rows must begin at a multiple of this, so that bindings begin where every device allows it.
    pub(crate) fn row_alignment(&self, precision: Precision) -> usize {
        // 256 bytes, a power of two, divided by the powers of two that the size of a row already contains.
        let row = self.channels * self.width * precision.bytes() as usize;
        256 >> row.trailing_zeros().min(8)
    }

    /// The rows that a band of rows reads of a map: one more on each side, within the map, beginning where a
    /// binding may begin.
    pub(crate) fn halo(&self, rows: &Range<usize>, precision: Precision) -> Range<usize> {
        let align = self.row_alignment(precision);
        rows.start.saturating_sub(1) / align * align..(rows.end + 1).min(self.height)
    }

    /// The range of the values of some rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Range<usize> {
        let row = self.channels * self.width;
        rows.start * row..rows.end * row
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}
