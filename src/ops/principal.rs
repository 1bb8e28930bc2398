//! A root of a covariance with columns along its principal axes.

use crate::cases::{Candidate, Case, Input, Leaf, Recorded, Size, Table, widen};
use crate::engine::kernel::kernel;
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Tape, Tensor, Var};

/// A root on a tape.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    /// `B`, row by row.
    pub root: Tensor,
    /// `B^T`.
    pub transposed: Tensor,
}

/// Columns that are turned. With more, the gradient of the Wasserstein loss comes no nearer to the reference;
/// `docs/design/numerics.md` has the figures.
const TURNED: usize = 32;

/// Records, for the forward pass, a root `B` of `n` rows and columns turned: `B Q` with an orthogonal `Q`, so
/// that its product with its own transpose stays.
///
/// `Q` is that of the QR factorisation of `(B^T B)^2 E`, where `E` are the first `TURNED` columns of the
/// identity, by reflections (Householder, "Unitary triangularization of a nonsymmetric matrix", 1958). So the
/// first columns of `B Q` come near the principal axes of `B B^T`, as by two steps of an orthogonal
/// iteration, and the others come nearly at right angles to these. All reflections are applied at once, as
/// `Q = I - Y V^T` (Bischof and Van Loan, "The WY representation for products of Householder matrices",
/// 1987).
///
/// [`crate::ops::wasserstein`] needs that. What it computes of `B^T S B` is as precise as if the columns were
/// eigenvectors, as soon as the long ones are nearly orthogonal to all others.
pub fn principal(tape: &mut Tape, before: Root, n: usize) -> Root {
    let m = n.min(TURNED);
    let (root, transposed) = (tape.state("root", n * n), tape.state("transposed", n * n));
    let mut vectors = |name: &str| tape.scratch(name, m * n);
    let (along, moved, v) = (vectors("along"), vectors("moved"), vectors("v"));
    let (y, by) = (vectors("y"), vectors("by"));
    let params = [("n", n.into()), ("m", m.into())];
    // An invocation has four vectors at four places.
    let grid = [n.div_ceil(256) * 64, m.div_ceil(4), 1];
    let inward = |tape: &mut Tape, given: Tensor, product: Tensor| {
        tape.forward(kernel!("principal", "inward"))
            .params(params)
            .bind("factor", before.root)
            .bind("given", given)
            .bind("product", product)
            .grid(grid);
    };
    let outward = |tape: &mut Tape, given: Tensor, product: Tensor| {
        tape.forward(kernel!("principal", "outward"))
            .params(params)
            .bind("columns", before.transposed)
            .bind("given", given)
            .bind("product", product)
            .grid(grid);
    };
    inward(tape, before.transposed, along);
    outward(tape, along, moved);
    inward(tape, moved, v);
    // A workgroup of a software driver is as wide as a subgroup.
    let lanes = if tape.gpu().is_software() { "8u" } else { "256u" };
    tape.forward(kernel!("principal", "reflect").constant("LANES", lanes))
        .params(params)
        .bind("v", v)
        .bind("y", y)
        .grid([1, 1, 1]);
    outward(tape, y, by);
    tape.forward(kernel!("principal", "turn"))
        .params(params)
        .bind("factor", before.root)
        .bind("given", by)
        .bind("v", v)
        .bind("root", root)
        .bind("transposed", transposed)
        .grid([n, n.div_ceil(4), 1]);
    Root { root, transposed }
}

/// Fewer columns than are turned, one more, and around the lanes that turn them and the places of a workgroup.
pub const TABLE: Table = Table {
    op: "principal",
    edges: &[
        Size::new(1, 1, 1),
        Size::new(2, 1, 1),
        Size::new(7, 1, 1),
        Size::new(8, 1, 1),
        Size::new(9, 1, 1),
        Size::new(31, 1, 1),
        Size::new(32, 1, 1),
        Size::new(33, 1, 1),
        Size::new(63, 1, 1),
        Size::new(65, 1, 1),
        Size::new(255, 1, 1),
        Size::new(257, 1, 1),
    ],
    network: |_, _| [64, 128, 256, 512].map(|n| Size::new(n, 1, 1)).into(),
    at: |size| vec![case(size, false), case(size, true)],
};

/// A root from random values: the identity and a little more, so that no column is nearly a sum of others.
fn example(n: usize, values: &[f64]) -> Vec<f64> {
    let little = 0.25 / (n as f64).sqrt();
    let value = |(i, v): (usize, &f64)| if i.is_multiple_of(n + 1) { 1.0 } else { 0.0 } + little * v;
    values.iter().enumerate().map(value).collect()
}

/// `a^T`.
fn mirrored(n: usize, a: &[f64]) -> Vec<f64> {
    (0..n * n).map(|i| a[i % n * n + i / n]).collect()
}

/// The first `m` rows of `a b^T`.
fn product(n: usize, m: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
    let dot =
        |i: usize| a[i / n * n..][..n].iter().zip(&b[i % n * n..][..n]).map(|(a, b)| a * b).sum::<f64>();
    (0..m * n).map(dot).collect()
}

/// The root turned in float64: one reflection after the other, applied to columns and root.
fn reference(n: usize, before: &[f64]) -> Vec<f64> {
    let m = n.min(TURNED);
    let columns = mirrored(n, before);
    // In each row, a column of the matrix that becomes a triangle.
    let along = product(n, m, &columns, &columns);
    let moved = product(n, m, &along, before);
    let mut z = product(n, m, &moved, &columns);
    let mut root = before.to_vec();
    for j in 0..m {
        let mut u = z[j * n + j..][..n - j].to_vec();
        let norm = |u: &[f64]| u.iter().map(|u| u * u).sum::<f64>();
        u[0] += norm(&u).sqrt().copysign(u[0]);
        let factor = 2.0 / norm(&u);
        for row in z.chunks_mut(n).chain(root.chunks_mut(n)) {
            let rest = &mut row[j..];
            let along = factor * rest.iter().zip(&u).map(|(value, u)| value * u).sum::<f64>();
            rest.iter_mut().zip(&u).for_each(|(value, u)| *value -= along * u);
        }
    }
    root
}

/// The root, or its transpose.
fn case(size: Size, transposed: bool) -> Case {
    let n = size.c_in;
    let inputs = [Input::fixed("values", Shape::new(1, n, n))];
    let expected = move |inputs: &[Vec<f64>]| {
        let root = reference(n, &example(n, &inputs[0]));
        if transposed { mirrored(n, &root) } else { root }
    };
    let record = move |tape: &mut Tape, inputs: &[Leaf]| {
        let root = example(n, &widen(&inputs[0].values));
        let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let before = Root { root: tape.state("before", n * n), transposed: tape.state("columns", n * n) };
        let starts = vec![(before.root, narrow(&root)), (before.transposed, narrow(&mirrored(n, &root)))];
        let turned = principal(tape, before, n);
        let value = if transposed { turned.transposed } else { turned.root };
        let y = Var { shape: Shape::new(1, n, n), precision: Precision::Single, value, grad: None };
        Ok(Recorded { y, starts })
    };
    Case::new("principal", size, inputs, expected)
        .called(if transposed { "transposed" } else { "root" })
        .candidate(Candidate::new("plain", record))
}
