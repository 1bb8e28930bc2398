//! 3x3 convolution with bias and what follows: ReLU and 2x2 max pooling. Beyond the edge of its map it sees zeros. The
//! network's first convolution may see the nearest pixel instead.

pub(crate) mod cases;
mod cooperative;
mod first;
mod forms;
mod gates;
mod packing;
mod shifted;
mod tiled;
mod uniform;
mod winograd;

use std::ops::Range;

use crate::Result;
use crate::architecture::Edge;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Kernel, Value, kernel};
use crate::engine::precision::Precision;
use crate::engine::tape::{Memory, Shape, Tape, Tensor, Var, band_pixels};
pub(crate) use cases::TABLE;
use gates::{Band, Gates};
use packing::Packed;

/// Channels of a block of outputs, and of inputs, in the forms that share weights between lanes; and Winograd's tiles of a
/// subgroup.
const BLOCK: usize = 32;

/// How the convolution is computed; what is computed is always the same.
/// [`Tuning`](crate::network::tuning::Tuning) chooses. The table in `forms.rs` has all that sets one form apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One output per invocation: the specification.
    Naive,
    /// One pixel per invocation, three input channels, for GPUs: conv1_1.
    Few,
    /// Register tiles over workgroup memory, for GPUs: a workgroup computes 64 channels of 128 pixels.
    Tiled,
    /// The same, 64 channels of 64 pixels: more workgroups, for small maps.
    TiledSmall,
    /// The same, 128 channels of 128 pixels: fewer loads, for many channels.
    TiledLarge,
    /// Winograd F(4x4, 3x3) with its products in workgroup memory, for GPUs.
    WinogradTiled,
    /// The same, barrier-free with lane-wise weights, for software drivers.
    Winograd,
    /// Barrier-free with lane-wise weights, three channels on one side: software drivers, conv1_1.
    First,
    /// Barrier-free with lane-wise weights, a matrix product for each tap, for software drivers: the direct form of Winograd's.
    Shifted,
    /// Barrier-free with weights in uniform blocks, for processors whose subgroups the other forms for them cannot use.
    Uniform,
    /// Matrix units, half precision only: a unit computes 2 tiles of channels of 4 rows of pixels.
    Cooperative,
    /// The same, 1 tile of 4 rows: more workgroups, for small maps.
    CooperativeSmall,
    /// The same, 4 tiles of 4 rows: fewer loads, for many channels.
    CooperativeLarge,
    /// The same, 1 tile of 2 rows, two units instead of four: for the smallest maps.
    CooperativeTiny,
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
    /// The shape of the output, where the convolution itself gives `shape`.
    fn shape(self, shape: Shape) -> Shape {
        match self {
            Self::Nothing | Self::Relu => shape,
            Self::ReluPool => Shape::new(shape.channels, shape.height / 2, shape.width / 2),
        }
    }
}

impl Variant {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        self.form().name
    }

    /// Whether it can do the pooling that follows, and spare its memory.
    pub fn pools(self) -> bool {
        self.form().pools
    }

    /// Whether it can do [`Edge::Replicate`]. Every form that supports three input channels can.
    pub fn replicates(self) -> bool {
        self.form().replicates
    }

    /// Whether it multiplies in half precision, which only what is stored in half precision may meet.
    pub fn is_half(self) -> bool {
        self.form().made_for == forms::MadeFor::MatrixUnits
    }

    /// Whether it can compute `c_in -> c_out` channels on this device.
    pub fn supports(self, gpu: &Gpu, c_in: usize, c_out: usize) -> bool {
        (self.form().supports)(self, gpu, c_in, c_out)
    }
}

/// Fewer workgroups than these leave processors of a large GPU idle: two for each of the 132 of an H200.
const ENOUGH: usize = 2 * 132;

/// Frozen weights of one convolution, on the device, packed for one variant.
#[derive(Clone)]
pub struct Filter {
    c_in: usize,
    c_out: usize,
    variant: Variant,
    /// Whether the weights are bytes, each the number of a value; see [`Packed::Raw`].
    palette: bool,
    weights: Memory,
    bias: wgpu::Buffer,
}

