//! Cases: what an op must get right, and the comparison with float64. Used by the tests and by `impasto check`.
//!
//! A case's forward result is compared with a float64 reference, its gradient with central differences *of that
//! reference*. Every buffer starts as NaN with guards around it, so reading what was never written, or writing
//! beyond a buffer, is found.

use std::time::{Duration, Instant};

use crate::gpu::Gpu;
use crate::ops::mse::mse;
use crate::ops::reduce::Slot;
use crate::tape::{Shape, Tape, Var};
use crate::{Error, Result};

/// An input of a case.
#[derive(Clone, Debug)]
pub struct Input {
    name: &'static str,
    shape: Shape,
    differentiate: bool,
    scale: f32,
}

impl Input {
    /// Values from -1 to 1, by which the result is differentiated.
    pub fn vary(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, differentiate: true, scale: 1.0 }
    }

    /// Values from -1 to 1 that are constants of the op.
    pub fn fixed(name: &'static str, shape: Shape) -> Self {
        Self { differentiate: false, ..Self::vary(name, shape) }
    }

    /// Values from `-scale` to `scale`.
    pub fn scaled(self, scale: f32) -> Self {
        Self { scale, ..self }
    }
}

/// An input on the tape, with its values.
pub struct Leaf {
    /// On the device.
    pub var: Var,
    /// On the processor.
    pub values: Vec<f32>,
}

type Record = dyn Fn(&mut Tape, &[Leaf]) -> Result<Var> + Send + Sync;
type Needs = dyn Fn(&Gpu) -> bool + Send + Sync;
type Reference = dyn Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync;

/// One op at one size.
pub struct Case {
    /// Name of the op.
    pub op: &'static str,
    /// Sizes and whatever else tells this case from the op's others.
    pub name: String,
    inputs: Vec<Input>,
    needs: Box<Needs>,
    record: Box<Record>,
    reference: Box<Reference>,
}

/// What running a case found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Relative L2 error of the result.
    pub forward: f64,
    /// Relative L2 error of the gradient; `None` if there is none.
    pub backward: Option<f64>,
    /// Where the gradient is worst: index, value from the device, value from the reference.
    pub worst: Option<(usize, f64, f64)>,
    /// Values of the gradient that were compared, and those left out because the reference has a kink there.
    pub compared: usize,
    /// See [`Self::compared`].
    pub kinks: usize,
    /// Tensors beyond whose end something was written.
    pub overrun: Vec<String>,
    /// Time of one run on the device, with its submission.
    pub time: Duration,
}

/// The bound on both relative errors: about a hundred roundings of float32.
const TOLERANCE: f64 = 1e-5;
/// Up to this many values, each coordinate of the gradient is compared; beyond, random directions are.
const ELEMENTWISE: usize = 2500;
/// Random directions compared where there are too many coordinates.
const DIRECTIONS: usize = 24;
/// Half the distance of a central difference. Float64 leaves about 1e-9 of relative error at this step, and a kink is
/// met with a probability of about 1e-7 per value.
const STEP: f64 = 1e-7;

impl Case {
    /// A case without its functions: complete it with one of the `record` functions and [`Self::reference`].
    pub fn new(op: &'static str, name: String, inputs: impl Into<Vec<Input>>) -> Self {
        Self {
            op,
            name,
            inputs: inputs.into(),
            needs: Box::new(|_| true),
            record: Box::new(|_, _| unreachable!("a case is completed before it runs")),
            reference: Box::new(|_| unreachable!("a case is completed before it runs")),
        }
    }

    /// What a device must have for this case, for variants made for some devices only.
    pub fn needs(mut self, needs: impl Fn(&Gpu) -> bool + Send + Sync + 'static) -> Self {
        self.needs = Box::new(needs);
        self
    }

    /// Whether this case can run on a device.
    pub fn runs_on(&self, gpu: &Gpu) -> bool {
        (self.needs)(gpu)
    }

    /// How the op is recorded.
    pub fn record(self, record: impl Fn(&mut Tape, &[Leaf]) -> Var + Send + Sync + 'static) -> Self {
        self.record_fallible(move |tape, leaves| Ok(record(tape, leaves)))
    }

