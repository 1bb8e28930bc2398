//! The plan: a flat list of dispatches over placed buffers, replayed without allocation or decision.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::gpu::Gpu;
use crate::kernel::{Access, Kernel};
use crate::tape::{Dispatch, Home, Tape, Tensor, View};
use crate::{Error, Result};

/// Where a tensor lives: a buffer, and a range of its bytes.
#[derive(Clone, Copy)]
struct Place {
    buffer: usize,
    offset: u64,
    bytes: u64,
}

struct Step {
    label: String,
    kernel: Arc<Kernel>,
    bindings: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// Dispatches that are ready to be replayed, and the buffers they work on.
pub struct Plan {
    steps: Vec<Step>,
    buffers: Vec<wgpu::Buffer>,
    places: Vec<Option<Place>>,
    labels: Vec<String>,
    own_bytes: u64,
    guarded: bool,
}

/// First and last step that touch a tensor.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
}

/// Bytes on both sides of a guarded tensor, a multiple of every device's binding alignment.
const GUARD: u64 = 256;
/// A NaN whose payload no computation produces.
const SENTINEL: u32 = 0x7fc0_dead;

impl Plan {
    pub(crate) fn new(tape: Tape, guarded: bool) -> Result<Self> {
        let gpu = tape.gpu;
        let dispatches = ordered(&tape);
        let lives = lifetimes(&tape, &dispatches)?;
        let mut plan = Self {
            steps: Vec::new(),
            buffers: Vec::new(),
            places: vec![None; tape.tensors.len()],
            labels: tape.tensors.iter().map(|t| t.label.clone()).collect(),
            own_bytes: 0,
            guarded,
        };
        plan.place(&tape, &lives)?;
        plan.bind(gpu, &tape, &dispatches)?;
        Ok(plan)
    }

    /// Gives every tensor that is used its place. Large tensors choose first; a tensor moves into the first buffer
    /// whose other tenants are never alive together with it. One buffer per tenant at a time, rather than one
    /// arena, because wgpu tracks whole buffers.
    fn place(&mut self, tape: &Tape, lives: &[Option<Life>]) -> Result<()> {
        let gpu = tape.gpu;
        let mut order: Vec<usize> = (0..tape.tensors.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(tape.tensors[*i].len));
        let mut tenants: Vec<Option<Vec<Life>>> = Vec::new();
        for i in order {
            let tensor = &tape.tensors[i];
            let bytes = (tensor.len as u64 * 4).max(4);
            let life = match (&tensor.home, lives[i]) {
                (Home::Shared, None) => continue,
                (Home::Shared, Some(life)) if !self.guarded => Some(life),
                _ => None,
            };
            let free = |tenants: &Option<Vec<Life>>| match (life, tenants) {
                (Some(life), Some(others)) => others.iter().all(|o| o.last < life.first || life.last < o.first),
                _ => false,
            };
            let mut offset = 0;
            let buffer = match tenants.iter().position(free) {
                Some(buffer) => {
                    tenants[buffer].get_or_insert_default().extend(life);
                    buffer
                }
                None => {
                    self.buffers.push(match &tensor.home {
                        Home::Given(buffer) => buffer.clone(),
                        _ if self.guarded => {
                            offset = GUARD;
                            let words = vec![f32::from_bits(SENTINEL); ((bytes + 2 * GUARD) / 4) as usize];
                            gpu.upload(&tensor.label, &words)?
                        }
                        _ => gpu.buffer(&tensor.label, bytes)?,
                    });
                    tenants.push(life.map(|life| vec![life]));
                    self.buffers.len() - 1
                }
            };
            if !matches!(tensor.home, Home::Given(_)) && tenants[buffer].as_ref().is_none_or(|t| t.len() == 1) {
                self.own_bytes += self.buffers[buffer].size();
            }
            let place = Place { buffer, offset, bytes };
            self.places[i] = Some(place);
        }
        Ok(())
    }

