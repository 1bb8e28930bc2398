//! The losses of an iteration, from the slots of the objective's terms.

use crate::painting::objective::{Kind, terms};
use crate::painting::settings::Settings;

/// The weighted losses of one iteration, for the picture before that iteration's step.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Losses {
    /// Counted from 0 over all sizes.
    pub iteration: usize,
    /// Sum over the content layers.
    pub content: f64,
    /// Sum over the style layers.
    pub style: f64,
    /// Each style layer's part of `style`.
    pub style_layers: Vec<f64>,
    /// The nearest-neighbour term, in the finish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<f64>,
    /// Total variation.
    pub tv: f64,
    /// All terms together.
    pub total: f64,
}

impl Losses {
    /// Those of an iteration whose terms left `slots`.
    pub(super) fn of(iteration: usize, settings: &Settings, slots: &[f32], finish: bool) -> Self {
        let mut losses = Self {
            iteration,
            content: 0.0,
            style: 0.0,
            style_layers: Vec::new(),
            nearest: finish.then_some(0.0),
            tv: 0.0,
            total: 0.0,
        };
        for (term, value) in std::iter::zip(terms(settings), slots) {
            let value = f64::from(*value);
            match term.kind {
                Kind::Content(_) => losses.content += value,
                Kind::Style(_, 0) => losses.style_layers.push(value),
                // After the first of its layer.
                Kind::Style(..) => {
                    losses.style_layers.iter_mut().last().into_iter().for_each(|sum| *sum += value)
                }
                Kind::Nearest(_) if finish => losses.nearest = losses.nearest.map(|sum| sum + value),
                Kind::Nearest(_) => {}
                Kind::Variation => losses.tv += value,
            }
        }
        losses.style = losses.style_layers.iter().sum();
        losses.total = losses.content + losses.style + losses.nearest.unwrap_or(0.0) + losses.tv;
        losses
    }
}
