//! Sizes as users write them, and resizing pictures to them.

use std::fmt;
use std::str::FromStr;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::Picture;
use crate::error::Error;

/// The longest side that can be asked for. Whether an adapter can handle it is another question.
const MAX_SIDE: usize = 65536;

/// The size that a picture is to have, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Size {
    /// The longer side gets this length, and the aspect ratio is kept.
    Longest(usize),
    /// Exactly this size, whatever the aspect ratio was.
    Exact {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
}

impl Size {
    /// The width and height that a picture of `width x height` gets, rounded to nearest and at least 1.
    ///
    /// [`Size::Longest`] enlarges nothing unless `enlarge` is set.
    pub fn of(self, width: usize, height: usize, enlarge: bool) -> (usize, usize) {
        match self {
            Self::Exact { width, height } => (width.max(1), height.max(1)),
            Self::Longest(side) => {
                let longest = width.max(height);
                if side == longest || (side > longest && !enlarge) {
                    return (width, height);
                }
                let scale = |n: usize| ((n * side + longest / 2) / longest).max(1);
                (scale(width), scale(height))
            }
        }
    }
}

impl FromStr for Size {
    type Err = Error;

    /// `512` is the longest side, `450x300` (or `450X300`, `450×300`) an exact width and height.
    fn from_str(text: &str) -> Result<Self, Error> {
        let side = |s: &str| match s.parse() {
            // `parse` would accept a leading plus sign.
            _ if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) => Err("is not a size in pixels"),
            Ok(0) => Err("has no pixels"),
            Ok(side @ 1..=MAX_SIDE) => Ok(side),
            _ => Err("is larger than 65536 pixels a side"),
        };
        let size = match text.trim().split_once(['x', 'X', '×']) {
            None => side(text.trim()).map(Self::Longest),
            Some((w, h)) => side(w).and_then(|width| side(h).map(|height| Self::Exact { width, height })),
        };
        size.map_err(|why| {
            Error::Setting(format!(
                "size `{text}` {why}; write 512 for the longest side or 450x300 for an exact width and height"
            ))
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Longest(side) => write!(f, "{side}"),
            Self::Exact { width, height } => write!(f, "{width}x{height}"),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl TryFrom<String> for Size {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// How pixels are weighted when a picture gets another size. Each filter widens with the reduction, so that
/// nothing is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle, which is smooth.
    Bilinear,
    /// Cubic convolution with Keys' `a = -0.5` (1981). It keeps more of the finest detail, on which the look
    /// of strokes depends.
    Bicubic,
}

impl Filter {
    fn kind(self) -> FilterType {
        match self {
            Self::Bilinear => FilterType::Bilinear,
            Self::Bicubic => FilterType::CatmullRom,
        }
    }
}

impl Picture {
    /// The picture resized to `size` as [`Size::of`] says, by the bilinear filter; see [`Self::resampled`].
    pub fn resized(&self, size: Size, enlarge: bool) -> Self {
        self.resampled(size, enlarge, Filter::Bilinear)
    }

    /// The picture resized to `size` as [`Size::of`] says. It keeps its bits if it has that size already.
    ///
    /// Resampling works in float on the sRGB-encoded values. This is the arithmetic of Pillow and
    /// torchvision, with which the recipes that this program reproduces were tuned. Linear light would darken
    /// or lighten fine detail differently from that reference. Colours are weighted by alpha, so that
    /// transparent pixels do not bleed into visible ones.
    pub fn resampled(&self, size: Size, enlarge: bool, filter: Filter) -> Self {
        let (width, height) = size.of(self.width, self.height, enlarge);
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let mut resizer = Resizer::new();
        let mut plane = |values: &[f32]| {
            resample(&mut resizer, values, (self.width, self.height), (width, height), filter)
        };
        let planes = self.rgb.chunks_exact(self.width * self.height);
        let resized = |rgb: Vec<f32>, alpha| Self {
            width,
            height,
            rgb: rgb.into(),
            alpha,
            exif: self.exif.clone(),
            source: self.source.clone(),
            notes: self.notes.clone(),
        };
        let Some(alpha) = &self.alpha else {
            return resized(planes.flat_map(plane).collect(), None);
        };
        let small = plane(alpha);
        let mut rgb = Vec::with_capacity(3 * width * height);
        for values in planes {
            let weighted: Vec<_> = values.iter().zip(alpha).map(|(v, a)| v * a).collect();
            let (seen, all) = (plane(&weighted), plane(values));
            // Where nothing is visible, the colour is what `Picture` promises for hidden pixels, blended with
            // its surroundings. It has no effect there.
            let colour =
                |i: usize| if small[i] > 1e-4 { (seen[i] / small[i]).clamp(0.0, 1.0) } else { all[i] };
            rgb.extend((0..width * height).map(colour));
        }
        resized(rgb, Some(small))
    }
}

/// Resamples one plane from size `from` to size `to`, each a width and a height.
fn resample(
    resizer: &mut Resizer,
    values: &[f32],
    from: (usize, usize),
    to: (usize, usize),
    filter: Filter,
) -> Vec<f32> {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter.kind()));
    let mut resized = vec![0.0f32; to.0 * to.1];
    // Not `Image`, whose kind of pixel is known only when it runs: that compiles the filters of all kinds, as much code
    // as the rest of this crate.
    let bytes = bytemuck::cast_slice(values);
    let source = TypedImageRef::<F32>::from_buffer(from.0 as u32, from.1 as u32, bytes)
        .expect("a plane is width x height floats");
    let bytes = bytemuck::cast_slice_mut(&mut resized);
    let mut target = TypedImage::<F32>::from_buffer(to.0 as u32, to.1 as u32, bytes)
        .expect("a plane is width x height floats");
    resizer.resize_typed(&source, &mut target, &options).expect("the filter's window lies in the plane");
    // The negative lobes of a filter overshoot beside edges.
    if filter != Filter::Bilinear {
        resized.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    }
    resized
}

/// Width and height of the [`contact_sheet`] of pictures with these widths and heights.
pub fn contact_sheet_size(pictures: &[(usize, usize)], gap: usize) -> (usize, usize) {
    let row = pictures.iter().map(|(_, height)| *height).min().unwrap_or(1);
    let widths = pictures.iter().map(|size| width_at(row, *size) + gap);
    ((gap + widths.sum::<usize>()).max(1), row + 2 * gap)
}

/// The width of a picture of this size when it is resized to `row` rows.
fn width_at(row: usize, (width, height): (usize, usize)) -> usize {
    ((width * row + height / 2) / height).max(1)
}

/// Pictures side by side on a white ground, `gap` pixels apart and from the edges.
///
/// All get the height of the lowest one, so that none is enlarged. Without pictures the sheet is an empty
/// ground.
pub fn contact_sheet(pictures: &[&Picture], gap: usize) -> Picture {
    let sizes: Vec<_> = pictures.iter().map(|p| (p.width, p.height)).collect();
    let (width, height) = contact_sheet_size(&sizes, gap);
    let row = height - 2 * gap;
    let scaled = |p: &&Picture| {
        p.resized(Size::Exact { width: width_at(row, (p.width, p.height)), height: row }, false)
    };
    let pictures: Vec<_> = pictures.iter().map(scaled).collect();
    let mut rgb = vec![1.0; 3 * width * height];
    let mut left = gap;
    for picture in &pictures {
        // Rows of all three planes, one below the other.
        for (i, line) in picture.on_white().chunks_exact(picture.width).enumerate() {
            let (plane, y) = (i / row, i % row);
            let start = (plane * height + gap + y) * width + left;
            rgb[start..start + line.len()].copy_from_slice(line);
        }
        left += picture.width + gap;
    }
    Picture::new(width, height, rgb)
}
