//! An earlier report of `impasto bench --json`, to which measurements are compared.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use impasto::bench::{Iteration, Measured};
use impasto::precision::Precision;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::talk;

/// What was measured earlier.
pub struct Earlier {
    path: PathBuf,
    report: Value,
}

/// Times of an iteration over those of the earlier report; below 1 is faster now.
#[derive(Clone, Debug, Serialize)]
pub struct Ratios {
    /// Of the iteration as in a run.
    pub ms: f64,
    /// Of kernels that both reports have, in the order of the table.
    pub kernels: Vec<(String, f64)>,
    /// Of all memory.
    pub memory: f64,
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

    /// A part of the report, which other calls of the bench do not have.
    fn part<T: for<'de> Deserialize<'de>>(&self, key: &str, call: &str) -> anyhow::Result<T> {
        T::deserialize(&self.report[key]).with_context(|| {
            format!("cannot compare with {}: it is no report of `{call} --json`", self.path.display())
        })
    }

    /// Refuses another size or precision, and says so if it was another device.
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
                talk(&format!("note: the earlier report is of {then}, this one of {now}"));
            }
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
        // Reports of version 0.1 have none: they are float32.
        let earlier = self.report.get("precision").map(|_| self.part("precision", call)).transpose()?;
        let then = (self.part("size", call)?, earlier.unwrap_or_default());
        self.check(device, ([width, height], precision), then)?;
        self.part("ops", call)
    }

    /// How an iteration compares.
    pub fn iteration(&self, device: &Value, now: &Iteration) -> anyhow::Result<Ratios> {
        let then: Iteration = self.part("iteration", "impasto bench --iteration")?;
        let what = |of: &Iteration| ([of.width, of.height], of.precision);
        self.check(device, what(now), what(&then))?;
        let mut kernels = Vec::new();
        if let (Some(now), Some(then)) = (&now.breakdown, &then.breakdown) {
            for part in &now.kernels {
                if let Some(other) = then.kernels.iter().find(|other| other.name == part.name) {
                    kernels.push((part.name.clone(), part.ms / other.ms.max(1e-9)));
                }
            }
        }
        let memory = now.memory.total as f64 / then.memory.total.max(1) as f64;
        Ok(Ratios { ms: now.ms / then.ms.max(1e-9), kernels, memory })
    }
}

/// The time of a measurement over that of the same one earlier, if there was one.
pub fn ratio(now: &Measured, earlier: &[Measured]) -> Option<f64> {
    let key = |m: &Measured| [&m.op, &m.case, &m.variant, &m.pass].map(Clone::clone);
    let then = earlier.iter().find(|then| key(then) == key(now))?;
    Some(now.us / then.us.max(1e-9))
}
