//! The sites of a map that are looked at: all of them, or a lattice that moves.

use crate::engine::kernel::Value;
use crate::engine::tape::Shape;

/// Sites that are packed one after the other.
pub(super) const BLOCK: usize = 32;

/// Rows and columns of a map at regular distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lattice {
    pub(super) shape: Shape,
    pub(super) rows_apart: usize,
    pub(super) columns_apart: usize,
}

impl Lattice {
    /// The densest with at most `most` sites, about as dense in both directions.
    pub(super) fn new(shape: Shape, most: usize) -> Self {
        let mut lattice = Self { shape, rows_apart: 1, columns_apart: 1 };
        while lattice.places() > most {
            let rows = lattice.rows_apart <= lattice.columns_apart || lattice.columns_apart == shape.width;
            if rows && lattice.rows_apart < shape.height {
                lattice.rows_apart += 1;
            } else {
                lattice.columns_apart += 1;
            }
        }
        lattice
    }

    /// Places of a row of the lattice.
    pub(super) fn across(&self) -> usize {
        self.shape.width.div_ceil(self.columns_apart)
    }

    /// Sites that it has where it begins at the first. At some offsets a row or column less lies on the map.
    pub(super) fn places(&self) -> usize {
        self.shape.height.div_ceil(self.rows_apart) * self.across()
    }

    /// The same, up to whole blocks.
    pub(super) fn slots(&self) -> usize {
        self.places().next_multiple_of(BLOCK)
    }

    /// Offsets that it can have.
    pub(super) fn offsets(&self) -> usize {
        self.rows_apart * self.columns_apart
    }

    /// How far the offset advances from one step to the next. It has no factor in common with the number of
    /// offsets, so that all of them come before one comes again. It is near the golden section of that
    /// number, so that the offsets of a few steps lie far apart.
    pub(super) fn leap(&self) -> usize {
        let count = self.offsets();
        let golden = (0.618 * count as f64).round().max(1.0) as usize;
        (golden..).find(|leap| common_factor(*leap, count) == 1).expect("one more than a multiple has none")
    }

    /// Row and column of the first site, `step` iterations after the first. The shader has the same.
    pub(super) fn begin(&self, step: usize) -> (usize, usize) {
        let count = self.offsets();
        let at = step % count * self.leap() % count;
        (at / self.columns_apart, at % self.columns_apart)
    }

    /// Its parameters in the shaders.
    pub(super) fn params(&self) -> [(&'static str, Value); 6] {
        [
            ("rows_apart", self.rows_apart.into()),
            ("columns_apart", self.columns_apart.into()),
            ("across", self.across().into()),
            ("leap", self.leap().into()),
            ("places", self.places().into()),
            ("slots", self.slots().into()),
        ]
    }
}

fn common_factor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_factor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_maps_are_looked_at_everywhere() {
        for (height, width) in [(1, 1), (64, 64), (4096, 1), (48, 64)] {
            let lattice = Lattice::new(Shape::new(3, height, width), 4096);
            assert_eq!((lattice.places(), lattice.offsets()), (height * width, 1));
        }
    }

    #[test]
    fn large_maps_are_looked_at_densely() {
        for (height, width, apart) in
            [(65, 64, (2, 1)), (192, 256, (4, 4)), (96, 128, (2, 2)), (1, 9000, (1, 3)), (9000, 1, (3, 1))]
        {
            let lattice = Lattice::new(Shape::new(3, height, width), 4096);
            assert_eq!((lattice.rows_apart, lattice.columns_apart), apart, "{height} x {width}");
            assert!(lattice.places() <= 4096 && 2 * lattice.places() > 4096);
        }
    }

    /// Each site comes once before one comes again, and half of them in half of the time.
    #[test]
    fn all_sites_come_equally_often() {
        for (height, width) in [(65, 67), (192, 256), (301, 97), (1, 9001), (500, 333)] {
            let lattice = Lattice::new(Shape::new(1, height, width), 4096);
            let mut seen = vec![0; height * width];
            for step in 7..7 + lattice.offsets() {
                let (top, left) = lattice.begin(step);
                assert!(top < height && left < width);
                for row in (top..height).step_by(lattice.rows_apart) {
                    for column in (left..width).step_by(lattice.columns_apart) {
                        seen[row * width + column] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|times| *times == 1), "{height} x {width}");
            assert_eq!(lattice.begin(0), lattice.begin(lattice.offsets()));
        }
    }
}
