//! A page of pictures with a line of text below each.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_8X13;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Point, Size as Extent};
use embedded_graphics::text::{Baseline, Text};
use impasto::picture::{Picture, Size, contact_sheet};

/// Width and height of a letter.
const LETTER: (usize, usize) = (8, 13);
/// White pixels between cells, at letters of their own size.
const GAP: usize = 12;
/// Gray of the letters.
const INK: f32 = 0.1;
/// Up to this width of a cell, letters have their own size. In wider cells they are enlarged with the cell.
const SMALL: usize = 320;
/// The ratio of width to height that a page should have.
const ASPECT: f64 = 1.5;

/// The pictures in rows, in their order, each with its text below it. All cells have the size of the largest
/// picture; smaller ones are placed at the bottom of theirs. A text that is too long for its cell ends in two
/// dots.
///
/// # Panics
/// If there is no picture.
pub fn sheet(cells: &[(String, Picture)]) -> Picture {
    let side = |of: fn(&Picture) -> usize| cells.iter().map(|(_, p)| of(p)).max().expect("at least one cell");
    let (width, height) = (side(|p| p.width), side(|p| p.height));
    let zoom = width.div_ceil(SMALL);
    let (gap, text) = (GAP * zoom, (LETTER.1 + 6) * zoom);
    let columns = columns(cells.len(), width + gap, height + text + gap);
    let rows = cells.len().div_ceil(columns);
    let mut page = Page::new(gap + columns * (width + gap), gap + rows * (height + text + gap));
    for (index, (label, picture)) in cells.iter().enumerate() {
        let left = gap + index % columns * (width + gap);
        let top = gap + index / columns * (height + text + gap);
        page.paste(picture, left, top + height - picture.height);
        page.write(&shortened(label, width / (LETTER.0 * zoom)), left, top + height + 4 * zoom, zoom);
    }
    Picture::new(page.width, page.height, page.rgb)
}

/// The number of columns for `count` cells that comes closest to the page's ratio without leaving a row
/// empty.
fn columns(count: usize, width: usize, height: usize) -> usize {
    let off = |columns: &usize| {
        let page = (columns * width) as f64 / (count.div_ceil(*columns) * height) as f64;
        // An empty place costs a little, so that 6 cells are arranged as 3 and 3 rather than 4 and 2.
        let empty = count.div_ceil(*columns) * columns - count;
        ((page / ASPECT).ln().abs() + 0.25 * empty as f64, *columns)
    };
    (1..=count).min_by(|a, b| off(a).partial_cmp(&off(b)).expect("finite numbers")).unwrap_or(1)
}

fn shortened(text: &str, letters: usize) -> String {
    match text.chars().count() <= letters {
        true => text.to_owned(),
        false => text.chars().take(letters.saturating_sub(2)).chain("..".chars()).collect(),
    }
}

struct Page {
    width: usize,
    height: usize,
    rgb: Vec<f32>,
}

impl Page {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, rgb: vec![1.0; 3 * width * height] }
    }

    fn paste(&mut self, picture: &Picture, left: usize, top: usize) {
        // A sheet of one picture without a gap is that picture on white.
        let opaque = contact_sheet(&[picture], 0);
        for (i, line) in opaque.rgb.chunks_exact(opaque.width).enumerate() {
            let (plane, y) = (i / opaque.height, i % opaque.height);
            let start = (plane * self.height + top + y) * self.width + left;
            self.rgb[start..start + line.len()].copy_from_slice(line);
        }
    }

    fn write(&mut self, text: &str, left: usize, top: usize, zoom: usize) {
        let style = MonoTextStyle::new(&FONT_8X13, BinaryColor::On);
        let mut ink = Ink { page: self, left, top, zoom };
        let Ok(_) = Text::with_baseline(text, Point::zero(), style, Baseline::Top).draw(&mut ink);
    }
}

/// Draws letters onto a page, enlarged by `zoom`.
struct Ink<'a> {
    page: &'a mut Page,
    left: usize,
    top: usize,
    zoom: usize,
}

impl OriginDimensions for Ink<'_> {
    fn size(&self) -> Extent {
        let extent = |pixels: usize| (pixels / self.zoom) as u32;
        Extent::new(extent(self.page.width - self.left), extent(self.page.height - self.top))
    }
}

impl DrawTarget for Ink<'_> {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let Self { page, left, top, zoom } = self;
        for Pixel(point, _) in pixels.into_iter().filter(|Pixel(_, colour)| colour.is_on()) {
            let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y)) else { continue };
            for (dx, dy) in (0..*zoom).flat_map(|dx| (0..*zoom).map(move |dy| (dx, dy))) {
                let (x, y) = (*left + x * *zoom + dx, *top + y * *zoom + dy);
                if x < page.width && y < page.height {
                    (0..3).for_each(|c| page.rgb[(c * page.height + y) * page.width + x] = INK);
                }
            }
        }
        Ok(())
    }
}

/// The picture scaled to fit into `width x height`, with its proportions.
pub fn fitted(picture: &Picture, width: usize, height: usize) -> Picture {
    let scale = (width as f64 / picture.width as f64).min(height as f64 / picture.height as f64);
    let side = |pixels: usize| ((pixels as f64 * scale).round() as usize).max(1);
    picture.resized(Size::Exact { width: side(picture.width), height: side(picture.height) }, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_nearly_of_their_aspect() {
        for (count, width, height, expected) in
            [(1, 100, 100, 1), (6, 204, 167, 3), (7, 204, 167, 3), (4, 200, 200, 2), (3, 400, 100, 1)]
        {
            assert_eq!(columns(count, width, height), expected, "{count} cells of {width} x {height}");
        }
    }

    #[test]
    fn every_cell_has_its_picture_and_its_text() {
        let gray = |v: f32, w: usize, h: usize| Picture::new(w, h, vec![v; 3 * w * h]);
        let cells =
            [("one".to_owned(), gray(0.25, 40, 30)), ("a far too long text".to_owned(), gray(0.5, 20, 30))];
        let page = sheet(&cells);
        assert_eq!((page.width, page.height), (2 * (40 + GAP) + GAP, 30 + 19 + 2 * GAP));
        let count = |v: f32| page.rgb.iter().filter(|p| **p == v).count();
        assert_eq!((count(0.25), count(0.5)), (3 * 40 * 30, 3 * 20 * 30));
        assert!(count(INK) > 3 * 20);
        // No letter reaches into the other cell.
        let row = |y: usize| &page.rgb[y * page.width..][..page.width];
        for y in 0..page.height {
            assert!(row(y)[GAP + 40..2 * GAP + 40].iter().all(|v| *v == 1.0), "row {y}");
        }
        assert_eq!(shortened("a far too long text", 5), "a f..");
    }

    #[test]
    fn fitted_pictures_keep_their_proportions() {
        let picture = Picture::new(40, 20, vec![0.0; 3 * 800]);
        for (width, height, expected) in [(20, 20, (20, 10)), (80, 20, (40, 20)), (4, 1, (2, 1))] {
            let small = fitted(&picture, width, height);
            assert_eq!((small.width, small.height), expected);
        }
    }
}
