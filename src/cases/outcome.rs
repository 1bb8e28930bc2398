//! What running a case found, and whether it is good.

use std::time::Duration;

/// How far values from the device are from those of the reference.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// `|found - expected| / |expected|` in the Euclidean norm; NaN if anything found is NaN.
    pub relative: f64,
    /// Where the difference is largest: index, value from the device, value from the reference.
    pub worst: Option<(usize, f64, f64)>,
}

impl Deviation {
    /// Of lists of values; NaN if their lengths differ.
    pub fn of(found: &[f64], expected: &[f64]) -> Self {
        if found.len() != expected.len() {
            return Self { relative: f64::NAN, worst: None };
        }
        Self::among(found.iter().zip(expected).enumerate().map(|(i, (f, e))| (i, *f, *e)))
    }

    /// Of index, value found and value expected.
    pub(super) fn among(values: impl Iterator<Item = (usize, f64, f64)>) -> Self {
        let (mut squares, mut errors) = (0.0, 0.0);
        let mut worst: Option<(usize, f64, f64)> = None;
        for (at, found, expected) in values {
            squares += expected * expected;
            errors += (found - expected) * (found - expected);
            let larger = |(_, f, e): (usize, f64, f64)| (found - expected).abs() > (f - e).abs();
            // The first value that is no number stays the worst.
            if worst.is_none_or(|w| w.1.is_finite() && (!found.is_finite() || larger(w))) {
                worst = Some((at, found, expected));
            }
        }
        let relative = if errors == 0.0 { 0.0 } else { (errors / squares).sqrt() };
        Self { relative, worst }
    }

    /// The larger of both; NaN does not get lost.
    pub(super) fn or_worse(self, other: Self) -> Self {
        if self.relative.is_nan() || self.relative >= other.relative { self } else { other }
    }

    /// Whether the bound is passed, as it is by NaN.
    fn is_beyond(&self, bound: f64) -> bool {
        self.relative.is_nan() || self.relative > bound
    }

    fn describe(&self, what: &str, bound: f64) -> String {
        let most = self.worst.map_or(String::new(), |(at, found, expected)| {
            format!(", most at {at}: {found} instead of {expected}")
        });
        format!("{what} off by {:.1e} (bound {bound:.0e}){most}", self.relative)
    }
}

/// What running a candidate found, in the worst of its runs.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of the result.
    pub forward: Deviation,
    /// Of the gradient; `None` if there is none. Where there are too many coordinates, the index is that of a direction.
    pub backward: Option<Deviation>,
    /// Values of the gradient that were compared in each run.
    pub compared: usize,
    /// Those left out because the reference has a kink there.
    pub kinks: usize,
    /// Tensors beyond whose end something was written.
    pub overrun: Vec<String>,
    /// Time of one run on the device, with its submission.
    pub time: Duration,
}

impl Outcome {
    /// What is wrong; `None` if nothing is.
    pub fn verdict(&self, [bound, of_gradient]: [f64; 2]) -> Option<String> {
        let mut faults = Vec::new();
        if self.forward.is_beyond(bound) {
            faults.push(self.forward.describe("result", bound));
        }
        if let Some(gradient) = self.backward.filter(|gradient| gradient.is_beyond(of_gradient)) {
            faults.push(gradient.describe("gradient", of_gradient));
        }
        if self.backward.is_some() && self.compared == 0 {
            faults.push("no value of the gradient was compared".to_owned());
        }
        // Random values hardly ever hit a kink; more would hide a mistake.
        let all = self.compared + self.kinks;
        if self.kinks > 2 && self.kinks * 50 > all {
            faults.push(format!("{} of {all} values sit on kinks", self.kinks));
        }
        if !self.overrun.is_empty() {
            faults.push(format!("wrote beyond {}", self.overrun.join(", ")));
        }
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}
