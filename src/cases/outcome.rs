//! The outcome of running a case, and whether it is right.

use std::time::Duration;

/// The deviation of values from the device from those of the reference.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// `|found - expected| / |expected|` in the Euclidean norm, or over a floor if that is more; NaN if any
    /// value found is NaN.
    pub relative: f64,
    /// The largest difference: index, value from the device, value from the reference.
    pub worst: Option<(usize, f64, f64)>,
}

impl Deviation {
    /// The deviation of lists of values, relative to those expected or to `floor`; NaN if their lengths
    /// differ.
    pub fn of(found: &[f64], expected: &[f64], floor: f64) -> Self {
        if found.len() != expected.len() {
            return Self { relative: f64::NAN, worst: None };
        }
        Self::among(found.iter().zip(expected).enumerate().map(|(i, (f, e))| (i, *f, *e)), floor)
    }

    /// The deviation of triples of index, value found and value expected.
    pub(super) fn among(values: impl Iterator<Item = (usize, f64, f64)>, floor: f64) -> Self {
        let (mut squares, mut errors) = (0.0, 0.0);
        let mut worst: Option<(usize, f64, f64)> = None;
        for (at, found, expected) in values {
            squares += expected * expected;
            errors += (found - expected) * (found - expected);
            let larger = |(_, f, e): (usize, f64, f64)| (found - expected).abs() > (f - e).abs();
            // The first value that is not finite stays the worst.
            if worst.is_none_or(|w| w.1.is_finite() && (!found.is_finite() || larger(w))) {
                worst = Some((at, found, expected));
            }
        }
        let relative = if errors == 0.0 { 0.0 } else { errors.sqrt() / squares.sqrt().max(floor) };
        Self { relative, worst }
    }

    /// The larger of both; NaN counts as largest.
    pub(super) fn or_worse(self, other: Self) -> Self {
        if self.relative.is_nan() || self.relative >= other.relative { self } else { other }
    }

    /// Whether the bound is exceeded; NaN exceeds every bound.
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

/// The outcome of running a candidate, in the worst of its runs.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The deviation of the result.
    pub forward: Deviation,
    /// The deviation of the gradient; `None` if there is none. If directions were compared, the index is that
    /// of a direction.
    pub backward: Option<Deviation>,
    /// The number of values of the gradient that were compared in each run.
    pub compared: usize,
    /// The number of values left out because the reference has a kink there.
    pub kinks: usize,
    /// Tensors past whose end something was written.
    pub overrun: Vec<String>,
    /// The time of one run on the device, including its submission.
    pub time: Duration,
}

impl Outcome {
    /// The description of what is wrong; `None` if nothing is.
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
        // Random values hardly ever hit a kink, so a larger number of kinks would hide a mistake.
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
