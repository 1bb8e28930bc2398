//! Regions: pictures in which each colour says what belongs together.
//!
//! A picture of regions is drawn beside the photograph, and another beside each painting. What has one
//! colour in both gets its style from there: the sky from the sky. [`Regions`] pairs the colours, and
//! [`Regions::masks`] says how much of each region every site of every layer sees.

mod labels;
mod masks;

pub use masks::{LayerMasks, Mask, Masks, RegionMasks};

use std::fmt;
use std::path::Path;

use self::labels::Labels;
use super::Picture;
use crate::disk::sha256;
use crate::error::{Error, Result};

/// The most regions of a picture. Each costs statistics of its own at every style layer.
pub const MAX_REGIONS: usize = 16;

/// How far two colours may lie apart, as the root of the sum of squares of their differences in steps of 8
/// bits, and still be one. JPEG moves flat colours by less, and colours drawn to be told apart differ by
/// more.
const TOLERANCE: u32 = 40;

/// An 8-bit sRGB colour that stands for a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionColour(pub [u8; 3]);

impl RegionColour {
    /// The square of the distance to another colour.
    fn distance(self, other: Self) -> u32 {
        self.0.iter().zip(other.0).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    }

    /// Whether both stand for the same region.
    fn is_near(self, other: Self) -> bool {
        self.distance(other) <= TOLERANCE * TOLERANCE
    }
}

impl fmt::Display for RegionColour {
    /// As HTML has it: `#rrggbb`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// A picture of regions, and the file it is from.
#[derive(Clone, Copy, Debug)]
pub struct RegionPicture<'a> {
    /// The file's name, for error texts.
    pub path: &'a Path,
    /// What is in it.
    pub picture: &'a Picture,
    /// Width and height of the photograph or painting whose regions it shows, as stored in its file.
    pub beside: (usize, usize),
}

/// The regions of a photograph and of its paintings, paired by their colours.
#[derive(Clone, Debug)]
pub struct Regions {
    /// One per region, the one that covers most of the photograph first.
    colours: Vec<RegionColour>,
    /// The region of every pixel, as an index into `colours`.
    content: Labels,
    styles: Vec<Labels>,
}

impl Regions {
    /// Reads the regions of the photograph and of each painting.
    ///
    /// Colours that lie near each other are one region: JPEG changes flat colours a little. A region is at
    /// least three pixels wide somewhere, and has at least a thousandth of the picture. Colours that are no
    /// region, which JPEG and soft brushes leave along edges, belong to the region whose colour is nearest.
    /// A region is named by its most frequent colour in the photograph's picture.
    ///
    /// # Errors
    /// [`Error::Picture`] if a picture has transparent pixels, another shape than its photograph or painting, more
    /// than [`MAX_REGIONS`] regions, or no flat colours. [`Error::Setting`] if the photograph has a region
    /// that no painting has, or a painting one that the photograph does not have.
    pub fn new(content: RegionPicture, styles: &[RegionPicture]) -> Result<Self> {
        let mut labelled = Labels::of(content)?;
        let others = styles.iter().map(|style| Labels::of(*style)).collect::<Result<Vec<_>>>()?;
        let colours = std::mem::take(&mut labelled.colours);
        let mut missing = Vec::new();
        for (index, colour) in colours.iter().enumerate() {
            if !others.iter().any(|other| other.colours.iter().any(|c| nearest(&colours, *c) == Some(index)))
            {
                missing.push(*colour);
            }
        }
        let names = |paths: &[RegionPicture]| {
            let names: Vec<_> = paths.iter().map(|p| p.path.display().to_string()).collect();
            names.join(" and ")
        };
        if !missing.is_empty() {
            return Err(unpaired(&missing, &content.path.display().to_string(), &names(styles)));
        }
        let mut paired = Vec::new();
        for (mut other, style) in others.into_iter().zip(styles) {
            let own = std::mem::take(&mut other.colours);
            let partners: Vec<_> = own.iter().map(|colour| nearest(&colours, *colour)).collect();
            let alone: Vec<_> =
                own.iter().zip(&partners).filter(|(_, p)| p.is_none()).map(|(colour, _)| *colour).collect();
            if !alone.is_empty() {
                return Err(unpaired(&alone, &style.path.display().to_string(), &names(&[content])));
            }
            other.rename(|label| partners[label as usize].expect("each colour has a partner") as u8);
            paired.push(other);
        }
        Ok(Self { colours, content: labelled, styles: paired })
    }

    /// Upright stripes of equal width for a photograph and `paintings` paintings, to measure what regions
    /// cost.
    pub(crate) fn stripes(count: usize, paintings: usize) -> Self {
        let labels = Labels::stripes(count);
        let colours = (0..count).map(|i| RegionColour([i as u8; 3])).collect();
        Self { colours, content: labels.clone(), styles: vec![labels; paintings] }
    }

    /// How many paintings they are for.
    pub(crate) fn paintings(&self) -> usize {
        self.styles.len()
    }

    /// What tells these regions from others: a SHA-256 in hexadecimal.
    pub(crate) fn digest(&self) -> String {
        let all = || std::iter::once(&self.content).chain(&self.styles);
        let words: Vec<Vec<f32>> = all().map(Labels::words).collect();
        sha256::arrays(words.iter().map(Vec::as_slice))
    }

    /// The photograph's colour of each region, the largest first.
    pub fn colours(&self) -> &[RegionColour] {
        &self.colours
    }
}

/// The one of `colours` that is nearest to `colour`, if it is near at all.
fn nearest(colours: &[RegionColour], colour: RegionColour) -> Option<usize> {
    let near = (0..colours.len()).filter(|i| colours[*i].is_near(colour));
    near.min_by_key(|i| colours[*i].distance(colour))
}

fn unpaired(colours: &[RegionColour], file: &str, others: &str) -> Error {
    let list: Vec<_> = colours.iter().map(ToString::to_string).collect();
    let (regions, have) = if list.len() == 1 { ("region", "has") } else { ("regions", "have") };
    Error::Setting(format!(
        "the {regions} {} of {file} {have} no partner in {others}; paint what belongs together in the same \
         colour in the photograph's and the painting's picture of regions",
        list.join(", ")
    ))
}
