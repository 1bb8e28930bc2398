//! The device's side of a case: recorded with guards, run, read back, compared.

use std::time::{Duration, Instant};

use super::oracle::{Truth, compare};
use super::outcome::{Deviation, Outcome};
use super::{Candidate, Case, Leaf, Recorded, widen};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, kernel};
use crate::engine::placement::{dispatch, ordered};
use crate::engine::plan::{Pass, Plan};
use crate::engine::tape::{Tape, Tensor, Var};
use crate::{Error, Result};

/// How a candidate is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As the program records it.
    Plain,
    /// After another op has written the gradients, to which this one must add; and in bands of rows, where
    /// the widest row has so many values.
    AddedInBands(usize),
}

/// What the device gave.
struct Run {
    y: Vec<f64>,
    gradients: Vec<Vec<f64>>,
    overrun: Vec<String>,
    widest_row: usize,
    time: Duration,
}

impl Case {
    /// Runs a candidate: once as it is, and once in bands of few rows where another op has written the
    /// gradients first.
    ///
    /// # Errors
    /// Whatever keeps the candidate from running; a wrong result is no error here.
    pub fn run(&self, gpu: &Gpu, candidate: &Candidate, truth: &Truth) -> Result<Outcome> {
        self.run_until(gpu, candidate, truth, |_| false)
    }

    /// Runs one candidate as [`Self::run`] does, until something is wrong, and turns that into an error.
    ///
    /// # Errors
    /// [`Error::Shader`] with what is wrong; [`Error::Device`] if the device fails.
    pub fn prove(&self, gpu: &Gpu, candidate: &Candidate, truth: &Truth) -> Result<Outcome> {
        let verdict = |outcome: &Outcome| outcome.verdict(self.bounds(candidate));
        let outcome = self.run_until(gpu, candidate, truth, |outcome| verdict(outcome).is_some())?;
        match verdict(&outcome) {
            None => Ok(outcome),
            Some(fault) => Err(Error::shader(self.op, format!("{} {}: {fault}", candidate.name, self.name))),
        }
    }

    /// As [`Self::run`], without the second time where the outcome of the first is `enough`.
    fn run_until(
        &self,
        gpu: &Gpu,
        candidate: &Candidate,
        truth: &Truth,
        enough: impl Fn(&Outcome) -> bool,
    ) -> Result<Outcome> {
        let plain = self.run_once(gpu, candidate, truth, Form::Plain)?;
        let mut outcome = Outcome {
            forward: Deviation { relative: 0.0, worst: None },
            backward: None,
            compared: 0,
            kinks: 0,
            overrun: Vec::new(),
            time: plain.time,
        };
        for probes in &truth.probes {
            outcome.kinks += probes.iter().filter(|probe| probe.kink).count();
            outcome.compared += probes.iter().filter(|probe| !probe.kink).count();
        }
        outcome.add(&plain, Form::Plain, truth);
        if !enough(&outcome) {
            let form = Form::AddedInBands(plain.widest_row);
            outcome.add(&self.run_once(gpu, candidate, truth, form)?, form, truth);
        }
        Ok(outcome)
    }

    /// The case ready to be run again and again, without guards and with values in it, and its passes: for
    /// measuring their time. Weights are stored as a run in the case's precision stores them.
    ///
    /// # Errors
    /// Whatever keeps the candidate from running.
    pub(crate) fn plan(&self, gpu: &Gpu, candidate: &Candidate) -> Result<(Plan, Vec<Pass>)> {
        let mut random = fastrand::Rng::with_seed(1);
        let draw = |input: &super::Input| {
            (0..input.shape.len()).map(|_| input.low + random.f32() * (input.high - input.low)).collect()
        };
        let values: Vec<Vec<f32>> = self.inputs.iter().map(draw).collect();
        let mut tape = Tape::new(gpu);
        tape.set_weight_precision(self.precision);
        tape.spend_memory(true);
        let (leaves, Recorded { y, starts }) = self.record(&mut tape, candidate, &values)?;
        let passes = tape.passes()?;
        let plan = tape.finish()?;
        fill(gpu, &plan, &leaves, &starts);
        if let Some(grad) = y.grad {
            plan.write(gpu, grad, &vec![1.0; y.shape.len()]);
        }
        Ok((plan, passes))
    }

