//! 2x2 pooling.

use crate::architecture::Pooling;
use crate::cases::{Candidate, Case, Input, Size, Table, in_both_precisions, vgg19_maps};
use crate::engine::kernel::{Kernel, kernel};
use crate::engine::tape::{Shape, Tape, Var};

/// Added to the sum of squares of a window, so that its root has a finite slope for a window of zeros.
const FLOOR: f64 = 1e-30;

/// One value of each 2x2 window of `x`, sizes rounded down. An odd last row or column gets the gradient 0.
///
/// - [`Pooling::Max`]: `y = max x`. `dx` is `dy` at the window's first maximum and 0 elsewhere.
/// - [`Pooling::Average`]: `y = 2 mean x`; `dx = dy / 2`.
/// - [`Pooling::L2`]: `y = 0.78 sqrt(sum x^2 + 1e-30)`; `dx = 0.78^2 x / y dy`. The sum and the factors are those
///   of style-transfer-pytorch. The small number makes the gradient of a window of zeros 0.
pub fn pool(tape: &mut Tape, x: Var, pooling: Pooling) -> Var {
    let Shape { channels, height, width } = x.shape;
    assert!(height > 1, "a map of at least two rows");
    let shape = Shape::new(channels, height / 2, width / 2);
    let y = tape.feature_map("y", shape, x);
    let kernel = |kernel: Kernel| {
        let kernel = kernel.storing("Map", x);
        match pooling {
            Pooling::Max => kernel,
            Pooling::Average => kernel.constant("POOLING", "AVERAGE"),
            Pooling::L2 => kernel.constant("POOLING", "L2"),
        }
    };
    for rows in tape.bands(&[shape, x.shape]) {
        // The last band includes an odd last row, which gets a zero gradient.
        let end = if rows.end == shape.height { height } else { 2 * rows.end };
        let rows_in = 2 * rows.start..end;
        let params = [("c", channels.into()), ("h", rows_in.len().into()), ("w", width.into())];
        tape.forward(kernel(kernel!("pool", "forward")))
            .params(params)
            .bind("x", x.rows(rows_in.clone()))
            .bind("y", y.rows(rows.clone()))
            .grid([channels * shape.width, rows.len(), 1]);
        tape.backward(kernel(kernel!("pool", "backward")))
            .params(params)
            .bind("x", x.rows(rows_in.clone()))
            .upstream_rows("dy", y, rows)
            .grad_rows("dx", x, rows_in.clone())
            .grid([channels * width.div_ceil(2), rows_in.len().div_ceil(2), 1]);
    }
    y
}

pub(crate) fn reference(shape: Shape, pooling: Pooling, x: &[f64]) -> Vec<f64> {
    let Shape { channels, height, width } = shape;
    let mut y = Vec::new();
    for row in 0..height / 2 {
        for c in 0..channels {
            for column in 0..width / 2 {
                let at = |r: usize, k: usize| x[((2 * row + r) * channels + c) * width + 2 * column + k];
                let window = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
                y.push(match pooling {
                    Pooling::Max => window.into_iter().fold(f64::NEG_INFINITY, f64::max),
                    Pooling::Average => window.into_iter().sum::<f64>() / 2.0,
                    Pooling::L2 => 0.78 * (window.map(|v| v * v).into_iter().sum::<f64>() + FLOOR).sqrt(),
                });
            }
        }
    }
    y
}

/// The smallest window, odd sizes on either side and both, rows around a workgroup of 64 windows, many
/// channels.
pub const TABLE: Table = Table {
    op: "pool",
    edges: &[
        Size::new(1, 2, 2),
        Size::new(1, 3, 3),
        Size::new(3, 5, 4),
        Size::new(4, 4, 7),
        Size::new(5, 7, 9),
        Size::new(3, 2, 42),
        Size::new(4, 3, 32),
        Size::new(5, 2, 26),
        Size::new(1, 13, 131),
        Size::new(64, 3, 11),
        Size::new(512, 2, 3),
    ],
    network: |height, width| {
        let mut maps = vgg19_maps(height, width);
        maps.pop();
        maps
    },
    at: |size| {
        if size.height.min(size.width) < 2 {
            return Vec::new();
        }
        Pooling::ALL
            .into_iter()
            .flat_map(|pooling| in_both_precisions(size, |size| case(size, pooling)))
            .collect()
    },
};

fn case(size: Size, pooling: Pooling) -> Case {
    let shape = size.shape();
    let reference = move |inputs: &[Vec<f64>]| reference(shape, pooling, &inputs[0]);
    let name = if pooling == Pooling::Max { "plain" } else { pooling.name() };
    Case::new("pool", size, [Input::vary("x", shape)], reference)
        .candidate(Candidate::new(name, move |tape, inputs| Ok(pool(tape, inputs[0].var, pooling).into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::Gpu;

    /// Behind a ReLU many windows are all zeros.
    #[test]
    fn the_gradient_of_a_window_of_zeros_is_finite() {
        let gpu = Gpu::new(None).unwrap();
        for pooling in Pooling::ALL {
            let mut tape = Tape::new(&gpu);
            tape.op("pool");
            let x = tape.leaf("x", Shape::new(2, 2, 2));
            let (dx, y) = (x.grad.unwrap(), pool(&mut tape, x, pooling));
            let dy = y.grad.unwrap();
            [dx, y.value, dy].into_iter().for_each(|tensor| tape.keep(tensor));
            let plan = tape.finish().unwrap();
            // The second channel has windows of values whose squares float32 does not hold.
            plan.write(&gpu, x.value, &[0.0, 0.0, 1e-30, 0.0, 0.0, 0.0, 1e-30, 0.0]);
            plan.write(&gpu, dy, &[1.0, 1.0]);
            plan.run(&gpu);
            let (y, dx) = (plan.read(&gpu, y.value).unwrap(), plan.read(&gpu, dx).unwrap());
            assert!(y.iter().all(|y| (0.0..1e-14).contains(y)), "{pooling}: {y:?}");
            assert!(dx.iter().all(|d| (0.0..=1.0).contains(d)), "{pooling}: {dx:?}");
        }
    }
}