    /// Compiles the kernels, fills one buffer with all parameters, makes the bind groups.
    fn bind(&mut self, gpu: &Gpu, tape: &Tape, dispatches: &[Dispatch]) -> Result<()> {
        let limits = gpu.limits();
        let kernels = gpu.compile(&dispatches.iter().map(|d| d.source.clone()).collect::<Vec<_>>())?;
        let align = limits.min_uniform_buffer_offset_alignment as usize;
        let mut uniforms = Vec::new();
        let mut offsets = Vec::new();
        for (dispatch, kernel) in dispatches.iter().zip(&kernels) {
            uniforms.resize(uniforms.len().next_multiple_of(align), 0);
            offsets.push(uniforms.len() as u64);
            uniforms.extend(kernel.layout.uniform(&dispatch.params)?);
        }
        let uniform = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: uniforms.len().next_multiple_of(align).max(align) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        uniforms.resize(uniform.size() as usize, 0);
        gpu.queue.write_buffer(&uniform, 0, &uniforms);
        self.own_bytes += uniform.size();

        for ((dispatch, kernel), offset) in dispatches.iter().zip(kernels).zip(offsets) {
            let mut entries = Vec::new();
            for binding in &kernel.layout.bindings {
                let resource = if binding.access == Access::Uniform {
                    let size = wgpu::BufferSize::new(kernel.layout.uniform_bytes as u64);
                    wgpu::BufferBinding { buffer: &uniform, offset, size }
                } else {
                    self.window(gpu, tape, dispatch, &binding.name)?
                };
                let resource = wgpu::BindingResource::Buffer(resource);
                entries.push(wgpu::BindGroupEntry { binding: binding.slot, resource });
            }
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&dispatch.label),
                layout: &kernel.group_layout,
                entries: &entries,
            });
            let mut workgroups = [0; 3];
            for axis in 0..3 {
                let count = dispatch.grid[axis].div_ceil(kernel.layout.workgroup[axis] as usize);
                workgroups[axis] = u32::try_from(count)
                    .ok()
                    .filter(|n| *n <= limits.max_compute_workgroups_per_dimension)
                    .ok_or_else(|| too_large(gpu, &dispatch.label))?;
            }
            let label = format!("{} {}", dispatch.label, dispatch.source.label());
            self.steps.push(Step { label, kernel, bindings, workgroups });
        }
        gpu.check()
    }

    /// The part of a buffer that a dispatch sees under `name`.
    fn window(&self, gpu: &Gpu, tape: &Tape, dispatch: &Dispatch, name: &str) -> Result<wgpu::BufferBinding<'_>> {
        let (_, View { tensor, range }) = dispatch
            .bound
            .iter()
            .find(|(bound, _)| *bound == name)
            .expect("the tape checked that everything is bound");
        let place = self.places[tensor.0].expect("a tensor that is bound has a place");
        let range = range.clone().unwrap_or(0..tape.tensors[tensor.0].len);
        let (offset, bytes) = (place.offset + range.start as u64 * 4, (range.len() as u64 * 4).max(4));
        if bytes > gpu.max_binding() || offset % u64::from(gpu.limits().min_storage_buffer_offset_alignment) != 0 {
            return Err(too_large(gpu, &tape.tensors[tensor.0].label));
        }
        Ok(wgpu::BufferBinding { buffer: &self.buffers[place.buffer], offset, size: wgpu::BufferSize::new(bytes) })
    }

    /// Encodes one run of the plan.
    pub(crate) fn encode(&self, pass: &mut wgpu::ComputePass) {
        for step in &self.steps {
            pass.set_pipeline(&step.kernel.pipeline);
            pass.set_bind_group(0, &step.bindings, &[]);
            let [x, y, z] = step.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// Runs the plan once, without waiting for it.
    pub fn run(&self, gpu: &Gpu) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder.begin_compute_pass(&Default::default()));
        gpu.queue.submit([encoder.finish()]);
    }

    /// Sets the values of a tensor, before or between runs.
    pub fn write(&self, gpu: &Gpu, tensor: Tensor, values: &[f32]) {
        let Some(place) = self.places[tensor.0] else { return };
        assert_eq!(values.len() as u64 * 4, place.bytes, "{}", self.labels[tensor.0]);
        gpu.queue.write_buffer(&self.buffers[place.buffer], place.offset, bytemuck::cast_slice(values));
    }

    /// Reads the values of a tensor that was kept or is a state, after all runs.
    pub fn read(&self, gpu: &Gpu, tensor: Tensor) -> Result<Vec<f32>> {
        let Some(place) = self.places[tensor.0] else { return Ok(Vec::new()) };
        let (offset, len) = ((place.offset / 4) as usize, (place.bytes / 4) as usize);
        let mut values = gpu.download(&self.buffers[place.buffer], offset + len)?;
        Ok(values.split_off(offset))
    }

    /// The buffer of a tensor that was kept or is a state.
    pub(crate) fn buffer(&self, tensor: Tensor) -> &wgpu::Buffer {
        &self.buffers[self.places[tensor.0].expect("kept tensors have a place").buffer]
    }

    /// Device memory that this plan allocated, in bytes; weights and other given buffers are not counted.
    pub fn bytes(&self) -> u64 {
        self.own_bytes
    }

    /// Labels of the tensors whose guards were overwritten. Only for plans from [`Tape::finish_guarded`].
    pub fn guards_overwritten(&self, gpu: &Gpu) -> Result<Vec<&str>> {
        let mut hit = Vec::new();
        for (place, label) in self.places.iter().zip(&self.labels) {
            let Some(place) = place.filter(|p| p.offset == GUARD) else { continue };
            let buffer = &self.buffers[place.buffer];
            let words = gpu.download(buffer, (buffer.size() / 4) as usize)?;
            let (start, end) = ((GUARD / 4) as usize, ((GUARD + place.bytes) / 4) as usize);
            let guards = words[..start].iter().chain(&words[end..((GUARD * 2 + place.bytes) / 4) as usize]);
            if guards.into_iter().any(|w| w.to_bits() != SENTINEL) {
                hit.push(label.as_str());
            }
        }
        Ok(hit)
    }

    /// One line per dispatch and per buffer, for people.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let [x, y, z] = step.workgroups;
            let _ = writeln!(text, "{:5} x {y} x {z} workgroups  {}", x, step.label);
        }
        for (label, place) in self.labels.iter().zip(&self.places) {
            if let Some(place) = place {
                let _ = writeln!(text, "buffer {:3} {:10} bytes  {label}", place.buffer, place.bytes);
            }
        }
        text
    }
}

