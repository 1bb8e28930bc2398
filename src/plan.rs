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
}

/// Bytes on both sides of a guarded tensor, a multiple of every device's binding alignment.
const GUARD: u64 = 256;
/// A NaN whose payload no computation produces.
const SENTINEL: u32 = 0x7fc0_dead;

impl Plan {
    pub(crate) fn new(tape: Tape, guarded: bool) -> Result<Self> {
        let dispatches = ordered(&tape);
        let placement = Placement::new(&tape, &dispatches, guarded)?;
        let mut plan = Self {
            steps: Vec::new(),
            buffers: Vec::new(),
            own_bytes: placement.bytes(&tape),
            labels: tape.tensors.iter().map(|t| t.label.clone()).collect(),
            places: placement.places,
        };
        for buffer in &placement.buffers {
            let owner = &tape.tensors[buffer.owner];
            plan.buffers.push(match &owner.home {
                Home::Given(given) => given.clone(),
                _ if guarded => {
                    tape.gpu.upload(&owner.label, &vec![f32::from_bits(SENTINEL); (buffer.bytes / 4) as usize])?
                }
                _ => tape.gpu.buffer(&owner.label, buffer.bytes)?,
            });
        }
        plan.bind(&tape, &dispatches)?;
        Ok(plan)
    }

    /// Device memory that the plan of `tape` would allocate, without allocating any.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the device's limits forbid it.
    pub(crate) fn measure(tape: &Tape) -> Result<u64> {
        let dispatches = ordered(tape);
        let placement = Placement::new(tape, &dispatches, false)?;
        let limits = tape.gpu.limits();
        for buffer in &placement.buffers {
            if buffer.bytes > limits.max_buffer_size {
                return Err(too_large(tape.gpu, &tape.tensors[buffer.owner].label));
            }
        }
        for dispatch in &dispatches {
            workgroups(tape.gpu, dispatch, tape.gpu.layout(&dispatch.source)?.workgroup)?;
            for (_, view) in &dispatch.bound {
                placement.window(tape, view)?;
            }
        }
        Ok(placement.bytes(tape))
    }

    /// Compiles the kernels, fills one buffer with all parameters, makes the bind groups.
    fn bind(&mut self, tape: &Tape, dispatches: &[Dispatch]) -> Result<()> {
        let gpu = tape.gpu;
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
                    let (_, view) = dispatch.bound.iter().find(|(name, _)| *name == binding.name).expect("checked");
                    let Place { buffer, offset, bytes } = window(tape, &self.places, view)?;
                    wgpu::BufferBinding { buffer: &self.buffers[buffer], offset, size: wgpu::BufferSize::new(bytes) }
                };
                let resource = wgpu::BindingResource::Buffer(resource);
                entries.push(wgpu::BindGroupEntry { binding: binding.slot, resource });
            }
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&dispatch.label),
                layout: &kernel.group_layout,
                entries: &entries,
            });
            let workgroups = workgroups(gpu, dispatch, kernel.layout.workgroup)?;
            let label = format!("{} {}", dispatch.label, dispatch.source.label());
            self.steps.push(Step { label, kernel, bindings, workgroups });
        }
        gpu.check()
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

/// First and last step that touch a tensor.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
}

/// A buffer to be allocated, or one that is given.
struct Room {
    /// Index of the tensor it was made for, the largest of its tenants.
    owner: usize,
    bytes: u64,
    /// When its tenants are alive; `None` if it is not shared.
    tenants: Option<Vec<Life>>,
}

/// Which tensor lives where.
struct Placement {
    places: Vec<Option<Place>>,
    buffers: Vec<Room>,
}

impl Placement {
    /// Gives every tensor that is used its place. Large tensors choose first; a tensor moves into the first buffer
    /// whose other tenants are never alive together with it. Whole buffers are shared, rather than parts of one
    /// arena, because wgpu tracks whole buffers.
    fn new(tape: &Tape, dispatches: &[Dispatch], guarded: bool) -> Result<Self> {
        let lives = lifetimes(tape, dispatches)?;
        let mut order: Vec<usize> = (0..tape.tensors.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(tape.tensors[*i].len));
        let mut placement = Self { places: vec![None; tape.tensors.len()], buffers: Vec::new() };
        for i in order {
            let tensor = &tape.tensors[i];
            let bytes = (tensor.len as u64 * 4).max(4);
            let life = match (&tensor.home, lives[i]) {
                (Home::Shared, None) => continue,
                (Home::Shared, Some(life)) if !guarded => Some(life),
                _ => None,
            };
            let free = |room: &Room| match (life, &room.tenants) {
                (Some(life), Some(others)) => others.iter().all(|o| o.last < life.first || life.last < o.first),
                _ => false,
            };
            let fenced = guarded && !matches!(tensor.home, Home::Given(_));
            let offset = if fenced { GUARD } else { 0 };
            let buffer = placement.buffers.iter().position(free).unwrap_or_else(|| {
                let (bytes, tenants) = (bytes + 2 * offset, life.map(|_| Vec::new()));
                placement.buffers.push(Room { owner: i, bytes, tenants });
                placement.buffers.len() - 1
            });
            if let Some(tenants) = &mut placement.buffers[buffer].tenants {
                tenants.extend(life);
            }
            placement.places[i] = Some(Place { buffer, offset, bytes });
        }
        Ok(placement)
    }

    fn window(&self, tape: &Tape, view: &View) -> Result<Place> {
        window(tape, &self.places, view)
    }

    /// What is to be allocated.
    fn bytes(&self, tape: &Tape) -> u64 {
        let own = |room: &&Room| !matches!(tape.tensors[room.owner].home, Home::Given(_));
        self.buffers.iter().filter(own).map(|room| room.bytes).sum()
    }
}

/// The part of a buffer that a dispatch sees.
fn window(tape: &Tape, places: &[Option<Place>], View { tensor, range }: &View) -> Result<Place> {
    let place = places[tensor.0].expect("a tensor that is bound has a place");
    let range = range.clone().unwrap_or(0..tape.tensors[tensor.0].len);
    let (offset, bytes) = (place.offset + range.start as u64 * 4, (range.len() as u64 * 4).max(4));
    let aligned = offset % u64::from(tape.gpu.limits().min_storage_buffer_offset_alignment) == 0;
    if bytes > tape.gpu.max_binding() || !aligned {
        return Err(too_large(tape.gpu, &tape.tensors[tensor.0].label));
    }
    Ok(Place { buffer: place.buffer, offset, bytes })
}

/// Workgroups of a dispatch in each dimension.
fn workgroups(gpu: &Gpu, dispatch: &Dispatch, size: [u32; 3]) -> Result<[u32; 3]> {
    let most = gpu.limits().max_compute_workgroups_per_dimension as usize;
    let mut counts = [0; 3];
    for axis in 0..3 {
        let count = dispatch.grid[axis].div_ceil(size[axis] as usize);
        counts[axis] = if count <= most { count as u32 } else { return Err(too_large(gpu, &dispatch.label)) };
    }
    Ok(counts)
}
