//! 3x3 convolution with zero padding, bias and what follows: ReLU and 2x2 max pooling.

use std::ops::Range;

use super::{pool, winograd};
use crate::gpu::Gpu;
use crate::precision::Precision;
use crate::tape::{Memory, Recorder, Shape, Tape, Tensor, Var};
use crate::testing::{Candidate, Case, HALF, Input, Leaf, Size, Table, vgg19_maps};
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

/// What follows a convolution before anybody looks at the map, and is done along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// `max(y, 0)`.
    Relu,
    /// `max(y, 0)`, then the maximum of each 2x2 window as in [`super::pool`]. Only [`Variant::pools`] can.
    ReluPool,
}

impl After {
    /// The size of what comes out, of a convolution that gives `shape`.
    fn shape(self, shape: Shape) -> Shape {
        match self {
            Self::Nothing | Self::Relu => shape,
            Self::ReluPool => Shape::new(shape.channels, shape.height / 2, shape.width / 2),
        }
    }
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

    /// Whether it can do the pooling that follows, and spare its memory.
    pub fn pools(self) -> bool {
        self == Self::Winograd
    }

    /// Whether it can compute `c_in -> c_out` channels on this device.
    pub fn supports(self, gpu: &Gpu, c_in: usize, c_out: usize) -> bool {
        match self {
            Self::Naive | Self::Tiled => true,
            Self::First => gpu.has_subgroups_of(8) && c_in == 3 && c_out.is_multiple_of(8),
            Self::Winograd => {
                let blocks = c_in.is_multiple_of(32) && c_out.is_multiple_of(32);
                blocks && gpu.has_subgroups_of(8) && gpu.has_texels_of(winograd::packed_len(c_in, c_out))
            }
        }
    }
}

/// Frozen weights of one convolution, on the device, packed for one variant.
pub struct Filter {
    pub(crate) c_in: usize,
    pub(crate) c_out: usize,
    pub(crate) variant: Variant,
    /// How the transformed weights of [`Variant::Winograd`] are stored; those of the others are float32.
    pub(crate) precision: Precision,
    pub(crate) weights: Memory,
    pub(crate) bias: wgpu::Buffer,
}

impl Filter {
    /// Uploads weights of `c_out x c_in x 3 x 3` and `c_out` biases.
    pub fn upload(
        gpu: &Gpu,
        label: &str,
        variant: Variant,
        precision: Precision,
        weights: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        let c_out = bias.len();
        let c_in = weights.len() / (9 * c_out);
        let label_weights = format!("{label}.weights");
        let packed = match variant {
            Variant::Naive | Variant::Tiled => {
                Memory::Buffer(gpu.upload(&label_weights, &taps_first(weights, c_in, c_out))?)
            }
            Variant::First => Memory::Texels(gpu.upload_texels(
                &label_weights,
                &one_row_each(weights, bias),
                Precision::Single,
            )?),
            Variant::Winograd => Memory::Texels(gpu.upload_texels(
                &label_weights,
                &winograd::pack(weights, c_in, c_out),
                precision,
            )?),
        };
        let bias = gpu.upload(&format!("{label}.bias"), bias)?;
        Ok(Self { c_in, c_out, variant, precision, weights: packed, bias })
    }

    /// Whether [`After::ReluPool`] can follow.
    pub fn pools(&self) -> bool {
        self.variant.pools()
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

/// The rows that a band of rows reads of a map: one more on each side, as far as the map goes, and begun where a binding
/// may begin.
pub(crate) fn halo(rows: &Range<usize>, shape: Shape, precision: Precision) -> Range<usize> {
    let align = shape.row_alignment(precision);
    rows.start.saturating_sub(1) / align * align..(rows.end + 1).min(shape.height)
}

/// One convolution on the tape.
pub(crate) struct Conv<'a> {
    pub(crate) x: Var,
    pub(crate) y: Var,
    pub(crate) filter: &'a Filter,
    pub(crate) weights: Tensor,
    pub(crate) bias: Tensor,
    pub(crate) after: After,
}

impl Conv<'_> {
    /// What the kernels of one dispatch get in both directions, to compute `rows` of what they see some more of.
    fn begin<'t, 'g>(
        &self,
        recorder: Recorder<'t, 'g>,
        rows: &Range<usize>,
        seen: &Range<usize>,
    ) -> Recorder<'t, 'g> {
        let recorder = recorder
            .params([
                ("w", self.x.shape.width.into()),
                ("h", rows.len().into()),
                ("h_in", seen.len().into()),
                ("top", (rows.start - seen.start).into()),
                ("c_out", self.filter.c_out.into()),
            ])
            .bind("weights", self.weights);
        // The kernel of three channels knows how many those are.
        match self.filter.variant {
            Variant::First => recorder,
            _ => recorder.params([("c_in", self.filter.c_in.into())]),
        }
    }
}

