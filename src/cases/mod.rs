//! The table of all cases: what each op must get right, at which sizes, in which variants. It drives the
//! tests, the mutants, the microbenchmark and `impasto check`.
//!
//! A [`Case`] is an op at one size. Its reference in float64 is the oracle: the result of each [`Candidate`]
//! (a variant of the op) is compared with the reference, and its gradient with central differences *of that
//! reference*. Every buffer starts as NaN with a guard after it, so reading what was never written, or
//! writing beyond a buffer, is found.

#[cfg(feature = "native")]
mod oracle;
mod outcome;
#[cfg(feature = "native")]
mod run;

#[cfg(feature = "native")]
pub use oracle::{Truth, with_truths};
pub use outcome::{Deviation, Outcome};

use crate::Result;
use crate::architecture::Network;
use crate::engine::gpu::Gpu;
use crate::engine::precision::Precision;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var};

/// The bound on the relative errors of float32: about a hundred roundings.
pub const FLOAT32: f64 = 1e-5;

/// The same where maps are stored in half precision: the summand and the sum are both rounded to 11 bits.
pub const HALF: f64 = 1e-3;

/// The size of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output; ops that keep their channels do not look at it.
    pub c_out: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
}

impl Size {
    /// An op that keeps its channels.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { c_in: channels, c_out: channels, height, width }
    }

    /// An op from `c_in` to `c_out` channels.
    pub const fn between(c_in: usize, c_out: usize, height: usize, width: usize) -> Self {
        Self { c_in, c_out, height, width }
    }

    /// The input.
    pub fn shape(&self) -> Shape {
        Shape::new(self.c_in, self.height, self.width)
    }
}

/// All that is known about testing an op. A new op brings one of these, and everything else follows.
#[derive(Clone, Copy)]
pub struct Table {
    /// Name of the op.
    pub op: &'static str,
    /// Sizes at which mistakes show: the smallest, primes, one less and one more than each tile.
    pub edges: &'static [Size],
    /// The sizes that the op has inside VGG-19, for a picture of `height` rows and `width` columns.
    pub network: fn(height: usize, width: usize) -> Vec<Size>,
    /// The cases of one size; none if the op cannot have it.
    pub at: fn(Size) -> Vec<Case>,
}

/// The picture for which tests meet the network's own channel counts: at each pooling stage a side is odd,
/// and the deepest maps are one pixel.
pub const SMALL: (usize, usize) = (31, 23);

impl Table {
    /// The cases of [`Self::edges`], then those of the network for a [`SMALL`] picture.
    pub fn cases(&self) -> Vec<Case> {
        let mut sizes = self.edges.to_vec();
        for size in (self.network)(SMALL.0, SMALL.1) {
            if !sizes.contains(&size) {
                sizes.push(size);
            }
        }
        sizes.into_iter().flat_map(self.at).collect()
    }

    /// The cases of the network for a picture of `height` rows and `width` columns, at those sizes, as a run
    /// in `precision` has them. An op that no case has in half precision is float32 there, too.
    pub fn measured(&self, height: usize, width: usize, precision: Precision) -> Vec<Case> {
        let cases = || (self.network)(height, width).into_iter().flat_map(self.at);
        // Those whose bounds are all wider look at some rounding by itself.
        let plain = |case: &Case| {
            case.precision == Precision::Single && case.candidates.iter().any(|c| c.bound <= HALF)
        };
        let halves = precision == Precision::Half
            && self.edges.iter().flat_map(|size| (self.at)(*size)).any(|c| c.precision == Precision::Half);
        // Of one channel is what is no map: Gram matrices.
        let stored = |case: Case| if halves && case.size.c_in > 1 { case.half() } else { case };
        cases().filter(plain).map(stored).collect()
    }
}

/// Values of an input up to which a case is also run in half precision. Beyond, the few values that 11 bits
/// have would put too many of them on kinks.
const SMALL_ENOUGH: usize = 2048;

