//! 3x3 convolution with zero padding, bias and ReLU.

use std::ops::Range;

use super::winograd;
use crate::gpu::Gpu;
use crate::kernel::{Source, Value};
use crate::tape::{Memory, Recorder, Shape, Tape, Tensor, Var};
use crate::testing::{Candidate, Case, Input, Leaf, Size, Table, vgg19_maps};
use crate::{Result, kernel};

/// How the convolution is computed; what is computed is always the same. `tune` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One output per invocation: the specification.
    Naive,
    /// Register tiles over workgroup memory, for GPUs.
    Tiled,
    /// Barrier-free with lane-wise weights, three channels on one side: software drivers, conv1_1.
    First,
    /// Winograd F(4x4, 3x3), for software drivers.
    Winograd,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Naive, Self::Tiled, Self::First, Self::Winograd];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Tiled => "tiled",
            Self::First => "first",
            Self::Winograd => "winograd",
        }
    }

    /// Whether it can compute `c_in -> c_out` channels on this device.
    pub fn supports(self, gpu: &Gpu, c_in: usize, c_out: usize) -> bool {
        match self {
            Self::Naive | Self::Tiled => true,
            Self::First => gpu.has_subgroups_of(8) && c_in == 3 && c_out.is_multiple_of(8),
            Self::Winograd => {
                let blocks = c_in.is_multiple_of(32) && c_out.is_multiple_of(32);
                blocks && gpu.has_subgroups_of(8) && gpu.has_texels_of(winograd::packed_bytes(c_in, c_out))
            }
        }
    }
}

/// Frozen weights of one convolution, on the device, packed for one variant.
pub struct Filter {
    pub(crate) c_in: usize,
    pub(crate) c_out: usize,
    pub(crate) variant: Variant,
    pub(crate) weights: Memory,
    pub(crate) bias: wgpu::Buffer,
}

impl Filter {
    /// Uploads weights of `c_out x c_in x 3 x 3` and `c_out` biases.
    pub fn upload(gpu: &Gpu, label: &str, variant: Variant, weights: &[f32], bias: &[f32]) -> Result<Self> {
        let c_out = bias.len();
        let c_in = weights.len() / (9 * c_out);
        let label_weights = format!("{label}.weights");
        let packed = match variant {
            Variant::Naive | Variant::Tiled => {
                Memory::Buffer(gpu.upload(&label_weights, &taps_first(weights, c_in, c_out))?)
            }
            Variant::First => {
                Memory::Texels(gpu.upload_texels(&label_weights, &one_row_each(weights, bias))?)
            }
            Variant::Winograd => {
                Memory::Texels(gpu.upload_texels(&label_weights, &winograd::pack(weights, c_in, c_out))?)
            }
        };
        let bias = gpu.upload(&format!("{label}.bias"), bias)?;
        Ok(Self { c_in, c_out, variant, weights: packed, bias })
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> u64 {
        self.weights.bytes() + self.bias.size()
    }
}

/// `c_out x c_in x 3 x 3` to `3 x 3 x c_in x c_out`: neighbouring output channels stand together.
fn taps_first(weights: &[f32], c_in: usize, c_out: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(weights.len());
    for tap in 0..9 {
        for i in 0..c_in {
            packed.extend((0..c_out).map(|o| weights[(o * c_in + i) * 9 + tap]));
        }
    }
    packed
}

/// Per output channel its 27 weights of three input channels, its bias, and nothing up to 32 values.
fn one_row_each(weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let row = |(weights, bias): (&[f32], &f32)| {
        let mut row = weights.to_vec();
        row.push(*bias);
        row.resize(32, 0.0);
        row
    };
    weights.chunks_exact(27).zip(bias).flat_map(row).collect()
}

/// The rows that a band of output rows reads: one more on each side, as far as the map goes, and begun where a binding
/// may begin.
fn halo(rows: &Range<usize>, shape: Shape) -> Range<usize> {
    let align = shape.row_alignment();
    rows.start.saturating_sub(1) / align * align..(rows.end + 1).min(shape.height)
}

/// One band of rows of one convolution, as all variants record it.
pub(crate) struct Band<'a> {
    pub(crate) x: Var,
    pub(crate) y: Var,
    pub(crate) filter: &'a Filter,
    pub(crate) weights: Tensor,
    pub(crate) bias: Tensor,
    pub(crate) relu: bool,
    /// Rows that are computed.
    pub(crate) rows: Range<usize>,
}

