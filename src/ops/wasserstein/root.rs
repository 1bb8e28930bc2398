//! The transport between two Gaussians, `T = B (B^T S' B)^(-1/2) B^T` where `B B^T` is the target's
//! covariance, by matrix products alone.

use super::{Target, lanes};
use crate::engine::kernel::{Value, kernel};
use crate::engine::tape::{Phase, Slot, Tape, Tensor};
use crate::ops::cholesky::EPSILON;
use crate::ops::products::Variant;
use crate::ops::reduce::reduce;

/// Coefficients `a, b, c` of the odd polynomials `p(s) = a s + b s^3 + c s^5` that, one after the other,
/// bring all of 2e-4..1 to 1 within 4e-6: each is the best one for what the ones before have left, found by
/// Remez' exchange (Amsel, Persson, Musco and Gower, "The Polar Express", 2025). All but the last are a
/// hundredth short in `s`, so that rounding does not leave their range.
#[rustfmt::skip]
const POLYNOMIALS: [[f64; 3]; 8] = [
    [8.23244994089225, -22.97810448759614, 16.515471602791436],
    [4.1088516232817005, -2.8718918492121364, 0.5169010112472671],
    [4.075205171144622, -2.863366255053454, 0.5180790186794433],
    [3.942795421380022, -2.83108838613687, 0.5234730057223427],
    [3.4036350278056986, -2.501039402816535, 0.4948221584388184],
    [2.3907772273134467, -1.717431278573522, 0.4088787738758713],
    [1.8865379538166422, -1.2456379683980041, 0.3599904288740861],
    [1.8750093926185358, -1.250010436203878, 0.37500104362251807],
];

/// The products of square matrices that a transport takes: two, and half of each symmetric one. A polynomial has
/// four of those, but the first has no `z` and the last none for the next `r`; two come before and after.
pub(crate) const PRODUCTS: f64 = 2.0 + 0.5 * (4 * POLYNOMIALS.len() - 3 + 2) as f64;

/// The transport on the device.
pub(super) struct Moved {
    /// `T` times the fourth root of `norm`.
    pub transport: Tensor,
    /// The square of the Frobenius norm of `B^T S' B / e^2`.
    pub norm: Tensor,
    /// Whether the transport lies in panels, as `product_subgroup.wgsl` has it, instead of row by row.
    pub panels: bool,
}

/// A square matrix, also as texels where the variant reads those.
#[derive(Clone, Copy)]
struct Matrix {
    values: Tensor,
    texels: Option<Tensor>,
}

/// The matrix products of one loss.
struct Products {
    n: usize,
    variant: Variant,
}

impl Products {
    /// A matrix that a product has computed, or that was [packed](Self::packed).
    fn as_texels(&self, tape: &mut Tape, phase: Phase, values: Tensor) -> Matrix {
        let len = self.n * self.n;
        let texels = (self.variant == Variant::Subgroup).then(|| tape.scratch_texels("texels", len));
        if let Some(texels) = texels {
            if phase == Phase::Preparation {
                tape.keep(texels);
            }
            tape.copy(phase, values, (texels, 0), len);
        }
        Matrix { values, texels }
    }

    fn computed(&self, tape: &mut Tape, values: Tensor) -> Matrix {
        self.as_texels(tape, Phase::Forward, values)
    }

    /// A matrix that lies row by row, in the order in which products read and write theirs.
    fn packed(&self, tape: &mut Tape, phase: Phase, rows: Tensor) -> Matrix {
        if self.variant != Variant::Subgroup {
            return Matrix { values: rows, texels: None };
        }
        let n = self.n;
        let panels = tape.scratch("panels", n * n);
        tape.record(phase, kernel!("product_subgroup", "pack"))
            .params(self.params([0.0; 3]))
            .bind("x", rows)
            .bind("y", panels)
            .grid([n * n / 4, 1, 1]);
        self.as_texels(tape, phase, panels)
    }

