//! Rows of a map that one dispatch works on, where all of them are too many.

use std::ops::Range;

use super::{Tape, Var};
use crate::engine::shape::Shape;

/// Pixels of a band at most: few enough that no kernel needs more workgroups than every device has.
pub(crate) const BAND_PIXELS: usize = 1 << 20;

/// Multiply-adds of a dispatch at most, unless the fewest rows that can be bound have more. They take a
/// second at 137 GFLOP/s, of which a small integrated GPU is capable, and some milliseconds on a large one.
/// Not measured.
pub(crate) const BAND_WORK: u64 = 1 << 36;

/// The most pixels that a band may have if each takes `multiply_adds`.
pub(crate) fn band_pixels(multiply_adds: usize) -> usize {
    BAND_PIXELS.min((BAND_WORK / multiply_adds as u64) as usize)
}

/// The most rows of a band: in some grids each row is a workgroup along one dimension, and every device
/// allows this many.
const BAND_ROWS: usize = 65_535;

impl Tape<'_> {
    /// Splits the rows of the first shape into bands, so that neither a binding nor a dispatch passes the
    /// device's limits. One band is the rule; large pictures have several, the more on drivers with small
    /// bindings. The other maps, which may be several times as high, may be bound with the rows that belong
    /// to a band and one more on each side.
    pub fn bands(&self, shapes: &[Shape]) -> Vec<Range<usize>> {
        self.bands_of(shapes, BAND_PIXELS)
    }

    /// As [`Self::bands`], with at most `pixels` of each map in a band, unless the fewest rows that can be
    /// bound have more.
    pub(crate) fn bands_of(&self, shapes: &[Shape], pixels: usize) -> Vec<Range<usize>> {
        let values = (self.binding_limit / 4) as usize;
        let height = shapes[0].height;
        let align = shapes.iter().map(|s| s.row_alignment(self.map_precision)).max().unwrap_or(1);
        let fits = |s: &Shape| {
            let rows = (values / (s.channels * s.width).max(1))
                .saturating_sub(1 + s.row_alignment(self.map_precision));
            rows.min(pixels / s.width.max(1)).min(BAND_ROWS) / s.height.div_ceil(height)
        };
        let rows = shapes.iter().map(fits).min().unwrap_or(height);
        let rows = if rows < height { (rows / align * align).max(align) } else { height };
        (0..height).step_by(rows).map(|top| top..(top + rows).min(height)).collect()
    }

    /// Splits rows of `maps`, which are equally high, into pieces that begin where a binding may begin. Of
    /// the first map a piece has at most `values` values, unless so few rows have more.
    pub(crate) fn pieces(rows: &Range<usize>, maps: &[Var], values: usize) -> Vec<Range<usize>> {
        let align = maps.iter().map(|map| map.shape.row_alignment(map.precision)).max().unwrap_or(1);
        let shape = maps[0].shape;
        let step = (values / (shape.channels * shape.width) / align * align).max(align);
        rows.clone().step_by(step).map(|top| top..(top + step).min(rows.end)).collect()
    }
}
