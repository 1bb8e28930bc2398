//! Every op in every variant at the sizes it has inside VGG-19, compared with the device's own ceilings.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::median;
use crate::cases::{Candidate, Case, Size, vgg19_maps};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::kernel;
use crate::engine::plan::{Plan, Timers};
use crate::engine::precision::Precision;
use crate::engine::tape::Tape;
use crate::ops::{nearest, tables};
use crate::{Error, Result};

/// The most runs of one pass.
const RUNS: usize = 50;
/// The bytes of the buffers that runs take turns with: more than a cache holds.
const ROTATED: u64 = 64 << 20;
/// The most sets of buffers.
const SETS: u64 = 32;

/// The best that plain shaders reach on this device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ceilings {
    /// Billions of multiplications and additions per second in a loop of float32 multiply-adds.
    pub gflops: f64,
    /// Billions of bytes per second, read and written, in a copy between buffers.
    pub gbps: f64,
}

/// The measurement of one variant of an op in one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measured {
    /// Name of the op.
    pub op: String,
    /// Size and form.
    pub case: String,
    /// Name of the variant.
    pub variant: String,
    /// How the maps it reads or writes are stored.
    #[serde(default)]
    pub precision: Precision,
    /// `forward`, `backward` or `update`.
    pub pass: String,
    /// Microseconds on the device, the median of `runs`.
    pub us: f64,
    /// The number of runs that were measured, after one that was not.
    pub runs: usize,
    /// Billions of multiplications and additions per second, with convolutions counted in their direct form;
    /// `None` for ops that hardly compute.
    pub gflops: Option<f64>,
    /// Billions of bytes per second; inputs and outputs are counted once.
    pub gbps: f64,
    /// The share of the nearer ceiling, that of arithmetic or that of memory.
    pub share: f64,
    /// Bytes of inputs and outputs, each counted once.
    #[serde(default)]
    pub bytes: u64,
    /// Multiply-adds, counted as for `gflops`.
    #[serde(default)]
    pub multiply_adds: Option<u64>,
    /// Workgroups of all dispatches. A GPU is idle in part with fewer than two for each of its processors.
    #[serde(default)]
    pub workgroups: u64,
    /// The most bytes of workgroup memory that one of these has.
    #[serde(default)]
    pub workgroup_bytes: u32,
    /// The most bytes of its own variables that an invocation has: what it wants of registers.
    #[serde(default)]
    pub private_bytes: u32,
}

/// Measures the device's ceilings.
///
/// # Errors
/// [`Error::Adapter`] if the device cannot time shaders, [`Error::Device`] if it fails.
pub fn ceilings(gpu: &Gpu) -> Result<Ceilings> {
    // Enough work to keep a device busy for about a millisecond or, on the processor, for a few dozen.
    let (invocations, rounds) = if gpu.is_software() { (1 << 15, 256) } else { (1 << 20, 512) };
    let mut tape = Tape::new(gpu);
    let y = tape.state("y", invocations);
    tape.forward(kernel!("bench_fma", "forward"))
        .params([("rounds", rounds.into()), ("factor", 0.999f32.into()), ("term", 0.25f32.into())])
        .bind("y", y)
        .grid([invocations, 1, 1]);
    let compute = fastest(gpu, tape.finish()?)?;
    let flop = (invocations * rounds) as f64 * 8.0 * 12.0 * 2.0;

    // Whole workgroups, and few enough for one dispatch.
    let values = (48 << 20).min(gpu.max_binding() as usize / 4096 * 4096) / 4;
    let mut tape = Tape::new(gpu);
    let (x, y) = (tape.state("x", values), tape.state("y", values));
    tape.forward(kernel!("bench_copy", "forward")).bind("x", x).bind("y", y).grid([values / 4, 1, 1]);
    let memory = fastest(gpu, tape.finish()?)?;
    Ok(Ceilings { gflops: flop / compute, gbps: (2 * 4 * values) as f64 / memory })
}

/// The least nanoseconds of a plan: a ceiling is what is reached when nothing disturbs.
fn fastest(gpu: &Gpu, plan: Plan) -> Result<f64> {
    let timers = Timers::new(gpu, &plan)?;
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        best = best.min(plan.time(gpu, &timers, plan.all(), 1)?.sum());
    }
    Ok(best)
}