/// `z[o] = bias[o] + sum over i and taps t of weights[o][i][t] x[i] shifted by t`; `y` is what comes out `after` that.
///
/// With `dz = dy` where ReLU and pooling let a value through and 0 elsewhere,
/// `dx[i] = sum over o and t of weights[o][i][t] dz[o] shifted by -t`.
pub fn conv3x3(tape: &mut Tape, x: Var, filter: &Filter, after: After) -> Var {
    assert_eq!(x.shape.channels, filter.c_in, "channels of the map and of the filter");
    assert!(after != After::ReluPool || filter.pools(), "a variant that pools");
    let shape = after.shape(Shape::new(filter.c_out, x.shape.height, x.shape.width));
    let weights = tape.given_memory("weights", &filter.weights);
    let bias = tape.given("bias", &filter.bias);
    let y = tape.feature_map("y", shape, x);
    let conv = Conv { x, y, filter, weights, bias, after };
    match filter.variant {
        Variant::Winograd => winograd::record(tape, &conv),
        _ => direct(tape, &conv),
    }
    y
}

/// The variants that are one dispatch in each direction.
fn direct(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, filter, .. } = conv;
    let (c_in, c_out, width) = (filter.c_in, filter.c_out, x.shape.width);
    for rows in tape.bands(&[y.shape, x.shape]) {
        let pixels = rows.len() * width;
        let (forward, backward, grids) = match filter.variant {
            Variant::Naive => (
                kernel!("conv3x3", "forward"),
                kernel!("conv3x3", "backward"),
                [c_out, c_in].map(|c| [pixels, c, 1]),
            ),
            // A workgroup of 32 x 8 computes 128 pixels of 64 channels.
            Variant::Tiled => (
                kernel!("conv3x3_tiled", "forward"),
                kernel!("conv3x3_tiled", "backward"),
                [c_out, c_in].map(|c| [pixels.div_ceil(4), c.div_ceil(64) * 8, 1]),
            ),
            // Forward computes four pixels of a row per invocation, backward four of each of four rows.
            Variant::First => (
                kernel!("conv3x3_first", "forward"),
                kernel!("conv3x3_first", "backward"),
                [rows.len(), rows.len().div_ceil(4)].map(|rows| [rows * width.div_ceil(4), 1, 1]),
            ),
            Variant::Winograd => unreachable!("it has more than one dispatch"),
        };
        let (x_rows, y_rows) = (halo(&rows, x.shape, x.precision), halo(&rows, y.shape, y.precision));
        let relu = conv.after == After::Relu;
        let [forward, backward] =
            [forward, backward].map(|kernel| kernel.constant("RELU", relu).storing("X", *x).storing("Y", *y));
        let recorder = conv.begin(tape.forward(forward), &rows, &x_rows);
        // The kernel of three channels has its biases among the weights.
        let recorder =
            if filter.variant == Variant::First { recorder } else { recorder.bind("bias", conv.bias) };
        recorder.bind("x", x.rows(x_rows)).bind("y", y.rows(rows.clone())).grid(grids[0]);
        conv.begin(tape.backward(backward), &rows, &y_rows)
            .bind("kept", y.rows(y_rows.clone()))
            .upstream_rows("dy", *y, y_rows)
            .grad_rows("dx", *x, rows)
            .grid(grids[1]);
    }
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
        // Rows of whole 256 bytes can be split into bands.
        Size::between(3, 8, 9, 64),
        Size::between(64, 3, 4, 5),
        Size::between(8, 8, 7, 17),
        Size::between(16, 24, 5, 9),
        Size::between(8, 63, 1, 127),
        Size::between(65, 8, 8, 16),
        Size::between(65, 63, 3, 43),
        Size::between(1, 512, 2, 3),
        Size::between(512, 5, 3, 2),
        Size::between(32, 32, 1, 1),
        Size::between(32, 64, 5, 6),
        Size::between(64, 32, 4, 4),
        Size::between(64, 64, 17, 3),
        Size::between(96, 32, 8, 13),
        Size::between(32, 32, 3, 124),
        Size::between(32, 32, 16, 32),
        Size::between(32, 32, 25, 37),
        Size::between(32, 32, 12, 44),
        Size::between(32, 32, 4, 508),
        Size::between(32, 32, 4, 512),
        Size::between(32, 32, 12, 172),
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
        let alone = (small || size.height == 1).then_some(After::Nothing);
        // Pooling, of what has a window, where some variant has it built in.
        let pools = size.height > 1 && size.width > 1 && size.c_in.is_multiple_of(32);
        let pooled = pools.then_some(After::ReluPool);
        let afters = [Some(After::Relu), alone, pooled].into_iter().flatten();
        let half = afters.clone().filter(|_| small).map(|after| case(size, after).half());
        let rounded = alone.filter(|_| pools).map(|_| half_weights(size));
        afters.map(|after| case(size, after)).chain(half).chain(rounded).collect()
    },
};

