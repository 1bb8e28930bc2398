//! OKLab: colours as lightness, green to red and blue to yellow, in steps that look equally large.
//!
//! Constants and formulas are those of Björn Ottosson, "A perceptual color space for image processing"
//! (2020), <https://bottosson.github.io/posts/oklab/>. The transfer function is sRGB's (IEC 61966-2-1).

/// A colour: `l` from 0 (black) to 1 (white), `a` and `b` within about 0.4 of 0 (gray).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Oklab {
    pub l: f64,
    pub a: f64,
    pub b: f64,
}

/// From linear sRGB to the responses of the eye's cones.
const TO_CONES: [[f64; 3]; 3] = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
];

/// From the cube roots of these responses to OKLab.
const TO_LAB: [[f64; 3]; 3] = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
];

/// The inverse of [`TO_LAB`].
const FROM_LAB: [[f64; 3]; 3] = [
    [1.0, 0.3963377774, 0.2158037573],
    [1.0, -0.1055613458, -0.0638541728],
    [1.0, -0.0894841775, -1.2914855480],
];

/// The inverse of [`TO_CONES`].
const FROM_CONES: [[f64; 3]; 3] = [
    [4.0767416621, -3.3077115913, 0.2309699292],
    [-1.2684380046, 2.6097574011, -0.3413193965],
    [-0.0041960863, -0.7034186147, 1.7076147010],
];

/// How far a colour may lie outside of sRGB and still count as inside. The constants have ten decimals, and
/// their products are off by less than this at the corners of the gamut. It is far below a step of 16 bits.
const ROUNDING: f64 = 1e-6;

/// Halvings of the interval in which the largest chroma inside of sRGB is looked for.
const HALVINGS: usize = 24;

impl Oklab {
    /// From sRGB-encoded values.
    pub fn from_srgb(rgb: [f64; 3]) -> Self {
        let [l, a, b] = product(&TO_LAB, product(&TO_CONES, rgb.map(decode)).map(f64::cbrt));
        Self { l, a, b }
    }

    /// To sRGB-encoded values in 0..1. A colour that no screen can show is made grayer until one can:
    /// lightness and hue are kept, which clamping the channels would change.
    pub fn to_srgb(self) -> [f64; 3] {
        let inside = |share: f64| self.linear(share).iter().all(|v| (-ROUNDING..=1.0 + ROUNDING).contains(v));
        let mut share = 1.0;
        if !inside(1.0) {
            let mut beyond = 1.0;
            share = 0.0;
            for _ in 0..HALVINGS {
                let half = (share + beyond) / 2.0;
                if inside(half) { share = half } else { beyond = half }
            }
        }
        self.linear(share).map(|v| encode(v.clamp(0.0, 1.0)))
    }

    /// Linear sRGB of this colour with only a share of its chroma.
    fn linear(self, share: f64) -> [f64; 3] {
        product(&FROM_CONES, product(&FROM_LAB, [self.l, self.a * share, self.b * share]).map(|v| v * v * v))
    }
}

fn product(matrix: &[[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// From an sRGB-encoded value to linear light.
fn decode(v: f64) -> f64 {
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// From linear light to an sRGB-encoded value.
fn encode(v: f64) -> f64 {
    if v <= 0.0031308 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: [f64; 3], expected: [f64; 3], tolerance: f64) {
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= tolerance, "off by {worst}: {found:?} instead of {expected:?}");
    }

    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let Oklab { l, a, b } = Oklab::from_srgb(rgb);
        [l, a, b]
    }

    /// Corners of the cube as CSS Color 4 and Ottosson's page have them, with their decimals.
    #[test]
    fn known_colours() {
        assert_near(lab([0.0; 3]), [0.0; 3], 0.0);
        assert_near(lab([1.0; 3]), [1.0, 0.0, 0.0], 1e-7);
        assert_near(lab([1.0, 0.0, 0.0]), [0.62796, 0.22486, 0.12585], 5e-6);
        assert_near(lab([0.0, 1.0, 0.0]), [0.86644, -0.23389, 0.17950], 5e-6);
        assert_near(lab([0.0, 0.0, 1.0]), [0.45201, -0.03246, -0.31153], 5e-6);
        assert_near(lab([0.5; 3]), [0.59818, 0.0, 0.0], 2e-6);
    }

    /// The whole cube, its corners and edges among them. Where the encoding is steepest, next to black,
    /// [`ROUNDING`] grows by 12.92.
    #[test]
    fn colours_come_back() {
        for i in 0..17 * 17 * 17 {
            let rgb = [i / 289, i / 17 % 17, i % 17].map(|v| f64::from(v) / 16.0);
            assert_near(Oklab::from_srgb(rgb).to_srgb(), rgb, 13.0 * ROUNDING);
        }
    }

    #[test]
    fn what_no_screen_shows_gets_grayer() {
        // A light blue, a dark orange and a light green, each with more chroma than there is.
        for (l, a, b) in [(0.9, -0.03, -0.3), (0.3, 0.15, 0.2), (0.95, -0.4, 0.3)] {
            let rgb = Oklab { l, a, b }.to_srgb();
            assert!(rgb.iter().all(|v| (0.0..=1.0).contains(v)), "{rgb:?}");
            let shown = Oklab::from_srgb(rgb);
            assert!((shown.l - l).abs() < 1e-4, "lightness {} instead of {l}", shown.l);
            let (turn, chroma) = (shown.a * b - shown.b * a, shown.a.hypot(shown.b));
            assert!(turn.abs() < 1e-4 && shown.a * a + shown.b * b > 0.0, "another hue: {shown:?}");
            assert!(chroma < a.hypot(b) && chroma > 0.02, "chroma {chroma}");
            // It lies on the border: a little more chroma, and some channel would leave the range.
            assert!(rgb.iter().any(|v| *v < 1e-3 || *v > 1.0 - 1e-3), "{rgb:?}");
        }
        // Black and white have no chroma at all.
        assert_near(Oklab { l: 1.0, a: 0.1, b: 0.1 }.to_srgb(), [1.0; 3], 1e-3);
        assert_near(Oklab { l: 0.0, a: 0.1, b: 0.1 }.to_srgb(), [0.0; 3], 1e-3);
    }
}
