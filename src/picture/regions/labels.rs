//! From a picture to the region of each of its pixels.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{MAX_REGIONS, RegionColour, RegionPicture};
use crate::error::{Error, Result};
use crate::picture::Picture;

/// A region has at least one flat pixel in this number of pixels.
const PIXELS_PER_REGION: usize = 1000;

/// At most one pixel in this number has a colour that is near no region. Photographs and gradients have
/// more.
const PIXELS_PER_BLEND: usize = 10;

/// The region of every pixel of a picture.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub width: usize,
    pub height: usize,
    /// The most frequent colour of each region, the largest region first.
    pub colours: Vec<RegionColour>,
    /// The region of each pixel, row by row.
    labels: Vec<u8>,
}

impl Labels {
    /// # Errors
    /// As [`super::Regions::new`], for one picture.
    pub fn of(RegionPicture { path, picture, beside }: RegionPicture) -> Result<Self> {
        let refuse = |why: String| Err(Error::picture(path, why));
        if picture.alpha.is_some() {
            return refuse("as a picture of regions it must be opaque; fill its transparent parts".into());
        }
        let (width, height) = (picture.width, picture.height);
        if !same_shape((width, height), beside) {
            let (w, h) = beside;
            return refuse(format!(
                "it has {width} x {height} pixels, but the picture that it divides into regions has another shape, \
                 {w} x {h}; draw it on a copy of that picture"
            ));
        }
        let pixels: Vec<_> = colours(picture).collect();
        let regions = group(&pixels, width);
        let blends =
            pixels.iter().filter(|colour| !regions.iter().any(|region| region.is_near(**colour))).count();
        if regions.is_empty() || blends * PIXELS_PER_BLEND > pixels.len() {
            return refuse(
                "it has no flat colours, which a picture of regions needs; fill each region with one colour, \
                 without shading"
                    .into(),
            );
        }
        if regions.len() > MAX_REGIONS {
            return refuse(format!(
                "it has {} regions, and the most is {MAX_REGIONS}; use fewer colours",
                regions.len()
            ));
        }
        let mut known = HashMap::new();
        let nearest = |colour: RegionColour| {
            let nearest = (0..regions.len()).min_by_key(|i| regions[*i].distance(colour));
            nearest.expect("there is a region") as u8
        };
        let labels = pixels.iter().map(|c| *known.entry(*c).or_insert_with(|| nearest(*c))).collect();
        Ok(Self { width, height, colours: regions, labels })
    }

    /// One pixel of each label, side by side.
    pub fn stripes(count: usize) -> Self {
        Self { width: count, height: 1, colours: Vec::new(), labels: (0..count).map(|i| i as u8).collect() }
    }

    /// Sides and labels, for digests.
    pub fn words(&self) -> Vec<f32> {
        let sides = [self.width, self.height].map(|side| f32::from_bits(side as u32));
        sides.into_iter().chain(self.labels.iter().map(|label| f32::from(*label))).collect()
    }

    /// Gives every label another name.
    pub fn rename(&mut self, name: impl Fn(u8) -> u8) {
        self.labels.iter_mut().for_each(|label| *label = name(*label));
    }

    /// The labels of a picture of `width x height`: that of the nearest pixel, for between two labels there
    /// is none.
    pub fn sampled(&self, (width, height): (usize, usize)) -> Vec<u8> {
        // The middle of a pixel, in pixels of the other size.
        let origin = |i: usize, from: usize, to: usize| (2 * i + 1) * from / (2 * to);
        let row = |y: usize| {
            let start = origin(y, self.height, height) * self.width;
            (0..width).map(move |x| self.labels[start + origin(x, self.width, width)])
        };
        (0..height).flat_map(row).collect()
    }
}

/// The colours of the regions of a picture, the largest region first.
///
/// Only flat pixels count, those that have no other colour around them: along edges, JPEG and soft brushes
/// leave colours that belong to nothing. The most frequent colour is a region, and takes in all colours that
/// are near it. Of what is left, the most frequent colour is the next.
fn group(pixels: &[RegionColour], width: usize) -> Vec<RegionColour> {
    let mut counts = HashMap::new();
    let flat = pixels.iter().enumerate().filter(|(i, _)| is_flat(pixels, width, *i));
    flat.for_each(|(_, colour)| *counts.entry(*colour).or_insert(0) += 1);
    let mut counts: Vec<(RegionColour, usize)> = counts.into_iter().collect();
    // The colour itself decides between equal counts, for a map has no order.
    counts.sort_by_key(|(colour, count)| (Reverse(*count), *colour));
    let mut regions: Vec<(RegionColour, usize)> = Vec::new();
    for (colour, count) in counts {
        match regions.iter_mut().find(|(region, _)| region.is_near(colour)) {
            Some((_, sum)) => *sum += count,
            None => regions.push((colour, count)),
        }
    }
    regions.retain(|(_, sum)| sum * PIXELS_PER_REGION >= pixels.len());
    regions.sort_by_key(|(colour, sum)| (Reverse(*sum), *colour));
    regions.into_iter().map(|(colour, _)| colour).collect()
}

/// Whether the pixels around one, as far as the picture goes, have colours near to its own.
fn is_flat(pixels: &[RegionColour], width: usize, i: usize) -> bool {
    let (x, y, height) = (i % width, i / width, pixels.len() / width);
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    let mut around = rows.flat_map(|y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x));
    around.all(|j| pixels[j].is_near(pixels[i]))
}

/// The colours of a picture in 8 bits, pixel by pixel.
fn colours(picture: &Picture) -> impl Iterator<Item = RegionColour> {
    let pixels = picture.width * picture.height;
    let at = move |plane: usize, i: usize| (picture.rgb[plane * pixels + i] * 255.0).round() as u8;
    (0..pixels).map(move |i| RegionColour([at(0, i), at(1, i), at(2, i)]))
}

/// Whether two sizes have the same aspect ratio, but for the rounding of the smaller one to whole pixels.
fn same_shape(a: (usize, usize), b: (usize, usize)) -> bool {
    // One side may be off by a pixel in either size.
    (a.0 * b.1).abs_diff(b.0 * a.1) <= a.0.max(a.1).max(b.0).max(b.1)
}
