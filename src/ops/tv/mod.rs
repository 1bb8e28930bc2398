//! Total variation of the picture, in two forms: absolute differences, and squared ones of nine points.
//!
//! Each form is a pair of shaders with two factors, and a reference. The recording around them is the same.

use super::reduce::{reduce, shares};
use crate::cases::{Candidate, Case, Input, Leaf, Size, Table, widen};
use crate::engine::kernel::{Kernel, Knob, Value, kernel};
use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var, View};

mod absolute;
mod nine_point;

/// Which differences are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differences {
    /// Absolute differences of neighbours in a row and in a column, as in the book:
    /// `weight / 2 (mean |vertical difference| + mean |horizontal difference|)`.
    ///
    /// A picture of one row has no vertical differences, and their mean counts as 0; likewise for one column.
    Absolute,
    /// Squared differences of nine points: `2 weight (h/3 + v/3 + d/12 + d'/12)` of `x` with a frame of
    /// copies of its outermost pixels.
    ///
    /// `h` and `v` are the means of the squared differences between each of the `H W` pixels and its
    /// neighbours to the right and below. A difference to the frame is 0 and counts in the mean. `d` and `d'`
    /// are the means along both diagonals, of all `(H + 1)(W + 1)` pairs within the frame.
    ///
    /// Squares treat all directions more alike than absolute differences do, and leave no flat patches.
    NinePoint,
}

impl Differences {
    /// The kernels forward and backward, and the names of their factors.
    fn kernels(self) -> ([Kernel; 2], [&'static str; 2]) {
        match self {
            Self::Absolute => {
                ([kernel!("tv", "forward"), kernel!("tv", "backward")], ["vertical", "horizontal"])
            }
            Self::NinePoint => {
                ([kernel!("tv9", "forward"), kernel!("tv9", "backward")], ["straight", "diagonal"])
            }
        }
    }

    /// The factors on the sums of a picture of this shape.
    fn factors(self, shape: Shape, weight: Knob) -> [Value; 2] {
        match self {
            Self::Absolute => absolute::factors(shape, weight),
            Self::NinePoint => nine_point::factors(shape, weight),
        }
    }

    /// The loss in float64.
    pub(crate) fn reference(self, shape: Shape, weight: f64, x: &[f64]) -> f64 {
        match self {
            Self::Absolute => absolute::reference(shape, weight, x),
            Self::NinePoint => nine_point::reference(shape, weight, x),
        }
    }
}

/// `losses[slot]` is the total variation of `x`. `dx` is the sum of the derivatives of the differences in
/// which a pixel takes part: of absolute ones the signs, of squared ones twice the differences, each times
/// the factor of its mean.
///
/// `exact` holds the values of `x` in the precision `real`, from which differences are computed.
pub fn tv(
    tape: &mut Tape,
    x: Var,
    exact: Tensor,
    real: Real,
    weight: Knob,
    slot: Slot,
    differences: Differences,
) {
    let Shape { channels, width, .. } = x.shape;
    let ([forward, backward], names) = differences.kernels();
    let factors = differences.factors(x.shape, weight);
    let bands = tape.bands(&[x.shape_in(real), x.shape]);
    // The partial sums of a band begin where a binding may begin.
    let shares = shares(x.shape.len() / bands.len()).next_multiple_of(64);
    let partial = tape.scratch("partial", shares * bands.len());
    for (index, rows) in bands.iter().enumerate() {
        let seen = x.shape_in(real).halo(rows, Precision::Single);
        let params = [
            ("c", channels.into()),
            ("h", rows.len().into()),
            ("w", width.into()),
            ("h_in", seen.len().into()),
            ("top", (rows.start - seen.start).into()),
            ("shares", shares.into()),
            (names[0], factors[0]),
            (names[1], factors[1]),
        ];
        tape.forward(forward.clone().constant("real", real.wgsl()))
            .params(params)
            .bind("x", x.rows_of(exact, real, seen.clone()))
            .bind("partial", View { tensor: partial, range: Some(index * shares..(index + 1) * shares) })
            .grid([shares, 1, 1]);
        tape.backward(backward.clone().constant("real", real.wgsl()))
            .params(params)
            .bind("x", x.rows_of(exact, real, seen))
            .grad_rows("dx", x, rows.clone())
            .grid([channels * width, rows.len(), 1]);
    }
    reduce(tape, partial, shares * bands.len(), slot);
}

/// The cases of [`Differences::Absolute`].
pub const TABLE: Table =
    Table { op: "tv", edges: EDGES, network, at: |size| vec![case("tv", Differences::Absolute, size)] };

/// The cases of [`Differences::NinePoint`].
pub const NINE_POINT_TABLE: Table =
    Table { op: "tv9", edges: EDGES, network, at: |size| vec![case("tv9", Differences::NinePoint, size)] };

/// One pixel, one row, one column, primes, and sizes around the 64 values of a workgroup and the values of a
/// share; one channel and many, although pictures have three. Both precisions.
const EDGES: &[Size] = &[
    Size::new(3, 1, 1),
    Size::new(3, 1, 2),
    Size::new(3, 1, 5),
    Size::new(3, 5, 1),
    Size::new(1, 2, 2),
    Size::new(4, 3, 16),
    Size::new(5, 2, 13),
    Size::new(3, 7, 11),
    Size::new(3, 4, 21),
    Size::new(3, 19, 67),
    Size::new(64, 3, 5),
    // Rows of a multiple of 256 bytes can be split into bands.
    Size::new(4, 11, 16),
    // In float64 every second row begins at a multiple of 256 bytes, in float32 every fourth.
    Size::new(3, 9, 16),
];

fn network(height: usize, width: usize) -> Vec<Size> {
    vec![Size::new(3, height, width)]
}

fn case(op: &'static str, differences: Differences, size: Size) -> Case {
    let shape = size.shape();
    let candidate = |real: Real| {
        let record = move |tape: &mut Tape, inputs: &[Leaf], slot: Slot| {
            let exact = tape.gpu().upload("exact", &real.encode(&widen(&inputs[0].values)))?;
            let exact = tape.given("exact", &exact);
            let weight = tape.knob(10.0);
            tv(tape, inputs[0].var, exact, real, weight, slot, differences);
            Ok(())
        };
        Candidate::loss(real.wgsl(), record).needs(move |gpu| real == Real::F32 || Real::of(gpu) == real)
    };
    let reference = move |inputs: &[Vec<f64>]| vec![differences.reference(shape, 10.0, &inputs[0])];
    Case::new(op, size, [Input::vary("x", shape)], reference)
        .candidate(candidate(Real::F32))
        .candidate(candidate(Real::F64))
}
