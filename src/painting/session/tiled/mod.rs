//! One stage in tiles: the picture is on the processor, and each iteration is two passes over its tiles.

mod passes;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use super::carried::{Carried, show};
use super::work::Means;
use super::{NOT_FINITE, Watch};
use crate::disk::{Store, Words};
use crate::engine::plan::Plan;
use crate::engine::real::Real;
use crate::engine::tape::Shape;
use crate::ops::adam::Rule;
use crate::painting::choices::{Optimizer, Recipe, TileStatistics};
use crate::painting::objective::{Kind, Objective, Term, terms};
use crate::painting::optimiser::{Part, State, parts};
use crate::painting::ranks::{Ranks, Word, exchange};
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::style::{Measured, StyleStatistics};
use crate::painting::tiling::content::Features;
use crate::painting::tiling::device::Device;
use crate::painting::tiling::layout::Layout;
use crate::painting::tiling::lbfgs;
use crate::painting::tiling::optimiser::{self, Course};
use crate::painting::tiling::rows::{Rows, in_bands};
use crate::painting::tiling::statistics::Statistic;
use crate::painting::tiling::variation::Variation;
use crate::painting::tiling::window::StyleOnTape;
use crate::painting::variable::Variable;
use crate::picture::Picture;
use crate::{Error, Result};

/// How many rows are shown before what they lay in leaves the memory.
const UNLOADED: usize = 64;

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
    /// At least one.
    devices: Vec<Device<'g>>,
    /// The processes that share the tiles, if there are several.
    ranks: Option<Rc<dyn Ranks>>,
    features: Vec<Features>,
    /// As it was measured on the first device.
    style: Rc<Measured>,
    /// By the number of the style term in the window.
    against: Vec<Against>,
    variation: Variation,
    terms: Vec<Term>,
    /// By slot: the weights, and the factors on the weights of content terms.
    weights: Vec<f64>,
    times: Vec<f64>,
    gradient_scale: f64,
    rule: Rule,
    factor: f64,
    course: Course,
    variable: Variable,
    /// Picture, what the optimiser keeps in the order of its parts, and average. They are empty at first.
    picture: Rows,
    optimiser: State,
    average: Option<Rows>,
    optimizer: Optimizer,
    parts: Vec<Part>,
    store: Store,
    keep: f64,
    gradient: Words,
    /// Whether statistics are kept for the next iteration.
    quick: bool,
    /// Those of the iteration before, if they are.
    last: Option<Vec<Statistic>>,
    end: usize,
    whole: usize,
    submitted: usize,
    pub(super) log: Vec<f32>,
    pub(super) copy_every: Option<usize>,
    pub(super) copies: VecDeque<(usize, Result<Picture>)>,
    pub(super) watch: Option<Watch>,
    /// Whether the watch wanted an end.
    pub(super) given_up: bool,
}

