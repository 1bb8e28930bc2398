//! The objective: the terms of the loss in the order of their slots, and the recording of an iteration.

mod on_tape;

use std::rc::Rc;

use self::on_tape::TermsOnTape;
use crate::Result;
use crate::architecture::Tap;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::Knob;
use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var};
use crate::network::vgg::Vgg;
use crate::ops::adam::{Rule, Schedule};
use crate::ops::affine::Affine;
use crate::ops::average::average;
use crate::ops::gram::gram;
use crate::ops::log::{Log, log};
use crate::ops::masked::SiteWeights;
use crate::ops::mse::mean_square;
use crate::ops::widened::widened;
use crate::painting::choices::Recipe;
use crate::painting::optimiser;
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::style::Measured;
use crate::painting::variable::Variable;
use crate::picture::Picture;

/// Pictures of at least this many pixels spare memory: weights are transformed in every pass, and the map of
/// conv1_1 is computed again. Below, neither would save much, and both would cost time: see
/// `docs/design/kernels.md`.
pub(crate) const SPARE_FROM: usize = 1 << 18;

/// The layers whose features the finish compares with their nearest neighbours.
const NEAREST: [&str; 3] = ["relu2_2", "relu3_3", "relu4_1"];

/// What a term compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The picture's features with the photograph's.
    Content(Tap),
    /// Statistics of the picture's features with the paintings', within one region. Without regions, number 0
    /// is the whole picture.
    Style(Tap, usize),
    /// Features with the nearest ones of the painting.
    Nearest(Tap),
    /// Pixels with their neighbours.
    Variation,
}

/// One term of the objective. Its place in [`terms`] is its slot among the losses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) kind: Kind,
    /// Factor on the term, before a stage multiplies it by its own.
    pub(crate) weight: f64,
}

/// The terms of a run in the order of their slots. Nothing else knows this order.
pub(crate) fn terms(settings: &Settings) -> Vec<Term> {
    let contents = settings.content_layers.iter();
    let contents = contents.map(|tap| Term { kind: Kind::Content(*tap), weight: settings.content_weight });
    let styles = settings.style_layers.iter().enumerate();
    let styles = styles.flat_map(|(i, tap)| {
        let weight = settings.style_weight_at(i);
        (0..settings.regions.max(1)).map(move |region| Term { kind: Kind::Style(*tap, region), weight })
    });
    let nearest = nearest_taps(settings).into_iter();
    let nearest = nearest.map(|tap| Term { kind: Kind::Nearest(tap), weight: 1.0 / NEAREST.len() as f64 });
    let variation = Term { kind: Kind::Variation, weight: settings.tv_weight };
    contents.chain(styles).chain(nearest).chain([variation]).collect()
}

/// The layers of the nearest-neighbour term; none if the run has no such term.
pub(crate) fn nearest_taps(settings: &Settings) -> Vec<Tap> {
    let names = if settings.finish > 0.0 { &NEAREST[..] } else { &[] };
    names.iter().map(|name| name.parse().expect("a layer's name")).collect()
}

/// What the terms of a stage compare with, on the device.
pub(crate) struct Targets {
    /// Features of the photograph, and their mean square.
    pub(crate) content: Vec<(wgpu::Buffer, f64)>,
    /// Statistics of the paintings.
    pub(crate) style: Rc<Measured>,
}

/// One iteration on a tape.
pub(crate) struct Recorded<'a> {
    pub(crate) tape: Tape<'a>,
    /// The picture as the network sees it, and its gradient.
    pub(crate) picture: Var,
    /// The picture as the optimiser moves it.
    pub(crate) exact: Tensor,
    pub(crate) real: Real,
    /// What the optimiser keeps, in the order of its parts.
    pub(crate) optimiser: Vec<Tensor>,
    /// The losses of the last iterations.
    pub(crate) log: Log,
    /// What style terms keep from one iteration to the next.
    pub(crate) transports: Vec<Tensor>,
    /// The average of the iterates, if there is one.
    pub(crate) average: Option<Tensor>,
    /// What can be changed while the run goes on.
    pub(crate) knobs: Knobs,
}

