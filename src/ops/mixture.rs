//! Statistics of several paintings together: the weighted means of what was measured of each.

use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table};
use crate::engine::kernel::kernel;
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Tape, Tensor, Var};

/// Paintings that count, each with its share in all up to and including it.
fn shares<T: Copy>(paintings: &[(T, f64)]) -> Vec<(T, f64)> {
    let mut sum = 0.0;
    let counting = paintings.iter().filter(|(_, weight)| *weight > 0.0);
    let share = |(painting, weight): &(T, f64)| {
        sum += weight;
        (*painting, weight / sum)
    };
    counting.map(share).collect()
}

/// Records, for the forward pass, the mean of tensors of `len` values by their weights, which are not
/// negative and not all 0. The mean of one tensor is that tensor.
pub fn mean(tape: &mut Tape, paintings: &[(Tensor, f64)], len: usize) -> Tensor {
    let join = |tape: &mut Tape, before: Tensor, own: Tensor, share: f64| {
        let y = tape.state("mean", len);
        tape.forward(kernel!("mixture", "mean"))
            .params([("n", len.into()), ("share", share.into())])
            .bind("before", before)
            .bind("own", own)
            .bind("y", y)
            .grid([len, 1, 1]);
        y
    };
    let shares = shares(paintings);
    let next = |before: Tensor, (own, share): &(Tensor, f64)| join(tape, before, *own, *share);
    shares[1..].iter().fold(shares[0].0, next)
}

/// Records, for the forward pass, mean and covariance of the sites of all paintings, which have `n` channels,
/// from mean and covariance of each and their weights as in [`mean`]. Nothing large cancels (Chan, Golub and
/// LeVeque, "Algorithms for computing the sample variance", 1983).
pub fn moments(tape: &mut Tape, paintings: &[([Tensor; 2], f64)], n: usize) -> [Tensor; 2] {
    let shares = shares(paintings);
    let next = |[mean_before, before]: [Tensor; 2], ([mean_own, own], share): &([Tensor; 2], f64)| {
        let y = tape.state("covariance", n * n);
        tape.forward(kernel!("mixture", "covariance"))
            .params([("n", n.into()), ("share", (*share).into())])
            .bind("before", before)
            .bind("own", *own)
            .bind("y", y)
            .bind("mean_before", mean_before)
            .bind("mean_own", *mean_own)
            .grid([n * n, 1, 1]);
        [mean(tape, &[(mean_before, 1.0 - share), (*mean_own, *share)], n), y]
    };
    shares[1..].iter().fold(shares[0].0, next)
}

/// One channel, primes, and around a workgroup of 64 values.
pub const TABLE: Table = Table {
    op: "mixture",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(3, 1, 1),
        Size::new(7, 1, 1),
        Size::new(8, 1, 1),
        Size::new(9, 1, 1),
        Size::new(65, 1, 1),
    ],
    network: |_, _| vec![Size::new(64, 1, 1)],
    at: |size| vec![case(size, false), case(size, true)],
};

/// The weights of a case's paintings; one does not count.
const WEIGHTS: [f64; 4] = [3.0, 0.0, 1.0, 4.0];

/// The mean, or the covariance.
fn case(size: Size, covariance: bool) -> Case {
    let n = size.c_in;
    let names = [["mean0", "own0"], ["mean1", "own1"], ["mean2", "own2"], ["mean3", "own3"]];
    let inputs: Vec<Input> = names
        .iter()
        .flat_map(|[mean, own]| {
            [Input::fixed(mean, Shape::new(1, 1, n)), Input::fixed(own, Shape::new(1, n, n))]
        })
        .collect();
    // The second moments of all sites are the mean of the paintings' second moments.
    let expected = move |inputs: &[Vec<f64>]| {
        let all: f64 = WEIGHTS.iter().sum();
        let weighted = |value: &dyn Fn(usize) -> f64| -> f64 {
            WEIGHTS.iter().enumerate().map(|(painting, weight)| weight / all * value(painting)).sum()
        };
        let mean: Vec<f64> = (0..n).map(|i| weighted(&|painting| inputs[2 * painting][i])).collect();
        if !covariance {
            return mean;
        }
        let second = |painting: usize, i: usize| {
            inputs[2 * painting + 1][i] + inputs[2 * painting][i / n] * inputs[2 * painting][i % n]
        };
        (0..n * n).map(|i| weighted(&|painting| second(painting, i)) - mean[i / n] * mean[i % n]).collect()
    };
    let record = move |tape: &mut Tape, inputs: &[Leaf]| {
        let tensors = inputs.chunks(2).map(|pair| [pair[0].var.value, pair[1].var.value]);
        let paintings: Vec<_> = tensors.zip(WEIGHTS).collect();
        let [mean, mixed] = moments(tape, &paintings, n);
        let (value, shape) =
            if covariance { (mixed, Shape::new(1, n, n)) } else { (mean, Shape::new(1, 1, n)) };
        Ok(Recorded::from(Var { shape, precision: Precision::Single, value, grad: None }))
    };
    Case::new("mixture", size, inputs, expected)
        .called(if covariance { "covariance" } else { "mean" })
        .candidate(Candidate::new("plain", record))
}