    /// As [`Self::record`], for ops that upload something.
    pub fn record_fallible(
        mut self,
        record: impl Fn(&mut Tape, &[Leaf]) -> Result<Var> + Send + Sync + 'static,
    ) -> Self {
        self.record = Box::new(record);
        self
    }

    /// How an op that ends in a loss is recorded: its gradient starts in itself.
    pub fn record_loss(
        self,
        record: impl Fn(&mut Tape, &[Leaf], Slot) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.record_fallible(move |tape, leaves| {
            let losses = tape.state("losses", 1);
            record(tape, leaves, Slot { losses, index: 0 })?;
            Ok(Var { shape: Shape::new(1, 1, 1), value: losses, grad: None })
        })
    }

    /// The op in float64.
    pub fn reference(mut self, reference: impl Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        self.reference = Box::new(reference);
        self
    }

    /// Runs the case on fresh random values: once as it is, once where another op has written the gradients first, and
    /// once in bands of few rows.
    pub fn run(&self, gpu: &Gpu, seed: u64) -> Result<Outcome> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut uniform = |scale: f32| (random.f32() * 2.0 - 1.0) * scale;
        let values: Vec<Vec<f32>> = self
            .inputs
            .iter()
            .map(|input| (0..input.shape.len()).map(|_| uniform(input.scale)).collect())
            .collect();
        let inputs: Vec<Vec<f64>> = values.iter().map(|v| widen(v)).collect();
        let expected = (self.reference)(&inputs);
        let seeds: Vec<f32> = expected.iter().map(|_| uniform(1.0)).collect();

