//! The plan: a flat list of dispatches over placed buffers, which is replayed without allocations or
//! decisions.

#[cfg(feature = "native")]
mod blocking;
mod ready;
#[cfg(feature = "native")]
mod timing;
#[cfg(feature = "native")]
mod traffic;

use std::fmt::Write as _;
#[cfg(feature = "native")]
use std::ops::Range;

use self::ready::Ready;
use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Follower, Knob};
use crate::engine::memory::Texels;
use crate::engine::placement::{
    Place, Placement, dispatch, prepared, prepared_bytes, too_large, window, workgroups,
};
use crate::engine::precision::Precision;
use crate::engine::tape::{Home, Memory, Rhythm, Step, Tape, Tensor, Turn};
#[cfg(feature = "native")]
pub(crate) use timing::{Timeline, Timers};
#[cfg(feature = "native")]
pub(crate) use traffic::Pass;

/// Dispatches that are ready to be replayed, and their buffers.
pub struct Plan {
    steps: Vec<Ready>,
    /// When each step runs, where the plan is run in passes.
    turns: Vec<Turn>,
    /// In which runs each step takes part.
    rhythms: Vec<Rhythm>,
    buffers: Vec<Memory>,
    /// The numbers of those that the plan allocated. The others were given to it.
    own: Vec<usize>,
    places: Vec<Option<Place>>,
    labels: Vec<String>,
    /// How the tensors are stored, and their lengths.
    stored: Vec<(Precision, usize)>,
    own_bytes: u64,
    prepared_bytes: u64,
    /// All parameters of all dispatches.
    params: Option<wgpu::Buffer>,
    /// The parameters that follow knobs; their offsets count from the beginning of `params`.
    followers: Vec<Follower>,
}

/// When each step runs, in the order of [`ordered`](crate::engine::placement::ordered).
fn turns(tape: &Tape) -> Vec<Turn> {
    let forward = tape.groups.iter().flat_map(|group| std::iter::repeat_n(group.turn, group.forward.len()));
    let backward = tape.groups.iter().map(|group| group.backward.len()).sum::<usize>() + tape.updates.len();
    forward.chain(std::iter::repeat_n(Turn::Second, backward)).collect()
}

fn encode<'s>(encoder: &mut wgpu::CommandEncoder, steps: impl Iterator<Item = &'s Ready>) {
    let mut steps = steps.peekable();
    while let Some(step) = steps.next() {
        match step {
            Ready::Copy { .. } => step.encode_copy(encoder),
            Ready::Dispatch { .. } => {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                let mut next = Some(step);
                while let Some(dispatch) = next {
                    dispatch.encode_dispatch(&mut pass);
                    next = steps.next_if(|step| matches!(step, Ready::Dispatch { .. }));
                }
            }
        }
    }
}

/// Submits steps in `pieces` submissions; `last` adds to the last of them.
fn submit(
    gpu: &Gpu,
    mut steps: &[&Ready],
    pieces: usize,
    last: impl FnOnce(&mut wgpu::CommandEncoder),
) -> wgpu::SubmissionIndex {
    let size = steps.len().div_ceil(pieces.max(1)).max(1);
    loop {
        let (piece, rest) = steps.split_at(size.min(steps.len()));
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encode(&mut encoder, piece.iter().copied());
        if rest.is_empty() {
            last(&mut encoder);
            return gpu.queue.submit([encoder.finish()]);
        }
        gpu.queue.submit([encoder.finish()]);
        steps = rest;
    }
}

/// A NaN whose payload no computation produces; as float16 it is two of them.
const SENTINEL: u32 = 0x7fc0_7e5a;