impl Band<'_> {
    /// Rows of `x` that forward reads, and of `dy` and `y` that backward reads.
    pub(crate) fn around(&self, map: Var) -> Range<usize> {
        halo(&self.rows, map.shape)
    }

    /// What a direct kernel gets in both directions.
    fn begin<'t, 'g>(&self, recorder: Recorder<'t, 'g>) -> Recorder<'t, 'g> {
        let Self { x, filter, rows, .. } = self;
        let recorder = recorder
            .params([("w", x.shape.width.into()), ("h", rows.len().into()), ("c_out", filter.c_out.into())])
            .bind("weights", self.weights);
        // The kernel of three channels knows how many those are, and has its biases among the weights.
        if filter.variant == Variant::First {
            recorder
        } else {
            recorder.params([("c_in", filter.c_in.into())])
        }
    }
}

/// `y[o] = bias[o] + sum over i and taps t of weights[o][i][t] x[i] shifted by t`, then `max(y, 0)` if `relu`.
///
/// With `z = dy` where the ReLU was open and 0 elsewhere,
/// `dx[i] = sum over o and t of weights[o][i][t] z[o] shifted by -t`.
pub fn conv3x3(tape: &mut Tape, x: Var, filter: &Filter, relu: bool) -> Var {
    assert_eq!(x.shape.channels, filter.c_in, "channels of the map and of the filter");
    let shape = Shape::new(filter.c_out, x.shape.height, x.shape.width);
    let weights = tape.given_memory("weights", &filter.weights);
    let bias = tape.given("bias", &filter.bias);
    let y = tape.output("y", shape, x);
    for rows in tape.bands(&[shape, x.shape]) {
        let band = Band { x, y, filter, weights, bias, relu, rows };
        match filter.variant {
            Variant::Naive => {
                let grid = |c| [band.rows.len() * shape.width, c, 1];
                let [forward, backward] = [
                    kernel!("conv3x3", "forward").constant("RELU", relu),
                    kernel!("conv3x3", "backward").constant("RELU", relu),
                ];
                direct(tape, &band, forward, grid(filter.c_out), backward, grid(filter.c_in));
            }
            Variant::Tiled => {
                // A workgroup of 32 x 8 computes 128 pixels of 64 channels.
                let grid = |c: usize| [(band.rows.len() * shape.width).div_ceil(4), c.div_ceil(64) * 8, 1];
                let [forward, backward] = [
                    kernel!("conv3x3_tiled", "forward").constant("RELU", relu),
                    kernel!("conv3x3_tiled", "backward").constant("RELU", relu),
                ];
                direct(tape, &band, forward, grid(filter.c_out), backward, grid(filter.c_in));
            }
            Variant::First => {
                // Forward computes four pixels of a row per invocation, backward four of each of four rows.
                let across = shape.width.div_ceil(4);
                let [forward, backward] = [
                    kernel!("conv3x3_first", "forward").constant("RELU", relu),
                    kernel!("conv3x3_first", "backward").constant("RELU", relu),
                ];
                let (rows, blocks) = (band.rows.len(), band.rows.len().div_ceil(4));
                direct(tape, &band, forward, [rows * across, 1, 1], backward, [blocks * across, 1, 1]);
            }
            Variant::Winograd => winograd::record(tape, &band),
        }
    }
    y
}