/// A case, and where it is small the same in half precision.
pub fn in_both_precisions(size: Size, case: impl Fn(Size) -> Case) -> Vec<Case> {
    let half = (size.shape().len() <= SMALL_ENOUGH).then(|| case(size).half());
    std::iter::once(case(size)).chain(half).collect()
}

/// The maps that VGG-19 has after the convolutions of each block, for a picture of this size.
pub fn vgg19_maps(height: usize, width: usize) -> Vec<Size> {
    let blocks = Network::vgg19().blocks;
    blocks.iter().enumerate().map(|(b, block)| Size::new(block.channels, height >> b, width >> b)).collect()
}

/// An input of a case.
#[derive(Clone, Debug)]
pub struct Input {
    name: &'static str,
    shape: Shape,
    differentiate: bool,
    picture: bool,
    map: bool,
    low: f32,
    high: f32,
}

impl Input {
    /// Values from -1 to 1, by which the result is differentiated.
    pub fn vary(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, differentiate: true, picture: false, map: false, low: -1.0, high: 1.0 }
    }

    /// Values from -1 to 1 that are constants of the op.
    pub fn fixed(name: &'static str, shape: Shape) -> Self {
        Self { differentiate: false, ..Self::vary(name, shape) }
    }

    /// Says that it is a picture, which is float32 in half precision, too.
    pub fn picture(self) -> Self {
        Self { picture: true, ..self }
    }

    /// Says of a constant that it is a feature map, which half precision stores, too.
    pub fn map(self) -> Self {
        Self { map: true, ..self }
    }

    /// Whether half precision stores it.
    fn is_map(&self) -> bool {
        self.map || (self.differentiate && !self.picture)
    }

    /// Values from `-scale` to `scale`.
    pub fn scaled(self, scale: f32) -> Self {
        self.between(-scale, scale)
    }

    /// Values from `low` to `high`.
    pub fn between(self, low: f32, high: f32) -> Self {
        Self { low, high, ..self }
    }
}

/// An input on the tape, with its values.
pub struct Leaf {
    /// On the device.
    pub var: Var,
    /// On the processor.
    pub values: Vec<f32>,
}

/// What recording a candidate gives.
pub struct Recorded {
    /// The result.
    pub y: Var,
    /// Tensors that do not start as NaN, and what they start as.
    pub starts: Vec<(Tensor, Vec<f32>)>,
}

impl From<Var> for Recorded {
    fn from(y: Var) -> Self {
        Self { y, starts: Vec::new() }
    }
}

type Record = dyn Fn(&mut Tape, &[Leaf]) -> Result<Recorded> + Send + Sync;
type Needs = dyn Fn(&Gpu) -> bool + Send + Sync;
type Reference = dyn Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync;
type Floor = dyn Fn(&[Vec<f64>]) -> f64 + Send + Sync;

/// One way of computing a case: a variant of the op.
pub struct Candidate {
    /// The variant's name.
    pub name: &'static str,
    /// What the relative errors of result and gradient may be; [`FLOAT32`] unless stated otherwise.
    pub bound: f64,
    only_half: bool,
    half: bool,
    needs: Box<Needs>,
    record: Box<Record>,
}

impl Candidate {
    /// A variant and how it is recorded.
    pub fn new(
        name: &'static str,
        record: impl Fn(&mut Tape, &[Leaf]) -> Result<Recorded> + Send + Sync + 'static,
    ) -> Self {
        let needs = Box::new(|_: &Gpu| true);
        Self { name, bound: FLOAT32, only_half: false, half: false, needs, record: Box::new(record) }
    }

