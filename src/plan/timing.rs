//! A plan with a clock: every dispatch in a pass of its own, with time stamps around it. Runs of a session have none of
//! this.

use std::ops::Range;
use std::time::Instant;

use super::{Plan, Ready};
use crate::gpu::Gpu;
use crate::memory::Readback;
use crate::{Error, Result};

/// Room for the time stamps of a plan's dispatches.
pub(crate) struct Timers {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    readback: Readback,
    /// Nanoseconds of one tick.
    period: f64,
}

/// Stamps of one query set, two to a dispatch.
const SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

impl Timers {
    /// For `plan`.
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

/// How long one run of some steps took, in nanoseconds.
pub(crate) struct Timeline {
    /// From the submission until the processor knew that it was done.
    pub(crate) whole: f64,
    /// Of each step that was timed: its index in the plan, and its time on the device.
    pub(crate) steps: Vec<(usize, f64)>,
}

impl Timeline {
    /// All timed steps together.
    pub(crate) fn sum(&self) -> f64 {
        self.steps.iter().map(|(_, time)| time).sum()
    }
}

impl Plan {
    /// All steps.
    pub(crate) fn all(&self) -> Range<usize> {
        0..self.steps.len()
    }

    /// What a step belongs to, and what it runs.
    pub(crate) fn names(&self, step: usize) -> [&str; 2] {
        match &self.steps[step] {
            Ready::Dispatch { names: [op, kernel], .. } => [op, kernel],
            Ready::Copy { .. } => ["copies", "copy"],
        }
    }

    /// Runs some steps in `pieces` submissions, alone on the device, and times each of them. A copy between two dispatches
    /// takes as long as is between the end of the one and the beginning of the other.
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
                // The first of several copies stands for all.
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
    use crate::architecture::Pooling;
    use crate::ops::{pool::pool, relu::relu};
    use crate::tape::{Shape, Tape};

    /// Two ops, run in every number of pieces and with the clock: what comes out is the same, and every step has a time.
    #[test]
    fn pieces_and_clocks_change_nothing() {
        let gpu = Gpu::new(None).unwrap();
        let shape = Shape::new(3, 4, 6);
        let values: Vec<f32> = (0..shape.len()).map(|i| ((i * 37) % 19) as f32 - 9.0).collect();
        let mut results = Vec::new();
        for (pieces, timed) in [(1, 0), (2, 0), (3, 0), (usize::MAX, 0), (0, 1), (0, 2)] {
            let mut tape = Tape::forward_only(&gpu);
            let x = tape.leaf("x", shape);
            tape.op("relu");
            let y = relu(&mut tape, x);
            tape.op("pool");
            let z = pool(&mut tape, y, Pooling::Max);
            tape.keep(z.value);
            let plan = tape.finish().unwrap();
            plan.write(&gpu, x.value, &values);
            if timed > 0 {
                let timers = Timers::new(&gpu, &plan).unwrap();
                let timeline = plan.time(&gpu, &timers, plan.all(), timed).unwrap();
                let steps: Vec<usize> = timeline.steps.iter().map(|(step, _)| *step).collect();
                assert_eq!(steps, plan.all().collect::<Vec<_>>());
                assert!(timeline.sum() <= timeline.whole);
                assert_eq!(plan.names(0), ["relu", "relu/forward"]);
            } else {
                let mut ends = 0;
                plan.submit(&gpu, pieces, |_| ends += 1);
                assert_eq!(ends, 1);
            }
            results.push(plan.read(&gpu, z.value).unwrap());
        }
        assert!(results[0].iter().any(|v| *v > 0.0));
        assert!(results.iter().all(|result| *result == results[0]));
    }
}
