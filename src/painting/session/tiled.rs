//! One stage in tiles: the picture is on the processor, and each iteration is two passes over its tiles.

use std::collections::VecDeque;

use super::Watch;
use super::running::{Carried, averaged, show};
use crate::Result;
use crate::engine::plan::Plan;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Turn};
use crate::ops::adam::{Rule, STATE_WORDS};
use crate::painting::choices::{Recipe, StyleLoss};
use crate::painting::objective::{Kind, Objective, Term, terms};
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::style::{Measured, StyleStatistics};
use crate::painting::tiling::compare::Compare;
use crate::painting::tiling::content::{Features, pixels};
use crate::painting::tiling::layout::{Layout, Tile};
use crate::painting::tiling::optimiser::{Course, Moved, step};
use crate::painting::tiling::rows::Rows;
use crate::painting::tiling::statistics::Sums;
use crate::painting::tiling::variation::Variation;
use crate::painting::tiling::window::{Flight, Window};
use crate::painting::variable::Variable;
use crate::picture::Picture;

/// Passes that the device has at a time: while it works on one, the next is brought to it.
const AHEAD: usize = 2;

/// What the statistics of a style layer are compared with.
enum Against {
    /// The Gram matrix, and what the term's weight is multiplied by.
    Gram(Vec<f32>, f64),
    /// The painting's mean, which sums are relative to.
    Mean(Vec<f32>),
}

/// A stage that is being painted in tiles.
pub(super) struct Tiled<'g> {
    pub(super) stage: Stage,
    pub(super) real: Real,
    pub(super) layout: Layout,
    window: Window<'g>,
    compare: Option<Compare<'g>>,
    features: Vec<Features>,
    /// By the number of the style layer in the window.
    against: Vec<Against>,
    style_bytes: u64,
    variation: Variation,
    terms: Vec<Term>,
    /// By slot: the weights, and what those of contents are multiplied by.
    weights: Vec<f64>,
    times: Vec<f64>,
    gradient_scale: f64,
    rule: Rule,
    factor: f64,
    course: Course,
    variable: Variable,
    picture: Rows,
    m: Rows,
    v: Rows,
    state: Vec<f32>,
    average: Option<Rows>,
    keep: f64,
    gradient: Vec<f32>,
    end: usize,
    whole: usize,
    submitted: usize,
    pub(super) log: Vec<f32>,
    pub(super) copy_every: Option<usize>,
    pub(super) copies: VecDeque<(usize, Vec<f64>)>,
    pub(super) watch: Option<Watch>,
    /// Whether the watch wanted an end.
    pub(super) given_up: bool,
}

impl<'g> Tiled<'g> {
    /// Records and lays out a stage of a run of `whole` iterations. Picture and state are to be set by [`Self::set`].
    pub(super) fn new(
        objective: &Objective<'g, '_>,
        stage: Stage,
        layout: Layout,
        photograph: &Picture,
        style: &Measured,
        whole: usize,
    ) -> Result<Self> {
        let (gpu, settings) = (objective.gpu, objective.settings);
        // What measures the photograph is gone before what iterates takes its place.
        let features = objective.features_in_tiles(photograph, &layout)?;
        let compare = match settings.style_loss {
            StyleLoss::Gram => None,
            StyleLoss::Wasserstein => Some(Compare::new(gpu, objective.record_compare(&stage, Some(style)))?),
        };
        let energies: Vec<f64> = features.iter().map(|features| features.energy).collect();
        let recorded = objective.record_window(&stage, &layout, Some((&energies, style)), compare.as_ref());
        let window = Window::new(gpu, recorded)?;
        let against = window.styles.iter().map(|on_tape| {
            let layer = style.layers[on_tape.number].as_ref().expect("only regions may lack a layer");
            Ok(match &layer.statistics {
                StyleStatistics::Gram { matrix, energy } => {
                    let len = on_tape.channels * on_tape.channels;
                    let times = if objective.settings.recipe == Recipe::Book { 1.0 } else { 1.0 / energy };
                    Against::Gram(gpu.download(matrix, len)?, times)
                }
                StyleStatistics::Moments(resident) => Against::Mean(resident.mean(gpu)?),
            })
        });
        let against = against.collect::<Result<Vec<_>>>()?;
        let shape = Shape::new(3, stage.height, stage.width);
        let (real, terms) = (objective.real(), terms(settings));
        let rows = |_| Rows::new(real, 3 * stage.width, vec![0.0; real.len(shape.len())]);
        let [picture, m, v] = [0, 1, 2].map(rows);
        let (rule, factor) = objective.rule(shape);
        Ok(Self {
            stage,
            real,
            window,
            compare,
            features,
            against,
            style_bytes: style.bytes(),
            variation: Variation::new(shape, settings.recipe),
            weights: terms.iter().map(|term| term.weight).collect(),
            times: energies.iter().map(|energy| objective.content_times(&stage, *energy)).collect(),
            terms,
            gradient_scale: settings.gradient_scale(shape.pixels()),
            rule,
            factor,
            course: Course::of(settings, &stage),
            variable: objective.variable(),
            picture,
            m,
            v,
            state: vec![0.0; STATE_WORDS],
            average: (settings.average > 0.0).then(|| rows(3)),
            keep: settings.average,
            gradient: vec![0.0; shape.len()],
            end: stage.end(),
            whole,
            submitted: stage.first,
            log: Vec::new(),
            copy_every: None,
            copies: VecDeque::new(),
            watch: None,
            given_up: false,
            layout,
        })
    }

