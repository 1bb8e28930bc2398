//! What a stage leaves behind, and the picture in it.

use super::NOT_FINITE;
use crate::disk::{Store, Words};
use crate::engine::real::Real;
use crate::engine::tape::Shape;
use crate::painting::optimiser::{self, State, parts};
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::tiling::rows::in_bands;
use crate::painting::variable::Variable;
use crate::picture::{Enlargement, Interpolation, Picture, cropped_row, padded_row};
use crate::{Error, Result};

/// The state that goes from one stage to the next, and into a checkpoint: the optimised variable, the
/// optimiser's state, the sum of the average. The words are those on the device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Carried {
    pub(crate) picture: Words,
    /// In the order of the optimiser's parts.
    pub(crate) optimiser: State,
    /// Empty where there is no average.
    pub(crate) average: Words,
    /// The values that style terms keep between iterations, term by term. They belong to the stage alone.
    pub(crate) transports: Words,
}

/// The total weight of the iterations at a stage's size in the average, which begins as zeros and keeps
/// `keep` of itself in each.
fn average_weight(stage: &Stage, keep: f64, iterations: usize) -> f64 {
    let steps = iterations - stage.first + stage.before;
    1.0 - keep.powi(i32::try_from(steps).unwrap_or(i32::MAX))
}

/// The picture of optimised values after `iterations` of a run, which `row` gives row by row: of an average if there
/// is a `keep`, once there is one.
pub(super) fn show(
    stage: &Stage,
    keep: Option<f64>,
    variable: Variable,
    iterations: usize,
    row: impl Fn(usize) -> Vec<f64>,
) -> Result<Picture> {
    let steps = iterations - stage.first + stage.before;
    let weight = keep.filter(|_| steps > 0).map_or(1.0, |keep| average_weight(stage, keep, iterations));
    let mut finite = true;
    let picture = variable.decode(Shape::new(3, stage.height, stage.width), |y| {
        let mut values = row(y);
        finite &= values.iter().all(|v| v.is_finite());
        values.iter_mut().for_each(|v| *v /= weight);
        values
    });
    if !finite {
        return Err(Error::NotFinite(NOT_FINITE.into()));
    }
    Ok(if stage.margin == 0 { picture } else { picture.without_margin(stage.margin) })
}

/// What a finished stage shows, and what its values are to be divided by: the average of its iterates, or its last
/// iterate.
fn averaged<'c>(stage: &Stage, keep: f64, carried: &'c Carried) -> (&'c Words, f64) {
    match carried.average.is_empty() {
        true => (&carried.picture, 1.0),
        false => (&carried.average, average_weight(stage, keep, stage.end())),
    }
}

impl Carried {
    /// What a finished stage `from` left, for the size of the stage `to`. The average takes the picture's place.
    pub(super) fn resized(
        &self,
        settings: &Settings,
        real: Real,
        (from, to): (&Stage, &Stage),
        store: &Store,
    ) -> Result<Self> {
        let resize = |words: &Words, how, before: &(dyn Fn(f64) -> f64 + Sync), after: fn(f64) -> f64| {
            resized(words, real, (from, to), how, before, after, store)
        };
        let (shown, weight) = averaged(from, settings.average, self);
        let picture = resize(shown, Interpolation::Bicubic, &|v| v / weight, |v| v.clamp(0.0, 1.0))?;
        let average = store.zeros(if self.average.is_empty() { 0 } else { picture.len() })?;
        let (parts, values) = (parts(settings, real), 3 * to.width * to.height);
        let optimiser = optimiser::resized(&parts, &self.optimiser, values, store, |words, how, after| {
            resize(words, how, &|v| v, after)
        })?;
        Ok(Self { picture, optimiser, average, transports: Vec::new().into() })
    }
}

/// Values of a stage at the size of another, changed before and after that. A margin begins again as a repetition of
/// the edge.
fn resized(
    words: &Words,
    real: Real,
    (from, to): (&Stage, &Stage),
    how: Interpolation,
    before: impl Fn(f64) -> f64 + Sync,
    after: impl Fn(f64) -> f64 + Sync,
    store: &Store,
) -> Result<Words> {
    let (row, wide) = (real.len(3 * from.width), real.len(3 * to.width));
    let enlargement = Enlargement::new(from.inner(), to.inner(), how);
    let inside = |y: usize| {
        let line = real.decode(&words[(y + from.margin) * row..][..row]);
        cropped_row(&line, from.width, from.margin).map(&before).collect()
    };
    let mut result = store.zeros(wide * to.height)?;
    in_bands(&mut result, wide, &[words], |y, result| {
        let y = y.saturating_sub(to.margin).min(to.inner().1 - 1);
        let mut line = enlargement.row(y, inside);
        line.iter_mut().for_each(|v| *v = after(*v));
        let line: Vec<f64> = padded_row(&line, to.inner().0, to.margin).collect();
        result.copy_from_slice(&real.encode(&line));
    });
    Ok(result)
}
