//! Where the tiles of a picture lie: pure arithmetic.
//!
//! A tile *owns* a rectangle of the picture. The network sees the tile's *window*: what the tile owns and a
//! *halo* around it, as far as the picture goes. Windows begin at multiples of a *step*, so that the windows
//! of pooling are those of the whole picture. Where a window ends at the picture's own edge, the network sees
//! that edge; where it ends inside, it sees a false one, which the halo keeps away from what the tile owns.
//!
//! All windows of a picture have the same size, so that one plan serves all of them: those at the edge have
//! no halo there and own more instead. A window costs device memory, and what a tile owns costs nothing, so
//! windows are as small as their number allows.

use std::ops::Range;

/// How far the network looks, which decides where tiles may begin and what they need around them. All in
/// pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The distance between sites of the deepest layer.
    pub(crate) step: usize,
    /// The pixels that a site of the deepest layer sees on each side beyond its own.
    pub(crate) sight: usize,
}

/// Tiles begin at multiples of this at least: the distance between sites of VGG's last block.
const STEP: usize = 16;

impl Reach {
    /// Of a network whose deepest sites are `step` pixels apart, a power of two, and see `sight` beyond their
    /// own.
    pub(crate) fn new(step: usize, sight: usize) -> Self {
        Self { step: step.max(STEP), sight }
    }

    /// The pixels around a tile that its sites' features depend on.
    pub(crate) fn of_features(self) -> usize {
        self.sight.next_multiple_of(self.step)
    }

    /// The same for the gradient of its pixels: it comes from all sites that see them, and these see as far
    /// again.
    pub(crate) fn of_gradients(self) -> usize {
        (2 * self.sight + self.step).next_multiple_of(self.step)
    }
}

/// One tile along an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where its window begins.
    pub(crate) begin: usize,
    /// What the tile owns.
    pub(crate) own: Range<usize>,
}

/// The length of all windows along a side of `length` pixels, so that they are at most `most` long and as few
/// as that allows, and then as short as their number allows. Where the side is no multiple of the step, they
/// may be longer by less than a step. `most` and `halo` are multiples of the step, and `most` is more than
/// twice the halo.
fn window(length: usize, most: usize, halo: usize, step: usize) -> usize {
    let rest = length % step;
    let whole = length - rest;
    if whole <= most {
        return length;
    }
    // Windows at the ends own a halo more than the others.
    let count = (whole - 2 * halo).div_ceil(most - 2 * halo);
    (whole + 2 * halo * (count - 1)).div_ceil(count).next_multiple_of(step) + rest
}

/// The tiles along a side of `length` pixels whose windows all have the length that [`window`] gave for this
/// halo or a larger one.
fn spans(length: usize, window: usize, halo: usize, step: usize) -> Vec<Span> {
    if window == length {
        return vec![Span { begin: 0, own: 0..length }];
    }
    // The last window ends at the edge, so all are as much longer than a multiple of the step as the side is.
    let rest = length % step;
    let inner = window - rest - 2 * halo;
    let count = (length - rest - 2 * halo).div_ceil(inner);
    let begin = |i: usize| (i * inner).min(length - window);
    let border = |i: usize| match i {
        0 => 0,
        _ if i == count => length,
        _ => begin(i) + halo,
    };
    (0..count).map(|i| Span { begin: begin(i), own: border(i)..border(i + 1) }).collect()
}

/// One tile: its rows and its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: Span,
    pub(crate) columns: Span,
}

impl Tile {
    /// What the tile owns as its window counts: the first row and one past the last, then the columns.
    pub(crate) fn within(&self) -> [usize; 4] {
        let of = |span: &Span| [span.own.start - span.begin, span.own.end - span.begin];
        let ([top, bottom], [left, right]) = (of(&self.rows), of(&self.columns));
        [top, bottom, left, right]
    }

    /// The same as shaders read it, and behind it the row and the column of the picture at which the window
    /// begins.
    pub(crate) fn words(&self) -> [f32; 6] {
        let [top, bottom, left, right] = self.within();
        let all = [top, bottom, left, right, self.rows.begin, self.columns.begin];
        all.map(|n| f32::from_bits(n as u32))
    }
}

/// The tiles of a picture, for both passes of an iteration over them. One plan serves all windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Columns and rows of every window.
    pub(crate) window: (usize, usize),
    /// For what is summed over sites, row by row.
    pub(crate) features: Vec<Tile>,
    /// For the gradient of the pixels, row by row.
    pub(crate) gradients: Vec<Tile>,
}

