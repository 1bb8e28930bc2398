//! The terms of a stage at a window, on its tape.

use super::compare::Compare;
use super::layout::Layout;
use super::window::{ContentOnTape, MaskOnTape, NearestOnTape, Recorded, StyleOnTape, map_size};
use crate::architecture::Tap;
use crate::engine::kernel::Knob;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Turn, Var};
use crate::ops::masked::SiteWeights;
use crate::ops::owned::{self, Less, Own};
use crate::ops::wasserstein::Found;
use crate::ops::{gram, mse, nearest, wasserstein};
use crate::painting::choices::StyleLoss;
use crate::painting::objective::{Kind, Objective, SPARE_FROM, Term, terms};
use crate::painting::stages::Stage;
use crate::painting::style::{LayerStyle, Measured, StyleStatistics};

/// The terms of a stage at a window, while they are being recorded.
struct TermsAtWindow<'o, 'g, 'a> {
    objective: &'o Objective<'g, 'a>,
    stage: &'o Stage,
    targets: Option<(&'o [f64], &'o Measured)>,
    compare: Option<&'o Compare<'g>>,
    terms: &'o [Term],
    rectangle: Tensor,
    count: Tensor,
    styles: Vec<StyleOnTape>,
    contents: Vec<ContentOnTape>,
    nearest: Vec<NearestOnTape>,
    weights: Vec<Option<(Knob, f64)>>,
}

impl<'g> Objective<'g, '_> {
    /// Records the network and the terms of a stage at a window. `targets` are the energies of the
    /// photograph's features and the paintings' statistics, and `compare` has the results of the comparison
    /// between both passes. Without them, the tape serves only to be measured.
    pub(crate) fn record_window(
        &self,
        stage: &Stage,
        layout: &Layout,
        targets: Option<(&[f64], &Measured)>,
        compare: Option<&Compare<'g>>,
    ) -> Recorded<'g> {
        let shape = Shape::new(3, layout.window.1, layout.window.0);
        let terms = terms(self.settings);
        let mut tape = self.in_precision(Tape::new(self.gpu));
        tape.spend_memory(shape.pixels() < SPARE_FROM);
        tape.scale_gradients(self.settings.gradient_scale(stage.width * stage.height));
        let picture = tape.leaf("picture", shape);
        picture.grad.into_iter().for_each(|grad| tape.keep(grad));
        // The tile's own rectangle, and where its window begins.
        let rectangle = tape.state("rectangle", 6);
        let count = tape.state("count", 1);
        let mut at = TermsAtWindow {
            objective: self,
            stage,
            targets,
            compare,
            terms: &terms,
            rectangle,
            count,
            styles: Vec::new(),
            contents: Vec::new(),
            nearest: Vec::new(),
            weights: vec![None; terms.len()],
        };
        let (to_network, options) = (self.to_network(), self.settings.network_options());
        let taps = self.taps(stage, targets.map(|(_, style)| style));
        self.vgg
            .record(&mut tape, picture, &to_network, options, &taps, |tape, tap, x| at.look(tape, tap, x));
        let TermsAtWindow { styles, contents, nearest, weights, .. } = at;
        Recorded { tape, picture, rectangle, count, styles, contents, nearest, weights }
    }

    /// What a style term compares with, and the share of the picture that it looks at: of a region, that of
    /// its sites. `None` if the region is too small for the layer. Without a style, the tape serves only to
    /// be measured.
    pub(super) fn part<'s>(
        &self,
        style: Option<&'s Measured>,
        number: usize,
        sites: usize,
    ) -> Option<(Option<&'s LayerStyle>, f64)> {
        let Some(style) = style else { return Some((None, 1.0)) };
        let layer = style.layers[number].as_ref()?;
        let share = layer.region.as_ref().map_or(1.0, |region| region.sum() / sites as f64);
        Some((Some(layer), share))
    }
}

