//! A picture's palette, and how one picture gets the palette of another.
//!
//! A palette is the Gaussian that has the mean and the covariance of a picture's colours. The optimal
//! transport from one Gaussian to another is linear (Olkin and Pukelsheim 1982; for colours, Pitié and
//! Kokaram 2007). With `P` and `Q` for the covariances of the picture and of the painting it is
//!
//! ```text
//! T = P^(-1/2) (P^(1/2) Q P^(1/2))^(1/2) P^(-1/2)        colour -> mean_q + T (colour - mean_p)
//! ```
//!
//! Of all maps that bring the one palette to the other it moves the colours the least.

use nalgebra::{Matrix3, SymmetricEigen, Vector3};

use super::Picture;

/// Added to the variances, in squares of the range of a colour. Its root is less than one step of 8 bits, so
/// that it changes no picture visibly. It lets the covariance of a picture of one colour have an inverse.
const LEAST_VARIANCE: f64 = 1e-5;

/// Mean and covariance of a picture's sRGB-encoded colours.
struct Palette {
    mean: Vector3<f64>,
    covariance: Matrix3<f64>,
}

impl Palette {
    /// The palette of one picture. Its pixels count as far as they can be seen.
    fn of(picture: &Picture) -> Self {
        let visible = |i: usize| picture.alpha.as_ref().map_or(1.0, |alpha| f64::from(alpha[i]));
        let (mut sum, mut mean) = (0.0, Vector3::zeros());
        for (i, colour) in colours(picture).enumerate() {
            sum += visible(i);
            mean += colour * visible(i);
        }
        mean /= sum;
        // The second pass avoids the difference of two large numbers.
        let mut covariance = Matrix3::zeros();
        for (i, colour) in colours(picture).enumerate() {
            let difference = colour - mean;
            covariance += difference * difference.transpose() * visible(i);
        }
        Self { mean, covariance: covariance / sum }
    }

    /// The palette of several pictures together, each with its weight.
    fn of_all(pictures: &[(&Picture, f64)]) -> Self {
        let sum: f64 = pictures.iter().map(|(_, weight)| weight).sum();
        let parts: Vec<_> = pictures.iter().map(|(p, weight)| (Self::of(p), weight / sum)).collect();
        let mean: Vector3<f64> = parts.iter().map(|(part, share)| part.mean * *share).sum();
        let spread = |(part, share): &(Self, f64)| {
            let difference = part.mean - mean;
            (part.covariance + difference * difference.transpose()) * *share
        };
        Self { mean, covariance: parts.iter().map(spread).sum() }
    }

    /// The matrix of the optimal transport to another palette.
    fn transport(&self, to: &Self) -> Matrix3<f64> {
        let floor = Matrix3::identity() * LEAST_VARIANCE;
        let (from, to) = (self.covariance + floor, to.covariance + floor);
        let (root, inverse) = (power(from, 0.5), power(from, -0.5));
        inverse * power(root * to * root, 0.5) * inverse
    }
}

/// A symmetric positive matrix raised to a power.
fn power(matrix: Matrix3<f64>, exponent: f64) -> Matrix3<f64> {
    // The product of three matrices is symmetric up to rounding only.
    let SymmetricEigen { eigenvalues, eigenvectors } =
        ((matrix + matrix.transpose()) / 2.0).symmetric_eigen();
    // Rounding can make an eigenvalue negative that should be 1e-10 at least.
    let powers = eigenvalues.map(|value| value.max(LEAST_VARIANCE * LEAST_VARIANCE).powf(exponent));
    eigenvectors * Matrix3::from_diagonal(&powers) * eigenvectors.transpose()
}

/// The colours of a picture, pixel by pixel.
fn colours(picture: &Picture) -> impl Iterator<Item = Vector3<f64>> {
    let pixels = picture.width * picture.height;
    let at = move |plane: usize, i: usize| f64::from(picture.rgb[plane * pixels + i]);
    (0..pixels).map(move |i| Vector3::new(at(0, i), at(1, i), at(2, i)))
}

impl Picture {
    /// The same pixels with the palette of `paintings`, each of which has a weight in it.
    ///
    /// `strength` is the share of the way that each colour goes: 0 leaves the picture unchanged, and with 1
    /// its colours get the paintings' mean and covariance. What would leave the range 0 to 1 is clamped to
    /// it. Pixels count as far as they are visible.
    ///
    /// # Panics
    /// If there is no painting with a weight above 0.
    pub fn with_colours_of(&self, paintings: &[(&Self, f64)], strength: f64) -> Self {
        assert!(
            paintings.iter().map(|(_, weight)| weight).sum::<f64>() > 0.0,
            "a painting with a weight above 0"
        );
        let (own, wanted) = (Palette::of(self), Palette::of_all(paintings));
        let transport = own.transport(&wanted);
        let pixels = self.width * self.height;
        let mut rgb = vec![0.0; 3 * pixels];
        for (i, colour) in colours(self).enumerate() {
            let moved = wanted.mean + transport * (colour - own.mean);
            let part = colour + (moved - colour) * strength;
            (0..3).for_each(|plane| rgb[plane * pixels + i] = part[plane].clamp(0.0, 1.0) as f32);
        }
        Self { alpha: self.alpha.clone(), ..Self::new(self.width, self.height, rgb) }
    }
}
