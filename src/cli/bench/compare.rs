//! An earlier report of `impasto bench --json`, with which measurements are compared.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use impasto::engine::precision::Precision;
use impasto::measuring::bench::{Breakdown, Iteration, Measured, Part};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::startup::Startup;
use crate::cli::console;

/// The earlier measurements.
pub struct Earlier {
    path: PathBuf,
    report: Value,
}

/// The times of an iteration divided by those of the earlier report; below 1 is faster now.
#[derive(Clone, Debug, Serialize)]
pub struct Ratios {
    /// The iteration as in a run.
    pub ms: f64,
    /// Kernels that both reports have, in the order of the table.
    pub kernels: Vec<(String, f64)>,
    /// Layers and losses that both reports have.
    pub layers: Vec<(String, f64)>,
    /// All memory.
    pub memory: f64,
    /// From the start of a process to its first iteration, cold and warm.
    pub startup: [f64; 2],
}

impl Earlier {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot compare with {name}"))?;
        let wrong = || format!("cannot compare with {name}: it is no report of `impasto bench --json`");
        let report: Value = serde_json::from_str(&text).with_context(wrong)?;
        if report["device"]["name"].as_str().is_none() {
            bail!(wrong());
        }
        Ok(Self { path: path.to_owned(), report })
    }

    /// A part of the report. Reports of other calls of the bench do not have it.
    fn part<T: for<'de> Deserialize<'de>>(&self, key: &str, call: &str) -> anyhow::Result<T> {
        T::deserialize(&self.report[key]).with_context(|| {
            format!("cannot compare with {}: it is no report of `{call} --json`", self.path.display())
        })
    }

    /// Refuses another size or precision, and adds a note if the device was another one.
    fn check(
        &self,
        device: &Value,
        (now, precision): ([usize; 2], Precision),
        (then, earlier): ([usize; 2], Precision),
    ) -> anyhow::Result<()> {
        if now != then {
            let [[w, h], [width, height]] = [now, then];
            bail!(
                "cannot compare {w} x {h} with {}, which is about {width} x {height}; use --size {width}x{height}",
                self.path.display()
            );
        }
        if precision != earlier {
            bail!(
                "cannot compare {precision} precision with {}, which is about {earlier}; use --precision {earlier}",
                self.path.display()
            );
        }
        for key in ["name", "driver"] {
            let (now, then) = (&device[key], &self.report["device"][key]);
            if now != then {
                console::message(&format!("note: the earlier report is of {then}, this one of {now}"));
            }
        }
        Ok(())
    }

    /// Refuses numbers that cannot have been measured.
    fn plausible(&self, mut times: impl Iterator<Item = f64>) -> anyhow::Result<()> {
        if times.any(|time| !(1e-9..1e15).contains(&time)) {
            bail!(
                "cannot compare with {}: it holds numbers that cannot be measurements",
                self.path.display()
            );
        }
        Ok(())
    }

    /// The ops of the earlier report.
    pub fn ops(
        &self,
        device: &Value,
        (width, height): (usize, usize),
        precision: Precision,
    ) -> anyhow::Result<Vec<Measured>> {
        let call = "impasto bench";
        // Reports of version 0.1 do not name a precision: they are float32.
        let earlier = self.report.get("precision").map(|_| self.part("precision", call)).transpose()?;
        let then = (self.part("size", call)?, earlier.unwrap_or_default());
        self.check(device, ([width, height], precision), then)?;
        let ops: Vec<Measured> = self.part("ops", call)?;
        self.plausible(ops.iter().map(|op| op.us))?;
        Ok(ops)
    }

    /// The iteration of the earlier report, and the time from the start of its process to the first
    /// iteration.
    pub fn iteration(
        &self,
        device: &Value,
        (width, height): (usize, usize),
        precision: Precision,
    ) -> anyhow::Result<(Iteration, Startup)> {
        let call = "impasto bench --iteration";
        let then: Iteration = self.part("iteration", call)?;
        self.check(device, ([width, height], precision), ([then.width, then.height], then.precision))?;
        let startup: Startup = self.part("startup", call)?;
        self.plausible([then.ms, startup.cold_ms, startup.warm_ms, then.memory.total as f64].into_iter())?;
        Ok((then, startup))
    }
}

impl Ratios {
    /// Divides what was measured now by what was measured earlier.
    pub fn new(now: (&Iteration, &Startup), then: (&Iteration, &Startup)) -> Self {
        let ratio = |now: f64, then: f64| now / then.max(1e-9);
        let parts = |of: fn(&Breakdown) -> &[Part]| -> Vec<(String, f64)> {
            let [now, then] =
                [now.0, then.0].map(|iteration| iteration.breakdown.as_ref().map_or(&[][..], of));
            let earlier = |part: &Part| then.iter().find(|other| other.name == part.name);
            let both = now.iter().filter_map(|part| Some((part, earlier(part)?)));
            both.map(|(part, other)| (part.name.clone(), ratio(part.ms, other.ms))).collect()
        };
        Self {
            ms: ratio(now.0.ms, then.0.ms),
            kernels: parts(|breakdown| &breakdown.kernels),
            layers: parts(|breakdown| &breakdown.layers),
            memory: ratio(now.0.memory.total as f64, then.0.memory.total as f64),
            startup: [ratio(now.1.cold_ms, then.1.cold_ms), ratio(now.1.warm_ms, then.1.warm_ms)],
        }
    }
}

/// The time of a measurement divided by the earlier time of the same one, if there is one.
pub fn ratio(now: &Measured, earlier: &[Measured]) -> Option<f64> {
    let key = |m: &Measured| [&m.op, &m.case, &m.variant, &m.pass].map(Clone::clone);
    let then = earlier.iter().find(|then| key(then) == key(now))?;
    Some(now.us / then.us.max(1e-9))
}