    fn params(&self, [alpha, beta, gamma]: [f64; 3]) -> [(&'static str, Value); 4] {
        [("n", self.n.into()), ("alpha", alpha.into()), ("beta", beta.into()), ("gamma", gamma.into())]
    }

    /// Records `alpha left right^T + beta other^T + gamma I`; if the result is `symmetric`, half of it is
    /// computed.
    fn record(
        &self,
        tape: &mut Tape,
        name: &str,
        [left, right, other]: [Matrix; 3],
        factors: [f64; 3],
        symmetric: bool,
    ) -> Tensor {
        let n = self.n;
        let y = tape.scratch(name, n * n);
        let (kernel, grid) = match self.variant {
            Variant::Naive => (kernel!("product", "forward"), [n * n, 1, 1]),
            // A workgroup has a tile of 32 x 32, an invocation of it 4 x 4.
            Variant::Tiled | Variant::Cooperative => {
                (kernel!("product_tiled", "forward"), [n.div_ceil(32) * 8, n.div_ceil(32) * 8, 1])
            }
            // The same of 8 lanes.
            Variant::Subgroup => {
                let tiles = n / 32;
                let grid = if symmetric { [tiles + 1, tiles.div_ceil(2)] } else { [tiles, tiles] };
                (kernel!("product_subgroup", "forward"), [grid[0] * 8, grid[1], 1])
            }
        };
        let bound = |matrix: Matrix| matrix.texels.unwrap_or(matrix.values);
        tape.forward(kernel.constant("SYMMETRIC", symmetric))
            .params(self.params(factors))
            .bind("left", bound(left))
            .bind("right", bound(right))
            .bind("other", bound(other))
            .bind("y", y)
            .grid(grid);
        y
    }

    /// Records `left right^T`, which is symmetric.
    fn symmetric(&self, tape: &mut Tape, name: &str, left: Matrix, right: Matrix) -> Tensor {
        self.record(tape, name, [left, right, left], [1.0, 0.0, 0.0], true)
    }
}

/// Records the transport from a covariance to the target's.
pub(super) fn transport(tape: &mut Tape, target: &Target, covariance: Tensor, variant: Variant) -> Moved {
    let n = target.channels;
    let variant = match variant.in_float32() {
        Variant::Tiled if tape.gpu().quirks().slow_compiler => Variant::Naive,
        other => other,
    };
    let products = Products { n, variant };
    let root = products.packed(tape, Phase::Preparation, target.root);
    let transposed = products.packed(tape, Phase::Preparation, target.transposed);
    let covariance = products.packed(tape, Phase::Forward, covariance);
    let factors = [1.0 / target.energy, EPSILON, 0.0];
    let scaled = products.record(tape, "bs", [transposed, covariance, root], factors, false);
    let scaled = products.computed(tape, scaled);
    let m = products.symmetric(tape, "m", scaled, transposed);
    let (squares, norm) = (tape.scratch("squares", n), tape.scratch("norm", 1));
    let lanes = lanes(tape.gpu());
    tape.forward(kernel!("wasserstein", "square").constant("LANES", lanes))
        .params(target.params(Value::Float(0.0)))
        .bind("m", m)
        .bind("squares", squares)
        .grid([1, n, 1]);
    reduce(tape, squares, n, Slot { losses: norm, index: 0 });
    let r = tape.scratch("r", n * n);
    tape.forward(kernel!("wasserstein", "normalize"))
        .params(target.params(Value::Float(0.0)))
        .bind("m", m)
        .bind("norm", norm)
        .bind("r", r)
        .grid([n * n, 1, 1]);
    let z = inverse_root(tape, &products, r);
    let bz = products.record(tape, "bz", [root, z, root], [1.0, 0.0, 0.0], false);
    let bz = products.computed(tape, bz);
    let transport = products.symmetric(tape, "transport", bz, root);
    Moved { transport, norm, panels: variant == Variant::Subgroup }
}

/// Records `R^(-1/2)` for an `R` whose eigenvalues are between 0 and 1.
///
/// It is a product of polynomials. Each takes what the ones before have left of `R`, and brings all
/// eigenvalues nearer to 1: `P = a I + b R + c R^2`, `R <- P R P`, `Z <- P Z`. They commute and are
/// symmetric, so half of each product is enough, but it matters which. The columns of `B` become shorter, so
/// the values of `R` fall to the right and downwards, and its small eigenvalues are as precise as its small
/// values. The half below the diagonal is computed, where the rows of the first factor have the small values.
/// (With the other half, or with the symmetric root of the target's covariance in place of `B`, everything
/// below 1e-7 of the largest eigenvalue would be lost, and then the rest; 1e-6 is usual.)
///
/// Eigenvectors are the best columns. Those that the device computes by [`crate::ops::principal`] do as well:
/// see `docs/design/numerics.md`.
fn inverse_root(tape: &mut Tape, products: &Products, r: Tensor) -> Matrix {
    let mut r = products.computed(tape, r);
    let mut z = None;
    for (index, [a, b, c]) in POLYNOMIALS.into_iter().enumerate() {
        let p = products.record(tape, "p", [r, r, r], [c, b, a], true);
        let p = products.computed(tape, p);
        z = Some(match z {
            None => p,
            Some(z) => {
                let next = products.symmetric(tape, "z", p, z);
                products.computed(tape, next)
            }
        });
        if index + 1 < POLYNOMIALS.len() {
            let pr = products.symmetric(tape, "pr", p, r);
            let pr = products.computed(tape, pr);
            let next = products.symmetric(tape, "r", pr, p);
            r = products.computed(tape, next);
        }
    }
    z.expect("there are polynomials")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomials_bring_all_to_one() {
        for step in 0..=10_000 {
            let start = 2e-4f64.powf(f64::from(step) / 1e4);
            let s = POLYNOMIALS.iter().fold(start, |s, [a, b, c]| s * (a + s * s * (b + c * s * s)));
            // Far below what the statistics' own rounding does to the gradient.
            assert!((s - 1.0).abs() < 5e-6, "{start} comes to {s}");
        }
    }
}