impl TermsAtWindow<'_, '_, '_> {
    /// Records the terms that look at the features `x` of a layer.
    fn look(&mut self, tape: &mut Tape, tap: Tap, x: Var) {
        let (mut content, mut style, mut near) = (0, 0, 0);
        for index in 0..self.terms.len() {
            match self.terms[index].kind {
                Kind::Content(at) => {
                    if at == tap {
                        self.content(tape, tap, index, content, x);
                    }
                    content += 1;
                }
                Kind::Style(at, region) => {
                    if at == tap {
                        self.style(tape, (tap, region), index, style, x);
                    }
                    style += 1;
                }
                Kind::Nearest(at) => {
                    if at == tap && self.stage.finish {
                        self.nearest(tape, tap, index, near, x);
                    }
                    near += 1;
                }
                Kind::Variation => {}
            }
        }
    }

    /// What the tile owns of a map at `tap`, and the sites of the whole picture's map.
    fn own(&self, tap: Tap) -> (Own, usize) {
        let (width, height) = map_size((self.stage.width, self.stage.height), tap);
        (Own { rectangle: self.rectangle, halvings: tap.block - 1 }, width * height)
    }

    fn content(&mut self, tape: &mut Tape, tap: Tap, index: usize, number: usize, x: Var) {
        let (own, sites) = self.own(tap);
        let values = sites * x.shape.channels;
        let target = tape.state("target", x.shape.len());
        let energy = self.targets.map_or(1.0, |(energies, _)| energies[number]);
        let times = self.objective.content_times(self.stage, energy);
        let weight = tape.knob(self.terms[index].weight * times);
        self.weights[index] = Some((weight, times));
        tape.op_in(Turn::Second, format!("{tap}.content"));
        let parts = owned::owned(tape, x, own, Less::Map(target));
        let squares = tape.state("squares", parts.len());
        for (band, part) in parts.iter().enumerate() {
            mse::squares(tape, *part, 1.0, Slot { losses: squares, index: band });
        }
        mse::pull(tape, x, values, target, weight);
        let bands = parts.len();
        self.contents.push(ContentOnTape { index, number, shape: x.shape, values, target, squares, bands });
    }

    fn style(&mut self, tape: &mut Tape, (tap, region): (Tap, usize), index: usize, number: usize, x: Var) {
        let objective = self.objective;
        let regions = objective.settings.regions;
        let (own, all) = self.own(tap);
        let style = self.targets.map(|(_, style)| style);
        let Some((layer, share)) = objective.part(style, number, all) else { return };
        let sites = share * all as f64;
        let c = x.shape.channels;
        let values = sites * c as f64;
        let variant = objective.vgg.tuning().gram(objective.gpu, c);
        let (shape, halvings) = (x.shape, own.halvings);
        let mask = (regions > 0).then(|| {
            let [own, all] = ["mask.own", "mask"].map(|name| tape.state(name, shape.pixels()));
            MaskOnTape { own, all, shape, halvings }
        });
        let [counted, weights] = [|mask: MaskOnTape| mask.own, |mask: MaskOnTape| mask.all]
            .map(|of| mask.map(|mask| SiteWeights { values: of(mask), sum: sites }));
        let name = if regions == 0 { String::new() } else { format!(".region{region}") };
        tape.op_in(Turn::First, format!("{tap}.sums{name}"));
        // For covariances, sums are relative to the painting's mean; for Gram matrices, to zero.
        let target = match (objective.settings.style_loss, layer.map(|layer| &layer.statistics)) {
            (StyleLoss::Gram, _) => None,
            (StyleLoss::Wasserstein, Some(StyleStatistics::Moments(resident))) => Some(resident.target(tape)),
            (StyleLoss::Wasserstein, _) => Some(wasserstein::Target::blank(tape, c)),
        };
        let shift = target.map_or_else(|| tape.state("zeros", c), |target| target.mean);
        let bands = match counted {
            None => owned::sums(tape, x, own, shift, variant),
            Some(counted) => vec![owned::weighed_sums(tape, x, counted, shift, variant)],
        };
        for sums in &bands {
            tape.keep(sums.sum);
            tape.keep(sums.products);
        }
        tape.op(format!("{tap}.style{name}"));
        let mut gram_gradient = None;
        match target {
            None => {
                let dg = tape.state("dg", c * c);
                gram_gradient = Some(dg);
                gram::pull(tape, x, values, dg, variant, weights);
            }
            Some(target) => {
                let [gradient, mean, bias] = match self.compare {
                    Some(compare) => compare.found(number).map(|(name, buffer)| tape.given(name, buffer)),
                    None => [tape.state("gradient", c * c), tape.state("mean", c), tape.state("bias", c)],
                };
                let found = Found { gradient, mean, bias };
                let weight = tape.knob(self.terms[index].weight * share);
                self.weights[index] = Some((weight, share));
                wasserstein::pull(tape, x, values, &target.within(weights), weight, found, variant);
            }
        }
        self.styles.push(StyleOnTape {
            index,
            number,
            channels: c,
            sites,
            share,
            bands,
            gram_gradient,
            mask,
        });
    }

    fn nearest(&mut self, tape: &mut Tape, tap: Tap, index: usize, number: usize, x: Var) {
        let (width, height) = map_size((self.stage.width, self.stage.height), tap);
        let own = self.own(tap).0;
        tape.op_in(Turn::Second, format!("{tap}.nearest"));
        let target = match self.targets.map(|(_, style)| &style.nearest[number]) {
            Some(resident) => resident.target(tape),
            // The painting may be larger than the window.
            None => nearest::Target::most(tape, x.shape.channels),
        };
        let weight = tape.knob(self.terms[index].weight);
        self.weights[index] = Some((weight, 1.0));
        let loss = tape.state("loss", 1);
        let slot = Slot { losses: loss, index: 0 };
        let variant = nearest::variant(self.objective.gpu);
        let term = nearest::Term { weight, step: self.count, slot, variant };
        let whole = Shape::new(x.shape.channels, height, width);
        nearest::nearest_in_window(tape, x, &target, term, nearest::Window { whole, own });
        self.nearest.push(NearestOnTape { index, loss });
    }
}
