//! L-BFGS on the picture, wholly on the device.

mod cases;

use std::ops::Range;

use super::adam::{Rule, Schedule, advance};
use crate::engine::kernel::{Kernel, Value, kernel};
use crate::engine::real::Real;
use crate::engine::tape::{Tape, Tensor, Var};
pub use cases::TABLE;
#[cfg(test)]
pub(crate) use cases::{FACTOR, Given, RATE, dot, reference};

/// Pairs of steps and changes of the gradient that are remembered.
pub const PAIRS: usize = 10;

/// 32-bit words of `Memory` in the shader.
pub(crate) const MEMORY_WORDS: usize = 4 + 3 * PAIRS;
/// Words of the memory that outlive an iteration: the number of pairs, what stands for the inverse Hessian at
/// the bottom, and the first of the pairs' `1 / s.y`. The cases hold them to the shader's `struct Memory`.
pub(crate) const COUNT: usize = 0;
pub(crate) const GAMMA: usize = 2;
pub(crate) const RHO: usize = 4;

/// How far the first step moves a value on average, and the most that later ones do as the root of the mean
/// square, both times the learning rate. The shader has the same.
pub(crate) const FIRST: f32 = 0.01;
pub(crate) const LONGEST: f32 = 0.1;

/// The approximate number of partial sums among which the rows of a product are shared.
const SHARES: usize = 256;

/// The optimiser's tensors. All but the last two have the picture's shape, in float32.
#[derive(Clone, Debug)]
pub struct Lbfgs {
    /// The last steps, the newest first.
    pub s: [Tensor; PAIRS],
    /// What they changed the gradient by.
    pub y: [Tensor; PAIRS],
    /// The last step.
    pub step: Tensor,
    /// The last gradient.
    pub before: Tensor,
    /// How many pairs there are, and the numbers that belong to them.
    pub memory: Tensor,
    /// Step count and learning rate, as [`Adam`](super::adam::Adam) has them.
    pub schedule: Tensor,
}

/// Records, after all gradients, a step of L-BFGS on the picture `x` (Nocedal and Wright, "Numerical
/// Optimization", 2006, algorithms 7.4 and 7.5): `x -= lr H dx`, where `H` approximates the inverse Hessian
/// by the last [`PAIRS`] pairs of a step `s` and the change `y` of the gradient. The product is the two-loop
/// recursion. Pairs with `s.y <= 0` are left out. There is no line search: without any pair a step moves
/// values by 0.01 on average, and no step is longer than 0.1 as the root of the mean square, both times the
/// learning rate.
///
/// `exact` holds the picture in the precision `real`; `x` becomes it, rounded. Of `rule` only the clamp
/// counts. The gradient is multiplied by `factor` first.
pub fn lbfgs(
    tape: &mut Tape,
    x: Var,
    exact: Tensor,
    real: Real,
    rule: Rule,
    factor: f64,
    schedule: Schedule,
) -> Lbfgs {
    let len = x.shape.len();
    let mut pairs = |name: &str| std::array::from_fn(|k| tape.state(&format!("{name}{k}"), len));
    let (s, y) = (pairs("s"), pairs("y"));
    let kept = Lbfgs {
        s,
        y,
        step: tape.state("step", len),
        before: tape.state("before", len),
        memory: tape.state("memory", MEMORY_WORDS),
        schedule: advance(tape, real, rule, schedule),
    };
    let bands = tape.bands(&[x.shape_in(real), x.shape]);
    let shares = (SHARES / bands.len()).clamp(1, bands[0].len());
    let on = OnTape {
        x,
        exact,
        real,
        clamp: rule.clamp,
        factor,
        partial: tape.scratch("partial", 4 * shares * bands.len()),
        q: tape.scratch("q", len),
        change: tape.scratch("change", len),
        bands,
        shares,
    };
    on.record(tape, &kept);
    kept
}

/// What all kernels of a step share.
struct OnTape {
    x: Var,
    exact: Tensor,
    real: Real,
    clamp: bool,
    factor: f64,
    bands: Vec<Range<usize>>,
    shares: usize,
    partial: Tensor,
    /// The direction.
    q: Tensor,
    /// What the last step changed the gradient by.
    change: Tensor,
}

impl OnTape {
    fn row(&self) -> usize {
        self.x.shape.channels * self.x.shape.width
    }

    fn kernel(&self, kernel: Kernel) -> Kernel {
        kernel.constant("real", self.real.wgsl()).constant("CLAMP", self.clamp)
    }

