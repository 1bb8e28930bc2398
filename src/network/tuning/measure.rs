//! Measuring the variants of a class of shapes on the device at hand.

use std::path::Path;
use std::time::{Duration, Instant};

use super::cache::Cache;
use super::{Choices, Tuning, convolution, matrix, measured_side};
use crate::architecture::LayerSpec;
use crate::cases::{Case, Size};
use crate::engine::gpu::Gpu;
use crate::engine::plan::{Plan, Timers};
use crate::engine::precision::Precision;
use crate::ops::tables;
use crate::{Error, Result};

/// What measuring may delay the first iteration by. No variant is begun later: a class that is not complete
/// then takes the best so far, one that is not begun the default, for good: later runs are to give the same
/// bits.
const BUDGET: Duration = Duration::from_secs(3);
/// Runs of a variant, after one that does not count; the fastest is taken.
const RUNS: usize = 3;
/// A variant is dropped if its first run takes this many times as long as the best so far.
const HOPELESS: f64 = 3.0;
/// A variant must take less than this share of the default's time, so that chance does not choose.
const BETTER: f64 = 0.95;

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
    precision: Precision,
    /// The variant that serves without a measurement.
    default: &'static str,
    /// How much of an iteration it is, relative to the other classes.
    share: f64,
}

impl Tuning {
    /// The variants that are fastest on this device for convolutions of `specs` and their Gram matrices, of
    /// maps that are stored in `precision`, and what a user might want to know about how they came about.
    ///
    /// Choices are kept in the folder `cache`, so that later runs take the same ones and give the same bits.
    /// Without a folder they live as long as this value: another run may choose differently where two
    /// variants are about as fast, and its results then differ by rounding.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails, [`Error::Setting`] if it cannot store half precision. A cache
    /// that cannot be read or written is no error, but a note.
    pub fn measured(
        precision: Precision,
        gpu: &Gpu,
        specs: &[LayerSpec],
        cache: Option<&Path>,
        when: When,
    ) -> Result<(Self, Vec<String>)> {
        precision.check(gpu)?;
        let mut notes = Vec::new();
        let cache = cache.map(|folder| Cache::new(gpu, folder));
        let mut chosen = Choices::new();
        if let Some(cache) = &cache {
            match cache.read() {
                Ok(choices) => chosen = choices,
                Err(_) if when == When::Again => {}
                Err(note) => notes.push(note),
            }
        }
        if when == When::Never {
            return Ok((Self { chosen, precision, ..Self::default() }, notes));
        }
        let start = Instant::now();
        let wanted = |class: &Class| when == When::Again || !chosen.contains_key(&class.name);
        let missing: Vec<Class> = classes(gpu, specs, precision).into_iter().filter(wanted).collect();
        let mut left = 0;
        for class in &missing {
            let (best, complete) = class.fastest(gpu, start + BUDGET)?;
            left += usize::from(!complete);
            // What was measured earlier is worth more than what time was not enough for.
            if complete || !chosen.contains_key(&class.name) {
                chosen.insert(class.name.clone(), best.to_owned());
            }
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
            if left > 0 {
                let all = missing.len();
                note += &format!(
                    "; of {all} shapes, {left} were not measured in all forms in that time: --retune tries again"
                );
            }
            notes.push(note);
        }
        Ok((Self { chosen, precision, ..Self::default() }, notes))
    }
}

/// The classes that a network needs, each once, what takes the most time in an iteration first: should the
/// budget not be enough for all, it goes where it matters.
fn classes(gpu: &Gpu, specs: &[LayerSpec], precision: Precision) -> Vec<Class> {
    let default = Tuning::default().in_precision(precision);
    let mut classes: Vec<Class> = Vec::new();
    let mut add = |class: Class| match classes.iter_mut().find(|known| known.name == class.name) {
        Some(known) => known.share += class.share,
        None => classes.push(class),
    };
    for LayerSpec { c_in, c_out, .. } in specs {
        let (c_in, c_out) = (*c_in, *c_out);
        let side = measured_side(gpu, c_in, c_out);
        // Where the channels double, a pooling has left a quarter of the pixels.
        let pixels = 1.0 / (c_out * c_out) as f64;
        add(Class {
            name: convolution(c_in, c_out, precision),
            op: "conv3x3",
            size: Size::between(c_in, c_out, side, side),
            precision,
            default: default.conv3x3(gpu, c_in, c_out).name(),
            share: 9.0 * (c_in * c_out) as f64 * pixels,
        });
        add(Class {
            name: matrix(c_out, precision),
            op: "gram",
            size: Size::new(c_out, side, side),
            precision,
            default: default.gram(gpu, c_out).name(),
            share: (c_out * c_out) as f64 * pixels,
        });
    }
    classes.sort_by(|a, b| b.share.total_cmp(&a.share));
    classes
}

