//! How much of each region every site of a layer sees.

use super::{RegionColour, Regions};
use crate::picture::padded;

/// Sites that a region must have at a layer, summed over how much of them it covers. A mean and a covariance
/// of fewer say where the sites lie, and not what they look like.
const MIN_SITES: f64 = 4.0;

/// The part of each site of a layer that belongs to a region.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mask {
    /// Columns of the layer.
    pub width: usize,
    /// Rows of the layer.
    pub height: usize,
    /// `height x width`, 0 to 1. The masks of all regions, small ones too, add up to 1.
    pub weights: Vec<f32>,
}

impl Mask {
    /// Sum of all weights: the number of sites that the region has.
    pub fn sites(&self) -> f64 {
        self.weights.iter().map(|v| f64::from(*v)).sum()
    }

    /// The mask after a pooling: the mean of 2 x 2 sites. A last odd row or column is left out, as pooling
    /// does.
    fn pooled(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let site = |i: usize| {
            let at = 2 * (i / width) * self.width + 2 * (i % width);
            let below = at + self.width;
            (self.weights[at] + self.weights[at + 1] + self.weights[below] + self.weights[below + 1]) / 4.0
        };
        Self { width, height, weights: (0..width * height).map(site).collect() }
    }
}

/// One region at one layer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RegionMasks {
    /// Which region it is.
    pub colour: RegionColour,
    /// What belongs to it in the photograph.
    pub content: Mask,
    /// The same in each painting. `None` where a painting does not have the region, or too little of it; at
    /// least one is there.
    pub styles: Vec<Option<Mask>>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerMasks {
    /// The name it was asked for by.
    pub layer: String,
    /// The regions that are large enough there, the largest first.
    pub regions: Vec<RegionMasks>,
}

/// The masks of all layers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Masks {
    /// In the order in which they were asked for.
    pub layers: Vec<LayerMasks>,
    /// What was left out, in sentences.
    pub notes: Vec<String>,
}

impl Regions {
    /// The masks for a photograph of the size `content` and for paintings of the sizes `styles`, width and
    /// height. Each of `layers` has a name, which is for the notes, and the number of poolings before it.
    ///
    /// A region with fewer than 4 sites of the photograph or of all paintings at a layer is left
    /// out there, with a note. So is a painting that has fewer of them.
    ///
    /// # Panics
    /// If there is not one size for each painting.
    pub fn masks(
        &self,
        content: (usize, usize),
        styles: &[(usize, usize)],
        layers: &[(&str, usize)],
    ) -> Masks {
        self.masks_with_margin(content, 0, styles, layers)
    }

    /// The same, where the photograph has a margin that repeats its edge and is not counted in its size.
    pub(crate) fn masks_with_margin(
        &self,
        content: (usize, usize),
        margin: usize,
        styles: &[(usize, usize)],
        layers: &[(&str, usize)],
    ) -> Masks {
        assert_eq!(styles.len(), self.styles.len(), "one size for each painting");
        let deepest = layers.iter().map(|(_, poolings)| *poolings).max().unwrap_or(0);
        let labels = padded(&self.content.sampled(content), 1, content, margin);
        let outer = (content.0 + 2 * margin, content.1 + 2 * margin);
        let painted: Vec<_> =
            self.styles.iter().zip(styles).map(|(style, size)| (style.sampled(*size), *size)).collect();
        let mut masks = Masks { layers: Vec::new(), notes: Vec::new() };
        masks
            .layers
            .extend(layers.iter().map(|(name, _)| LayerMasks { layer: (*name).into(), regions: vec![] }));
        for (region, colour) in self.colours.iter().enumerate() {
            let levels = pyramid(&labels, outer, region, deepest);
            let style_levels: Vec<_> =
                painted.iter().map(|(labels, size)| pyramid(labels, *size, region, deepest)).collect();
            let (mut small, mut small_painted) = (Vec::new(), Vec::new());
            for (layer, (name, poolings)) in masks.layers.iter_mut().zip(layers) {
                let large = |levels: &Vec<Mask>| {
                    Some(&levels[*poolings]).filter(|mask| mask.sites() >= MIN_SITES).cloned()
                };
                let styles: Vec<_> = style_levels.iter().map(large).collect();
                match large(&levels) {
                    None => small.push(*name),
                    Some(_) if styles.iter().all(Option::is_none) => small_painted.push(*name),
                    Some(content) => layer.regions.push(RegionMasks { colour: *colour, content, styles }),
                }
            }
            for (names, whose) in [(small, "photograph"), (small_painted, "painting")] {
                if !names.is_empty() {
                    let (width, height) = content;
                    masks.notes.push(format!(
                        "the {whose}'s region {colour} is too small for {} at {width} x {height} pixels, so it gets \
                         no style there",
                        names.join(", ")
                    ));
                }
            }
        }
        masks
    }
}

/// The mask of one region at the picture's own size, and after each pooling.
fn pyramid(labels: &[u8], (width, height): (usize, usize), region: usize, poolings: usize) -> Vec<Mask> {
    let weights = labels.iter().map(|label| if usize::from(*label) == region { 1.0 } else { 0.0 }).collect();
    let mut levels = vec![Mask { width, height, weights }];
    for level in 0..poolings {
        levels.push(levels[level].pooled());
    }
    levels
}
