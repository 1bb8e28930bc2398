//! A plan with a clock: every dispatch has a pass of its own, with time stamps around it. Sessions do not run
//! plans in this way.

use std::ops::Range;

use super::{Plan, Ready};
use crate::engine::clock::Instant;
use crate::engine::gpu::Gpu;
use crate::engine::memory::Readback;
use crate::engine::tape::Rhythm;
use crate::{Error, Result};

/// Room for the time stamps of a plan's dispatches.
pub(crate) struct Timers {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    readback: Readback,
    /// The nanoseconds of one tick.
    period: f64,
}

/// The time stamps of one query set, two per dispatch.
const SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

impl Timers {
    /// Timers for `plan`.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the device cannot time shaders.
    pub(crate) fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        if !gpu.has_timestamps() {
            return Err(Error::Adapter(format!(
                "{} cannot time shaders (it has no timestamp queries); choose another adapter with --adapter",
                gpu.info().name
            )));
        }
        let stamps = 2 * plan.steps.len().max(1);
        let set = |_| {
            gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("time stamps"),
                ty: wgpu::QueryType::Timestamp,
                count: SET as u32,
            })
        };
        let sets: Vec<_> = (0..stamps.div_ceil(SET)).map(set).collect();
        let bytes = (sets.len() * SET * 8) as u64;
        let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("time stamps"),
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let period = f64::from(gpu.queue.get_timestamp_period());
        gpu.check()?;
        Ok(Self { sets, resolved, readback: Readback::new(gpu, bytes), period })
    }
}

/// The times of one run of some steps, in nanoseconds.
pub(crate) struct Timeline {
    /// The time from the submission until the processor knew that it was done.
    pub(crate) whole: f64,
    /// For each step that was timed, its index in the plan and its time on the device.
    pub(crate) steps: Vec<(usize, f64)>,
}

impl Timeline {
    /// The sum of all timed steps.
    pub(crate) fn sum(&self) -> f64 {
        self.steps.iter().map(|(_, time)| time).sum()
    }
}

impl Plan {
    /// The op that a step belongs to, and its kernel.
    pub(crate) fn names(&self, step: usize) -> [&str; 2] {
        match &self.steps[step] {
            Ready::Dispatch { names: [op, kernel], .. } => [op, kernel],
            Ready::Copy { .. } => ["copies", "copy"],
        }
    }

    /// Whether some runs leave a step out.
    pub(crate) fn is_left_out(&self, step: usize) -> bool {
        self.rhythms[step] != Rhythm::ALWAYS
    }

