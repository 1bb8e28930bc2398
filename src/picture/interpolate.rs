//! Carrying an optimiser's state from one size to a larger one: picture, average and moments.
//!
//! The arithmetic is that of PyTorch's `interpolate(..., align_corners=False)`, in which the painterly
//! recipe was tuned: pixels are squares, samples beyond the border repeat it, and nothing is smoothed. It
//! serves for enlarging only. What is made smaller needs [`super::Picture::resized`], which averages.

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The mean of the two nearest, in each direction. It never leaves the range of what it reads.
    Bilinear,
    /// Cubic convolution of the four nearest, in each direction, with Keys' `a = -0.75` (1981). It is
    /// sharper, and overshoots beside edges.
    Bicubic,
}

/// Where one value of a longer line comes from: pixels of the shorter line, and their weights.
type Taps = [(usize, f64); 4];

impl Interpolation {
    /// The origin of pixel `i` of a line of `to` pixels that has been a line of `from`.
    fn taps(self, i: usize, from: usize, to: usize) -> Taps {
        let position = from as f64 / to as f64 * (i as f64 + 0.5) - 0.5;
        // What lies before the first pixel is the first pixel.
        let position = if self == Self::Bilinear { position.max(0.0) } else { position };
        let first = position.floor();
        let t = position - first;
        let pixel = |offset: i64| (first as i64 + offset).clamp(0, from as i64 - 1) as usize;
        match self {
            Self::Bilinear => [(pixel(0), 1.0 - t), (pixel(1), t), (pixel(0), 0.0), (pixel(0), 0.0)],
            Self::Bicubic => {
                let weights = [outer(1.0 + t), inner(t), inner(1.0 - t), outer(2.0 - t)];
                std::array::from_fn(|k| (pixel(k as i64 - 1), weights[k]))
            }
        }
    }

    /// The lines that a value of a line reads: two or four.
    fn count(self) -> usize {
        if self == Self::Bilinear { 2 } else { 4 }
    }
}

/// Keys' parameter, as PyTorch, OpenCV and most image editors have it.
const A: f64 = -0.75;

/// Weight of a pixel up to one pixel away.
fn inner(x: f64) -> f64 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// Weight of a pixel that is one to two pixels away.
fn outer(x: f64) -> f64 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}

/// Brings planes of one size to another, row by row.
///
/// The values stand as the engine has them: row by row, and within a row channel by channel. The same size gives
/// the same bits.
pub(crate) struct Enlargement {
    from: (usize, usize),
    to: (usize, usize),
    how: Interpolation,
    columns: Vec<Taps>,
}

impl Enlargement {
    /// From one size to another, both width and height.
    ///
    /// # Panics
    /// If either has no pixels.
    pub(crate) fn new(from: (usize, usize), to: (usize, usize), how: Interpolation) -> Self {
        assert!(from.0 * from.1 > 0 && to.0 * to.1 > 0, "sizes have pixels");
        let columns = (0..to.0).map(|x| how.taps(x, from.0, to.0)).collect();
        Self { from, to, how, columns }
    }

    /// Row `y` of all channels, made of those that `source` gives.
    pub(crate) fn row(&self, y: usize, source: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
        let Self { from, to, how, columns } = self;
        let rows = &how.taps(y, from.1, to.1)[..how.count()];
        let rows: Vec<_> = rows.iter().map(|(y, weight)| (source(*y), weight)).collect();
        let between: Vec<f64> =
            (0..rows[0].0.len()).map(|x| rows.iter().map(|(row, weight)| *weight * row[x]).sum()).collect();
        let value = |plane: &[f64], taps: &Taps| -> f64 {
            taps[..how.count()].iter().map(|(x, weight)| weight * plane[*x]).sum()
        };
        let mut result = Vec::with_capacity(between.len() / from.0 * to.0);
        for plane in between.chunks_exact(from.0) {
            result.extend(columns.iter().map(|taps| value(plane, taps)));
        }
        result
    }
}

/// Brings planes of the size `from` to the size `to`, both width and height. The values stand as the engine has them: row by
/// row, and within a row channel by channel. The same size gives the same bits.
///
/// # Panics
/// If `values` are not those of `channels` planes of the size `from`, or if either size has no pixels.
pub fn interpolate(
    values: &[f64],
    channels: usize,
    from: (usize, usize),
    to: (usize, usize),
    how: Interpolation,
) -> Vec<f64> {
    assert_eq!(values.len(), channels * from.0 * from.1, "{channels} planes of {} x {}", from.0, from.1);
    let row = channels * from.0;
    let enlargement = Enlargement::new(from, to, how);
    (0..to.1).flat_map(|y| enlargement.row(y, |y| values[y * row..][..row].to_vec())).collect()
}