/// The variants that are one dispatch in each direction.
fn direct(
    tape: &mut Tape,
    band: &Band,
    forward: Source,
    forward_grid: [usize; 3],
    backward: Source,
    backward_grid: [usize; 3],
) {
    let Band { x, y, filter, rows, .. } = band;
    let (x_rows, y_rows) = (band.around(*x), band.around(*y));
    let seen = |seen: &Range<usize>| -> [(&'static str, Value); 2] {
        [("h_in", seen.len().into()), ("top", (rows.start - seen.start).into())]
    };
    let forward = band.begin(tape.forward(forward)).params(seen(&x_rows));
    let forward = if filter.variant == Variant::First { forward } else { forward.bind("bias", band.bias) };
    forward.bind("x", x.rows(x_rows)).bind("y", y.rows(rows.clone())).grid(forward_grid);
    band.begin(tape.backward(backward))
        .params(seen(&y_rows))
        .bind("kept", y.rows(y_rows.clone()))
        .upstream_rows("dy", *y, y_rows)
        .grad_rows("dx", *x, rows.clone())
        .grid(backward_grid);
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

/// One pixel, one row, one column, primes, few and many channels; around the naive kernel's 64 pixels, the tiles of 64
/// channels and 128 pixels and steps of 8 channels, the 4 x 4 pixels and 8 lanes of `first`, and Winograd's 4 x 4
/// pixels, 32 channels, 32 and 128 tiles. With ReLU and, at the small sizes, without.
pub const TABLE: Table = Table {
    op: "conv3x3",
    edges: &[
        Size::between(1, 1, 1, 1),
        Size::between(1, 3, 2, 2),
        Size::between(3, 4, 1, 7),
        Size::between(4, 3, 9, 1),
        Size::between(5, 1, 7, 9),
        Size::between(5, 7, 3, 3),
        Size::between(4, 5, 5, 13),
        Size::between(7, 9, 8, 8),
        Size::between(9, 7, 3, 21),
        Size::between(3, 64, 1, 1),
        Size::between(3, 64, 5, 6),
        Size::between(3, 8, 3, 3),
        Size::between(3, 8, 4, 4),
        Size::between(3, 8, 5, 5),
        Size::between(3, 8, 7, 4),
        Size::between(3, 8, 9, 35),
        Size::between(64, 3, 4, 5),
        Size::between(8, 8, 7, 17),
        Size::between(16, 24, 5, 9),
        Size::between(8, 63, 1, 127),
        Size::between(65, 8, 8, 16),
        Size::between(65, 63, 3, 43),
        Size::between(1, 512, 2, 3),
        Size::between(512, 5, 3, 2),
        Size::between(32, 32, 1, 1),
        Size::between(32, 64, 5, 9),
        Size::between(64, 32, 4, 4),
        Size::between(64, 64, 17, 3),
        Size::between(96, 32, 8, 13),
        Size::between(32, 32, 3, 124),
        Size::between(32, 32, 16, 32),
        Size::between(32, 32, 25, 37),
        Size::between(32, 32, 4, 508),
        Size::between(32, 64, 47, 46),
    ],
    network: |height, width| {
        let maps = vgg19_maps(height, width);
        let mut c_in = 3;
        let mut sizes = Vec::new();
        for map in maps {
            sizes.push(Size { c_in, ..map });
            // The deepest block that is looked at has one convolution.
            if map.c_in != c_in {
                sizes.push(map);
            }
            c_in = map.c_in;
        }
        sizes
    },
    at: |size| {
        // Beside the ReLU, the sum itself; that twice the work shows nothing more where it is much.
        let small = size.shape().pixels() * size.c_in * size.c_out <= 1 << 19;
        let alone = (small || size.height == 1).then_some(false);
        [Some(true), alone].into_iter().flatten().map(|relu| case(size, relu)).collect()
    },
};

fn case(size: Size, relu: bool) -> Case {
    let shape = size.shape();
    let Size { c_in, c_out, .. } = size;
    let inputs = [
        Input::vary("x", shape),
        Input::fixed("weights", Shape::new(c_out * c_in, 3, 3)).scaled(1.0 / (3.0 * (c_in as f32).sqrt())),
        Input::fixed("bias", Shape::new(c_out, 1, 1)),
    ];
    let reference = move |i: &[Vec<f64>]| reference(shape, relu, &i[0], &i[1], &i[2]);
    let case = Case::new("conv3x3", size, inputs, reference).called(if relu { "relu" } else { "linear" });
    Variant::ALL.into_iter().fold(case, |case, variant| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let (weights, bias) = (&inputs[1].values, &inputs[2].values);
            let filter = Filter::upload(tape.gpu(), "filter", variant, weights, bias)?;
            Ok(conv3x3(tape, inputs[0].var, &filter, relu).into())
        };
        case.candidate(
            Candidate::new(variant.name(), record).needs(move |gpu| variant.supports(gpu, c_in, c_out)),
        )
    })
}
