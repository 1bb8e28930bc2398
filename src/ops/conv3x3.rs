//! 3x3 convolution with zero padding, bias and ReLU.

use std::ops::Range;

use crate::gpu::Gpu;
use crate::kernel::Value;
use crate::tape::{Shape, Tape, Var};
use crate::testing::{Case, Input};
use crate::{Result, kernel};

/// Frozen weights of one convolution, on the device.
pub struct Filter {
    c_in: usize,
    c_out: usize,
    weights: wgpu::Buffer,
    bias: wgpu::Buffer,
}

impl Filter {
    /// Uploads weights of `c_out x c_in x 3 x 3` and `c_out` biases.
    pub fn upload(gpu: &Gpu, label: &str, weights: &[f32], bias: &[f32]) -> Result<Self> {
        let c_out = bias.len();
        let c_in = weights.len() / (9 * c_out);
        Ok(Self {
            c_in,
            c_out,
            weights: gpu.upload(&format!("{label}.weights"), weights)?,
            bias: gpu.upload(&format!("{label}.bias"), bias)?,
        })
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> u64 {
        self.weights.size() + self.bias.size()
    }
}

/// The rows that a band of output rows reads: one more on each side, as far as the map goes.
fn halo(rows: &Range<usize>, height: usize) -> Range<usize> {
    rows.start.saturating_sub(1)..(rows.end + 1).min(height)
}

/// `y[o] = bias[o] + sum over i and taps t of weights[o][i][t] x[i] shifted by t`, then `max(y, 0)` if `relu`.
///
/// With `z = dy` where the ReLU was open and 0 elsewhere,
/// `dx[i] = sum over o and t of weights[o][i][t] z[o] shifted by -t`.
pub fn conv3x3(tape: &mut Tape, x: Var, filter: &Filter, relu: bool) -> Var {
    let Shape { channels: c_in, height, width } = x.shape;
    assert_eq!(c_in, filter.c_in, "channels of the map and of the filter");
    let shape = Shape::new(filter.c_out, height, width);
    let weights = tape.given("weights", &filter.weights);
    let bias = tape.given("bias", &filter.bias);
    let y = tape.output("y", shape, x);
    for rows in tape.bands(&[shape, x.shape]) {
        let around = halo(&rows, height);
        let params: [(_, Value); 6] = [
            ("w", width.into()),
            ("h", rows.len().into()),
            ("h_in", around.len().into()),
            ("top", (rows.start - around.start).into()),
            ("c_in", c_in.into()),
            ("c_out", filter.c_out.into()),
        ];
        tape.forward(kernel!("conv3x3", "forward").constant("RELU", relu))
            .params(params)
            .bind("weights", weights)
            .bind("bias", bias)
            .bind("x", x.rows(around.clone()))
            .bind("y", y.rows(rows.clone()))
            .grid([rows.len() * width, filter.c_out, 1]);
        tape.backward(kernel!("conv3x3", "backward").constant("RELU", relu))
            .params(params)
            .bind("weights", weights)
            .bind("kept", y.rows(around.clone()))
            .upstream_rows("dy", y, around)
            .grad_rows("dx", x, rows.clone())
            .grid([rows.len() * width, c_in, 1]);
    }
    y
}

pub(crate) fn reference(shape: Shape, relu: bool, x: &[f64], weights: &[f64], bias: &[f64]) -> Vec<f64> {
    let Shape { channels: c_in, height, width } = shape;
    let c_out = bias.len();
    let mut y = vec![0.0; height * c_out * width];
    for row in 0..height {
        for o in 0..c_out {
            let out = &mut y[(row * c_out + o) * width..][..width];
            out.fill(bias[o]);
            for i in 0..c_in {
                for tap in 0..9 {
                    let Some(r) = (row + tap / 3).checked_sub(1).filter(|r| *r < height) else { continue };
                    let weight = weights[(o * c_in + i) * 9 + tap];
                    let line = &x[(r * c_in + i) * width..][..width];
                    // Columns whose neighbour under this tap is inside the map.
                    let (from, to) = (usize::from(tap % 3 == 0), width - usize::from(tap % 3 == 2));
                    for column in from..to.max(from) {
                        out[column] += weight * line[column + tap % 3 - 1];
                    }
                }
            }
            if relu {
                out.iter_mut().for_each(|v| *v = v.max(0.0));
            }
        }
    }
    y
}

/// One pixel, one row, one column, primes, around the kernels' tiles, few and many channels.
pub fn cases() -> Vec<Case> {
    let sizes = [
        (1, 1, 1, 1),
        (3, 4, 1, 7),
        (4, 3, 9, 1),
        (5, 7, 3, 3),
        (3, 64, 5, 6),
        (64, 3, 4, 5),
        (8, 8, 7, 17),
        (16, 24, 5, 9),
        (64, 64, 3, 4),
        (40, 64, 8, 8),
    ];
    let mut cases = Vec::new();
    for (c_in, c_out, h, w) in sizes {
        for relu in [true, false] {
            let shape = Shape::new(c_in, h, w);
            let filter = Shape::new(c_out * c_in, 3, 3);
            let name = format!("{c_in}->{c_out} {h}x{w}{}", if relu { " relu" } else { "" });
            let inputs = [
                Input::vary("x", shape),
                Input::fixed("weights", filter).scaled(1.0 / (3.0 * (c_in as f32).sqrt())),
                Input::fixed("bias", Shape::new(c_out, 1, 1)),
            ];
            cases.push(
                Case::new("conv3x3", name, inputs)
                    .record_fallible(move |tape, inputs| {
                        let filter =
                            Filter::upload(tape.gpu(), "filter", &inputs[1].values, &inputs[2].values)?;
                        Ok(conv3x3(tape, inputs[0].var, &filter, relu))
                    })
                    .reference(move |i| reference(shape, relu, &i[0], &i[1], &i[2])),
            );
        }
    }
    cases
}