        let plain = self.run_once(gpu, &values, &seeds, Form::Plain)?;
        let (backward, worst, compared, kinks) = (None, None, 0, 0);
        let forward = relative_error(&plain.y, &expected);
        let mut outcome =
            Outcome { forward, backward, worst, compared, kinks, overrun: plain.overrun, time: plain.time };
        let mut others = Vec::new();
        for form in [Form::Added, Form::Banded(plain.widest_row)] {
            let other = self.run_once(gpu, &values, &seeds, form)?;
            outcome.forward = outcome.forward.max(relative_error(&other.y, &expected));
            outcome.overrun.extend(other.overrun);
            outcome.overrun.dedup();
            others.push(other.gradients);
        }
        for (index, _) in self.inputs.iter().enumerate().filter(|(_, input)| input.differentiate) {
            // A loss starts its own gradient, as that of its one value.
            let seeds = if plain.starts_itself { vec![1.0] } else { widen(&seeds) };
            let probes = self.probe(&inputs, index, &seeds, &mut random);
            outcome.kinks += probes.iter().filter(|probe| probe.kink()).count();
            compare(&probes, &plain.gradients[index], None, &mut outcome);
            compare(&probes, &others[0][index], Some(&inputs[index]), &mut outcome);
            compare(&probes, &others[1][index], None, &mut outcome);
        }
        Ok(outcome)
    }

    fn run_once(&self, gpu: &Gpu, values: &[Vec<f32>], seeds: &[f32], form: Form) -> Result<Run> {
        let mut tape = Tape::new(gpu);
        if let Form::Banded(row) = form {
            tape.limit_bindings(8 * 4 * row as u64);
        }
        tape.op(self.op);
        let mut leaves: Vec<Leaf> = Vec::new();
        for (input, values) in self.inputs.iter().zip(values) {
            let mut var = tape.leaf(input.name, input.shape);
            match var.grad {
                Some(grad) if input.differentiate => tape.keep(grad),
                _ => var.grad = None,
            }
            leaves.push(Leaf { var, values: values.clone() });
        }
        let y = (self.record)(&mut tape, &leaves)?;
        tape.keep(y.value);
        // An op that is no loss gets the gradient of sum(seed * y).
        y.grad.into_iter().for_each(|grad| tape.keep(grad));
        let mut zeros = Vec::new();
        if form == Form::Added {
            for leaf in leaves.iter().filter(|leaf| leaf.var.grad.is_some()) {
                // The gradient of sum x^2 / 2 is x. Recorded later, it comes first on the way back.
                tape.op("other");
                let losses = tape.state("losses", 1);
                let zero = tape.state("zero", leaf.var.shape.len());
                zeros.push((zero, leaf.var.shape.len()));
                mse(&mut tape, leaf.var, zero, leaf.var.shape.len() as f64 / 2.0, Slot { losses, index: 0 });
            }
        }
        let plan = tape.finish_guarded()?;
        for leaf in &leaves {
            plan.write(gpu, leaf.var.value, &leaf.values);
        }
        for (zero, len) in zeros {
            plan.write(gpu, zero, &vec![0.0; len]);
        }
        if let Some(grad) = y.grad {
            plan.write(gpu, grad, seeds);
        }
        gpu.wait()?;
        let start = Instant::now();
        plan.run(gpu);
        gpu.wait()?;
        let time = start.elapsed();
        let gradient = |leaf: &Leaf| leaf.var.grad.map_or(Ok(Vec::new()), |grad| plan.read(gpu, grad));
        let rows = leaves.iter().map(|leaf| leaf.var.shape).chain([y.shape]);
        Ok(Run {
            y: widen(&plan.read(gpu, y.value)?),
            gradients: leaves.iter().map(|leaf| gradient(leaf).map(|g| widen(&g))).collect::<Result<_>>()?,
            overrun: plan.guards_overwritten(gpu)?.into_iter().map(str::to_owned).collect(),
            widest_row: rows.map(|shape| shape.channels * shape.width).max().unwrap_or(1),
            starts_itself: y.grad.is_none(),
            time,
        })
    }

    /// One-sided differences of the reference by input `index`: by each of its values, or in random directions.
    fn probe(
        &self,
        inputs: &[Vec<f64>],
        index: usize,
        seeds: &[f64],
        random: &mut fastrand::Rng,
    ) -> Vec<Probe> {
        let loss = |direction: &dyn Fn(usize) -> f64, step: f64| -> f64 {
            let mut moved = inputs.to_vec();
            moved[index].iter_mut().enumerate().for_each(|(i, v)| *v += step * direction(i));
            (self.reference)(&moved).iter().zip(seeds).map(|(y, s)| y * s).sum()
        };
        let here = loss(&|_| 0.0, 0.0);
        let differences = |direction: &dyn Fn(usize) -> f64| {
            let (below, above) = (loss(direction, -STEP), loss(direction, STEP));
            ((here - below) / STEP, (above - here) / STEP)
        };
        let n = inputs[index].len();
        if n <= ELEMENTWISE {
            let one = |i: usize| {
                let (left, right) = differences(&|k| if k == i { 1.0 } else { 0.0 });
                Probe { at: i, signs: None, left, right }
            };
            return in_parallel(n, &one);
        }
        let signs: Vec<Vec<f64>> = (0..DIRECTIONS)
            .map(|_| (0..n).map(|_| if random.bool() { 1.0 } else { -1.0 }).collect())
            .collect();
        in_parallel(DIRECTIONS, &|at| {
            let (left, right) = differences(&|i| signs[at][i]);
            Probe { at, signs: Some(signs[at].clone()), left, right }
        })
    }

    /// What is wrong with an outcome; `None` if nothing is.
    pub fn verdict(&self, outcome: &Outcome) -> Option<String> {
        let mut faults = Vec::new();
        // NaN is bad, too.
        let bad = |error: f64| error.is_nan() || error > TOLERANCE;
        if bad(outcome.forward) {
            faults.push(format!("result off by {:.1e} (bound {:.0e})", outcome.forward, TOLERANCE));
        }
        if let (Some(error), Some((at, found, expected))) = (outcome.backward, outcome.worst)
            && bad(error)
        {
            faults.push(format!(
                "gradient off by {error:.1e} (bound {:.0e}), most at {at}: {found} instead of {expected}",
                TOLERANCE
            ));
        }
        if outcome.backward.is_some() && outcome.compared == 0 {
            faults.push("no value of the gradient was compared".to_owned());
        }
        if outcome.kinks * 50 > outcome.compared + outcome.kinks && outcome.kinks > 2 {
            faults.push(format!(
                "{} of {} values sit on kinks",
                outcome.kinks,
                outcome.compared + outcome.kinks
            ));
        }
        if !outcome.overrun.is_empty() {
            faults.push(format!("wrote beyond {}", outcome.overrun.join(", ")));
        }
        (!faults.is_empty()).then(|| format!("{} {}: {}", self.op, self.name, faults.join("; ")))
    }

    /// Runs the case and turns a bad outcome into an error.
    pub fn prove(&self, gpu: &Gpu, seed: u64) -> Result<Outcome> {
        let outcome = self.run(gpu, seed)?;
        match self.verdict(&outcome) {
            None => Ok(outcome),
            Some(fault) => Err(Error::shader(self.op, fault)),
        }
    }
}

