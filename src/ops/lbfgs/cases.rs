//! What a step of L-BFGS must get right.

use super::{COUNT, GAMMA, MEMORY_WORDS, PAIRS, RHO, lbfgs};
use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table, sum, widen};
use crate::engine::real::Real;
use crate::engine::tape::{Slot, Tape, Var};
use crate::ops::adam::{EDGES, Rule, STATE_WORDS, Schedule};
use crate::ops::mse::mse;

pub(crate) const RATE: f64 = 0.7;

/// On the gradient.
pub(crate) const FACTOR: f64 = 3.0;

/// Without pairs, with some, with all; a step that is left out.
pub const TABLE: Table = Table {
    op: "lbfgs",
    edges: EDGES,
    network: |height, width| vec![Size::new(3, height, width)],
    at: |size| {
        let kinds = [(0, false), (0, true), (3, true), (3, false), (PAIRS, true), (PAIRS, false)];
        kinds.map(|(pairs, fits)| case(size, pairs, fits, pairs == 3)).into()
    },
};

/// The diagonal of a Hessian, by which the pairs are made.
fn bend(i: usize) -> f64 {
    0.5 + (i % 5) as f64 / 4.0
}

/// The result for the inputs, rounded to float32.
pub(crate) struct Given {
    /// The newest first.
    pub(crate) s: Vec<Vec<f64>>,
    pub(crate) y: Vec<Vec<f64>>,
    pub(crate) step: Vec<f64>,
    pub(crate) before: Vec<f64>,
}

impl Given {
    pub(crate) fn new(inputs: &[Vec<f64>], pairs: usize, fits: bool) -> Self {
        let narrow = |v: f64| f64::from(v as f32);
        let bent = |s: &Vec<f64>| s.iter().enumerate().map(|(i, v)| narrow(bend(i) * v)).collect::<Vec<_>>();
        let step = inputs[2].clone();
        // The gradient changed along the step, or against it.
        let sign = if fits { 1.0 } else { -1.0 };
        let before = (0..step.len())
            .map(|i| narrow(FACTOR * (inputs[0][i] - inputs[1][i]) - sign * bend(i) * step[i]))
            .collect();
        let s: Vec<_> = inputs[3..3 + pairs].to_vec();
        Self { y: s.iter().map(bent).collect(), s, step, before }
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum(a.iter().zip(b).map(|(a, b)| a * b))
}

/// The two-loop recursion in float64.
pub(crate) fn reference(inputs: &[Vec<f64>], pairs: usize, fits: bool, clamp: bool) -> Vec<f64> {
    let Given { mut s, mut y, step, before } = Given::new(inputs, pairs, fits);
    let gradient: Vec<f64> = inputs[0].iter().zip(&inputs[1]).map(|(x, t)| FACTOR * (x - t)).collect();
    let change: Vec<f64> = gradient.iter().zip(&before).map(|(g, b)| g - b).collect();
    if dot(&step, &change) > 0.0 {
        s.insert(0, step);
        y.insert(0, change);
        s.truncate(PAIRS);
        y.truncate(PAIRS);
    }
    let n = gradient.len() as f64;
    let mut q = gradient.clone();
    let mut alphas = Vec::new();
    for (s, y) in s.iter().zip(&y) {
        let alpha = dot(s, &q) / dot(s, y);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    let gamma = match s.first() {
        Some(s) => dot(s, &y[0]) / dot(&y[0], &y[0]),
        None => 0.01 * n / gradient.iter().map(|g| g.abs()).sum::<f64>(),
    };
    q.iter_mut().for_each(|q| *q *= gamma);
    for ((s, y), alpha) in s.iter().zip(&y).zip(&alphas).rev() {
        let weight = alpha - dot(y, &q) / dot(s, y);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += weight * s);
    }
    let length = (dot(&q, &q) / n).sqrt();
    let rate = RATE * (0.1 / length).min(1.0);
    let moved = inputs[0].iter().zip(&q).map(|(x, q)| x - rate * q);
    moved.map(|x| if clamp { x.clamp(0.0, 1.0) } else { x }).collect()
}

/// A step on `|x - target|^2 / 2` with `pairs` pairs before it. The last step `fits` if its curvature is
/// positive.
fn case(size: Size, pairs: usize, fits: bool, clamp: bool) -> Case {
    let shape = size.shape();
    let mut inputs =
        vec![Input::fixed("start", shape), Input::fixed("target", shape), Input::fixed("step", shape)];
    inputs.extend((0..pairs).map(|_| Input::fixed("s", shape)));
    let candidate = |real: Real| {
        let record = move |tape: &mut Tape, leaves: &[Leaf]| {
            let x = tape.leaf("picture", shape);
            let exact = tape.state("exact", real.len(shape.len()));
            let losses = tape.state("losses", 1);
            let weight = tape.knob(shape.len() as f64 / 2.0);
            mse(tape, x, leaves[1].var.value, weight, Slot { losses, index: 0 });
            let schedule = Schedule::decaying(tape, RATE, 1.0, 50);
            let rule = Rule { clamp, ..Rule::PAPER };
            let kept = lbfgs(tape, x, exact, real, rule, FACTOR, schedule);
            let values: Vec<Vec<f64>> = leaves.iter().map(|leaf| widen(&leaf.values)).collect();
            let given = Given::new(&values, pairs, fits);
            let narrow = |values: &[f64]| Real::F32.encode(values);
            let mut memory = vec![f32::from_bits(0); MEMORY_WORDS];
            memory[COUNT] = f32::from_bits(pairs as u32);
            // What stands for the inverse Hessian stays that of the newest pair if no other comes.
            if let (Some(s), Some(y)) = (given.s.first(), given.y.first()) {
                memory[GAMMA] = (dot(s, y) / dot(y, y)) as f32;
            }
            for k in 0..pairs {
                memory[RHO + k] = (1.0 / dot(&given.s[k], &given.y[k])) as f32;
            }
            let mut starts = vec![
                (x.value, leaves[0].values.clone()),
                (exact, real.encode(&values[0])),
                (kept.step, narrow(&given.step)),
                (kept.before, narrow(&given.before)),
                (kept.memory, memory),
                (kept.schedule, vec![0.0; STATE_WORDS]),
            ];
            for k in 0..pairs {
                starts.push((kept.s[k], narrow(&given.s[k])));
                starts.push((kept.y[k], narrow(&given.y[k])));
            }
            Ok(Recorded { y: Var { grad: None, ..x }, starts })
        };
        Candidate::new(real.wgsl(), record).needs(move |gpu| real == Real::F32 || Real::of(gpu) == real)
    };
    let truth = move |inputs: &[Vec<f64>]| reference(inputs, pairs, fits, clamp);
    Case::new("lbfgs", size, inputs, truth)
        .called(&format!(
            "{pairs} pairs{}{}",
            if fits { "" } else { ", no fit" },
            if clamp { " clamped" } else { "" }
        ))
        .candidate(candidate(Real::F32))
        .candidate(candidate(Real::F64))
}