impl Plan {
    pub(crate) fn new(tape: Tape, guarded: bool) -> Result<Self> {
        let steps = prepared(&tape)?;
        let placement = Placement::new(&tape, &steps, guarded)?;
        let mut plan = Self {
            steps: Vec::new(),
            turns: turns(&tape),
            rhythms: steps[tape.preparation.len()..].iter().map(Step::rhythm).collect(),
            buffers: Vec::new(),
            own: Vec::new(),
            own_bytes: placement.bytes(&tape),
            prepared_bytes: prepared_bytes(&tape),
            labels: tape.tensors.iter().map(|t| t.label.clone()).collect(),
            stored: tape.tensors.iter().map(|t| (t.precision, t.len)).collect(),
            places: placement.places,
            params: None,
            followers: Vec::new(),
        };
        for (number, room) in placement.buffers.iter().enumerate() {
            let owner = &tape.tensors[room.owner];
            if !matches!(owner.home, Home::Given(_)) {
                plan.own.push(number);
            }
            plan.buffers.push(match &owner.home {
                Home::Given(given) => given.clone(),
                _ if owner.texels => {
                    let values = room.bytes / owner.precision.bytes();
                    Memory::Texels(tape.gpu.texels(&owner.label, values, owner.precision)?)
                }
                _ if guarded => {
                    let poison = vec![f32::from_bits(SENTINEL); (room.bytes / 4) as usize];
                    Memory::Buffer(tape.gpu.upload(&owner.label, &poison)?)
                }
                _ => Memory::Buffer(tape.gpu.buffer(&owner.label, room.bytes)?),
            });
        }
        plan.ready(&tape, &steps)?;
        let rest = plan.steps.split_off(tape.preparation.len());
        let preparation = std::mem::replace(&mut plan.steps, rest);
        if !preparation.is_empty() {
            let steps: Vec<&Ready> = preparation.iter().collect();
            submit(tape.gpu, &steps, tape.gpu.unknown_pieces(), |_| ());
        }
        Ok(plan)
    }

    /// The device memory that the plan of `tape` would allocate. Nothing is allocated.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the device's limits forbid it.
    pub(crate) fn measure(tape: Tape) -> Result<u64> {
        let tape = &tape.sound()?;
        let steps = prepared(tape)?;
        let placement = Placement::new(tape, &steps, false)?;
        let limits = tape.gpu.limits();
        for room in &placement.buffers {
            if room.bytes > limits.max_buffer_size {
                return Err(too_large(tape.gpu, &tape.tensors[room.owner].label));
            }
        }
        let align = limits.min_uniform_buffer_offset_alignment as usize;
        let mut params = 0usize;
        for dispatch in steps.iter().filter_map(dispatch) {
            let interface = tape.gpu.interface(&dispatch.kernel)?;
            workgroups(tape.gpu, dispatch, interface.workgroup)?;
            params = params.next_multiple_of(align) + interface.uniform_bytes;
            for (_, view) in &dispatch.bound {
                window(tape, &placement.places, view)?;
            }
        }
        Ok(placement.bytes(tape) + params.next_multiple_of(align).max(align) as u64)
    }

    /// All steps.
    #[cfg(feature = "native")]
    pub(crate) fn all(&self) -> Range<usize> {
        0..self.steps.len()
    }

    /// The steps that take part in a run.
    fn due(&self, run: usize) -> impl Iterator<Item = &Ready> {
        std::iter::zip(&self.steps, &self.rhythms)
            .filter(move |(_, rhythm)| rhythm.is_due(run))
            .map(|(step, _)| step)
    }

    /// Encodes one run of the plan. It is one compute pass, unless a step copies to a texture, which passes
    /// cannot do.
    pub(crate) fn encode(&self, encoder: &mut wgpu::CommandEncoder, run: usize) {
        encode(encoder, self.due(run));
    }

    /// Runs all steps once, without waiting for them. How long they take is not known yet, so on a GPU each is
    /// submitted separately: a desktop's driver resets a device when one submission takes a second or two.
    pub fn run(&self, gpu: &Gpu) {
        self.run_numbered(gpu, 0);
    }

    /// As [`Self::run`], for the run with this number: see [`Rhythm`].
    pub(crate) fn run_numbered(&self, gpu: &Gpu, run: usize) {
        self.submit(gpu, gpu.unknown_pieces(), run, |_| ());
    }