    /// Sets the picture to start from. All else is as in a run that begins.
    pub(super) fn place(&mut self, start: &Picture) {
        let words = self.real.encode(&self.variable.encode(start));
        self.picture.words_mut().copy_from_slice(&words);
    }

    /// Sets picture and state, as they were after `iterations` of the run.
    pub(super) fn set(&mut self, carried: &Carried, iterations: usize) {
        let Carried { picture, m, v, state, average, transports } = carried;
        self.picture.words_mut().copy_from_slice(picture);
        self.m.words_mut().copy_from_slice(m);
        self.v.words_mut().copy_from_slice(v);
        self.state.clone_from(state);
        if let Some(own) = &mut self.average {
            own.words_mut().copy_from_slice(average);
        }
        if let Some(compare) = &self.compare {
            // A stage that begins computes its own.
            compare.set_transports(transports);
        }
        self.submitted = iterations;
    }

    /// What another stage or run goes on with.
    pub(super) fn carried(&mut self) -> Result<Carried> {
        Ok(Carried {
            picture: self.picture.words().to_vec(),
            m: self.m.words().to_vec(),
            v: self.v.words().to_vec(),
            state: self.state.clone(),
            average: self.average.as_ref().map_or_else(Vec::new, |average| average.words().to_vec()),
            transports: self.compare.as_ref().map_or(Ok(Vec::new()), Compare::transports)?,
        })
    }

    /// Gives the terms and the optimiser the weights and rates of other settings; the nearest-neighbour term counts `finish` times.
    pub(super) fn turn(&mut self, settings: &Settings, finish: f64) {
        let terms = terms(settings);
        self.weigh(|slot| match terms[slot].kind {
            Kind::Nearest(_) => terms[slot].weight * finish,
            _ => terms[slot].weight,
        });
        self.course = Course::of(settings, &self.stage);
    }

    /// Gives the weights of some slots other factors; all other terms count nothing. For measuring gradients.
    pub(super) fn weigh(&mut self, weight: impl Fn(usize) -> f64) {
        self.weights = (0..self.terms.len()).map(&weight).collect();
        self.window.weigh(&weight);
        if let Some(compare) = &self.compare {
            compare.weigh(&weight);
        }
    }

