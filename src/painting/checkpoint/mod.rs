//! An unfinished run as a file: everything that is needed to continue with the same bits.

mod file;

use crate::disk::Words;
use crate::engine::real::Real;
use crate::painting::objective::terms;
use crate::painting::optimiser::{Part, parts};
use crate::painting::session::Carried;
use crate::painting::settings::Settings;
use crate::painting::stages::{Stage, stages, steered};
use crate::painting::steering::Change;

pub(super) use file::{read, unreadable};

/// Everything that the bits of a run depend on. Pictures and network are identified by their SHA-256.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    pub(crate) settings: Settings,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) content: String,
    pub(crate) start: String,
    /// The digest and the share of each painting.
    pub(crate) styles: Vec<(String, f64)>,
    pub(crate) network: String,
    /// The digest of the regions, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) regions: Option<String>,
    /// The precision of picture, moments and counters.
    #[serde(rename = "precision")]
    pub(crate) real: Real,
    pub(crate) adapter: String,
    /// The digest of the names of all shader variants in their order.
    pub(crate) shaders: String,
    /// What was changed so far, in the order of iterations. The settings are those before any change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
}

impl Origin {
    /// The stages with their ends as they were changed.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        steered(&self.settings, (self.width, self.height), &self.changes)
    }

    /// The stage that is running, or has just ended, after `iterations`.
    fn stage(&self, iterations: usize) -> Stage {
        let stages = self.stages();
        let at = stages.iter().position(|stage| iterations <= stage.end()).unwrap_or(stages.len() - 1);
        stages[at]
    }
}

impl Origin {
    /// What the optimiser keeps.
    fn parts(&self) -> Vec<Part> {
        parts(&self.settings, self.real)
    }
}

/// The number of losses of an iteration.
fn slots(origin: &Origin) -> usize {
    terms(&origin.settings).len()
}

/// A run in the middle: the picture in its exact precision, the optimiser's moments and counters, the losses
/// so far, and the data that decide whether another run can continue from here.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The file it was read from, for error texts.
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) iteration: usize,
    /// The factor on the nearest-neighbour term.
    pub(crate) finish_weight: f64,
    /// Picture, moments and average are `height x 3 x width` reals each of the stage's size, as 32-bit words.
    pub(crate) carried: Carried,
    /// `iteration x slots`.
    pub(crate) losses: Words,
}

impl Checkpoint {
    /// The number of iterations that are done.
    pub fn iteration(&self) -> usize {
        self.iteration
    }

    /// What was changed of the run so far.
    pub fn changes(&self) -> &[Change] {
        &self.origin.changes
    }

    /// The settings of the run, as they were before any change.
    pub fn settings(&self) -> &Settings {
        &self.origin.settings
    }

    /// The width and height of the picture.
    pub fn size(&self) -> (usize, usize) {
        (self.origin.width, self.origin.height)
    }

    /// The device that computed the run. On another device, a resumed run differs by rounding from an
    /// uninterrupted one.
    pub fn adapter(&self) -> &str {
        &self.origin.adapter
    }

    /// The reason why a run of `origin` cannot continue from here: the first difference, if any. Neither the
    /// number of iterations nor the device counts as a difference.
    pub(crate) fn refusal(&self, origin: &Origin) -> Option<String> {
        let was = &self.origin;
        let size = |o: &Origin| format!("{} x {}", o.width, o.height);
        if size(was) != size(origin) {
            return Some(format!("its picture is {}, and that of this run {}", size(was), size(origin)));
        }
        if was.regions != origin.regions {
            let why = match (&was.regions, &origin.regions) {
                (None, _) => "it was made without regions",
                (_, None) => "it was made with regions, and this run has none",
                _ => "its regions are other pictures",
            };
            return Some(format!("{why}; resume with what it was made with, or start over"));
        }
        if let Some((name, before, now)) = first_difference(&was.settings, &origin.settings) {
            return Some(format!("it was made with {name} {before}, and this run has {now}; use the same"));
        }
        let parts = [
            (was.content == origin.content, "its content is another picture"),
            (was.start == origin.start, "it started from another picture"),
            (was.styles == origin.styles, "its styles are other pictures, or in other sizes or proportions"),
            (was.network == origin.network, "it was made with the weights of another network"),
            (was.real == origin.real, "its device computes in another precision"),
        ];
        if let Some((_, why)) = parts.into_iter().find(|(same, _)| !same) {
            return Some(format!("{why}; resume with what it was made with, or start over"));
        }
        let asked = |o: &Origin| {
            let stages = stages(&o.settings, (o.width, o.height));
            (stages.len(), stages[stages.len() - 1].end())
        };
        let ((_, before), (stages, now)) = (asked(was), asked(origin));
        if (stages > 1 || origin.settings.settle > 0.0) && before != now {
            return Some(format!(
                "it is of a run of {before} iterations, and this run has {now}; ask for the same, since sizes, finish and steps \
                 are planned for that number"
            ));
        }
        (now < self.iteration).then(|| {
            format!(
                "it has {} iterations already, and only {now} are asked for; ask for more",
                self.iteration
            )
        })
    }

    /// Whether a run of `origin` computes with the same shaders on the same device, so that it gives the same
    /// bits.
    pub(crate) fn same_arithmetic(&self, origin: &Origin) -> bool {
        (&self.origin.adapter, &self.origin.shaders) == (&origin.adapter, &origin.shaders)
    }
}

/// The first setting in which two runs differ, except for the iterations: its name and both values.
fn first_difference(a: &Settings, b: &Settings) -> Option<(String, String, String)> {
    let table = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(table)) => table,
        _ => unreachable!("settings are a table of numbers and names"),
    };
    let (a, b) = (table(a), table(b));
    let differs =
        |(name, value): &(&String, &serde_json::Value)| *name != "iterations" && b.get(*name) != Some(value);
    let (name, value) = a.iter().find(differs)?;
    let other = b.get(name).map(ToString::to_string).unwrap_or_default();
    Some((name.replace('_', " "), value.to_string(), other))
}
