//! Paintings that are smaller than they are needed.

use super::Picture;

impl Picture {
    /// What to say about a painting that is enlarged to serve at the size `(width, height)`: enlarging adds
    /// no strokes, only blur. `None` if it is large enough.
    pub fn enlarging_note(&self, (width, height): (usize, usize)) -> Option<String> {
        if width <= self.width && height <= self.height {
            return None;
        }
        let longest = self.width.max(self.height);
        Some(format!(
            "the painting has {} x {} pixels and is enlarged to {width} x {height}, which blurs its strokes; \
             use a larger file, or --style-size {longest} for smaller strokes",
            self.width, self.height
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_paintings_are_noted() {
        let painting = Picture::new(30, 20, vec![0.5; 1800]);
        for size in [(30, 20), (30, 19), (5, 5)] {
            assert_eq!(painting.enlarging_note(size), None);
        }
        let note = "the painting has 30 x 20 pixels and is enlarged to 45 x 30, which blurs its strokes; \
                    use a larger file, or --style-size 30 for smaller strokes";
        assert_eq!(painting.enlarging_note((45, 30)).unwrap(), note);
        assert!(painting.enlarging_note((20, 21)).is_some());
    }
}
