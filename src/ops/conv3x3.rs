//! 3x3 convolution with bias and what follows: ReLU and 2x2 max pooling. Beyond the edge of its map it sees zeros, or at
//! the network's first layer, if asked, the nearest pixel.

mod cases;
mod first;
mod gates;
mod shifted;
mod tiled;
mod uniform;
mod winograd;

use std::ops::Range;

use crate::architecture::Edge;
use crate::gpu::Gpu;
use crate::kernel::{Source, Value};
use crate::precision::Precision;
use crate::tape::{Memory, Shape, Tape, Tensor, Var, band_pixels};
use crate::{Result, kernel};
pub(crate) use cases::{TABLE, reference};
use gates::{Band, Gates};

/// Channels of a block of outputs, and of inputs, in the forms that share weights between lanes; and Winograd's tiles of a
/// subgroup.
const BLOCK: usize = 32;

/// How the convolution is computed; what is computed is always the same. `tune` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One output per invocation: the specification.
    Naive,
    /// Register tiles over workgroup memory, for GPUs: a workgroup computes 64 channels of 128 pixels.
    Tiled,
    /// The same, 64 channels of 64 pixels: more workgroups, for small maps.
    TiledSmall,
    /// The same, 128 channels of 128 pixels: fewer loads, for many channels.
    TiledLarge,
    /// One pixel per invocation, three input channels, for GPUs: conv1_1.
    Few,
    /// Barrier-free with lane-wise weights, a matrix product for each tap, for software drivers: the direct form of Winograd's.
    Shifted,
    /// Barrier-free with weights in uniform blocks, for processors whose subgroups the other forms for them cannot use.
    Uniform,
    /// Barrier-free with lane-wise weights, three channels on one side: software drivers, conv1_1.
    First,
    /// Winograd F(4x4, 3x3), for software drivers.
    Winograd,
    /// The same with its products in workgroup memory, for GPUs.
    WinogradTiled,
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
    pub const ALL: [Self; 10] = [
        Self::Naive,
        Self::Tiled,
        Self::TiledSmall,
        Self::TiledLarge,
        Self::Few,
        Self::Shifted,
        Self::Uniform,
        Self::First,
        Self::Winograd,
        Self::WinogradTiled,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Tiled => "tiled",
            Self::TiledSmall => "tiled_small",
            Self::TiledLarge => "tiled_large",
            Self::Few => "few",
            Self::Shifted => "shifted",
            Self::Uniform => "uniform",
            Self::First => "first",
            Self::Winograd => "winograd",
            Self::WinogradTiled => "winograd_tiled",
        }
    }

    /// Whether it can do the pooling that follows, and spare its memory.
    pub fn pools(self) -> bool {
        matches!(
            self,
            Self::Tiled | Self::TiledSmall | Self::TiledLarge | Self::Winograd | Self::WinogradTiled
        )
    }

    /// Whether it can compute maps with [`Edge::Replicate`]: the forms that three channels may have.
    pub fn replicates(self) -> bool {
        matches!(
            self,
            Self::Naive | Self::Tiled | Self::TiledSmall | Self::TiledLarge | Self::Few | Self::First
        )
    }

    /// Whether it can compute `c_in -> c_out` channels on this device.
    pub fn supports(self, gpu: &Gpu, c_in: usize, c_out: usize) -> bool {
        let blocks = c_in.is_multiple_of(BLOCK) && c_out.is_multiple_of(BLOCK);
        match self {
            Self::Naive | Self::Tiled | Self::TiledSmall | Self::TiledLarge => true,
            Self::Few => c_in == 3,
            Self::First => gpu.has_subgroups_of(8) && c_in == 3 && c_out.is_multiple_of(8),
            Self::Winograd => {
                let texels = gpu.has_texels_of(winograd::packed_len(c_in, c_out));
                blocks && gpu.has_subgroups_of(8) && texels
            }
            Self::Shifted => {
                let texels = gpu.has_texels_of((9 * c_in * c_out) as u64);
                blocks && gpu.has_subgroups_of(8) && texels
            }
            // SwiftShader's compiler takes minutes over so long a kernel.
            Self::Uniform => blocks && gpu.info().driver != "SwiftShader driver",
            Self::WinogradTiled => blocks,
        }
    }
}

/// Frozen weights of one convolution, on the device, packed for one variant.
pub struct Filter {
    c_in: usize,
    c_out: usize,
    variant: Variant,
    /// Whether the weights of [`Variant::Winograd`] and [`Variant::WinogradTiled`] are bytes, each the number of a value.
    palette: bool,
    weights: Memory,
    bias: wgpu::Buffer,
}

