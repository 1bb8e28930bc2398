//! What a stage leaves behind, and the picture in it.

use super::NOT_FINITE;
use crate::engine::real::Real;
use crate::engine::tape::Shape;
use crate::painting::optimiser::State;
use crate::painting::stages::Stage;
use crate::painting::variable::Variable;
use crate::picture::Picture;
use crate::{Error, Result};

/// The state that goes from one stage to the next, and into a checkpoint: the optimised variable, the
/// optimiser's state, the sum of the average. The words are those on the device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Carried {
    pub(crate) picture: Vec<f32>,
    /// In the order of the optimiser's parts.
    pub(crate) optimiser: State,
    /// Empty where there is no average.
    pub(crate) average: Vec<f32>,
    /// The values that style terms keep between iterations, term by term. They belong to the stage alone.
    pub(crate) transports: Vec<f32>,
}

/// The total weight of the iterations at a stage's size in the average, which begins as zeros and keeps
/// `keep` of itself in each.
fn average_weight(stage: &Stage, keep: f64, iterations: usize) -> f64 {
    let steps = iterations - stage.first + stage.before;
    1.0 - keep.powi(i32::try_from(steps).unwrap_or(i32::MAX))
}

/// The picture of optimised values after `iterations` of a run: an average if there is a `keep`, once there
/// is one.
pub(super) fn show(
    stage: &Stage,
    keep: Option<f64>,
    variable: Variable,
    shape: Shape,
    iterations: usize,
    mut values: Vec<f64>,
) -> Result<Picture> {
    if values.iter().any(|v| !v.is_finite()) {
        return Err(Error::NotFinite(NOT_FINITE.into()));
    }
    let steps = iterations - stage.first + stage.before;
    if let Some(keep) = keep.filter(|_| steps > 0) {
        let weight = average_weight(stage, keep, iterations);
        values.iter_mut().for_each(|v| *v /= weight);
    }
    let picture = variable.decode(shape, &values);
    Ok(if stage.margin == 0 { picture } else { picture.without_margin(stage.margin) })
}

/// The picture that a finished stage shows: the average of its iterates, or its last iterate.
pub(super) fn averaged(stage: &Stage, keep: f64, real: Real, carried: &Carried) -> Vec<f64> {
    if carried.average.is_empty() {
        return real.decode(&carried.picture);
    }
    let weight = average_weight(stage, keep, stage.end());
    real.decode(&carried.average).into_iter().map(|v| v / weight).collect()
}