/// The numbers of an iteration that may be changed between submissions.
pub(crate) struct Knobs {
    /// By slot: the weight, and what a term's weight is multiplied by to become it. `None` where the stage
    /// has no such term.
    pub(crate) weights: Vec<Option<(Knob, f64)>>,
    pub(crate) schedule: Schedule,
}

/// The objective of some settings on a device, by a network.
pub(crate) struct Objective<'g, 'a> {
    pub(crate) gpu: &'g Gpu,
    pub(crate) vgg: &'a Vgg,
    pub(crate) settings: &'a Settings,
}

impl<'g> Objective<'g, '_> {
    /// The optimised variable.
    pub(crate) fn variable(&self) -> Variable {
        Variable::of(self.settings.recipe)
    }

    /// From the optimised variable to the network's input.
    pub(super) fn to_network(&self) -> Affine {
        self.variable().to_rgb().then(self.vgg.input())
    }

    /// A tape that stores maps and transformed weights as the settings say.
    pub(super) fn in_precision(&self, mut tape: Tape<'g>) -> Tape<'g> {
        tape.set_map_precision(self.settings.precision);
        tape.set_weight_precision(self.settings.precision);
        tape
    }

    /// The Gram matrix, in the variant for this device.
    pub(crate) fn gram(&self, tape: &mut Tape, x: Var, weights: Option<SiteWeights>) -> Var {
        gram(tape, x, self.vgg.tuning().gram(self.gpu, x.shape.channels), weights)
    }

    /// Records the network on a picture of `shape`, for measuring it: `look` is called at each of `taps`,
    /// with its number. The variable is to be written to the leaf that is returned.
    pub(crate) fn record_look(
        &self,
        shape: Shape,
        taps: &[Tap],
        mut look: impl FnMut(&mut Tape, usize, Var),
    ) -> (Tape<'g>, Var) {
        let mut tape = self.in_precision(Tape::forward_only(self.gpu));
        let leaf = tape.leaf("picture", shape);
        let options = self.settings.network_options();
        self.vgg.record(&mut tape, leaf, &self.to_network(), options, taps, |tape, tap, x| {
            tape.op(format!("{tap}.measured"));
            look(tape, taps.iter().position(|t| *t == tap).expect("a tap that was asked for"), x);
        });
        (tape, leaf)
    }

    /// The features of a photograph at the content layers, which stay on the device, and the mean square of
    /// each.
    pub(crate) async fn features(&self, photograph: &Picture) -> Result<Vec<(wgpu::Buffer, f64)>> {
        let taps = &self.settings.content_layers;
        if taps.is_empty() {
            return Ok(Vec::new());
        }
        let shape = Shape::new(3, photograph.height, photograph.width);
        let mut seen: Vec<Option<Tensor>> = vec![None; taps.len()];
        let mut losses = None;
        let (tape, leaf) = self.record_look(shape, taps, |tape, index, x| {
            let energies = *losses.get_or_insert_with(|| tape.state("energies", taps.len()));
            mean_square(tape, x, Slot { losses: energies, index });
            seen[index] = Some(widened(tape, x));
        });
        let plan = tape.finish()?;
        plan.write(self.gpu, leaf.value, &Real::F32.encode(&self.variable().encode(photograph)));
        plan.run(self.gpu);
        let energies = match losses {
            Some(losses) => plan.read_async(self.gpu, losses).await?,
            None => Vec::new(),
        };
        let features = seen.into_iter().flatten().map(|tensor| plan.buffer(tensor).clone());
        // A black photograph has no energy.
        Ok(features.zip(energies).map(|(features, energy)| (features, f64::from(energy).max(1e-6))).collect())
    }

    /// Records an iteration of a stage, and a log of the losses of `history` iterations. Without
    /// targets the tape serves only to be measured.
    pub(crate) fn record(&self, stage: &Stage, targets: Option<&Targets>, history: usize) -> Recorded<'g> {
        let settings = self.settings;
        let shape = Shape::new(3, stage.height, stage.width);
        let terms = terms(settings);
        let mut tape = self.in_precision(Tape::new(self.gpu));
        tape.spend_memory(shape.pixels() < SPARE_FROM);
        tape.scale_gradients(settings.gradient_scale(shape.pixels()));
        let picture = tape.leaf("picture", shape);
        picture.grad.into_iter().for_each(|grad| tape.keep(grad));
        let real = self.real();
        let exact = tape.state("exact", real.len(shape.len()));
        let losses = tape.state("losses", terms.len());
        let kept = Log::new(&mut tape, terms.len(), history);
        let mut terms_on_tape = TermsOnTape {
            objective: self,
            stage,
            targets,
            terms: &terms,
            losses,
            count: kept.count,
            weights: vec![None; terms.len()],
            transports: Vec::new(),
        };
        // Recorded first, so it adds its gradient last, when the network's has arrived.
        terms_on_tape.variation(&mut tape, picture, exact, real);
        let taps = self.taps(stage, targets.map(|targets| &*targets.style));
        let (to_network, options) = (self.to_network(), settings.network_options());
        self.vgg.record(&mut tape, picture, &to_network, options, &taps, |tape, tap, x| {
            terms_on_tape.at(tape, tap, x)
        });
        let (weights, transports) = (terms_on_tape.weights, terms_on_tape.transports);
        tape.op("log");
        log(&mut tape, kept, losses, terms.len(), history);
        tape.op(settings.optimizer.name());
        let mut schedule =
            Schedule::decaying(&mut tape, settings.learning_rate, settings.decay, settings.decay_every);
        if let Some((from, over)) = stage.settle {
            schedule.settle_from = tape.knob(from);
            schedule.settle_over = tape.knob(over);
        }
        let optimiser =
            optimiser::record(&mut tape, settings, picture, exact, real, schedule, self.rule(shape));
        let average = (settings.average > 0.0).then(|| {
            tape.op("average");
            average(&mut tape, picture, exact, real, settings.average)
        });
        Recorded {
            tape,
            picture,
            exact,
            real,
            optimiser,
            log: kept,
            transports,
            average,
            knobs: Knobs { weights, schedule },
        }
    }

    /// The precision of the optimised picture and of its optimiser.
    pub(crate) fn real(&self) -> Real {
        // Float64 would be lost on what maps in half precision say.
        if self.settings.precision == Precision::Half { Real::F32 } else { Real::of(self.gpu) }
    }

    /// Adam's constants for a picture of `shape`, and the factor on its gradient.
    pub(crate) fn rule(&self, shape: Shape) -> (Rule, f64) {
        match self.settings.recipe {
            Recipe::Book => (Rule::PAPER, 1.0),
            // The number of values, so that the floor of Adam's root means the same at every size.
            Recipe::Painterly => {
                (Rule { beta1: 0.9, beta2: 0.99, epsilon: 2.6e-3, clamp: true }, shape.len() as f64)
            }
        }
    }

    /// What the weight of a content term is multiplied by in a stage, where the photograph's features have
    /// this energy.
    pub(crate) fn content_times(&self, stage: &Stage, energy: f64) -> f64 {
        match self.settings.recipe {
            Recipe::Book => 1.0,
            Recipe::Painterly => stage.content / energy,
        }
    }

    /// The layers that the terms of a stage look at. Where all regions are too small for a layer, it has no
    /// term.
    pub(super) fn taps(&self, stage: &Stage, style: Option<&Measured>) -> Vec<Tap> {
        let Settings { content_layers, style_layers, regions, .. } = self.settings;
        let near = if stage.finish { nearest_taps(self.settings) } else { Vec::new() };
        let parts = (*regions).max(1);
        let has_term = |(layer, _): &(usize, &Tap)| {
            style.is_none_or(|style| style.layers[layer * parts..][..parts].iter().any(Option::is_some))
        };
        let styles = style_layers.iter().enumerate().filter(has_term).map(|(_, tap)| tap);
        content_layers.iter().chain(styles).chain(&near).copied().collect()
    }
}