impl Filter {
    /// Uploads weights of `c_out x c_in x 3 x 3` and `c_out` biases.
    pub fn upload(gpu: &Gpu, label: &str, variant: Variant, weights: &[f32], bias: &[f32]) -> Result<Self> {
        let c_out = bias.len();
        let c_in = weights.len() / (9 * c_out);
        let label_weights = format!("{label}.weights");
        let mut palette = false;
        let packed = match variant {
            Variant::Naive | Variant::Tiled | Variant::TiledSmall | Variant::TiledLarge => {
                Memory::Buffer(gpu.upload(&label_weights, &taps_first(weights, c_in, c_out))?)
            }
            Variant::Few => Memory::Buffer(gpu.upload(&label_weights, &one_row_each(weights, bias))?),
            Variant::Uniform => Memory::Buffer(gpu.upload(&label_weights, &in_blocks(weights, c_in, c_out))?),
            Variant::Shifted => Memory::Texels(gpu.upload_texels(
                &label_weights,
                &in_blocks(weights, c_in, c_out),
                Precision::Single,
            )?),
            Variant::First => Memory::Texels(gpu.upload_texels(
                &label_weights,
                &one_row_each(weights, bias),
                Precision::Single,
            )?),
            Variant::Winograd | Variant::WinogradTiled => {
                let (words, bytes) = winograd::compact(weights);
                palette = bytes;
                Memory::Buffer(gpu.upload_bytes(&label_weights, bytemuck::cast_slice(&words))?)
            }
        };
        let bias = gpu.upload(&format!("{label}.bias"), bias)?;
        Ok(Self { c_in, c_out, variant, palette, weights: packed, bias })
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

/// `c_out x c_in x 3 x 3` to `c_out/32 x c_in/32 x 3 x 3 x 8 x 32 x 4`: blocks of outputs and of inputs, tap, four inputs, output,
/// input.
fn in_blocks(weights: &[f32], c_in: usize, c_out: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(weights.len());
    let blocks = |c: usize| (0..c).step_by(BLOCK);
    for (o, i) in blocks(c_out).flat_map(|o| blocks(c_in).map(move |i| (o, i))) {
        for (tap, i) in (0..9).flat_map(|tap| (i..i + BLOCK).step_by(4).map(move |i| (tap, i))) {
            for o in o..o + BLOCK {
                packed.extend((i..i + 4).map(|i| weights[(o * c_in + i) * 9 + tap]));
            }
        }
    }
    packed
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

/// One convolution on the tape.
struct Conv<'a> {
    x: Var,
    y: Var,
    filter: &'a Filter,
    weights: Tensor,
    bias: Tensor,
    edge: Edge,
    after: After,
}

/// Tells a kernel what stands beyond the edge.
fn edged(kernel: Source, edge: Edge) -> Source {
    match edge {
        Edge::Zeros => kernel,
        Edge::Replicate => kernel.constant("REPLICATE", true),
    }
}

/// `z[o] = bias[o] + sum over i and taps t of weights[o][i][t] x[i] shifted by t`; `y` is what comes out `after` that.
///
/// With `dz = dy` where ReLU and pooling let a value through and 0 elsewhere,
/// `dx[i] = sum over o and t of weights[o][i][t] dz[o] shifted by -t`. With [`Edge::Replicate`], which only
/// [`Variant::replicates`] can, the gradient of what stands beyond the edge is added to that of the pixel it is a copy of.
pub fn conv3x3(tape: &mut Tape, x: Var, filter: &Filter, edge: Edge, after: After) -> Var {
    assert_eq!(x.shape.channels, filter.c_in, "channels of the map and of the filter");
    assert!(after != After::ReluPool || filter.pools(), "a variant that pools");
    assert!(edge == Edge::Zeros || filter.variant.replicates(), "a variant that replicates");
    assert!(after != After::ReluPool || x.shape.height > 1, "a map of at least two rows");
    let shape = after.shape(Shape::new(filter.c_out, x.shape.height, x.shape.width));
    let weights = tape.given_memory("weights", &filter.weights);
    let bias = tape.given("bias", &filter.bias);
    let y = tape.feature_map("y", shape, x);
    let conv = Conv { x, y, filter, weights, bias, edge, after };
    match filter.variant {
        Variant::Naive => naive(tape, &conv),
        Variant::Tiled | Variant::TiledSmall | Variant::TiledLarge => tiled::record(tape, &conv),
        Variant::Shifted => shifted::record(tape, &conv),
        Variant::Uniform => uniform::record(tape, &conv),
        Variant::First | Variant::Few => first::record(tape, &conv),
        Variant::Winograd | Variant::WinogradTiled => winograd::record(tape, &conv),
    }
    y
}

/// The specification: one dispatch in each direction.
fn naive(tape: &mut Tape, conv: &Conv) {
    let Conv { x, y, filter, .. } = conv;
    let (c_in, c_out, width) = (filter.c_in, filter.c_out, x.shape.width);
    for rows in tape.bands_of(&[y.shape, x.shape], band_pixels(9 * c_in * c_out)) {
        let (x_rows, y_rows) = (x.halo(&rows), y.halo(&rows));
        let params = |seen: &Range<usize>| -> [(&'static str, Value); 6] {
            [
                ("w", width.into()),
                ("h", rows.len().into()),
                ("h_in", seen.len().into()),
                ("top", (rows.start - seen.start).into()),
                ("c_in", c_in.into()),
                ("c_out", c_out.into()),
            ]
        };
        let kernel = |kernel: Source| {
            let relu = conv.after == After::Relu;
            edged(kernel, conv.edge).constant("RELU", relu).storing("X", *x).storing("Y", *y)
        };
        tape.forward(kernel(kernel!("conv3x3", "forward")))
            .params(params(&x_rows))
            .bind("weights", conv.weights)
            .bind("bias", conv.bias)
            .bind("x", x.rows(x_rows))
            .bind("y", y.rows(rows.clone()))
            .grid([rows.len() * width, c_out, 1]);
        tape.backward(kernel(kernel!("conv3x3", "backward")))
            .params(params(&y_rows))
            .bind("weights", conv.weights)
            .bind("kept", y.rows(y_rows.clone()))
            .upstream_rows("dy", *y, y_rows)
            .grad_rows("dx", *x, rows.clone())
            .grid([rows.len() * width, c_in, 1]);
    }
}