    /// Submits one run of the plan in `pieces` submissions with about the same number of steps; `last` adds
    /// to the last of them. The number of pieces does not change the results.
    pub(crate) fn submit(
        &self,
        gpu: &Gpu,
        pieces: usize,
        run: usize,
        last: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::SubmissionIndex {
        submit(gpu, &self.due(run).collect::<Vec<_>>(), pieces, last)
    }

    /// Submits one pass over the plan: the first has the forward steps of every pass and its own, the second
    /// those of every pass, its own, and all later steps. [`Turn::Every`] is both passes in one. `pieces` and
    /// `last` are as in [`Self::submit`].
    pub(crate) fn submit_pass(
        &self,
        gpu: &Gpu,
        turn: Turn,
        pieces: usize,
        last: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::SubmissionIndex {
        debug_assert!(self.rhythms.iter().all(|rhythm| *rhythm == Rhythm::ALWAYS), "passes have no numbers");
        let steps = std::iter::zip(&self.steps, &self.turns);
        let steps = steps
            .filter(|(_, own)| [**own, turn].contains(&Turn::Every) || **own == turn)
            .map(|(step, _)| step);
        submit(gpu, &steps.collect::<Vec<_>>(), pieces, last)
    }

    /// Gives a knob a value, for all runs that are submitted from now on.
    pub fn turn(&self, gpu: &Gpu, knob: Knob, value: f64) {
        let Some(params) = &self.params else { return };
        for follower in self.followers.iter().filter(|follower| follower.knob == knob.index) {
            gpu.queue.write_buffer(params, follower.offset as u64, &follower.bytes(value));
        }
    }

    /// Sets the values of a tensor, before or between runs. Tensors that no step uses are ignored.
    ///
    /// # Panics
    /// If there are more or fewer values than the tensor has.
    pub fn write(&self, gpu: &Gpu, tensor: Tensor, values: &[f32]) {
        let Some((buffer, place)) = self.find(tensor) else { return };
        let bytes = self.stored[tensor.0].0.encode(values);
        assert_eq!(bytes.len() as u64, place.bytes, "{}", self.labels[tensor.0]);
        gpu.queue.write_buffer(buffer, place.offset, &bytes);
    }

    fn find(&self, tensor: Tensor) -> Option<(&wgpu::Buffer, Place)> {
        let place = self.places[tensor.0]?;
        match &self.buffers[place.buffer] {
            Memory::Buffer(buffer) => Some((buffer, place)),
            Memory::Texels(_) => None,
        }
    }

    /// Frees the memory that the plan has allocated, as soon as the device has done what was submitted. From now on
    /// nothing runs, is written or is read. Dropping it is enough, except in a browser, which frees what was dropped only
    /// when its garbage collector runs.
    pub(crate) fn release(&mut self) {
        for number in std::mem::take(&mut self.own) {
            match &self.buffers[number] {
                Memory::Buffer(buffer) => buffer.destroy(),
                Memory::Texels(texels) => texels.texture.destroy(),
            }
        }
        self.steps.clear();
        self.buffers.clear();
        self.places.fill(None);
        self.params = None;
    }

    /// Reads the values of a tensor that was kept or is a state, after all runs; returns no values if no step
    /// uses it. (The place of any other tensor may hold another tensor by now.)
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the device failed.
    pub async fn read_async(&self, gpu: &Gpu, tensor: Tensor) -> Result<Vec<f32>> {
        let Some((buffer, place)) = self.find(tensor) else { return Ok(Vec::new()) };
        let words = gpu.download_async(buffer, ((place.offset + place.bytes) / 4) as usize).await?;
        let (precision, len) = self.stored[tensor.0];
        Ok(precision.decode(bytemuck::cast_slice(&words[(place.offset / 4) as usize..]), len))
    }

    /// The number of values of a tensor.
    pub(crate) fn len(&self, tensor: Tensor) -> usize {
        self.stored[tensor.0].1
    }

    /// Records a copy of a float32 tensor that was kept or is a state, to the bytes of `to` from `at` on.
    pub(crate) fn copy(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        tensor: Tensor,
        to: &wgpu::Buffer,
        at: u64,
    ) {
        if let Some((buffer, place)) = self.find(tensor) {
            encoder.copy_buffer_to_buffer(buffer, place.offset, to, at, 4 * self.len(tensor) as u64);
        }
    }

    /// The buffer of a tensor that was kept or is a state.
    pub(crate) fn buffer(&self, tensor: Tensor) -> &wgpu::Buffer {
        self.find(tensor).expect("a kept tensor has a buffer").0
    }

    /// Device memory that this plan allocated, in bytes, without weights and other given buffers.
    pub fn bytes(&self) -> u64 {
        self.own_bytes
    }

    /// The part of [`Self::bytes`] that the preparation filled for all runs: transformed weights.
    pub(crate) fn prepared_bytes(&self) -> u64 {
        self.prepared_bytes
    }

    /// One line per dispatch.
    pub(crate) fn describe_steps(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let _ = match step {
                Ready::Dispatch { label, workgroups: [x, y, z], .. } => {
                    writeln!(text, "{x:5} x {y} x {z} workgroups  {label}")
                }
                Ready::Copy { rows, rest, .. } => {
                    let texels = rows * Texels::WIDTH + rest;
                    writeln!(text, "{texels:5} texels copied")
                }
            };
        }
        text
    }

    /// One line per dispatch and per buffer, for people.
    pub fn describe(&self) -> String {
        let mut text = self.describe_steps();
        for (label, place) in self.labels.iter().zip(&self.places) {
            if let Some(place) = place {
                let _ = writeln!(text, "buffer {:3} {:10} bytes  {label}", place.buffer, place.bytes);
            }
        }
        text
    }
}