impl Layout {
    /// The tiles of a picture of `width x height`, of which an inner one owns at most `side x side` pixels, a
    /// multiple of the step. `None` if one window is the whole picture.
    pub(crate) fn new(size: (usize, usize), side: usize, reach: Reach) -> Option<Self> {
        let halo = reach.of_gradients();
        let most = side + 2 * halo;
        let window = (window(size.0, most, halo, reach.step), window(size.1, most, halo, reach.step));
        let tiles = |halo: usize| -> Vec<Tile> {
            let rows = spans(size.1, window.1, halo, reach.step);
            let columns = spans(size.0, window.0, halo, reach.step);
            let tile = |rows: &Span, columns: &Span| Tile { rows: rows.clone(), columns: columns.clone() };
            rows.iter().flat_map(|rows| columns.iter().map(move |columns| tile(rows, columns))).collect()
        };
        // Features need less around them, so that tiles own more of the same windows.
        let layout = Self { window, features: tiles(reach.of_features()), gradients: tiles(halo) };
        (window != size).then_some(layout)
    }

    /// How often the pixels of the picture are computed in both passes, compared with once each. The second
    /// pass goes forwards and back, the first, if there is one, only forwards.
    pub(crate) fn overhead(&self, size: (usize, usize), looks: bool) -> f64 {
        let pixels = (self.window.0 * self.window.1) as f64;
        let forwards = if looks { self.features.len() as f64 * pixels } else { 0.0 };
        let both = 2.0 * self.gradients.len() as f64 * pixels;
        (forwards + both) / (2.0 * (size.0 * size.1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VGG-19's, up to relu5_1.
    const VGG: Reach = Reach { step: 16, sight: 70 };

    /// Checks what must hold for the tiles along a side, at any size.
    fn check(length: usize, window: usize, halo: usize, step: usize) {
        let spans = spans(length, window, halo, step);
        let told = || format!("{length} in windows of {window} with a halo of {halo}: {spans:?}");
        let mut next = 0;
        for Span { begin, own } in &spans {
            let end = begin + window;
            assert!(begin % step == 0 && own.start % step == 0 && end <= length, "{}", told());
            // All of the side is owned once.
            assert!(own.start == next && own.end > own.start, "{}", told());
            next = own.end;
            // The picture's edge is true. A false one is as far away as it must be, past the last whole
            // step.
            assert!(*begin == 0 || begin + halo <= own.start, "{}", told());
            assert!(end == length || own.end + halo <= end / step * step, "{}", told());
        }
        assert_eq!(next, length, "{}", told());
    }

    #[test]
    fn tiles_cover_a_side_once_and_keep_false_edges_away() {
        assert_eq!((VGG.of_features(), VGG.of_gradients()), (80, 160));
        for side in [16, 48, 176, 512] {
            let most = side + 2 * VGG.of_gradients();
            for length in 1..2500 {
                let window = window(length, most, VGG.of_gradients(), VGG.step);
                assert!(window < most + VGG.step && window <= length, "{length} by {side}: {window}");
                check(length, window, VGG.of_gradients(), VGG.step);
                check(length, window, VGG.of_features(), VGG.step);
            }
        }
    }

    /// No shorter windows would do with as many tiles, and no fewer tiles with windows as long as they may
    /// be.
    #[test]
    fn windows_are_few_and_then_short() {
        let (halo, step) = (VGG.of_gradients(), VGG.step);
        let owned = |count: usize, window: usize| count * (window - 2 * halo) + 2 * halo;
        for length in (2 * halo + step..4000).step_by(step) {
            for most in [336, 368, 832, 1344] {
                let window = window(length, most, halo, step);
                let count = spans(length, window, halo, step).len();
                assert!(count == 1 || owned(count - 1, most) < length, "{length} by {most}");
                assert!(count == 1 || owned(count, window - step) < length, "{length} by {most}");
            }
        }
    }

    #[test]
    fn sites_of_every_layer_are_owned_once() {
        for size in [(563, 401), (1009, 83), (496, 528), (340, 700)] {
            let layout = Layout::new(size, 48, VGG).unwrap();
            for tiles in [&layout.features, &layout.gradients] {
                for halvings in 0..5 {
                    let sites = |range: &Range<usize>| (range.end >> halvings) - (range.start >> halvings);
                    let owned: usize = tiles.iter().map(|t| sites(&t.rows.own) * sites(&t.columns.own)).sum();
                    assert_eq!(owned, (size.0 >> halvings) * (size.1 >> halvings), "{size:?}");
                }
            }
        }
    }

    #[test]
    fn a_picture_that_fits_a_window_is_not_tiled() {
        assert_eq!(Layout::new((208, 176), 48, VGG), None);
        assert_eq!(Layout::new((368 + 15, 368 + 15), 48, VGG), None);
        let strip = Layout::new((563, 83), 80, VGG).unwrap();
        assert_eq!((strip.window, strip.gradients.len(), strip.features.len()), ((403, 83), 3, 2));
        assert_eq!(strip.gradients[1].within(), [0, 83, 160, 240]);
    }

    /// Bounds on the time of large tiles, as far as it follows from the pixels alone.
    #[test]
    fn large_tiles_cost_little() {
        let overhead = |size: usize, side: usize| {
            Layout::new((size, size), side, VGG).unwrap().overhead((size, size), true)
        };
        assert!(overhead(4096, 2048) < 1.75, "{}", overhead(4096, 2048));
        assert!(overhead(8192, 1024) < 2.5, "{}", overhead(8192, 1024));
    }
}