    fn params(&self, band: usize, k: usize) -> [(&'static str, Value); 8] {
        [
            ("row", self.row().into()),
            ("h", self.bands[band].len().into()),
            ("shares", self.shares.into()),
            ("share", (band * self.shares).into()),
            ("parts", (self.bands.len() * self.shares).into()),
            ("values", (self.x.shape.len() as f64).into()),
            ("k", k.into()),
            ("factor", self.factor.into()),
        ]
    }

    /// Records a kernel that looks at all values and sums something: it reads and writes `q` and sees tensors
    /// of the picture's shape by their names.
    fn sweep(
        &self,
        tape: &mut Tape,
        kernel: Kernel,
        k: usize,
        seen: &[(&'static str, Tensor)],
        kept: &Lbfgs,
    ) {
        for (band, rows) in self.bands.iter().enumerate() {
            let part = |tensor: Tensor| self.x.rows_of(tensor, Real::F32, rows.clone());
            let mut sweep = tape
                .update(self.kernel(kernel.clone()))
                .params(self.params(band, k))
                .bind("memory", kept.memory)
                .bind("partial", self.partial)
                .bind("q", part(self.q));
            for (name, tensor) in seen {
                sweep = sweep.bind(name, part(*tensor));
            }
            sweep.grid([1, self.shares, 1]);
        }
    }

    /// Records a kernel of one workgroup, which makes of all partial sums what comes next.
    fn weigh(&self, tape: &mut Tape, kernel: Kernel, k: usize, kept: &Lbfgs) {
        tape.update(self.kernel(kernel))
            .params(self.params(0, k))
            .bind("memory", kept.memory)
            .bind("partial", self.partial)
            .grid([1; 3]);
    }

    fn record(&self, tape: &mut Tape, kept: &Lbfgs) {
        let Lbfgs { s, y, .. } = kept;
        for (band, rows) in self.bands.iter().enumerate() {
            let part = |tensor: Tensor| self.x.rows_of(tensor, Real::F32, rows.clone());
            tape.update(self.kernel(kernel!("lbfgs", "change")))
                .params(self.params(band, 0))
                .bind("partial", self.partial)
                .upstream_rows("dx", self.x, rows.clone())
                .bind("before", part(kept.before))
                .bind("q", part(self.q))
                .bind("s", part(kept.step))
                .bind("y", part(self.change))
                .grid([1, self.shares, 1]);
        }
        tape.update(self.kernel(kernel!("lbfgs", "accept")))
            .params(self.params(0, 0))
            .bind("memory", kept.memory)
            .bind("partial", self.partial)
            .bind("schedule", kept.schedule)
            .grid([1; 3]);
        for k in (0..PAIRS).rev() {
            let newer = if k == 0 { (kept.step, self.change) } else { (s[k - 1], y[k - 1]) };
            self.shift(tape, (s[k], y[k]), newer, kept);
        }
        for k in 0..PAIRS {
            // The first has nothing to take off.
            let before = y[k.saturating_sub(1)];
            self.sweep(tape, kernel!("lbfgs", "down"), k, &[("added", before), ("other", s[k])], kept);
            self.weigh(tape, kernel!("lbfgs", "weigh_down"), k, kept);
        }
        let last = PAIRS - 1;
        self.sweep(tape, kernel!("lbfgs", "bottom"), 0, &[("added", y[last]), ("other", y[last])], kept);
        for k in (0..PAIRS).rev() {
            self.weigh(tape, kernel!("lbfgs", "weigh_up"), k, kept);
            let next = y[k.saturating_sub(1)];
            self.sweep(tape, kernel!("lbfgs", "up"), k, &[("added", s[k]), ("other", next)], kept);
        }
        self.weigh(tape, kernel!("lbfgs", "limit"), 0, kept);
        self.step(tape, kept);
    }

    fn shift(&self, tape: &mut Tape, to: (Tensor, Tensor), from: (Tensor, Tensor), kept: &Lbfgs) {
        for (band, rows) in self.bands.iter().enumerate() {
            let part = |tensor: Tensor| self.x.rows_of(tensor, Real::F32, rows.clone());
            tape.update(self.kernel(kernel!("lbfgs", "shift")))
                .params(self.params(band, 0))
                .bind("memory", kept.memory)
                .bind("s", part(to.0))
                .bind("y", part(to.1))
                .bind("newer_s", part(from.0))
                .bind("newer_y", part(from.1))
                .grid([self.row(), rows.len(), 1]);
        }
    }

    fn step(&self, tape: &mut Tape, kept: &Lbfgs) {
        for (band, rows) in self.bands.iter().enumerate() {
            let part = |tensor: Tensor| self.x.rows_of(tensor, Real::F32, rows.clone());
            tape.update(self.kernel(kernel!("lbfgs", "step")))
                .params(self.params(band, 0))
                .bind("memory", kept.memory)
                .bind("q", part(self.q))
                .bind("s", part(kept.step))
                .bind("exact", self.x.rows_of(self.exact, self.real, rows.clone()))
                .bind("x", self.x.rows(rows.clone()))
                .grid([self.row(), rows.len(), 1]);
        }
    }
}