    /// Runs some steps in `pieces` submissions, alone on the device, and times each of them. The time of a
    /// copy is the time between the end of the dispatch before it and the beginning of the next one.
    pub(crate) fn time(
        &self,
        gpu: &Gpu,
        timers: &Timers,
        range: Range<usize>,
        pieces: usize,
    ) -> Result<Timeline> {
        let size = range.len().div_ceil(pieces.max(1)).max(1);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut commands = Vec::new();
        let mut stamped = 0;
        for (index, step) in self.steps[range.clone()].iter().enumerate() {
            if index > 0 && index.is_multiple_of(size) {
                commands.push(
                    std::mem::replace(&mut encoder, gpu.device.create_command_encoder(&Default::default()))
                        .finish(),
                );
            }
            if let Ready::Copy { .. } = step {
                step.encode_copy(&mut encoder);
                continue;
            }
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &timers.sets[stamped / SET],
                    beginning_of_pass_write_index: Some((stamped % SET) as u32),
                    end_of_pass_write_index: Some((stamped % SET) as u32 + 1),
                }),
            });
            step.encode_dispatch(&mut pass);
            stamped += 2;
        }
        for (index, set) in timers.sets.iter().enumerate() {
            let here = stamped.saturating_sub(index * SET).min(SET);
            if here > 0 {
                let offset = (index * SET * 8) as u64;
                encoder.resolve_query_set(set, 0..here as u32, &timers.resolved, offset);
            }
        }
        let bytes = (stamped * 8) as u64;
        encoder.copy_buffer_to_buffer(&timers.resolved, 0, &timers.readback.buffer, 0, bytes);
        commands.push(encoder.finish());
        gpu.wait()?;
        let start = Instant::now();
        for commands in commands {
            gpu.queue.submit([commands]);
        }
        gpu.wait()?;
        let whole = start.elapsed().as_secs_f64() * 1e9;
        timers.readback.request();
        gpu.wait()?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&timers.readback.take(gpu)?);
        let between = |from: usize, to: usize| ticks[to].saturating_sub(ticks[from]) as f64 * timers.period;

        let mut steps = Vec::new();
        let mut next = 0;
        for index in range {
            match &self.steps[index] {
                Ready::Dispatch { .. } => {
                    steps.push((index, between(next, next + 1)));
                    next += 2;
                }
                // Of several copies in a row, the first one gets the time of all.
                Ready::Copy { .. } if next > 0 && next < stamped => {
                    if steps.last().is_some_and(|(last, _)| *last + 1 == index)
                        && matches!(self.steps[index - 1], Ready::Dispatch { .. })
                    {
                        steps.push((index, between(next - 1, next)));
                    }
                }
                Ready::Copy { .. } => {}
            }
        }
        Ok(Timeline { whole, steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernel::kernel;
    use crate::engine::tape::Tape;

    /// Two ops, run in every number of pieces and with the clock: the results are the same, and every step
    /// has a time.
    #[test]
    fn pieces_and_clocks_change_nothing() {
        let gpu = Gpu::new(None).unwrap();
        // A copy by whole workgroups of 64 invocations, each of four values.
        let count = 4 * 64;
        let values: Vec<f32> = (0..count).map(|i| ((i * 37) % 19) as f32 - 9.0).collect();
        let mut results = Vec::new();
        for (pieces, timed) in [(1, 0), (2, 0), (3, 0), (usize::MAX, 0), (0, 1), (0, 2)] {
            let mut tape = Tape::forward_only(&gpu);
            let [x, y, z] = ["x", "y", "z"].map(|name| tape.state(name, count));
            for (op, from, to) in [("first", x, y), ("second", y, z)] {
                tape.op(op);
                tape.forward(kernel!("bench_copy", "forward")).bind("x", from).bind("y", to).grid([
                    count / 4,
                    1,
                    1,
                ]);
            }
            let plan = tape.finish().unwrap();
            plan.write(&gpu, x, &values);
            if timed > 0 {
                let timers = Timers::new(&gpu, &plan).unwrap();
                let timeline = plan.time(&gpu, &timers, plan.all(), timed).unwrap();
                let steps: Vec<usize> = timeline.steps.iter().map(|(step, _)| *step).collect();
                assert_eq!(steps, plan.all().collect::<Vec<_>>());
                assert!(timeline.sum() <= timeline.whole);
                assert_eq!(plan.names(0), ["first", "bench_copy/forward"]);
            } else {
                let mut ends = 0;
                plan.submit(&gpu, pieces, 0, |_| ends += 1);
                assert_eq!(ends, 1);
            }
            results.push(plan.read(&gpu, z).unwrap());
        }
        assert!(results.iter().all(|result| *result == values));
    }

    /// A step with a rhythm runs in the runs that have it, whether they are submitted alone or together.
    #[test]
    fn a_step_runs_in_its_rhythm() {
        let gpu = Gpu::new(None).unwrap();
        let count = 4 * 64;
        let mut tape = Tape::forward_only(&gpu);
        let [x, y] = ["x", "y"].map(|name| tape.state(name, count));
        tape.op("copy");
        tape.in_rhythm(Rhythm { first: 2, every: 3 }, |tape| {
            tape.forward(kernel!("bench_copy", "forward")).bind("x", x).bind("y", y).grid([count / 4, 1, 1]);
        });
        let plan = tape.finish().unwrap();
        for run in 0..8 {
            plan.write(&gpu, y, &vec![0.0; count]);
            plan.write(&gpu, x, &vec![1.0; count]);
            if run % 2 == 0 {
                plan.run_numbered(&gpu, run);
            } else {
                // A run that does nothing, and this one with it.
                plan.submit(&gpu, 1, 5, |encoder| plan.encode(encoder, run));
            }
            let copied = plan.read(&gpu, y).unwrap()[0] > 0.0;
            assert_eq!(copied, [0, 1, 3, 6].contains(&run), "run {run}");
        }
    }

    /// What is not there in every run is refused to those that read it in every run.
    #[test]
    fn what_some_runs_leave_out_is_kept_for_the_others() {
        let gpu = Gpu::new(None).unwrap();
        let count = 4 * 64;
        let read_between = |kept: bool| {
            let mut tape = Tape::forward_only(&gpu);
            let (x, z) = (tape.state("x", count), tape.state("z", count));
            let y = if kept { tape.state("y", count) } else { tape.scratch("y", count) };
            tape.op("copies");
            let copy = |tape: &mut Tape, from, to| {
                tape.forward(kernel!("bench_copy", "forward")).bind("x", from).bind("y", to).grid([
                    count / 4,
                    1,
                    1,
                ]);
            };
            tape.in_rhythm(Rhythm { first: 0, every: 2 }, |tape| copy(tape, x, y));
            copy(&mut tape, y, z);
            tape.finish().map(drop)
        };
        read_between(true).unwrap();
        let error = read_between(false).unwrap_err().to_string();
        assert!(error.contains("`y` is read in runs that do not write it"), "{error}");
    }
}