    /// One more iteration, or `false` if the stage is done.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if self.submitted >= self.end {
            return Ok(false);
        }
        let Some(losses) = self.differentiate()? else {
            // Nothing has moved yet.
            self.given_up = true;
            self.stop();
            return Ok(false);
        };
        let moved = Moved {
            picture: &mut self.picture,
            m: &mut self.m,
            v: &mut self.v,
            average: self.average.as_mut().map(|average| (average, self.keep)),
        };
        step(moved, &self.gradient, self.factor, &self.rule, &self.course, &mut self.state, self.real);
        self.submitted += 1;
        self.log.extend(losses);
        let done = self.submitted;
        if done < self.whole && self.copy_every.is_some_and(|every| done.is_multiple_of(every)) {
            self.copies.push_back((done, self.real.decode(self.shown().words())));
        }
        Ok(true)
    }

    /// Tells the watch of a tile that is to come; whether to go on.
    fn goes_on(&mut self, done: usize) -> bool {
        let all = self.layout.features.len() + self.layout.gradients.len();
        self.watch.as_ref().is_none_or(|watch| (watch.borrow_mut())(done, all))
    }

    /// Computes the gradient of the picture as it is; returns the losses by slot, or nothing if the watch wanted an end.
    fn differentiate(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(sums) = self.sums()? else { return Ok(None) };
        let mut losses = self.compare(&sums)?;
        let Some(sums) = self.gradients()? else { return Ok(None) };
        let (squares, nearest) = sums.split_at(self.window.contents.len());
        for (number, content) in self.window.contents.iter().enumerate() {
            let weight = self.weights[content.index] * self.times[content.number];
            losses[content.index] = (weight * squares[number] / content.values as f64) as f32;
        }
        for (layer, loss) in self.window.nearest.iter().zip(nearest) {
            losses[layer.index] = *loss as f32;
        }
        if let Some(compare) = &self.compare {
            let found = compare.losses()?;
            for style in &self.window.styles {
                losses[style.index] = found[style.index];
            }
        }
        let variation = self.terms.iter().position(|term| term.kind == Kind::Variation);
        let variation = variation.expect("a term of every run");
        let weight = self.weights[variation];
        losses[variation] = self.variation.add(&self.picture, weight, &mut self.gradient) as f32;
        Ok(Some(losses))
    }

    /// The pixels of a tile's window, as the network reads them.
    fn pixels(&self, tile: &Tile) -> Vec<f32> {
        let row = |y| self.picture.row(y).into_iter().map(|v| v as f32).collect();
        pixels(&self.layout, tile, self.stage.width, row)
    }

    /// The first pass: the statistics of the picture at all style layers.
    fn sums(&mut self) -> Result<Option<Vec<Sums>>> {
        let mut sums: Vec<Sums> = self.window.styles.iter().map(|style| Sums::new(style.channels)).collect();
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let tiles = if sums.is_empty() { 0 } else { self.layout.features.len() };
        for next in 0..tiles + AHEAD {
            if flights.len() == AHEAD || next >= tiles {
                let Some(flight) = flights.pop_front() else { break };
                self.window.sums(flight, |layer, sum, products| sums[layer].add(sum, products))?;
            }
            if next < tiles {
                if !self.goes_on(next) {
                    return Ok(None);
                }
                let tile = &self.layout.features[next];
                flights.push_back(self.window.submit(Turn::First, tile, &self.pixels(tile), &[]));
            }
        }
        Ok(Some(sums))
    }

    /// Compares the statistics of the whole picture with the paintings'. Returns the losses by slot, without those that the device
    /// finds.
    fn compare(&mut self, sums: &[Sums]) -> Result<Vec<f32>> {
        let mut losses = vec![0.0; self.terms.len()];
        let mut moments = vec![[Vec::new(), Vec::new()]; sums.len()];
        for ((style, against), sums) in self.window.styles.iter().zip(&self.against).zip(sums) {
            match against {
                Against::Mean(shift) => moments[style.number] = sums.moments(shift, style.sites),
                Against::Gram(target, times) => {
                    let scale = self.weights[style.index] * times / target.len() as f64;
                    let gram = sums.gram(style.sites);
                    let off: Vec<f64> = gram.iter().zip(target).map(|(g, t)| g - f64::from(*t)).collect();
                    losses[style.index] = (scale * off.iter().map(|d| d * d).sum::<f64>()) as f32;
                    let slope = 2.0 * scale * self.gradient_scale;
                    let dg: Vec<f32> = off.iter().map(|d| (slope * d) as f32).collect();
                    self.window.set_gram_gradient(style, &dg);
                }
            }
        }
        if let Some(compare) = &self.compare {
            compare.submit(&moments, self.submitted - self.stage.first);
        }
        Ok(losses)
    }

    /// The second pass: the gradient of all pixels but for total variation. Returns the sum of squared differences of each content
    /// layer, then the loss of each layer of the nearest-neighbour term.
    fn gradients(&mut self) -> Result<Option<Vec<f64>>> {
        self.window.set_count(self.submitted - self.stage.first);
        let mut sums = vec![0.0; self.window.contents.len() + self.window.nearest.len()];
        let mut flights: VecDeque<(usize, Flight)> = VecDeque::new();
        let tiles = self.layout.gradients.len();
        for next in 0..tiles + AHEAD {
            if flights.len() == AHEAD || next >= tiles {
                let Some((tile, flight)) = flights.pop_front() else { break };
                let (own, gradient) = self.window.gradient(flight)?;
                sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
                self.take(tile, &gradient);
            }
            if next < tiles {
                if !self.goes_on(self.layout.features.len() + next) {
                    return Ok(None);
                }
                let tile = &self.layout.gradients[next];
                let seen = self.window.contents.iter();
                let seen = seen.map(|content| self.features[content.number].seen(tile, content.shape));
                let seen: Vec<Vec<f32>> = seen.collect();
                let flight = self.window.submit(Turn::Second, tile, &self.pixels(tile), &seen);
                flights.push_back((next, flight));
            }
        }
        Ok(Some(sums))
    }

    /// Takes what a tile owns of the gradient of its window.
    fn take(&mut self, tile: usize, gradient: &[f32]) {
        let tile = &self.layout.gradients[tile];
        let [top, bottom, left, right] = tile.within();
        let (columns, width) = (self.layout.window.0, self.stage.width);
        for y in top..bottom {
            for c in 0..3 {
                let from = &gradient[(3 * y + c) * columns..][left..right];
                let line = (3 * (tile.rows.begin + y) + c) * width + tile.columns.begin;
                self.gradient[line + left..][..right - left].copy_from_slice(from);
            }
        }
    }

    /// Differentiates beside the run, with the weights that were set last, and returns the length of the picture's gradient.
    pub(super) fn gradient_length(&mut self) -> Result<f64> {
        self.differentiate()?;
        Ok(self.gradient.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt())
    }

    /// Iterations of the run that are done.
    pub(super) fn submitted(&self) -> usize {
        self.submitted
    }

    /// Does nothing more.
    pub(super) fn stop(&mut self) {
        self.end = self.submitted;
    }

    /// Lets the stage do `n` iterations from here on, whatever it was to do.
    pub(super) fn allow(&mut self, n: usize) {
        self.end = self.submitted + n;
        self.whole = self.end;
    }

    /// What is shown: the average, once there is one.
    fn shown(&self) -> &Rows {
        let steps = self.submitted - self.stage.first + self.stage.before;
        self.average.as_ref().filter(|_| steps > 0).unwrap_or(&self.picture)
    }

    /// The picture of optimised values, which were kept after `iterations` of the run.
    pub(super) fn show(&self, iterations: usize, values: Vec<f64>) -> Result<Picture> {
        let shape = Shape::new(3, self.stage.height, self.stage.width);
        let keep = self.average.as_ref().map(|_| self.keep);
        show(&self.stage, keep, self.variable, shape, iterations, values)
    }

    /// The picture as it is.
    pub(super) fn picture(&mut self) -> Result<Picture> {
        self.show(self.submitted, self.real.decode(self.shown().words()))
    }

    /// What is shown of a stage that is done: the average of its iterates, or the picture itself.
    pub(super) fn averaged(&self, carried: &Carried) -> Vec<f64> {
        averaged(&self.stage, self.keep, self.real, carried)
    }

    /// The optimised variable.
    pub(super) fn variable(&mut self) -> Result<Vec<f64>> {
        Ok(self.real.decode(self.picture.words()))
    }

    /// The gradient of the last iteration.
    pub(super) fn gradient(&mut self) -> Result<Vec<f32>> {
        Ok(self.gradient.clone())
    }

    /// Device memory of the stage in bytes, without the network's weights.
    pub(super) fn bytes(&self) -> u64 {
        let compare = self.compare.as_ref().map_or(0, |compare| compare.plan.bytes());
        self.window.plan.bytes() + compare + self.style_bytes
    }

    /// Bytes of the buffers through which the processor reads.
    pub(super) fn readback_bytes(&self) -> u64 {
        self.window.readback_bytes()
    }

    /// What a tile is computed by.
    pub(super) fn plan(&self) -> &Plan {
        &self.window.plan
    }
}