impl Filter {
    /// Uploads weights of `c_out x c_in x 3 x 3` and `c_out` biases.
    pub fn upload(gpu: &Gpu, label: &str, variant: Variant, weights: &[f32], bias: &[f32]) -> Result<Self> {
        let c_out = bias.len();
        let c_in = weights.len() / (9 * c_out);
        let packed = (variant.form().pack)(weights, bias);
        let palette = matches!(packed, Packed::Raw { palette: true, .. });
        let label_weights = format!("{label}.weights");
        let packed = match packed {
            Packed::Values(values) => Memory::Buffer(gpu.upload(&label_weights, &values)?),
            Packed::Halves(values) => {
                Memory::Buffer(gpu.upload_bytes(&label_weights, &Precision::Half.encode(&values))?)
            }
            Packed::Texels(values) => {
                Memory::Texels(gpu.upload_texels(&label_weights, &values, Precision::Single)?)
            }
            Packed::Raw { words, .. } => {
                Memory::Buffer(gpu.upload_bytes(&label_weights, bytemuck::cast_slice(&words))?)
            }
        };
        let bias = gpu.upload(&format!("{label}.bias"), bias)?;
        Ok(Self { c_in, c_out, variant, palette, weights: packed, bias })
    }

    /// The same weights for a map of `height` rows and `width` columns. On a small map the variant may have too few
    /// workgroups to keep a large GPU busy in either direction; a related variant with smaller ones takes its place.
    pub(crate) fn for_map(&self, gpu: &Gpu, height: usize, width: usize) -> Self {
        let mut filter = self.clone();
        let channels = self.c_in.min(self.c_out);
        while let Some((smaller, workgroups)) = filter.variant.form().smaller
            && workgroups(filter.variant, gpu, [height, width, channels]) < ENOUGH
        {
            filter.variant = smaller;
        }
        filter
    }

    /// Its channels in and out.
    pub(crate) fn channels(&self) -> [usize; 2] {
        [self.c_in, self.c_out]
    }

    /// The form that its weights are packed for.
    pub(crate) fn variant(&self) -> Variant {
        self.variant
    }

    /// Whether [`After::ReluPool`] can follow.
    pub fn pools(&self) -> bool {
        self.variant.pools()
    }

    /// Whether it multiplies in half precision.
    pub fn is_half(&self) -> bool {
        self.variant.is_half()
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> u64 {
        self.weights.bytes() + self.bias.size()
    }
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
fn edged(kernel: Kernel, edge: Edge) -> Kernel {
    match edge {
        Edge::Zeros => kernel,
        Edge::Replicate => kernel.constant("REPLICATE", true),
    }
}

/// `z[o] = bias[o] + sum over i and taps t of weights[o][i][t] x[i] shifted by t`; `y` is what comes out `after` that.
///
/// With `dz = dy` where ReLU and pooling let a value through and 0 elsewhere,
/// `dx[i] = sum over o and t of weights[o][i][t] dz[o] shifted by -t`. With [`Edge::Replicate`], which needs
/// [`Variant::replicates`], the gradient of a copy beyond the edge is added to that of the pixel it copies.
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
    (filter.variant.form().record)(tape, &conv);
    y
}

/// Records one dispatch in each direction, band by band, for forms that pool in their own dispatch and keep a word of
/// gates for four channels of a 2 x 2 window. `kernels` are forward and backward; `grid` is that of a band for so many
/// channels.
fn in_one_dispatch(
    tape: &mut Tape,
    conv: &Conv,
    kernels: [Kernel; 2],
    grid: impl Fn(&Band, usize) -> [usize; 3],
) {
    let Conv { x, y, filter, after, .. } = conv;
    let (c_in, c_out) = (filter.c_in, filter.c_out);
    let gates = Gates::new(tape, conv, c_out.div_ceil(4), 2);
    let [forward, backward] = kernels.map(|kernel| {
        let kernel =
            kernel.constant("RELU", *after != After::Nothing).constant("POOL", *after == After::ReluPool);
        kernel.storing("X", *x).storing("Y", *y)
    });
    for band in gates.bands_of(tape, conv, band_pixels(9 * c_in * c_out)) {
        let params: [(&'static str, Value); 4] = [
            ("w", x.shape.width.into()),
            ("h", band.rows.len().into()),
            ("c_in", c_in.into()),
            ("c_out", c_out.into()),
        ];
        tape.forward(forward.clone())
            .params(params)
            .params(band.forward())
            .bind("weights", conv.weights)
            .bind("bias", conv.bias)
            .bind("x", x.rows(band.x_seen.clone()))
            .bind("y", y.rows(band.y.clone()))
            .bind("own_gates", gates.of(&band))
            .grid(grid(&band, c_out));
        tape.backward(backward.clone())
            .params(params)
            .params(band.backward())
            .bind("weights", conv.weights)
            .upstream_rows("dy", *y, band.y_seen.clone())
            .bind("gates", gates.seen_by(&band))
            .grad_rows("dx", *x, band.rows.clone())
            .grid(grid(&band, c_in));
    }
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
        let kernel = |kernel: Kernel| {
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
