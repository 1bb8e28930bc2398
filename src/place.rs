//! The order of the steps, and which tensor lives in which buffer.

use crate::gpu::Gpu;
use crate::kernel::Access;
use crate::tape::{Dispatch, Home, Step, Tape, Tensor, View};
use crate::{Error, Result};

/// Where a tensor lives: a buffer, and a range of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) buffer: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Bytes on both sides of a guarded tensor, a multiple of every device's binding alignment.
pub(crate) const GUARD: u64 = 256;
pub(crate) fn too_large(gpu: &Gpu, what: &str) -> Error {
    Error::TooLarge(format!("{what} is too large for {}; try a smaller --size", gpu.info().name))
}

/// Forward in order, backward with the ops in reverse, then the updates. The first op that writes a gradient does
/// not accumulate.
///
/// # Errors
/// [`Error::Shader`] if two kinds of ops that write the same gradient were recorded without a [`Tape::op`] between them:
/// neither would add to the other.
pub(crate) fn ordered(tape: &Tape) -> Result<Vec<Step>> {
    let mut written = vec![None; tape.tensors.len()];
    let mut all: Vec<Step> = tape.groups.iter().flat_map(|g| &g.forward).cloned().collect();
    for (index, group) in tape.groups.iter().enumerate().rev() {
        let mut here: Vec<(usize, &str)> = Vec::new();
        for step in &group.backward {
            let mut step = step.clone();
            if let Step::Dispatch(dispatch) = &mut step
                && let Some(Tensor(grad)) = dispatch.grad
            {
                if here.iter().any(|(other, file)| *other == grad && *file != dispatch.source.file) {
                    let why = format!("two ops that write `{}` share a label", tape.tensors[grad].label);
                    return Err(Error::shader(dispatch.source.label(), why));
                }
                here.push((grad, dispatch.source.file));
                let first = *written[grad].get_or_insert(index) == index;
                dispatch.source.constants.push(("ACCUMULATE", (!first).to_string()));
            }
            all.push(step);
        }
    }
    all.extend(tape.updates.iter().cloned());
    Ok(all)
}

pub(crate) fn dispatch(step: &Step) -> Option<&Dispatch> {
    match step {
        Step::Dispatch(dispatch) => Some(dispatch),
        Step::Copy { .. } => None,
    }
}

/// When each tensor is alive; a tensor that is read before anything wrote it is an error of the recording.
fn lifetimes(tape: &Tape, steps: &[Step]) -> Result<Vec<Option<Life>>> {
    let mut lives: Vec<Option<Life>> = vec![None; tape.tensors.len()];
    for (index, step) in steps.iter().enumerate() {
        let mut touch = |tensor: Tensor, reads: bool, by: &dyn Fn() -> String| {
            let declared = &tape.tensors[tensor.0];
            if lives[tensor.0].is_none() && reads && matches!(declared.home, Home::Shared) {
                let why = format!("`{}` is read before anything has written it", declared.label);
                return Err(Error::shader(by(), why));
            }
            lives[tensor.0].get_or_insert(Life { first: index, last: index }).last = index;
            Ok(())
        };
        match step {
            Step::Dispatch(dispatch) => {
                let layout = tape.gpu.layout(&dispatch.source)?;
                for (name, View { tensor, .. }) in &dispatch.bound {
                    let access = layout.bindings.iter().find(|b| b.name == *name).map(|b| b.access);
                    touch(*tensor, access != Some(Access::Write), &|| dispatch.source.label())?;
                }
            }
            Step::Copy { from, to, .. } => {
                touch(*from, true, &|| "copy".to_owned())?;
                touch(*to, false, &|| "copy".to_owned())?;
            }
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
pub(crate) struct Room {
    /// Index of the tensor it was made for, the largest of its tenants.
    pub(crate) owner: usize,
    pub(crate) bytes: u64,
    /// When its tenants are alive; `None` if it is not shared.
    tenants: Option<Vec<Life>>,
}

/// Which tensor lives where.
pub(crate) struct Placement {
    pub(crate) places: Vec<Option<Place>>,
    pub(crate) buffers: Vec<Room>,
}

impl Placement {
    /// Gives every tensor that is used its place. Large tensors choose first; a tensor moves into the first buffer
    /// whose other tenants are never alive together with it. Whole buffers are shared, rather than parts of one
    /// arena, because wgpu tracks whole buffers.
    pub(crate) fn new(tape: &Tape, steps: &[Step], guarded: bool) -> Result<Self> {
        let lives = lifetimes(tape, steps)?;
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
                (Some(life), Some(others)) if tape.tensors[room.owner].texels == tensor.texels => {
                    others.iter().all(|o| o.last < life.first || life.last < o.first)
                }
                _ => false,
            };
            let fenced = guarded && !tensor.texels && !matches!(tensor.home, Home::Given(_));
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

    /// What is to be allocated.
    pub(crate) fn bytes(&self, tape: &Tape) -> u64 {
        let own = |room: &&Room| !matches!(tape.tensors[room.owner].home, Home::Given(_));
        self.buffers.iter().filter(own).map(|room| room.bytes).sum()
    }
}

/// The part of a buffer that a dispatch sees.
pub(crate) fn window(tape: &Tape, places: &[Option<Place>], View { tensor, range }: &View) -> Result<Place> {
    let place = places[tensor.0].expect("a tensor that is bound has a place");
    if tape.tensors[tensor.0].texels {
        return Ok(place);
    }
    let range = range.clone().unwrap_or(0..tape.tensors[tensor.0].len);
    let (offset, mut bytes) = (place.offset + range.start as u64 * 4, (range.len() as u64 * 4).max(4));
    if place.offset == GUARD {
        // A driver drops what is written beyond a binding, so the guard must be inside it to be hit.
        bytes += GUARD;
    }
    let aligned = offset % u64::from(tape.gpu.limits().min_storage_buffer_offset_alignment) == 0;
    if bytes > tape.gpu.max_binding() || !aligned {
        return Err(too_large(tape.gpu, &tape.tensors[tensor.0].label));
    }
    Ok(Place { buffer: place.buffer, offset, bytes })
}

/// Workgroups of a dispatch in each dimension.
pub(crate) fn workgroups(gpu: &Gpu, dispatch: &Dispatch, size: [u32; 3]) -> Result<[u32; 3]> {
    let most = gpu.limits().max_compute_workgroups_per_dimension as usize;
    let mut counts = [0; 3];
    for axis in 0..3 {
        let count = dispatch.grid[axis].div_ceil(size[axis] as usize);
        counts[axis] =
            if count <= most { count as u32 } else { return Err(too_large(gpu, &dispatch.label)) };
    }
    Ok(counts)
}
