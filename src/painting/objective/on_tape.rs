//! The terms of the objective on the tape of an iteration.

use super::{Kind, Objective, Targets, Term};
use crate::architecture::Tap;
use crate::engine::kernel::Knob;
use crate::engine::real::Real;
use crate::engine::tape::{Slot, Tape, Tensor, Var};
use crate::ops::masked::SiteWeights;
use crate::ops::mse::mse;
use crate::ops::nearest;
use crate::ops::tv::{Differences, tv};
use crate::ops::wasserstein::{self, wasserstein};
use crate::painting::choices::{Recipe, StyleLoss};
use crate::painting::stages::Stage;
use crate::painting::style::{LayerStyle, StyleStatistics};

/// The terms of a stage while they are being recorded.
pub(super) struct TermsOnTape<'o, 'g, 'a> {
    pub(super) objective: &'o Objective<'g, 'a>,
    pub(super) stage: &'o Stage,
    pub(super) targets: Option<&'o Targets>,
    pub(super) terms: &'o [Term],
    pub(super) losses: Tensor,
    /// Iterations so far, on the device.
    pub(super) count: Tensor,
    pub(super) weights: Vec<Option<(Knob, f64)>>,
    pub(super) transports: Vec<Tensor>,
}

impl TermsOnTape<'_, '_, '_> {
    /// The weight of a term, whose own is multiplied by `times`, and its slot.
    fn weigh(&mut self, tape: &mut Tape, index: usize, times: f64) -> (Knob, Slot) {
        let weight = tape.knob(self.terms[index].weight * times);
        self.weights[index] = Some((weight, times));
        (weight, Slot { losses: self.losses, index })
    }

    pub(super) fn variation(&mut self, tape: &mut Tape, picture: Var, exact: Tensor, real: Real) {
        let index =
            self.terms.iter().position(|term| term.kind == Kind::Variation).expect("a term of every run");
        tape.op("tv");
        let (weight, slot) = self.weigh(tape, index, 1.0);
        let differences = match self.objective.settings.recipe {
            Recipe::Book => Differences::Absolute,
            Recipe::Painterly => Differences::NinePoint,
        };
        tv(tape, picture, exact, real, weight, slot, differences);
    }

    /// Records the terms that look at the features `x` of a layer.
    pub(super) fn at(&mut self, tape: &mut Tape, tap: Tap, x: Var) {
        let (mut content, mut style, mut near) = (0, 0, 0);
        for index in 0..self.terms.len() {
            match self.terms[index].kind {
                Kind::Content(at) => {
                    if at == tap {
                        self.content(tape, index, content, x);
                    }
                    content += 1;
                }
                Kind::Style(at, _) => {
                    if at == tap {
                        self.style(tape, index, style, x);
                    }
                    style += 1;
                }
                Kind::Nearest(at) => {
                    if at == tap && self.stage.finish {
                        self.nearest(tape, index, near, x);
                    }
                    near += 1;
                }
                Kind::Variation => {}
            }
        }
    }

    fn content(&mut self, tape: &mut Tape, index: usize, number: usize, x: Var) {
        let Kind::Content(tap) = self.terms[index].kind else { return };
        tape.op(format!("{tap}.content"));
        let (target, energy) = match self.targets.map(|targets| &targets.content[number]) {
            Some((buffer, energy)) => (tape.given("target", buffer), *energy),
            None => (tape.state("target", x.shape.len()), 1.0),
        };
        let times = self.objective.content_times(self.stage, energy);
        let (weight, slot) = self.weigh(tape, index, times);
        mse(tape, x, target, weight, slot);
    }

    fn style(&mut self, tape: &mut Tape, index: usize, number: usize, x: Var) {
        let Kind::Style(tap, region) = self.terms[index].kind else { return };
        let objective = self.objective;
        let regions = objective.settings.regions;
        let (measured, weights, share) = match self.targets.map(|targets| &targets.style.layers[number]) {
            None if regions == 0 => (None, None, 1.0),
            None => (None, Some(SiteWeights::blank(tape, x.shape)), 1.0 / regions as f64),
            // The region is too small for this layer.
            Some(None) => return,
            Some(Some(LayerStyle { statistics, region: None })) => (Some(statistics), None, 1.0),
            Some(Some(LayerStyle { statistics, region: Some(region) })) => {
                (Some(statistics), Some(region.on(tape)), region.sum() / x.shape.pixels() as f64)
            }
        };
        let name = if regions == 0 { String::new() } else { format!(".region{region}") };
        match objective.settings.style_loss {
            StyleLoss::Gram => {
                tape.op(format!("{tap}.gram{name}"));
                let g = objective.gram(tape, x, weights);
                tape.op(format!("{tap}.style{name}"));
                let (target, energy) = match measured {
                    Some(StyleStatistics::Gram { matrix, energy }) => (tape.given("target", matrix), *energy),
                    _ => (tape.state("target", g.shape.len()), 1.0),
                };
                let times = if objective.settings.recipe == Recipe::Book { 1.0 } else { 1.0 / energy };
                let (weight, slot) = self.weigh(tape, index, share * times);
                mse(tape, g, target, weight, slot);
            }
            StyleLoss::Wasserstein => {
                tape.op(format!("{tap}.style{name}"));
                let target = match measured {
                    Some(StyleStatistics::Moments(resident)) => resident.target(tape),
                    _ => wasserstein::Target::blank(tape, x.shape.channels),
                };
                let target = target.within(weights);
                let (weight, slot) = self.weigh(tape, index, share);
                let variant = objective.vgg.tuning().gram(objective.gpu, x.shape.channels);
                let renewal = Some(self.stage.renewal());
                let kept = wasserstein(tape, x, &target, weight, slot, variant, renewal);
                self.transports.extend([kept.gradient, kept.traces]);
            }
        }
    }

    fn nearest(&mut self, tape: &mut Tape, index: usize, number: usize, x: Var) {
        let Kind::Nearest(tap) = self.terms[index].kind else { return };
        tape.op(format!("{tap}.nearest"));
        let target = match self.targets.map(|targets| &targets.style.nearest[number]) {
            Some(resident) => resident.target(tape),
            None => nearest::Target::blank(tape, x.shape),
        };
        let (weight, slot) = self.weigh(tape, index, 1.0);
        let variant = nearest::variant(self.objective.gpu);
        let term = nearest::Term { weight, step: self.count, slot, variant };
        nearest::nearest(tape, x, &target, term);
    }
}
