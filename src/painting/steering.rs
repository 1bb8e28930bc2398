//! What was changed of a run while it went on, and when. It is part of the record, so that the run can be
//! repeated.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::settings::{Settings, written};
use crate::{Error, Result};

/// The most changes of a run. A record must fit the 64 KiB that a JPEG has for it.
pub const MOST_CHANGES: usize = 200;

/// What ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The iterations of a stage; the run goes on with the next one.
    Size,
    /// The run; its picture is its result.
    Run,
}

/// A change of a run while it goes on: other weights, or an end. What is `None` stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Change {
    /// The first iteration that has it, counted from 0 over the whole run; for an end, one past the
    /// last.
    pub iteration: usize,
    /// See [`Settings::content_weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_weight: Option<f64>,
    /// See [`Settings::style_weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style_weight: Option<f64>,
    /// See [`Settings::style_layer_weights`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style_layer_weights: Option<Vec<f64>>,
    /// See [`Settings::tv_weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tv_weight: Option<f64>,
    /// See [`Settings::learning_rate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// See [`Settings::decay`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// See [`Settings::decay_every`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_every: Option<usize>,
    /// What ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl Change {
    /// The end of a stage or of the run before `iteration`.
    pub(crate) fn ending(iteration: usize, end: End) -> Self {
        Self { iteration, end: Some(end), ..Self::default() }
    }

    /// From weights and rates to others, or `None` if they are the same.
    pub(crate) fn between(iteration: usize, from: &Settings, to: &Settings) -> Option<Self> {
        fn new<T: PartialEq + Clone>(from: &T, to: &T) -> Option<T> {
            (from != to).then(|| to.clone())
        }
        let change = Self {
            iteration,
            content_weight: new(&from.content_weight, &to.content_weight),
            style_weight: new(&from.style_weight, &to.style_weight),
            style_layer_weights: new(&from.style_layer_weights, &to.style_layer_weights),
            tv_weight: new(&from.tv_weight, &to.tv_weight),
            learning_rate: new(&from.learning_rate, &to.learning_rate),
            decay: new(&from.decay, &to.decay),
            decay_every: new(&from.decay_every, &to.decay_every),
            end: None,
        };
        (change != Self { iteration, ..Self::default() }).then_some(change)
    }

    /// Gives settings the weights and rates that changed.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        fn set<T: Clone>(target: &mut T, new: &Option<T>) {
            new.iter().for_each(|new| target.clone_from(new));
        }
        set(&mut settings.content_weight, &self.content_weight);
        set(&mut settings.style_weight, &self.style_weight);
        set(&mut settings.style_layer_weights, &self.style_layer_weights);
        set(&mut settings.tv_weight, &self.tv_weight);
        set(&mut settings.learning_rate, &self.learning_rate);
        set(&mut settings.decay, &self.decay);
        set(&mut settings.decay_every, &self.decay_every);
    }

    /// Takes over what a later change of the same iteration has.
    fn merge(&mut self, later: Self) {
        fn set<T>(target: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *target = new;
            }
        }
        set(&mut self.content_weight, later.content_weight);
        set(&mut self.style_weight, later.style_weight);
        set(&mut self.style_layer_weights, later.style_layer_weights);
        set(&mut self.tv_weight, later.tv_weight);
        set(&mut self.learning_rate, later.learning_rate);
        set(&mut self.decay, later.decay);
        set(&mut self.decay_every, later.decay_every);
    }
}

/// What somebody who watches a run asks to be changed; what is `None` stays. Unlike a [`Change`] it may name a strength,
/// which stands for several weights.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adjustment {
    /// See [`Settings::set_strength`]. Weights that are also named count.
    pub strength: Option<f64>,
    /// See [`Settings::content_weight`].
    pub content_weight: Option<f64>,
    /// See [`Settings::style_weight`].
    pub style_weight: Option<f64>,
    /// See [`Settings::tv_weight`].
    pub tv_weight: Option<f64>,
    /// See [`Settings::learning_rate`].
    pub learning_rate: Option<f64>,
    /// See [`Settings::style_layer_weights`].
    pub style_layer_weights: Option<Vec<f64>>,
}

impl Adjustment {
    /// The settings so changed. Whether they make sense, [`Settings::validate`] says.
    ///
    /// # Errors
    /// Those of [`Settings::set_strength`].
    pub fn applied(&self, settings: &Settings) -> Result<Settings> {
        let mut settings = settings.clone();
        if let Some(strength) = self.strength {
            settings.set_strength(strength)?;
        }
        let set = |target: &mut f64, asked: Option<f64>| *target = asked.unwrap_or(*target);
        set(&mut settings.content_weight, self.content_weight);
        set(&mut settings.style_weight, self.style_weight);
        set(&mut settings.tv_weight, self.tv_weight);
        set(&mut settings.learning_rate, self.learning_rate);
        self.style_layer_weights.iter().for_each(|weights| settings.style_layer_weights.clone_from(weights));
        Ok(settings)
    }
}