impl<'g> Tiled<'g> {
    /// Records and lays out a stage of a run of `whole` iterations, on a device and on others that share its
    /// tiles; each has the style that was measured on it. Picture and state are to be set by [`Self::set`].
    pub(super) async fn new(
        (objective, style): (&Objective<'g, '_>, Rc<Measured>),
        others: &[(&Objective<'g, '_>, &Measured)],
        means: &Means<'g>,
        stage: Stage,
        layout: Layout,
        photograph: &Picture,
        whole: usize,
    ) -> Result<Self> {
        let (gpu, settings, store) = (objective.gpu, objective.settings, &means.store);
        // What measures the photograph is gone before what iterates takes its place.
        let features = objective.features_in_tiles(photograph, &layout, store).await?;
        let energies: Vec<f64> = features.iter().map(|features| features.energy).collect();
        let mut devices = Vec::new();
        for (objective, style) in std::iter::once((objective, &*style)).chain(others.iter().copied()) {
            devices.push(Device::new(objective, &stage, &layout, &energies, style)?);
        }
        let mut against = Vec::new();
        for on_tape in &devices[0].window.styles {
            let layer = style.layers[on_tape.number].as_ref().expect("only regions may lack a layer");
            against.push(match &layer.statistics {
                StyleStatistics::Gram { matrix, energy } => {
                    let len = on_tape.channels * on_tape.channels;
                    let times = if objective.settings.recipe == Recipe::Book { 1.0 } else { 1.0 / energy };
                    Against::Gram(gpu.download_async(matrix, len).await?, times)
                }
                StyleStatistics::Moments(resident) => Against::Mean(resident.mean(gpu).await?),
            });
        }
        let shape = Shape::new(3, stage.height, stage.width);
        let (real, terms) = (objective.real(), terms(settings));
        let (rule, factor) = objective.rule(shape);
        Ok(Self {
            stage,
            real,
            devices,
            ranks: means.ranks.clone(),
            features,
            style,
            against,
            variation: Variation::new(shape, settings.recipe),
            weights: terms.iter().map(|term| term.weight).collect(),
            times: energies.iter().map(|energy| objective.content_times(&stage, *energy)).collect(),
            terms,
            gradient_scale: settings.gradient_scale(shape.pixels()),
            rule,
            factor,
            course: Course::of(settings, &stage),
            variable: objective.variable(),
            picture: Rows::new(real, 3 * stage.width, Vec::new().into()),
            optimizer: settings.optimizer,
            optimiser: State::new(),
            average: None,
            parts: parts(settings, real),
            store: store.clone(),
            keep: settings.average,
            gradient: store.zeros(shape.len())?,
            quick: settings.tile_statistics == TileStatistics::Quick,
            last: None,
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

    /// Sets the picture to start from. Everything else is as at the beginning of a run.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if another rank cannot be reached.
    pub(super) fn place(&mut self, start: &Picture) -> Result<()> {
        let (real, variable) = (self.real, self.variable);
        let values = 3 * self.stage.width * self.stage.height;
        let rows = || Ok(Rows::new(real, 3 * self.stage.width, self.store.zeros(real.len(values))?));
        let mut picture = rows()?;
        let row = picture.row_words();
        in_bands(picture.words_mut(), row, &[], |y, words| {
            words.copy_from_slice(&real.encode(&variable.encode_row(start, y)));
        });
        self.average = if self.keep > 0.0 { Some(rows()?) } else { None };
        let optimiser = self.parts.iter().map(|part| part.zeros(values, &self.store));
        (self.picture, self.optimiser) = (picture, optimiser.collect::<Result<_>>()?);
        self.share()
    }

    /// Gives all ranks the picture and the state of the first, so that they are the same even if their devices are
    /// not.
    fn share(&mut self) -> Result<()> {
        let Some(ranks) = self.ranks.clone() else { return Ok(()) };
        self.own()?;
        self.state().try_for_each(|words| words.each_part_mut(|part| ranks.share(part)))
    }

    /// All that an iteration changes and a checkpoint has.
    fn state(&mut self) -> impl Iterator<Item = &mut Words> {
        let average = self.average.as_mut().map(Rows::words_mut);
        std::iter::once(self.picture.words_mut()).chain(&mut self.optimiser).chain(average)
    }

    /// Copies of the state whatever a checkpoint or another stage has, too.
    fn own(&mut self) -> Result<()> {
        self.state().try_for_each(Words::own)
    }

    /// Sets picture and state, as they were after `iterations` of the run.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if another rank cannot be reached.
    pub(super) fn set(&mut self, carried: &Carried, iterations: usize) -> Result<()> {
        let Carried { picture, optimiser, average, transports } = carried;
        let rows = |words: &Words| Rows::new(self.real, 3 * self.stage.width, words.clone());
        (self.picture, self.optimiser) = (rows(picture), optimiser.clone());
        self.average = (self.keep > 0.0).then(|| rows(average));
        // A stage that begins computes its own.
        let mut rest = &transports[..];
        for compare in self.devices.iter().filter_map(|device| device.compare.as_ref()) {
            rest = compare.set_transports(transports);
        }
        self.last = if self.quick { self.statistics_in(rest) } else { None };
        self.submitted = iterations;
        self.share()
    }

    /// The statistics of the iteration before, from the words of a checkpoint; `None` where it has none.
    fn statistics_in(&self, mut words: &[f32]) -> Option<Vec<Statistic>> {
        let empty = |style: &StyleOnTape, against: &Against| {
            let (c, zeros) = (style.channels, |len: usize| vec![0.0; len]);
            match against {
                Against::Gram(..) => Statistic::Gram(vec![0.0; c * c]),
                Against::Mean(_) => Statistic::Moments([zeros(c), zeros(c * c)]),
            }
        };
        let styles = self.devices[0].window.styles.iter().zip(&self.against);
        styles.map(|(style, against)| empty(style, against).read(&mut words)).collect()
    }

    /// The state that another stage or run continues from.
    pub(super) async fn carried(&mut self) -> Result<Carried> {
        let mut transports = match &self.devices[0].compare {
            Some(compare) => compare.transports().await?,
            None => Vec::new(),
        };
        // Behind them, what the next iteration takes from this one.
        transports.extend(self.last.iter().flatten().flat_map(Statistic::words));
        Ok(Carried {
            picture: self.picture.words().clone(),
            optimiser: self.optimiser.clone(),
            average: self.average.as_ref().map_or_else(|| Vec::new().into(), |rows| rows.words().clone()),
            transports: transports.into(),
        })
    }

    /// Gives the terms and the optimiser the weights and rates of other settings; the nearest-neighbour term
    /// counts `finish` times.
    pub(super) fn turn(&mut self, settings: &Settings, finish: f64) {
        let terms = terms(settings);
        self.weigh(|slot| match terms[slot].kind {
            Kind::Nearest(_) => terms[slot].weight * finish,
            _ => terms[slot].weight,
        });
        self.course = Course::of(settings, &self.stage);
    }

    /// Sets the weight of each slot. For measuring gradients, where some terms count nothing.
    pub(super) fn weigh(&mut self, weight: impl Fn(usize) -> f64) {
        self.weights = (0..self.terms.len()).map(&weight).collect();
        self.devices.iter().for_each(|device| device.weigh(&weight));
    }

    /// One more iteration, or `false` if the stage is done.
    pub(super) async fn advance(&mut self) -> Result<bool> {
        let over = self.submitted >= self.end;
        let all_go_on = match &self.ranks {
            Some(ranks) => exchange(&**ranks, if over { Word::Stop } else { Word::Done }, &[])?.is_some(),
            None => !over,
        };
        if !all_go_on {
            // Perhaps only another rank was asked to stop.
            self.given_up |= !over;
            self.stop();
            return Ok(false);
        }
        let Some(losses) = self.differentiate().await? else {
            // Nothing has moved yet.
            self.given_up = true;
            self.stop();
            return Ok(false);
        };
        self.own()?;
        let step = match self.optimizer {
            Optimizer::Adam => optimiser::step,
            Optimizer::Lbfgs => lbfgs::step,
        };
        let course = (&self.rule, &self.course);
        step(&mut self.picture, &mut self.optimiser, &self.gradient, self.factor, course, self.real);
        if let Some(sum) = &mut self.average {
            optimiser::average(sum, &self.picture, self.keep, self.real);
        }
        self.submitted += 1;
        self.log.extend(losses);
        let done = self.submitted;
        if done < self.whole && self.copy_every.is_some_and(|every| done.is_multiple_of(every)) {
            self.copies.push_back((done, self.show()));
        }
        Ok(true)
    }

    /// Differentiates outside the run, with the weights that were set last, and returns the length of the
    /// picture's gradient: of none, if the watch wanted an end. The run is over then, and one that is resumed
    /// measures it anew.
    pub(super) async fn gradient_length(&mut self) -> Result<f64> {
        // Of this very picture.
        self.last = None;
        if self.given_up || self.differentiate().await?.is_none() {
            self.given_up = true;
            self.stop();
            return Ok(0.0);
        }
        let mut squares = 0.0;
        let Ok(()) = self.gradient.each_part(|part| {
            part.iter().for_each(|v| squares += f64::from(*v).powi(2));
            Ok::<(), Infallible>(())
        });
        Ok(squares.sqrt())
    }

    /// Iterations of the run that are done.
    pub(super) fn submitted(&self) -> usize {
        self.submitted
    }

    /// Does nothing more.
    pub(super) fn stop(&mut self) {
        self.end = self.submitted;
    }

    /// See [`Running::shorten`](super::running::Running::shorten).
    pub(super) fn shorten(&mut self, stage: &Stage, whole: usize) {
        self.stage.iterations = stage.iterations;
        (self.end, self.whole) = (self.end.min(stage.end()), whole);
    }

    /// Replaces the number of iterations that are left by `n`.
    pub(super) fn allow(&mut self, n: usize) {
        self.end = self.submitted + n;
        self.whole = self.end;
    }

    /// The rows that are shown: the average, once there is one.
    fn shown(&self) -> &Rows {
        let steps = self.submitted - self.stage.first + self.stage.before;
        self.average.as_ref().filter(|_| steps > 0).unwrap_or(&self.picture)
    }

    /// The picture after all iterations so far.
    fn show(&self) -> Result<Picture> {
        let (keep, shown) = (self.average.as_ref().map(|_| self.keep), self.shown());
        show(&self.stage, keep, self.variable, self.submitted, |y| {
            if y % UNLOADED == 0 {
                shown.words().unload();
            }
            shown.row(y)
        })
    }

    /// Refuses a picture that is no longer made of finite numbers.
    pub(super) fn check_finite(&self) -> Result<()> {
        let finite = |part: &[f32]| self.real.decode(part).iter().all(|v| v.is_finite());
        let part =
            |part: &[f32]| finite(part).then_some(()).ok_or_else(|| Error::NotFinite(NOT_FINITE.into()));
        self.shown().words().each_part(part)
    }

    /// The current picture.
    pub(super) async fn picture(&mut self) -> Result<Picture> {
        self.show()
    }

    /// The optimised variable.
    pub(super) async fn variable(&mut self) -> Result<Vec<f64>> {
        Ok(self.real.decode(self.picture.words()))
    }

    /// The gradient of the last iteration.
    pub(super) async fn gradient(&mut self) -> Result<Vec<f32>> {
        Ok(self.gradient.to_vec())
    }

    /// See [`Running::release`](super::running::Running::release).
    pub(super) fn release(&mut self) {
        self.devices.iter_mut().for_each(Device::release);
        self.features.clear();
        self.gradient = Vec::new().into();
    }

    /// Device memory of the stage on its first device in bytes, without the network's weights.
    pub(super) fn bytes(&self) -> u64 {
        self.devices[0].bytes() + self.style.bytes()
    }

    /// Bytes of the buffers through which the processor reads.
    pub(super) fn readback_bytes(&self) -> u64 {
        self.devices[0].window.readback_bytes()
    }

    /// The plan that computes a tile.
    pub(super) fn plan(&self) -> &Plan {
        &self.devices[0].window.plan
    }
}
