//! Converts the picture to the network's input, or between any other conventions of three channels.

use crate::cases::{Candidate, Case, Input, Size, Table};
use crate::engine::kernel::kernel;
use crate::engine::tape::{Shape, Tape, Var};

/// A linear function for each channel, `y = scale x + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Factors of red, green and blue.
    pub scale: [f64; 3],
    /// Summands of red, green and blue.
    pub offset: [f64; 3],
}

impl Affine {
    /// `(x - mean) / std`.
    pub fn normalize(mean: [f64; 3], std: [f64; 3]) -> Self {
        Self { scale: std.map(|s| 1.0 / s), offset: std::array::from_fn(|c| -mean[c] / std[c]) }
    }

    /// `x std + mean`, the inverse of [`Self::normalize`].
    pub fn denormalize(mean: [f64; 3], std: [f64; 3]) -> Self {
        Self { scale: std, offset: mean }
    }

    /// First `self`, then `next`.
    pub fn then(self, next: Self) -> Self {
        Self {
            scale: std::array::from_fn(|c| self.scale[c] * next.scale[c]),
            offset: std::array::from_fn(|c| self.offset[c] * next.scale[c] + next.offset[c]),
        }
    }

    /// Applies the function of channel `c`.
    pub fn apply(&self, c: usize, x: f64) -> f64 {
        self.scale[c] * x + self.offset[c]
    }
}

/// `y = scale[c] x + offset[c]` for `x` of three channels; `dx = scale[c] dy` / [`Tape::gradient_scale`].
pub fn affine(tape: &mut Tape, x: Var, line: &Affine) -> Var {
    let Shape { channels, width, .. } = x.shape;
    assert_eq!(channels, 3, "a picture has three channels");
    let [scale_r, scale_g, scale_b] = line.scale.map(Into::into);
    let [offset_r, offset_g, offset_b] = line.offset.map(Into::into);
    let params = [
        ("w", width.into()),
        ("scale_r", scale_r),
        ("scale_g", scale_g),
        ("scale_b", scale_b),
        ("offset_r", offset_r),
        ("offset_g", offset_g),
        ("offset_b", offset_b),
        ("unscale", (1.0 / tape.gradient_scale()).into()),
    ];
    let y = tape.output("y", x.shape, x);
    for rows in tape.bands(&[x.shape]) {
        let grid = [3 * width, rows.len(), 1];
        tape.forward(kernel!("affine", "forward"))
            .params(params)
            .bind("x", x.rows(rows.clone()))
            .bind("y", y.rows(rows.clone()))
            .grid(grid);
        tape.backward(kernel!("affine", "backward"))
            .params(params)
            .upstream_rows("dy", y, rows.clone())
            .grad_rows("dx", x, rows)
            .grid(grid);
    }
    y
}

fn reference(shape: Shape, line: &Affine, x: &[f64]) -> Vec<f64> {
    let channel = |i: usize| i / shape.width % 3;
    x.iter().enumerate().map(|(i, x)| line.apply(channel(i), *x)).collect()
}

/// One pixel, primes, rows around a workgroup of 64 values.
pub const TABLE: Table = Table {
    op: "affine",
    edges: &[
        Size::new(3, 1, 1),
        Size::new(3, 7, 5),
        Size::new(3, 2, 21),
        Size::new(3, 5, 22),
        Size::new(3, 3, 67),
        Size::new(3, 1, 43),
        // Rows of a multiple of 256 bytes can be split into bands.
        Size::new(3, 9, 64),
        // More rows than a grid may have in one dimension.
        Size::new(3, 65_540, 1),
    ],
    network: |height, width| vec![Size::new(3, height, width)],
    at: |size| if size.c_in == 3 { vec![case(size)] } else { Vec::new() },
};

fn case(size: Size) -> Case {
    let line = Affine { scale: [0.5, -2.0, 60.0], offset: [0.1, 3.0, -4.0] };
    let shape = size.shape();
    Case::new("affine", size, [Input::vary("x", shape)], move |inputs| reference(shape, &line, &inputs[0]))
        .candidate(Candidate::new("plain", move |tape, inputs| Ok(affine(tape, inputs[0].var, &line).into())))
}
