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
    let row = |y| &values[inside(y, height, margin) * channels * width..][..channels * width];
    (0..height + 2 * margin).flat_map(|y| padded_row(row(y), width, margin)).collect()
}

/// What lies at `i`, counted with the margin, of `n` within it.
fn inside(i: usize, n: usize, margin: usize) -> usize {
    i.saturating_sub(margin).min(n - 1)
}

/// A row of `width` values in each channel, with the margin at both ends.
pub(crate) fn padded_row<T: Copy>(row: &[T], width: usize, margin: usize) -> impl Iterator<Item = T> {
    let lines = row.chunks_exact(width);
    lines.flat_map(move |line| (0..width + 2 * margin).map(move |x| line[inside(x, width, margin)]))
}

/// The inverse of [`padded_row`]: `width` is that of a row with its margin.
pub(crate) fn cropped_row<T: Copy>(row: &[T], width: usize, margin: usize) -> impl Iterator<Item = T> {
    row.chunks_exact(width).flat_map(move |line| line[margin..width - margin].iter().copied())
}

/// The inverse of [`padded`]: without the margin, of values that are `width x height` with it.
fn cropped<T: Copy>(values: &[T], channels: usize, (width, height): (usize, usize), margin: usize) -> Vec<T> {
    let row = channels * width;
    let rows = values[margin * row..(height - margin) * row].chunks_exact(row);
    rows.flat_map(|row| cropped_row(row, width, margin)).collect()
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