/// Refuses arguments that [`ops`] cannot measure, before anything is measured.
///
/// # Errors
/// [`Error::Setting`] if the deepest maps of pictures of `size` (width, height) would have no pixels, if the
/// device cannot store that precision, or if no op has that name; [`Error::TooLarge`] if a map fits into no
/// buffer.
pub fn check(gpu: &Gpu, size: (usize, usize), precision: Precision, filter: &str) -> Result<()> {
    let (width, height) = size;
    let maps = vgg19_maps(height, width);
    if maps.iter().any(|map| map.height.min(map.width) == 0) {
        return Err(Error::Setting(format!(
            "the deepest maps of a picture of {width} x {height} pixels have none; use a --size of 16 x 16 or more"
        )));
    }
    precision.check(gpu)?;
    // Cases have not allocated anything yet.
    let cases: Vec<Case> = tables().iter().flat_map(|t| t.measured(height, width, precision)).collect();
    let named = |case: &&Case| measurable(gpu, case).any(|candidate| name(case, candidate).contains(filter));
    let bytes = |case: &Case| {
        let Size { c_in, c_out, height, width } = case.size;
        (c_in.max(c_out) * height * width) as u64 * case.precision().bytes()
    };
    let Some(largest) = cases.iter().filter(named).map(bytes).max() else {
        let ops: Vec<&str> = tables().iter().map(|table| table.op).collect();
        let why =
            format!("no op on this adapter has {filter:?} in `op variant size`; ops are {}", ops.join(", "));
        return Err(Error::Setting(why));
    };
    let most = gpu.limits().max_buffer_size;
    if largest > most {
        return Err(Error::TooLarge(format!(
            "a map there has {} MiB, and the largest buffer of this device {}; use a smaller --size than {width} x {height}",
            largest >> 20,
            most >> 20
        )));
    }
    Ok(())
}

/// The variants that this device can run.
fn measurable<'a>(gpu: &'a Gpu, case: &'a Case) -> impl Iterator<Item = &'a Candidate> {
    case.candidates.iter().filter(|candidate| candidate.runs_on(gpu))
}

/// The name that filters are compared with.
fn name(case: &Case, candidate: &Candidate) -> String {
    format!("{} {} {}", case.op, candidate.name, case.name)
}

/// Measures all variants of all ops whose `op variant case` contains `filter`. Sizes are those of a picture
/// of `size` (width, height) in a run in `precision`. Each pass is measured for about as long as `enough`,
/// and reported at once; `told` may end the measurement by an error.
///
/// # Errors
/// Like [`check`] and [`ceilings`], and [`Error::TooLarge`] if the device has no room for a size.
pub fn ops<E: From<crate::Error>>(
    gpu: &Gpu,
    size: (usize, usize),
    precision: Precision,
    filter: &str,
    enough: Duration,
    ceilings: &Ceilings,
    mut told: impl FnMut(Measured) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    check(gpu, size, precision, filter)?;
    for table in tables() {
        for case in table.measured(size.1, size.0, precision) {
            for candidate in
                measurable(gpu, &case).filter(|candidate| name(&case, candidate).contains(filter))
            {
                measure(gpu, &case, candidate, enough, ceilings, &mut told)?;
            }
        }
    }
    Ok(())
}

fn measure<E: From<crate::Error>>(
    gpu: &Gpu,
    case: &Case,
    candidate: &Candidate,
    enough: Duration,
    ceilings: &Ceilings,
    told: &mut impl FnMut(Measured) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let (first, passes) = case.plan(gpu, candidate)?;
    let sets = (ROTATED / first.bytes().max(1)).clamp(1, SETS);
    let mut plans = vec![first];
    for _ in 1..sets {
        plans.push(case.plan(gpu, candidate)?.0);
    }
    let timers = Timers::new(gpu, &plans[0])?;
    // The steps that prepare an update are not part of the op.
    let only = passes.iter().any(|pass| pass.name == "update");
    // All forward passes come first, because backward reads their results.
    for plan in &plans {
        plan.run(gpu);
        gpu.wait()?;
    }
    for pass in passes.iter().filter(|pass| !only || pass.name == "update") {
        let mut times = Vec::new();
        let start = Instant::now();
        while times.is_empty() || (start.elapsed() < enough && times.len() < RUNS) {
            let plan = &plans[times.len() % plans.len()];
            times.push(plan.time(gpu, &timers, pass.steps.clone(), 1)?.sum());
        }
        let runs = times.len();
        let ns = median(&mut times).max(1e-3);
        let flop = flop(case.op, pass.name, case.size);
        let gflops = flop.map(|flop| flop / ns);
        let gbps = pass.bytes as f64 / ns;
        told(Measured {
            op: case.op.into(),
            case: case.name.clone(),
            variant: candidate.name.into(),
            precision: case.precision(),
            pass: pass.name.into(),
            us: ns / 1e3,
            runs,
            gflops,
            gbps,
            share: (gflops.unwrap_or(0.0) / ceilings.gflops).max(gbps / ceilings.gbps),
            bytes: pass.bytes,
            multiply_adds: flop.map(|flop| (flop / 2.0) as u64),
            workgroups: pass.workgroups,
            workgroup_bytes: pass.workgroup_bytes,
            private_bytes: pass.private_bytes,
        })?;
    }
    Ok(())
}

/// The multiplications and additions of one direction, in the plain form of the op.
fn flop(op: &str, pass: &str, size: Size) -> Option<f64> {
    let Size { c_in, c_out, height, width } = size;
    let pixels = (height * width) as f64;
    match op {
        "conv3x3" => Some(18.0 * (c_in * c_out) as f64 * pixels),
        "gram" => Some(2.0 * (c_in * c_in) as f64 * pixels),
        // Nothing is searched for on the way back.
        "nearest" if pass == "forward" => Some(2.0 * nearest::products(size.shape()) as f64),
        _ => None,
    }
}
