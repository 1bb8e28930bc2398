//! Measuring the variants of a class of shapes on the device at hand.

use std::path::Path;
use std::time::{Duration, Instant};

use super::cache::{Cache, Choices};
use super::{Tuning, convolution, matrix};
use crate::gpu::Gpu;
use crate::plan::{Plan, Timers};
use crate::testing::{Size, tables};
use crate::weights::LayerSpec;
use crate::{Error, Result};

/// What measuring may delay the first iteration by. A class whose turn comes later gets the default, which is then kept
/// as if it had won.
const BUDGET: Duration = Duration::from_secs(3);
/// Runs of a variant, after one that does not count; the fastest is taken.
const RUNS: usize = 3;
/// A variant must take less than this share of the default's time, so that chance does not choose.
const BETTER: f64 = 0.95;
/// Multiply-adds of a convolution that is measured, on a GPU and on the processor.
const WORK: [f64; 2] = [3e9, 1e8];

/// When variants are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Never: what is in the cache counts, else the default.
    Never,
    /// Those of which the cache has nothing.
    FirstUse,
    /// All, whatever the cache has.
    Again,
}

/// A class of shapes whose variants compete.
struct Class {
    name: String,
    op: &'static str,
    size: Size,
    /// The variant where nothing was measured.
    default: &'static str,
}

impl Tuning {
    /// The variants that are fastest on this device for convolutions of `specs` and their Gram matrices, and what a user
    /// might want to know about how they came about.
    ///
    /// Choices are kept in the folder `cache`, so that later runs take the same ones and give the same bits. Without a
    /// folder they live as long as this value: another run may choose differently where two variants are about as
    /// fast, and its results then differ by rounding.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails. A cache that cannot be read or written is no error, but a note.
    pub fn measured(
        gpu: &Gpu,
        specs: &[LayerSpec],
        cache: Option<&Path>,
        when: When,
    ) -> Result<(Self, Vec<String>)> {
        let mut notes = Vec::new();
        let cache = cache.map(|folder| Cache::new(gpu, folder));
        let mut chosen = Choices::new();
        if let Some(cache) = cache.as_ref().filter(|_| when != When::Again) {
            match cache.read() {
                Ok(choices) => chosen = choices,
                Err(note) => notes.push(note),
            }
        }
        if when == When::Never {
            return Ok((Self { chosen, ..Self::default() }, notes));
        }
        let start = Instant::now();
        let missing: Vec<Class> =
            classes(gpu, specs).into_iter().filter(|class| !chosen.contains_key(&class.name)).collect();
        for class in &missing {
            let best = if start.elapsed() < BUDGET { class.fastest(gpu)? } else { class.default };
            chosen.insert(class.name.clone(), best.to_owned());
        }
        if !missing.is_empty() {
            let took = start.elapsed().as_secs_f64();
            let mut note =
                format!("measured in {took:.1} s which shaders are fastest on {}", gpu.info().name);
            match cache.as_ref().map(|cache| (cache, cache.write(&chosen))) {
                None => {}
                Some((cache, Ok(()))) => note += &format!("; kept in {}", cache.path().display()),
                Some((_, Err(error))) => note += &format!("; {error}, so the next run measures again"),
            }
            notes.push(note);
        }
        Ok((Self { chosen, ..Self::default() }, notes))
    }
}

/// The classes that a network needs, each once.
fn classes(gpu: &Gpu, specs: &[LayerSpec]) -> Vec<Class> {
    let default = Tuning::default();
    let mut classes: Vec<Class> = Vec::new();
    let mut add = |class: Class| {
        if classes.iter().all(|known| known.name != class.name) {
            classes.push(class);
        }
    };
    for LayerSpec { c_in, c_out, .. } in specs {
        let (c_in, c_out) = (*c_in, *c_out);
        let work = WORK[usize::from(gpu.is_software())];
        let side = (work / (9 * c_in * c_out) as f64).sqrt() as usize;
        let side = side.clamp(16, 512).next_multiple_of(4);
        add(Class {
            name: convolution(c_in, c_out),
            op: "conv3x3",
            size: Size::between(c_in, c_out, side, side),
            default: default.conv3x3(gpu, c_in, c_out).name(),
        });
        add(Class {
            name: matrix(c_out),
            op: "gram",
            size: Size::new(c_out, side, side),
            default: default.gram(gpu, c_out).name(),
        });
    }
    classes
}

impl Class {
    /// The fastest variant, forward and backward together; the default unless another is clearly faster.
    fn fastest(&self, gpu: &Gpu) -> Result<&'static str> {
        let table = tables().into_iter().find(|table| table.op == self.op);
        let Some(case) = table.and_then(|table| (table.at)(self.size).into_iter().next()) else {
            return Ok(self.default);
        };
        let mut times = Vec::new();
        // The specification is no competitor.
        let competes = |name: &str| name != "naive" && super::exists(&self.name, name);
        for candidate in case.candidates.iter().filter(|c| competes(c.name) && c.runs_on(gpu)) {
            match case.plan(gpu, candidate).and_then(|(plan, _)| time(gpu, &plan)) {
                Ok(time) => times.push((candidate.name, time)),
                Err(Error::TooLarge(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let limit =
            times.iter().find(|(name, _)| *name == self.default).map_or(f64::MAX, |(_, t)| t * BETTER);
        let best = times.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, time)| *time < limit);
        Ok(best.map_or(self.default, |(name, _)| name))
    }
}

/// Nanoseconds of a plan.
fn time(gpu: &Gpu, plan: &Plan) -> Result<f64> {
    let timers = if gpu.has_timestamps() { Some(Timers::new(gpu, plan)?) } else { None };
    let once = || match &timers {
        Some(timers) => plan.time(gpu, timers, plan.all()).map(|timeline| timeline.sum()),
        None => {
            let start = Instant::now();
            plan.run(gpu);
            gpu.wait()?;
            Ok(start.elapsed().as_secs_f64() * 1e9)
        }
    };
    once()?;
    (0..RUNS).try_fold(f64::MAX, |best, _| once().map(|time| best.min(time)))
}