/// How a case is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is recorded.
    Plain,
    /// After another op has written the gradients, to which this one must add.
    Added,
    /// In bands of rows, where the widest row has so many values.
    Banded(usize),
}

/// What the device gave.
struct Run {
    y: Vec<f64>,
    gradients: Vec<Vec<f64>>,
    overrun: Vec<String>,
    widest_row: usize,
    starts_itself: bool,
    time: Duration,
}

/// The reference's derivative by one value, or in one direction of signs.
struct Probe {
    at: usize,
    signs: Option<Vec<f64>>,
    left: f64,
    right: f64,
}

impl Probe {
    /// Only a single value can sit on a kink; a direction crosses many small ones and is never left out.
    fn kink(&self) -> bool {
        let (left, right) = (self.left, self.right);
        self.signs.is_none() && (left - right).abs() > 1e-3 * (1e-3 + left.abs().max(right.abs()))
    }

    fn project(&self, gradient: &[f64]) -> f64 {
        match &self.signs {
            None => gradient[self.at],
            Some(signs) => gradient.iter().zip(signs).map(|(g, s)| g * s).sum(),
        }
    }
}

/// Compares a gradient from the device, less what another op has added, with the reference's.
fn compare(probes: &[Probe], found: &[f64], added: Option<&Vec<f64>>, outcome: &mut Outcome) {
    let (mut squares, mut errors) = (0.0, 0.0);
    for probe in probes.iter().filter(|probe| !probe.kink()) {
        let expected = (probe.left + probe.right) / 2.0 + added.map_or(0.0, |added| probe.project(added));
        let found = probe.project(found);
        squares += expected * expected;
        errors += (found - expected) * (found - expected);
        outcome.compared += 1;
        let worse = |(_, f, e): (usize, f64, f64)| (found - expected).abs() > (f - e).abs();
        if !found.is_finite() || outcome.worst.is_none_or(worse) {
            outcome.worst = Some((probe.at, found, expected));
        }
    }
    let error = if errors == 0.0 { 0.0 } else { (errors / squares).sqrt() };
    let worst = outcome.backward.unwrap_or(0.0);
    // NaN must not get lost in a maximum.
    outcome.backward = Some(if error.is_nan() || worst.is_nan() { f64::NAN } else { error.max(worst) });
}

/// `work(0), work(1), ...` on all cores.
fn in_parallel<T: Send>(n: usize, work: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let share = n.div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let run =
            |first: usize| scope.spawn(move || (first..(first + share).min(n)).map(work).collect::<Vec<_>>());
        let handles: Vec<_> = (0..n).step_by(share).map(run).collect();
        handles.into_iter().flat_map(|h| h.join().expect("the reference does not panic")).collect()
    })
}

/// As float64, exactly.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// `|found - expected| / |expected|` in the Euclidean norm; NaN if anything found is NaN or the lengths differ.
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::NAN;
    }
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let error = norm(&mut found.iter().zip(expected).map(|(f, e)| f - e));
    let size = norm(&mut expected.iter().copied());
    if error == 0.0 { 0.0 } else { error / size }
}