impl Class {
    /// The fastest variant, forward and backward together, of those whose turn comes before `end`, and
    /// whether they all had one.
    fn fastest(&self, gpu: &Gpu, end: Instant) -> Result<(&'static str, bool)> {
        if Instant::now() >= end {
            return Ok((self.default, false));
        }
        let table = tables().into_iter().find(|table| table.op == self.op);
        let Some(case) = table.and_then(|table| (table.at)(self.size).into_iter().next()) else {
            return Ok((self.default, true));
        };
        let case = if self.precision == Precision::Half { Case::half(case) } else { case };
        let competes = |name: &str| super::competes(gpu, &self.name, name);
        let mut candidates: Vec<_> =
            case.candidates.iter().filter(|c| competes(c.name) && c.runs_on(gpu)).collect();
        // The default first, for the others are compared with it.
        candidates.sort_by_key(|candidate| candidate.name != self.default);
        let mut times: Vec<(&'static str, f64)> = Vec::new();
        for candidate in candidates {
            if Instant::now() >= end {
                return Ok((fastest(self.default, &times), false));
            }
            let best = times.iter().map(|(_, time)| *time).fold(f64::MAX, f64::min);
            match case.plan(gpu, candidate).and_then(|(plan, _)| time(gpu, &plan, HOPELESS * best)) {
                Ok(time) => times.push((candidate.name, time)),
                // A driver that has no room for a variant, or does not take it, may take the others; if it is
                // gone, the default fails, too.
                Err(Error::TooLarge(_)) => {}
                Err(Error::Device(_)) if candidate.name != self.default && works(gpu) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((fastest(self.default, &times), true))
    }
}

/// The variant with the least time; the default unless another is clearly faster.
fn fastest(default: &'static str, times: &[(&'static str, f64)]) -> &'static str {
    let limit = times.iter().find(|(name, _)| *name == default).map_or(f64::MAX, |(_, time)| time * BETTER);
    let best = times.iter().min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, time)| *time < limit);
    best.map_or(default, |(name, _)| name)
}

/// Whether the device still does anything.
fn works(gpu: &Gpu) -> bool {
    gpu.upload("probe", &[1.0])
        .and_then(|buffer| gpu.download(&buffer, 1))
        .is_ok_and(|values| values == [1.0])
}

/// Nanoseconds of a plan, at best; of the first run that counts, if that takes as long as `hopeless`.
fn time(gpu: &Gpu, plan: &Plan, hopeless: f64) -> Result<f64> {
    let timers = if gpu.has_timestamps() { Some(Timers::new(gpu, plan)?) } else { None };
    let once = || match &timers {
        Some(timers) => plan.time(gpu, timers, plan.all(), 1).map(|timeline| timeline.sum()),
        None => {
            let start = Instant::now();
            plan.run(gpu);
            gpu.wait()?;
            Ok(start.elapsed().as_secs_f64() * 1e9)
        }
    };
    // Some drivers compile a shader when it first runs.
    once()?;
    let first = once()?;
    if first >= hopeless {
        return Ok(first);
    }
    (1..RUNS).try_fold(first, |best, _| once().map(|time| best.min(time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Network;

    #[test]
    fn what_takes_the_most_time_is_measured_first() {
        let gpu = Gpu::new(None).unwrap();
        let specs = Network::vgg19().specs(&["conv5_1".parse().unwrap()]).unwrap();
        let names: Vec<String> =
            classes(&gpu, &specs, Precision::Single).into_iter().map(|class| class.name).collect();
        assert_eq!(names[..2], ["conv3x3 512->512", "conv3x3 256->256"]);
        let mut once = names.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), names.len(), "{names:?}");
        assert_eq!(names.iter().filter(|name| name.starts_with("gram")).count(), 4, "{names:?}");
    }

    #[test]
    fn without_time_everything_is_the_default() {
        let gpu = Gpu::new(None).unwrap();
        let specs = Network::vgg19().specs(&["conv5_1".parse().unwrap()]).unwrap();
        for precision in Precision::ALL {
            for class in classes(&gpu, &specs, precision) {
                assert_eq!(class.fastest(&gpu, Instant::now()).unwrap(), (class.default, false));
                assert_eq!(class.name.ends_with(" half"), precision == Precision::Half, "{}", class.name);
            }
        }
    }

    #[test]
    fn the_default_stays_unless_another_is_clearly_faster() {
        for (times, expected) in [
            (&[][..], "tiled"),
            (&[("tiled", 100.0)], "tiled"),
            (&[("tiled", 100.0), ("few", 96.0)], "tiled"),
            (&[("tiled", 100.0), ("few", 94.0)], "few"),
            (&[("tiled", 100.0), ("few", 94.0), ("tiled_small", 50.0), ("tiled_large", 51.0)], "tiled_small"),
            (&[("tiled", 50.0), ("few", 94.0)], "tiled"),
            // The driver has no room for the default.
            (&[("few", 94.0), ("tiled_small", 95.0)], "few"),
        ] {
            assert_eq!(fastest("tiled", times), expected, "{times:?}");
        }
    }

    /// What the device is slow at loses, wherever it stands: on software Vulkan `winograd` takes a tenth of
    /// the time of `tiled`.
    #[test]
    fn what_is_ten_times_faster_wins() {
        let gpu = Gpu::new(None).unwrap();
        let specs = Network::vgg19().specs(&["conv1_2".parse().unwrap()]).unwrap();
        let mut class = classes(&gpu, &specs, Precision::Single)
            .into_iter()
            .find(|class| class.name == "conv3x3 64->64")
            .unwrap();
        if class.default != "winograd" {
            println!("this adapter does not take `winograd`");
            return;
        }
        class.default = "tiled";
        // `shifted` may be as fast. Where nothing is cached, most of the time goes into compiling.
        let (best, complete) = class.fastest(&gpu, Instant::now() + 200 * BUDGET).unwrap();
        assert!(complete && best != "tiled", "{best}");
    }
}