    /// The kernels of a candidate, both where it is the first to write a gradient and where it is not.
    /// Nothing is compiled.
    ///
    /// # Errors
    /// Whatever keeps the candidate from being recorded.
    pub fn kernels(&self, gpu: &Gpu, candidate: &Candidate) -> Result<Vec<Kernel>> {
        let values: Vec<Vec<f32>> = self.inputs.iter().map(|input| vec![0.0; input.shape.len()]).collect();
        let mut kernels: Vec<Kernel> = Vec::new();
        for added in [false, true] {
            let mut tape = Tape::new(gpu);
            let (leaves, _) = self.record(&mut tape, candidate, &values)?;
            if added {
                add_others(&mut tape, &leaves);
            }
            let steps = ordered(&tape)?;
            kernels.extend(steps.iter().filter_map(dispatch).map(|d| d.kernel.clone()));
        }
        Ok(kernels)
    }

    /// Records the inputs and the candidate, and keeps what is read later.
    fn record(
        &self,
        tape: &mut Tape,
        candidate: &Candidate,
        values: &[Vec<f32>],
    ) -> Result<(Vec<Leaf>, Recorded)> {
        tape.op(self.op);
        tape.set_map_precision(self.precision);
        let mut leaves: Vec<Leaf> = Vec::new();
        for (input, values) in self.inputs.iter().zip(values) {
            let mut var = tape.leaf(input.name, input.shape);
            match var.grad {
                Some(grad) if input.differentiate => tape.keep(grad),
                _ => var.grad = None,
            }
            if input.is_map() {
                var = tape.as_map(var);
            }
            leaves.push(Leaf { var, values: values.clone() });
        }
        let recorded = (candidate.record)(tape, &leaves)?;
        tape.keep(recorded.y.value);
        // An op that is no loss gets the gradient of sum(seed * y).
        recorded.y.grad.into_iter().for_each(|grad| tape.keep(grad));
        Ok((leaves, recorded))
    }

    fn run_once(&self, gpu: &Gpu, candidate: &Candidate, truth: &Truth, form: Form) -> Result<Run> {
        let mut tape = Tape::new(gpu);
        if let Form::AddedInBands(row) = form {
            tape.limit_bindings(8 * 4 * row as u64);
        }
        let (leaves, Recorded { y, starts }) = self.record(&mut tape, candidate, &truth.values)?;
        if form != Form::Plain {
            add_others(&mut tape, &leaves);
        }
        let plan = tape.finish_guarded()?;
        fill(gpu, &plan, &leaves, &starts);
        if let Some(grad) = y.grad {
            plan.write(gpu, grad, &truth.seeds);
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
            time,
        })
    }
}

impl Outcome {
    /// Takes in what a run gave.
    fn add(&mut self, run: &Run, form: Form, truth: &Truth) {
        self.forward = self.forward.or_worse(Deviation::of(&run.y, &truth.expected, truth.floor));
        self.overrun.extend(run.overrun.iter().cloned());
        self.overrun.dedup();
        for (index, probes) in truth.probes.iter().enumerate().filter(|(_, probes)| !probes.is_empty()) {
            // The other op's gradient is the input itself.
            let other = (form != Form::Plain).then(|| widen(&truth.values[index]));
            let here = compare(probes, &run.gradients[index], other.as_deref());
            self.backward = Some(self.backward.map_or(here, |worst| worst.or_worse(here)));
        }
    }
}

/// Gives every differentiated leaf another reader, whose gradient is the leaf itself. What is recorded later
/// comes first on the way back, so the op under test must add to it.
fn add_others(tape: &mut Tape, leaves: &[Leaf]) {
    for Leaf { var, .. } in leaves.iter().filter(|leaf| leaf.var.grad.is_some()) {
        tape.op("other");
        let row = var.shape.channels * var.shape.width;
        for rows in tape.bands(&[var.shape]) {
            tape.backward(kernel!("case_gradient", "backward").storing("Map", *var))
                .params([("row", row.into())])
                .bind("x", var.rows(rows.clone()))
                .grad_rows("dx", *var, rows.clone())
                .grid([row, rows.len(), 1]);
        }
    }
}

fn fill(gpu: &Gpu, plan: &Plan, leaves: &[Leaf], starts: &[(Tensor, Vec<f32>)]) {
    let values = leaves.iter().map(|Leaf { var: Var { value, .. }, values }| (*value, values));
    for (tensor, values) in values.chain(starts.iter().map(|(tensor, values)| (*tensor, values))) {
        plan.write(gpu, tensor, values);
    }
}
