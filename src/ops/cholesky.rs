//! A root of a covariance. Once it is turned ([`crate::ops::principal`]), it is what the Wasserstein loss needs
//! of a painting.

use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table, vgg19_maps, widen};
use crate::engine::kernel::kernel;
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var};
use crate::ops::principal::Root;
use crate::ops::reduce::reduce;

/// What is added to the diagonal of a covariance, in units of the painting's energy, so that it has an
/// inverse root.
pub const EPSILON: f64 = 0.01;

/// The least energy. Everything is divided by the energy, which would be 0 for a black painting. Features are
/// about as large as 1.
pub const LEAST_ENERGY: f64 = 1e-6;

/// Records, for the forward pass, a root of the covariance of `n` channels with that mean:
/// `B B^T = covariance / e + EPSILON I`. The energy `e` is the mean of the squared features over channels and
/// sites, at least [`LEAST_ENERGY`]. It is put into the slot as it is measured, and the trace of the
/// covariance into the next one.
///
/// `B` is Cholesky's factor with its rows permuted. The channel of which the columns so far leave most is the
/// next to get a column (Higham, "Analysis of the Cholesky decomposition of a semi-definite matrix", 1990),
/// so that the columns become shorter, whatever the rank is.
pub fn cholesky(tape: &mut Tape, mean: Tensor, covariance: Tensor, n: usize, slot: Slot) -> Root {
    let (root, transposed) = (tape.scratch("factor", n * n), tape.scratch("columns", n * n));
    let (squares, variances) = (tape.scratch("squares", n), tape.scratch("variances", n));
    let (left, order) = (tape.scratch("left", n), tape.scratch("order", n));
    // A workgroup of a software driver is as wide as a subgroup.
    let lanes = if tape.gpu().is_software() { "8u" } else { "256u" };
    let params = [
        ("n", n.into()),
        ("slot", slot.index.into()),
        ("epsilon", EPSILON.into()),
        ("least", LEAST_ENERGY.into()),
    ];
    tape.forward(kernel!("cholesky", "energy"))
        .params(params)
        .bind("mean", mean)
        .bind("covariance", covariance)
        .bind("squares", squares)
        .bind("variances", variances)
        .grid([n, 1, 1]);
    reduce(tape, squares, n, slot);
    reduce(tape, variances, n, Slot { index: slot.index + 1, ..slot });
    tape.forward(kernel!("cholesky", "factor").constant("LANES", lanes))
        .params(params)
        .bind("covariance", covariance)
        .bind("sums", slot.losses)
        .bind("root", root)
        .bind("transposed", transposed)
        .bind("left", left)
        .bind("order", order)
        .grid([1, 1, 1]);
    Root { root, transposed }
}

/// Fewer sites than channels, as many, and more; around the lanes that compute a column, and around workgroups
/// of 64.
pub const TABLE: Table = Table {
    op: "cholesky",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(2, 1, 1),
        Size::new(3, 5, 7),
        Size::new(7, 3, 2),
        Size::new(8, 2, 4),
        Size::new(9, 4, 3),
        Size::new(31, 2, 15),
        Size::new(33, 7, 9),
        Size::new(65, 1, 5),
        Size::new(257, 3, 2),
    ],
    network: vgg19_maps,
    at: |size| {
        // Covariances of rank 1 and 0, and a painting without energy. Many channels take long.
        let degenerate = [("constant", [0.3, 0.3]), ("black", [0.0, 0.0])].into_iter();
        let degenerate = degenerate.filter(|_| size.c_in <= 65);
        let degenerate = degenerate.map(|(name, values)| case(size, values).called(name));
        std::iter::once(case(size, [-1.0, 1.0])).chain(degenerate).collect()
    },
};

/// The mean square of each pair of channels over the sites, less the square of half their means.
fn measured(n: usize, values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let sites = values.len() / n;
    let site = |i: usize| &values[i * sites..][..sites];
    let mean: Vec<f64> = (0..n).map(|i| site(i).iter().sum::<f64>() / sites as f64 / 2.0).collect();
    let second = |i: usize, j: usize| site(i).iter().zip(site(j)).map(|(a, b)| a * b).sum::<f64>();
    let covariance =
        (0..n * n).map(|i| second(i / n, i % n) / sites as f64 - mean[i / n] * mean[i % n]).collect();
    (mean, covariance)
}

/// The product of the root with itself. (Another root would do as well.)
fn case(size: Size, [low, high]: [f32; 2]) -> Case {
    let n = size.c_in;
    let inputs = [Input::fixed("sites", size.shape()).between(low, high)];
    let expected = move |inputs: &[Vec<f64>]| {
        let (mean, covariance) = measured(n, &inputs[0]);
        let energy: f64 = (0..n).map(|i| covariance[i * n + i] + mean[i] * mean[i]).sum::<f64>() / n as f64;
        let diagonal = |i: usize| if i.is_multiple_of(n + 1) { EPSILON } else { 0.0 };
        covariance.iter().enumerate().map(|(i, v)| v / energy.max(LEAST_ENERGY) + diagonal(i)).collect()
    };
    let record = move |tape: &mut Tape, inputs: &[Leaf]| {
        let (mean, covariance) = measured(n, &widen(&inputs[0].values));
        let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        let starts = vec![
            (tape.state("mean", n), narrow(mean)),
            (tape.state("covariance", n * n), narrow(covariance)),
        ];
        let losses = tape.state("sums", 2);
        let Root { root, .. } = cholesky(tape, starts[0].0, starts[1].0, n, Slot { losses, index: 0 });
        let y = tape.scratch("y", n * n);
        tape.forward(kernel!("product", "forward").constant("SYMMETRIC", false))
            .params([("n", n.into()), ("alpha", 1.0.into()), ("beta", 0.0.into()), ("gamma", 0.0.into())])
            .bind("left", root)
            .bind("right", root)
            .bind("other", root)
            .bind("y", y)
            .grid([n * n, 1, 1]);
        let shape = Shape::new(1, n, n);
        Ok(Recorded { y: Var { shape, precision: Precision::Single, value: y, grad: None }, starts })
    };
    Case::new("cholesky", size, inputs, expected).candidate(Candidate::new("plain", record))
}