/// The transformed weights in half precision, by themselves. The transform back adds what was rounded to what cancels, so
/// that errors come out about four times as large.
fn half_weights(size: Size) -> Case {
    let mut case = case(size, After::Nothing).called("half weights");
    case.candidates.clear();
    let record = |tape: &mut Tape, inputs: &[Leaf]| {
        let (weights, bias) = (&inputs[1].values, &inputs[2].values);
        let filter = Filter::upload(tape.gpu(), "filter", Variant::Winograd, Precision::Half, weights, bias)?;
        Ok(conv3x3(tape, inputs[0].var, &filter, After::Nothing).into())
    };
    let needs = move |gpu: &Gpu| Variant::Winograd.supports(gpu, size.c_in, size.c_out);
    case.candidate(Candidate::new(Variant::Winograd.name(), record).needs(needs).bound(4.0 * HALF))
}

fn case(size: Size, after: After) -> Case {
    let shape = size.shape();
    let Size { c_in, c_out, .. } = size;
    let inputs = [
        Input::vary("x", shape),
        Input::fixed("weights", Shape::new(c_out * c_in, 3, 3)).scaled(1.0 / (3.0 * (c_in as f32).sqrt())),
        Input::fixed("bias", Shape::new(c_out, 1, 1)),
    ];
    let reference = move |i: &[Vec<f64>]| {
        let y = reference(shape, after != After::Nothing, &i[0], &i[1], &i[2]);
        match after {
            After::ReluPool => pool::reference(Shape { channels: c_out, ..shape }, &y),
            _ => y,
        }
    };
    let case = Case::new("conv3x3", size, inputs, reference).called(match after {
        After::Nothing => "linear",
        After::Relu => "relu",
        After::ReluPool => "relu pool",
    });
    let variants = Variant::ALL.into_iter().filter(|variant| after != After::ReluPool || variant.pools());
    variants.fold(case, |case, variant| {
        let record = move |tape: &mut Tape, inputs: &[Leaf]| {
            let (weights, bias) = (&inputs[1].values, &inputs[2].values);
            let filter = Filter::upload(tape.gpu(), "filter", variant, Precision::Single, weights, bias)?;
            Ok(conv3x3(tape, inputs[0].var, &filter, after).into())
        };
        case.candidate(
            Candidate::new(variant.name(), record).needs(move |gpu| variant.supports(gpu, c_in, c_out)),
        )
    })
}
