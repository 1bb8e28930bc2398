//! The variable that the optimiser moves, and the picture that it stands for.

use crate::engine::tape::Shape;
use crate::ops::affine::Affine;
use crate::painting::choices::Recipe;
use crate::picture::Picture;

/// Mean and standard deviation of ImageNet's pixels (Russakovsky et al. 2015), as torchvision and the book
/// have them.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// How a picture becomes the variable. Step size and total variation are measured in the variable's units,
/// whatever the network's own input convention is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Variable {
    mean: [f64; 3],
    std: [f64; 3],
}

impl Variable {
    /// The variable of a recipe: the picture itself, or `(rgb - mean) / std` of ImageNet.
    pub(crate) fn of(recipe: Recipe) -> Self {
        match recipe {
            Recipe::Book => Self { mean: IMAGENET_MEAN, std: IMAGENET_STD },
            Recipe::Painterly => Self { mean: [0.0; 3], std: [1.0; 3] },
        }
    }

    /// From the variable to red, green and blue in 0..1.
    pub(crate) fn to_rgb(self) -> Affine {
        Affine::denormalize(self.mean, self.std)
    }

    /// A row of the variable of a picture: its red, then its green, then its blue values.
    pub(crate) fn encode_row(self, picture: &Picture, y: usize) -> Vec<f64> {
        let normalize = Affine::normalize(self.mean, self.std);
        let (width, plane) = (picture.width, picture.width * picture.height);
        let channel = |c: usize| picture.rgb[c * plane + y * width..][..width].iter().map(move |v| (c, *v));
        (0..3).flat_map(channel).map(|(c, v)| normalize.apply(c, f64::from(v))).collect()
    }

    /// The variable of a picture: from planes of 0..1 to `height x 3 x width`.
    pub(crate) fn encode(self, picture: &Picture) -> Vec<f64> {
        (0..picture.height).flat_map(|y| self.encode_row(picture, y)).collect()
    }

    /// The inverse of [`Self::encode`], from rows as [`Self::encode_row`] gives them, clamped to what a picture can
    /// show.
    pub(crate) fn decode(self, shape: Shape, mut row: impl FnMut(usize) -> Vec<f64>) -> Picture {
        let to_rgb = self.to_rgb();
        let (width, plane) = (shape.width, shape.pixels());
        let mut rgb = vec![0.0; 3 * plane];
        for y in 0..shape.height {
            for (c, line) in row(y).chunks_exact(width).enumerate() {
                let out = &mut rgb[c * plane + y * width..][..width];
                out.iter_mut().zip(line).for_each(|(o, v)| *o = to_rgb.apply(c, *v).clamp(0.0, 1.0) as f32);
            }
        }
        Picture::new(width, shape.height, rgb)
    }
}
