//! The colour space that a file declares: by a profile, code points, primaries and gamma, or the rules of
//! cameras.

use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, MatrixCoefficients,
    ToneReprCurve, TransferCharacteristics,
};

use super::exif::Found;
use super::icc;

/// The colour space of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Colour {
    /// The space that this program computes in, and that of pictures which declare nothing.
    Srgb,
    /// Adobe RGB (1998).
    Adobe,
    /// The space of an ICC profile.
    Profile(Vec<u8>),
    /// Primaries, transfer function, matrix and range by number (Rec. ITU-T H.273).
    Codes([u8; 4]),
    /// Light is the value to this power. The primaries are the chromaticities of white, red, green and blue;
    /// without them they are sRGB's.
    Gamma(f64, Option<[(f64, f64); 4]>),
}

/// sRGB's white, red, green and blue.
const SRGB: [(f64, f64); 4] = [(0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)];

/// The largest difference from sRGB's chromaticities, which some programs round to three digits, that still
/// counts as sRGB.
const SAME: f64 = 0.0015;

/// The largest relative difference of gamma from 1/2.2 that still stands for sRGB's curve; the same as in
/// libpng.
const NEAR: f64 = 0.05;

impl Colour {
    /// A profile takes precedence over EXIF.
    pub fn of_profile(profile: Option<Vec<u8>>, exif: &Found) -> Self {
        match profile {
            Some(profile) => Self::Profile(profile),
            None if exif.adobe_rgb => Self::Adobe,
            None => Self::Srgb,
        }
    }

    /// From PNG's `gAMA`, the exponent from light to values, and `cHRM`.
    ///
    /// The specification asks programs that write sRGB to add a gamma of 1/2.2, which is close to its curve.
    /// So with the primaries of sRGB it stands for that curve.
    pub fn of_gamma(gamma: Option<f64>, primaries: Option<[(f64, f64); 4]>) -> Self {
        let near = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() < SAME && (a.1 - b.1).abs() < SAME;
        let srgb = |found: &[(f64, f64); 4]| found.iter().zip(&SRGB).all(|(a, b)| near(*a, *b));
        let primaries = primaries.filter(|found| !srgb(found));
        let usual = gamma.is_none_or(|gamma| (gamma * 2.2 - 1.0).abs() <= NEAR);
        match (gamma, primaries) {
            (_, None) if usual => Self::Srgb,
            (Some(gamma), primaries) => Self::Gamma(1.0 / gamma, primaries),
            (None, primaries) => Self::Gamma(2.2, primaries),
        }
    }

    /// `None` for sRGB.
    fn profile(&self) -> Result<Option<ColorProfile>, String> {
        match self {
            Self::Srgb => Ok(None),
            Self::Adobe => Ok(Some(ColorProfile::new_adobe_rgb())),
            Self::Profile(bytes) => {
                ColorProfile::new_from_slice(bytes).map(Some).map_err(|e| icc::reason(&e))
            }
            Self::Codes(codes) => of_codes(*codes).map(Some),
            Self::Gamma(power, primaries) => of_primaries(*power, *primaries).map(Some),
        }
    }
}

/// Converts planes of one (gray) or three (RGB) channels of `n` values each to three planes in sRGB.
///
/// # Errors
/// Says why the declared space cannot be used; `planes` are then as without one.
pub(super) fn to_srgb(planes: &mut Vec<f32>, n: usize, colour: Colour) -> Result<(), String> {
    let profile = colour.profile();
    icc::to_srgb(planes, n, profile.as_ref().ok().and_then(Option::as_ref))?;
    profile.map(drop)
}

fn of_codes([primaries, transfer, matrix, range]: [u8; 4]) -> Result<ColorProfile, String> {
    let refuse =
        |what: &str| Err(format!("its code points {primaries} {transfer} {matrix} {range} say {what}"));
    if matches!(transfer, 16 | 18) {
        return refuse("high dynamic range, which is not read");
    }
    if matrix != 0 || range != 1 {
        return refuse("luminance and chroma or a narrow range, which is not read");
    }
    let codes = (CicpColorPrimaries::try_from(primaries), TransferCharacteristics::try_from(transfer));
    let (Ok(color_primaries), Ok(transfer_characteristics)) = codes else {
        return refuse("nothing that is known");
    };
    let matrix_coefficients = MatrixCoefficients::Identity;
    let codes =
        CicpProfile { color_primaries, transfer_characteristics, matrix_coefficients, full_range: true };
    let mut profile = ColorProfile::new_from_cicp(codes);
    profile.cicp = None;
    // The library leaves it empty if the codes have no primaries or no curve.
    if profile.red_trc.is_none() {
        return refuse("nothing that is known");
    }
    Ok(profile)
}

fn of_primaries(power: f64, primaries: Option<[(f64, f64); 4]>) -> Result<ColorProfile, String> {
    let [white, red, green, blue] = primaries.unwrap_or(SRGB);
    let point = |(x, y): (f64, f64)| Chromaticity { x: x as f32, y: y as f32 };
    // Twice the area of the triangle. Without an area there is no space of colours.
    let area = (green.0 - red.0) * (blue.1 - red.1) - (blue.0 - red.0) * (green.1 - red.1);
    let sound =
        [white, red, green, blue].iter().all(|(x, y)| *x >= 0.0 && *y > 0.0 && *x <= 1.0 && *y <= 1.0);
    if !sound || area.abs() < 1e-3 || !(0.1..=10.0).contains(&power) {
        return Err("its gamma and primaries make no sense".into());
    }
    let mut profile = ColorProfile::new_srgb();
    let primaries = ColorPrimaries { red: point(red), green: point(green), blue: point(blue) };
    profile.update_rgb_colorimetry(point(white).to_xyyb(), primaries);
    let curve = ToneReprCurve::Parametric(vec![power as f32]);
    profile.red_trc = Some(curve.clone());
    profile.green_trc = Some(curve.clone());
    profile.blue_trc = Some(curve);
    Ok(profile)
}

/// The profile embedded in a BMP, which only the fifth version of the header can have.
pub(super) fn of_bmp(bytes: &[u8]) -> Colour {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let profile = || {
        let header = 14;
        let embedded = number(header)? >= 124 && bytes.get(header + 56..)?.starts_with(b"DEBM");
        let start = header + number(header + 112)?;
        bytes
            .get(start..start.checked_add(number(header + 116)?)?)
            .filter(|profile| embedded && !profile.is_empty())
    };
    profile().map_or(Colour::Srgb, |profile| Colour::Profile(profile.to_vec()))
}
