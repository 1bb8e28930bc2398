//! The plan: a flat list of dispatches over placed buffers, which is replayed without allocations or
//! decisions.

#[cfg(feature = "native")]
mod blocking;
#[cfg(feature = "native")]
mod timing;
#[cfg(feature = "native")]
mod traffic;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Access, Follower, Knob, Pipeline};
use crate::engine::memory::Texels;
use crate::engine::placement::{
    Place, Placement, dispatch, prepared, prepared_bytes, too_large, window, workgroups,
};
use crate::engine::precision::Precision;
use crate::engine::tape::{Dispatch, Home, Memory, Step, Tape, Tensor};
#[cfg(feature = "native")]
pub(crate) use timing::{Timeline, Timers};
#[cfg(feature = "native")]
pub(crate) use traffic::Pass;

enum Ready {
    Dispatch {
        label: String,
        /// The label of the op, and the entry point.
        names: [String; 2],
        pipeline: Arc<Pipeline>,
        bindings: wgpu::BindGroup,
        workgroups: [u32; 3],
    },
    /// Whole rows of texels, and the rest of the last row if it is not whole.
    Copy { from: wgpu::Buffer, offset: u64, to: Texels, first: u32, rows: u32, rest: u32 },
}

impl Ready {
    /// Records a copy, outside of passes.
    fn encode_copy(&self, encoder: &mut wgpu::CommandEncoder) {
        let Self::Copy { from, offset, to, first, rows, rest } = self else { return };
        for (top, width, height) in [(0, Texels::WIDTH, *rows), (*rows, *rest, 1)] {
            if width == 0 || height == 0 {
                continue;
            }
            let row = Texels::ROW * to.precision.bytes();
            let layout = wgpu::TexelCopyBufferLayout {
                offset: offset + u64::from(top) * row,
                bytes_per_row: Some(row as u32),
                rows_per_image: None,
            };
            let from = wgpu::TexelCopyBufferInfo { buffer: from, layout };
            let mut to = to.texture.as_image_copy();
            to.origin.y = first + top;
            let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
            encoder.copy_buffer_to_texture(from, to, size);
        }
    }

    /// Records a dispatch into a pass.
    fn encode_dispatch(&self, pass: &mut wgpu::ComputePass) {
        let Self::Dispatch { pipeline, bindings, workgroups: [x, y, z], .. } = self else { return };
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, bindings, &[]);
        pass.dispatch_workgroups(*x, *y, *z);
    }
}

