//! Colour profiles: converting colours to sRGB, and the profile that marks a file as sRGB.

use std::sync::Arc;

use moxcms::{
    CmsError, ColorDateTime, ColorProfile, DataColorSpace, Layout, TransformF32Executor, TransformOptions,
};

/// Pixels converted at a time: enough to amortise a call, few enough to stay in cache.
const BLOCK: usize = 4096;

/// Steps per channel of the lattice on which a profile is compared with sRGB.
const PROBES: usize = 9;

/// Converts planes of one (gray) or three (RGB) channels of `n` values each to three planes in sRGB.
///
/// Gray becomes three equal planes. Colours outside sRGB are clipped by channel.
///
/// # Errors
/// Says why the profile cannot be used; `planes` are then as without a profile.
pub(super) fn to_srgb(planes: &mut Vec<f32>, n: usize, profile: Option<&ColorProfile>) -> Result<(), String> {
    let gray = profile.is_some_and(|profile| profile.color_space == DataColorSpace::Gray);
    let found = planes.len() / n;
    if found == 1 {
        *planes = planes.repeat(3);
    }
    let Some(profile) = profile else { return Ok(()) };
    // A gray picture can have a profile of a colour space, too.
    let channels = if gray { found } else { 3 };
    let Some(transform) = transform(profile, channels)? else { return Ok(()) };
    let mut source = vec![0.0; channels * BLOCK];
    let mut target = vec![0.0; 3 * BLOCK];
    for start in (0..n).step_by(BLOCK) {
        let len = BLOCK.min(n - start);
        let (source, target) = (&mut source[..channels * len], &mut target[..3 * len]);
        for (i, pixel) in source.chunks_exact_mut(channels).enumerate() {
            (0..channels).for_each(|c| pixel[c] = planes[c * n + start + i]);
        }
        transform.transform(source, target).map_err(|e| reason(&e))?;
        for (i, pixel) in target.chunks_exact(3).enumerate() {
            (0..3).for_each(|c| planes[c * n + start + i] = pixel[c].clamp(0.0, 1.0));
        }
    }
    Ok(())
}

/// `None` if the profile is sRGB in effect.
fn transform(profile: &ColorProfile, channels: usize) -> Result<Option<Arc<TransformF32Executor>>, String> {
    let (layout, space) = match channels {
        1 => (Layout::Gray, DataColorSpace::Gray),
        _ => (Layout::Rgb, DataColorSpace::Rgb),
    };
    if profile.color_space != space {
        return Err(format!("it is for {:?} where the picture is {space:?}", profile.color_space));
    }
    let transform = profile
        .create_transform_f32(layout, &ColorProfile::new_srgb(), Layout::Rgb, TransformOptions::default())
        .map_err(|e| reason(&e))?;
    Ok((!is_identity(transform.as_ref(), channels).map_err(|e| reason(&e))?).then_some(transform))
}

/// Whether no probe moves by as much as one 8-bit step.
///
/// Profiles called sRGB come in dozens of versions that differ in the last digits. This test recognises all
/// of them by their effect, and such pictures keep their values bit for bit.
fn is_identity(transform: &TransformF32Executor, channels: usize) -> Result<bool, CmsError> {
    let step = |i: usize| i as f32 / (PROBES - 1) as f32;
    let source: Vec<f32> = (0..PROBES.pow(channels as u32))
        .flat_map(|i| (0..channels).map(move |c| step(i / PROBES.pow(c as u32) % PROBES)))
        .collect();
    let mut target = vec![0.0; source.len() / channels * 3];
    transform.transform(&source, &mut target)?;
    // A gray probe is compared with each of the three channels it becomes.
    let probe = |i: usize| source[if channels == 1 { i / 3 } else { i }];
    Ok(target.iter().enumerate().all(|(i, v)| (v - probe(i)).abs() < 1.0 / 255.0))
}

pub(super) fn reason(e: &CmsError) -> String {
    e.to_string().trim_end_matches('.').to_owned()
}

/// The profile that marks this program's files as sRGB. Its bytes are always the same.
pub(super) fn srgb() -> Result<Vec<u8>, CmsError> {
    let mut profile = ColorProfile::new_srgb();
    // The default is the current time, but the same picture has to give the same file.
    profile.creation_date_time =
        ColorDateTime { year: 2026, month: 1, day_of_the_month: 1, hours: 0, minutes: 0, seconds: 0 };
    // A second description of the same colours. It says "limited range", and programs might believe it.
    profile.cicp = None;
    profile.encode()
}