fn too_large(gpu: &Gpu, what: &str) -> Error {
    Error::TooLarge(format!("{what} is too large for {}; try a smaller --size", gpu.info().name))
}

/// Forward in order, backward with the ops in reverse, then the updates. The first op that writes a gradient does
/// not accumulate.
fn ordered(tape: &Tape) -> Vec<Dispatch> {
    let mut written = vec![None; tape.tensors.len()];
    let forward = tape.groups.iter().flat_map(|g| &g.forward).cloned();
    let mut all: Vec<Dispatch> = forward.collect();
    for (index, group) in tape.groups.iter().enumerate().rev() {
        for dispatch in &group.backward {
            let mut dispatch = dispatch.clone();
            if let Some(Tensor(grad)) = dispatch.grad {
                let first = *written[grad].get_or_insert(index) == index;
                dispatch.source = dispatch.source.constant("ACCUMULATE", !first);
            }
            all.push(dispatch);
        }
    }
    all.extend(tape.updates.iter().cloned());
    all
}

/// When each tensor is alive; a tensor that is read before anything wrote it is an error of the recording.
fn lifetimes(tape: &Tape, dispatches: &[Dispatch]) -> Result<Vec<Option<Life>>> {
    let mut lives: Vec<Option<Life>> = vec![None; tape.tensors.len()];
    for (step, dispatch) in dispatches.iter().enumerate() {
        let layout = tape.gpu.layout(&dispatch.source)?;
        for (name, View { tensor, .. }) in &dispatch.bound {
            let declared = &tape.tensors[tensor.0];
            let reads = layout.bindings.iter().any(|b| b.name == *name && b.access == Access::Read);
            if lives[tensor.0].is_none() && reads && matches!(declared.home, Home::Shared) {
                let why = format!("`{}` is read before anything has written it", declared.label);
                return Err(Error::shader(dispatch.source.label(), why));
            }
            lives[tensor.0].get_or_insert(Life { first: step, last: step }).last = step;
        }
    }
    Ok(lives)
}