/// Dispatches that are ready to be replayed, and their buffers.
pub struct Plan {
    steps: Vec<Ready>,
    buffers: Vec<Memory>,
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

/// A NaN whose payload no computation produces; as float16 it is two of them.
const SENTINEL: u32 = 0x7fc0_7e5a;

impl Plan {
    pub(crate) fn new(tape: Tape, guarded: bool) -> Result<Self> {
        let steps = prepared(&tape)?;
        let placement = Placement::new(&tape, &steps, guarded)?;
        let mut plan = Self {
            steps: Vec::new(),
            buffers: Vec::new(),
            own_bytes: placement.bytes(&tape),
            prepared_bytes: prepared_bytes(&tape),
            labels: tape.tensors.iter().map(|t| t.label.clone()).collect(),
            stored: tape.tensors.iter().map(|t| (t.precision, t.len)).collect(),
            places: placement.places,
            params: None,
            followers: Vec::new(),
        };
        for room in &placement.buffers {
            let owner = &tape.tensors[room.owner];
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
        if !plan.steps.is_empty() {
            plan.run(tape.gpu);
        }
        plan.steps = rest;
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

    /// Compiles the kernels, fills one buffer with all parameters, and makes the bind groups.
    fn ready(&mut self, tape: &Tape, steps: &[Step]) -> Result<()> {
        let gpu = tape.gpu;
        let kernels: Vec<_> = steps.iter().filter_map(dispatch).map(|d| d.kernel.clone()).collect();
        let mut pipelines = gpu.compile(&kernels)?.into_iter();
        let align = gpu.limits().min_uniform_buffer_offset_alignment as usize;
        let mut params = Vec::new();
        let mut offsets = Vec::new();
        for dispatch in steps.iter().filter_map(dispatch) {
            params.resize(params.len().next_multiple_of(align), 0);
            offsets.push(params.len() as u64);
            let interface = gpu.interface(&dispatch.kernel)?;
            self.followers.extend(interface.followers(&dispatch.params, params.len()));
            params.extend(interface.uniform(&dispatch.params)?);
        }
        params.resize(params.len().next_multiple_of(align).max(align), 0);
        let uniform = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: params.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&uniform, 0, &params);
        self.params = Some(uniform.clone());
        self.own_bytes += uniform.size();

        let mut offsets = offsets.into_iter();
        for step in steps {
            self.steps.push(match step {
                Step::Dispatch(dispatch) => {
                    let (pipeline, offset) = (pipelines.next(), offsets.next());
                    let (pipeline, offset) = pipeline.zip(offset).expect("one of each per dispatch");
                    self.ready_dispatch(tape, dispatch, pipeline, &uniform, offset)?
                }
                Step::Copy { from, to, at, len } => {
                    let place = |t: &Tensor| self.places[t.0].expect("a tensor in use has a place");
                    let value = tape.tensors[from.tensor.0].precision.bytes();
                    let start = from.range.as_ref().map_or(0, |range| range.start as u64 * value);
                    let (from, to) = (place(&from.tensor), place(to));
                    let texels = (*len / 4) as u32;
                    match (&self.buffers[from.buffer], &self.buffers[to.buffer]) {
                        (Memory::Buffer(buffer), Memory::Texels(to)) => Ready::Copy {
                            from: buffer.clone(),
                            offset: from.offset + start,
                            to: to.clone(),
                            first: (*at as u64 / Texels::ROW) as u32,
                            rows: texels / Texels::WIDTH,
                            rest: texels % Texels::WIDTH,
                        },
                        _ => unreachable!("copies go from buffers to texels"),
                    }
                }
            });
        }
        gpu.check()
    }

    fn ready_dispatch(
        &self,
        tape: &Tape,
        dispatch: &Dispatch,
        pipeline: Arc<Pipeline>,
        uniform: &wgpu::Buffer,
        offset: u64,
    ) -> Result<Ready> {
        let mut entries = Vec::new();
        for binding in &pipeline.interface.bindings {
            let slice = |buffer, offset, bytes| {
                let size = wgpu::BufferSize::new(bytes);
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
            };
            let resource = if binding.access == Access::Uniform {
                slice(uniform, offset, pipeline.interface.uniform_bytes as u64)
            } else {
                let (_, view) =
                    dispatch.bound.iter().find(|(name, _)| *name == binding.name).expect("checked");
                let Place { buffer, offset, bytes, .. } = window(tape, &self.places, view)?;
                match &self.buffers[buffer] {
                    Memory::Buffer(buffer) => slice(buffer, offset, bytes),
                    Memory::Texels(texels) => wgpu::BindingResource::TextureView(&texels.view),
                }
            };
            entries.push(wgpu::BindGroupEntry { binding: binding.slot, resource });
        }
        let bindings = tape.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&dispatch.label),
            layout: &pipeline.group_layout,
            entries: &entries,
        });
        let workgroups = workgroups(tape.gpu, dispatch, pipeline.interface.workgroup)?;
        let label = format!("{} {}", dispatch.label, dispatch.kernel.label());
        let names = [dispatch.label.clone(), format!("{}/{}", dispatch.kernel.file, dispatch.kernel.entry)];
        Ok(Ready::Dispatch { label, names, pipeline, bindings, workgroups })
    }

    /// All steps.
    pub(crate) fn all(&self) -> Range<usize> {
        0..self.steps.len()
    }

    /// Encodes one run of the plan. It is one compute pass, unless a step copies to a texture, which passes
    /// cannot do.
    pub(crate) fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.encode_steps(encoder, self.all());
    }

    /// Encodes some of the steps.
    fn encode_steps(&self, encoder: &mut wgpu::CommandEncoder, range: Range<usize>) {
        let mut steps = self.steps[range].iter().peekable();
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

    /// Runs the plan once without waiting for it. The first run is untimed, so on a GPU each step is
    /// submitted separately: a desktop's driver resets a device when one submission takes a second or two.
    pub fn run(&self, gpu: &Gpu) {
        self.submit(gpu, gpu.unknown_pieces(), |_| ());
    }

    /// Submits one run of the plan in `pieces` submissions with about the same number of steps; `last` adds
    /// to the last of them. The number of pieces does not change the results.
    pub(crate) fn submit(
        &self,
        gpu: &Gpu,
        pieces: usize,
        last: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::SubmissionIndex {
        let size = self.steps.len().div_ceil(pieces.max(1)).max(1);
        let mut start = 0;
        loop {
            let end = (start + size).min(self.steps.len());
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            self.encode_steps(&mut encoder, start..end);
            if end == self.steps.len() {
                last(&mut encoder);
                return gpu.queue.submit([encoder.finish()]);
            }
            gpu.queue.submit([encoder.finish()]);
            start = end;
        }
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
    /// If the number of values is not that of the tensor.
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
