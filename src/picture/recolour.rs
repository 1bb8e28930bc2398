//! The result of a run in the colours of its photograph.

use super::guided::guided;
use super::oklab::Oklab;
use super::{Picture, Size};

/// Longest sides per pixel of the windows' radius: 6 pixels at 512. It was chosen by eye, among 32 to 128.
/// Larger windows wash out small things, such as a bridge's deck, and smaller ones leave halos where an edge
/// has moved by half a radius.
const SIDES_PER_RADIUS: usize = 80;

/// The penalty on slopes: what varies by less than its root, 3 % of the range of lightness, counts as flat.
/// Between 1e-2 and 1e-4 pictures hardly differ.
const PENALTY: f64 = 1e-3;

impl Picture {
    /// The same picture in the colours of `photograph`, which is brought to its size: lightness is this
    /// picture's, and red, green, yellow and blue are the photograph's, both in OKLab.
    ///
    /// The photograph's colours are first smoothed along this picture's edges by a guided filter, so that a
    /// colour ends where the painted thing ends, and not where it did in the photograph. A colour that is
    /// too strong for its new lightness is made grayer. The time does not depend on what the picture shows,
    /// and the memory is that of ten planes.
    pub fn recoloured(&self, photograph: &Self) -> Self {
        let extent = (self.width, self.height);
        let photograph = photograph.resized(Size::Exact { width: self.width, height: self.height }, true);
        let lightness: Vec<f32> = labs(self).map(|lab| lab.l as f32).collect();
        let colours: Vec<_> = labs(&photograph).map(|lab| [lab.a as f32, lab.b as f32]).collect();
        drop(photograph);
        let longest = self.width.max(self.height);
        let radius = ((longest + SIDES_PER_RADIUS / 2) / SIDES_PER_RADIUS).max(1);
        let colours = guided(&lightness, &colours, extent, radius, PENALTY);
        let pixels = self.width * self.height;
        let mut rgb = vec![0.0; 3 * pixels];
        for (i, (l, ab)) in lightness.iter().zip(colours).enumerate() {
            let [a, b] = ab.map(f64::from);
            let shown = Oklab { l: f64::from(*l), a, b }.to_srgb();
            (0..3).for_each(|plane| rgb[plane * pixels + i] = shown[plane] as f32);
        }
        Self { alpha: self.alpha.clone(), ..Self::new(self.width, self.height, rgb) }
    }
}

/// The colours of a picture, pixel by pixel.
fn labs(picture: &Picture) -> impl Iterator<Item = Oklab> {
    let pixels = picture.width * picture.height;
    let at = move |plane: usize, i: usize| f64::from(picture.rgb[plane * pixels + i]);
    (0..pixels).map(move |i| Oklab::from_srgb([at(0, i), at(1, i), at(2, i)]))
}