    /// A variant that ends in a loss: its gradient starts in itself.
    pub fn loss(
        name: &'static str,
        record: impl Fn(&mut Tape, &[Leaf], Slot) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |tape, leaves| {
            let losses = tape.state("losses", 1);
            record(tape, leaves, Slot { losses, index: 0 })?;
            Ok(Var { shape: Shape::new(1, 1, 1), precision: Precision::Single, value: losses, grad: None }
                .into())
        })
    }

    /// What a device must have, for variants made for some devices only.
    pub fn needs(self, needs: impl Fn(&Gpu) -> bool + Send + Sync + 'static) -> Self {
        Self { needs: Box::new(needs), ..self }
    }

    /// Its own bound, for variants that round more than float32.
    pub fn bound(self, bound: f64) -> Self {
        Self { bound, ..self }
    }

    /// A variant that multiplies in half precision: it runs only in cases that store maps so.
    pub fn only_half(self, only_half: bool) -> Self {
        Self { only_half, ..self }
    }

    /// Whether this variant can run on a device.
    pub fn runs_on(&self, gpu: &Gpu) -> bool {
        (self.half || !self.only_half) && (self.needs)(gpu)
    }
}

/// One op at one size.
pub struct Case {
    /// Name of the op.
    pub op: &'static str,
    /// The size, and whatever else tells this case from the op's others.
    pub name: String,
    /// The size.
    pub size: Size,
    /// The op's variants.
    pub candidates: Vec<Candidate>,
    inputs: Vec<Input>,
    precision: Precision,
    reference: Box<Reference>,
    /// Below which size of the result its error is no longer relative to it.
    floor: Option<Box<Floor>>,
}

impl Case {
    /// A case, and the op in float64. It is complete when it has candidates.
    pub fn new(
        op: &'static str,
        size: Size,
        inputs: impl Into<Vec<Input>>,
        reference: impl Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync + 'static,
    ) -> Self {
        let Size { c_in, c_out, height, width } = size;
        let channels = if c_in == c_out { c_in.to_string() } else { format!("{c_in}->{c_out}") };
        let name = format!("{channels} {height}x{width}");
        let (inputs, candidates) = (inputs.into(), Vec::new());
        let precision = Precision::Single;
        Self { op, name, size, candidates, inputs, precision, reference: Box::new(reference), floor: None }
    }

    /// For a result that is a difference of larger terms: where it is smaller than `floor`, its error is
    /// relative to that. Terms that happen to be nearly equal would otherwise turn their own rounding into
    /// any relative error.
    pub fn floor(self, floor: impl Fn(&[Vec<f64>]) -> f64 + Send + Sync + 'static) -> Self {
        Self { floor: Some(Box::new(floor)), ..self }
    }

    /// Adds to the name what the size does not tell.
    pub fn called(mut self, what: &str) -> Self {
        self.name = format!("{} {what}", self.name);
        self
    }

    /// Stores the inputs that vary and are no picture, and the feature maps that come of them, in half
    /// precision. Bounds are at least [`HALF`] then. To be called last.
    pub fn half(self) -> Self {
        let half = |candidate: Candidate| {
            let needs = candidate.needs;
            let needs = Box::new(move |gpu: &Gpu| gpu.has_half() && needs(gpu));
            Candidate { bound: candidate.bound.max(HALF), half: true, needs, ..candidate }
        };
        let candidates = self.candidates.into_iter().map(half).collect();
        Self { precision: Precision::Half, candidates, ..self }.called("half")
    }

    /// How its maps are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Adds a candidate.
    pub fn candidate(mut self, candidate: Candidate) -> Self {
        self.candidates.push(candidate);
        self
    }

    /// A candidate's bounds on result and gradient. Where only pictures have a gradient, that is float32 in
    /// half precision, too.
    pub fn bounds(&self, candidate: &Candidate) -> [f64; 2] {
        let maps = self.inputs.iter().any(Input::is_map);
        [candidate.bound, if maps { candidate.bound } else { candidate.bound.min(FLOAT32) }]
    }

    /// Whether some candidate can run on a device.
    pub fn runs_on(&self, gpu: &Gpu) -> bool {
        self.candidates.iter().any(|candidate| candidate.runs_on(gpu))
    }
}

/// A sum without the rounding of its steps (Neumaier 1974), for references that are differenced.
pub fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}

/// As float64, exactly.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// `|found - expected| / |expected|` in the Euclidean norm; NaN if anything found is NaN or the lengths
/// differ.
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    outcome::Deviation::of(found, expected, 0.0).relative
}