/// A number with four digits that count, for people. Records have all of them.
fn rounded(x: f64) -> String {
    written(format!("{x:.3e}").parse().unwrap_or(x))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let numbers = [
            ("content weight", self.content_weight),
            ("style weight", self.style_weight),
            ("total variation weight", self.tv_weight),
            ("learning rate", self.learning_rate),
            ("decay", self.decay),
        ];
        let mut parts: Vec<String> = numbers
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", rounded(value?))))
            .collect();
        parts.extend(self.decay_every.map(|every| format!("decay every {every} iterations")));
        parts.extend(self.style_layer_weights.as_ref().map(|weights| {
            let weights: Vec<_> = weights.iter().map(|weight| rounded(*weight)).collect();
            format!("layer weights {}", weights.join(", "))
        }));
        parts.extend(self.end.map(|end| match end {
            End::Size => "this size is finished".to_owned(),
            End::Run => "the run is finished".to_owned(),
        }));
        f.write_str(&parts.join("; "))
    }
}

/// Adds a change to those of a run, in the order of their iterations. What is changed twice before an
/// iteration is changed once.
pub(crate) fn note(changes: &mut Vec<Change>, change: Change) {
    let behind = changes.partition_point(|other| other.iteration <= change.iteration);
    match behind.checked_sub(1).map(|last| &mut changes[last]) {
        Some(last) if last.iteration == change.iteration && last.end.is_none() && change.end.is_none() => {
            last.merge(change);
        }
        _ => changes.insert(behind, change),
    }
}

/// The settings after those changes that came before a stage, whose first iteration is `first`. What was
/// changed before the run's first iteration came when its first stage had begun.
pub(crate) fn settings_at(settings: &Settings, changes: &[Change], first: usize) -> Settings {
    let mut settings = settings.clone();
    let before = changes.iter().filter(|change| first > 0 && change.iteration <= first);
    before.for_each(|change| change.apply(&mut settings));
    settings
}

/// Refuses changes that no run of `settings` can have had.
///
/// # Errors
/// [`Error::Setting`].
pub(crate) fn check(settings: &Settings, changes: &[Change]) -> Result<()> {
    // Ends are noted even when all changes of weights have been made.
    let weights = changes.iter().filter(|change| change.end.is_none()).count();
    let sorted = changes.is_sorted_by_key(|change| change.iteration);
    if weights > MOST_CHANGES || changes.len() > 2 * MOST_CHANGES || !sorted {
        return Err(Error::Setting(format!(
            "a run has at most {MOST_CHANGES} changes, in the order of their iterations; these were not made by this program"
        )));
    }
    let mut settings = settings.clone();
    changes.iter().try_for_each(|change| {
        change.apply(&mut settings);
        settings.validate()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heavier(iteration: usize) -> Change {
        Change { iteration, content_weight: Some(iteration as f64), ..Change::default() }
    }

    #[test]
    fn a_change_is_what_differs() {
        let (old, mut new) = (Settings::painterly(), Settings::painterly());
        assert_eq!(Change::between(3, &old, &new), None);
        new.tv_weight = 0.1 + 0.2;
        new.style_layer_weights = vec![1.0, 2.0, 3.0, 4.0, 5.0];
        let change = Change::between(3, &old, &new).unwrap();
        assert_eq!(change.to_string(), "total variation weight 0.3; layer weights 1, 2, 3, 4, 5");
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(
            text,
            r#"{"iteration":3,"style_layer_weights":[1.0,2.0,3.0,4.0,5.0],"tv_weight":0.30000000000000004}"#
        );
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        let mut changed = old;
        change.apply(&mut changed);
        assert_eq!(changed, new);
    }

    #[test]
    fn an_adjustment_changes_what_it_names() {
        let old = Settings::painterly();
        let asked = Adjustment { strength: Some(1.0), tv_weight: Some(0.25), ..Adjustment::default() };
        let new = asked.applied(&old).unwrap();
        assert_eq!((new.strength(), new.tv_weight), (Some(1.0), 0.25));
        assert_eq!(Adjustment::default().applied(&old).unwrap(), old);
        let wild = Adjustment { strength: Some(7.0), ..Adjustment::default() };
        assert!(wild.applied(&old).is_err());
    }

    #[test]
    fn changes_are_sorted_and_merged() {
        let mut changes = vec![heavier(5)];
        note(&mut changes, Change::ending(7, End::Size));
        note(&mut changes, heavier(6));
        note(&mut changes, Change { tv_weight: Some(1.0), content_weight: Some(9.0), ..heavier(6) });
        note(&mut changes, heavier(7));
        let told: Vec<_> = changes.iter().map(|c| (c.iteration, c.content_weight, c.end)).collect();
        assert_eq!(
            told,
            [(5, Some(5.0), None), (6, Some(9.0), None), (7, None, Some(End::Size)), (7, Some(7.0), None)]
        );
        assert_eq!(changes[1].tv_weight, Some(1.0));
        let settings = Settings::painterly();
        assert!(check(&settings, &changes).is_ok());
        assert_eq!(settings_at(&settings, &changes, 6).content_weight, 9.0);
        assert_eq!(settings_at(&settings, &[heavier(0)], 0), settings);
    }

    #[test]
    fn changes_of_no_run_are_refused() {
        let settings = Settings::painterly();
        let negative = Change { content_weight: Some(-1.0), ..Change::default() };
        for changes in [vec![heavier(2), heavier(1)], (1..300).map(heavier).collect(), vec![negative]] {
            assert!(matches!(check(&settings, &changes), Err(Error::Setting(_))));
        }
    }
}
