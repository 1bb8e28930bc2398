//! A margin around a picture: rows and columns that repeat its edge, and are taken off again.

use super::Picture;

/// Values with `margin` more rows and columns on each side, which repeat the outermost ones. The values stand
/// row by row, and within a row channel by channel.
pub(crate) fn padded<T: Copy>(
    values: &[T],
    channels: usize,
    (width, height): (usize, usize),
    margin: usize,
) -> Vec<T> {
    let inside = |i: usize, n: usize| i.saturating_sub(margin).min(n - 1);
    let row = |y: usize, c: usize| {
        let start = (inside(y, height) * channels + c) * width;
        (0..width + 2 * margin).map(move |x| values[start + inside(x, width)])
    };
    let rows = (0..height + 2 * margin).flat_map(|y| (0..channels).map(move |c| (y, c)));
    rows.flat_map(|(y, c)| row(y, c)).collect()
}

/// The inverse of [`padded`]: without the margin, of values that are `width x height` with it.
pub(crate) fn cropped<T: Copy>(
    values: &[T],
    channels: usize,
    (width, height): (usize, usize),
    margin: usize,
) -> Vec<T> {
    let rows = (margin..height - margin).flat_map(|y| (0..channels).map(move |c| (y, c)));
    let row = |(y, c): (usize, usize)| {
        let start = (y * channels + c) * width;
        values[start + margin..start + width - margin].iter().copied()
    };
    rows.flat_map(row).collect()
}

impl Picture {
    /// The picture with `margin` pixels more on each side, which repeat the edge. Only its colours are kept.
    pub(crate) fn with_margin(&self, margin: usize) -> Self {
        self.by_planes(|plane| padded(plane, 1, (self.width, self.height), margin), |n| n + 2 * margin)
    }

    /// The picture without `margin` pixels on each side.
    pub(crate) fn without_margin(&self, margin: usize) -> Self {
        self.by_planes(|plane| cropped(plane, 1, (self.width, self.height), margin), |n| n - 2 * margin)
    }

    fn by_planes(&self, change: impl Fn(&[f32]) -> Vec<f32>, side: impl Fn(usize) -> usize) -> Self {
        let planes = self.rgb.chunks_exact(self.width * self.height);
        Self::new(side(self.width), side(self.height), planes.flat_map(change).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_repeat_the_edge_and_are_taken_off() {
        // Two rows of two channels of three values.
        let values: Vec<i32> = (0..12).collect();
        let with = padded(&values, 2, (3, 2), 2);
        assert_eq!(with.len(), 2 * 7 * 6);
        let row = |y: usize, c: usize| &with[(y * 2 + c) * 7..][..7];
        assert_eq!(row(0, 0), [0, 0, 0, 1, 2, 2, 2]);
        assert_eq!((row(2, 0), row(5, 1)), (row(0, 0), row(3, 1)));
        assert_eq!(row(3, 1), [9, 9, 9, 10, 11, 11, 11]);
        assert_eq!(cropped(&with, 2, (7, 6), 2), values);
    }

    #[test]
    fn pictures_have_margins() {
        let picture = Picture::noise(5, 4, 1);
        let with = picture.with_margin(3);
        assert_eq!((with.width, with.height), (11, 10));
        assert_eq!((with.rgb[0], with.rgb[3 * 11 + 3]), (picture.rgb[0], picture.rgb[0]));
        assert_eq!(with.without_margin(3).rgb, picture.rgb);
    }
}
