//! The order of the steps, and the place of each tensor in a buffer.

use std::collections::BTreeSet;

use crate::engine::gpu::Gpu;
use crate::engine::kernel::Access;
use crate::engine::tape::{Declared, Dispatch, Home, Rhythm, Step, Tape, Tensor, View};
use crate::{Error, Result};

/// Where a tensor lives: a buffer, and a range of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) buffer: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// Whether there is a guard after the tensor.
    pub(crate) fenced: bool,
}

/// Bytes after a guarded tensor: more than a row of any case whose kernels count in rows, so that a value
/// written one row too far cannot skip the guard. (`mse` counts in values.) There is no guard before a
/// tensor, because an index that is too small has wrapped around and lies beyond every binding.
pub(crate) const GUARD: u64 = 160 << 10;
/// Tensors begin at multiples of this in a buffer, where every device can bind them.
const ALIGN: u64 = 256;

/// The error for something called `what` that does not fit on the device.
pub(crate) fn too_large(gpu: &Gpu, what: &str) -> Error {
    Error::TooLarge(format!("{what} is too large for {}; try a smaller --size", gpu.info().name))
}

/// The forward steps in order, the backward steps with the ops in reverse, then the updates. The first op
/// that writes a gradient does not accumulate.
///
/// # Errors
/// [`Error::Shader`] if ops of two kinds that write the same gradient were recorded without a [`Tape::op`]
/// between them: neither would add to the other.
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
                if here.iter().any(|(other, file)| *other == grad && *file != dispatch.kernel.file) {
                    let why = format!("two ops that write `{}` share a label", tape.tensors[grad].label);
                    return Err(Error::shader(dispatch.kernel.label(), why));
                }
                here.push((grad, dispatch.kernel.file));
                let first = *written[grad].get_or_insert(index) == index;
                dispatch.kernel.constants.push(("ACCUMULATE", (!first).to_string()));
            }
            all.push(step);
        }
    }
    all.extend(tape.updates.iter().cloned());
    Ok(all)
}

/// The steps that run once, followed by [`ordered`].
pub(crate) fn prepared(tape: &Tape) -> Result<Vec<Step>> {
    let mut all = tape.preparation.clone();
    all.extend(ordered(tape)?);
    Ok(all)
}

/// The bytes of the kept tensors that the preparation uses, without given ones.
pub(crate) fn prepared_bytes(tape: &Tape) -> u64 {
    let touched = tape.preparation.iter().flat_map(|step| match step {
        Step::Dispatch(dispatch) => dispatch.bound.iter().map(|(_, view)| view.tensor.0).collect(),
        Step::Copy { from, to, .. } => vec![from.tensor.0, to.0],
    });
    let touched: BTreeSet<usize> = touched.collect();
    let own = touched.into_iter().map(|i| &tape.tensors[i]).filter(|tensor| matches!(tensor.home, Home::Own));
    own.map(Declared::bytes).sum()
}

pub(crate) fn dispatch(step: &Step) -> Option<&Dispatch> {
    match step {
        Step::Dispatch(dispatch) => Some(dispatch),
        Step::Copy { .. } => None,
    }
}

/// The constraints on a tensor's place.
#[derive(Clone, Default)]
struct Use {
    /// When the tensor is alive; `None` if no step uses it.
    life: Option<Life>,
    /// Tensors that some dispatch reads while it writes this one, or the reverse: wgpu refuses that within
    /// one buffer.
    apart: Vec<usize>,
}

/// The first and the last step that use a tensor.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
}

impl Life {
    fn meets(self, other: Life) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// How each tensor is used. It is an error of the recording to read a tensor that nothing has written.
fn uses(tape: &Tape, steps: &[Step]) -> Result<Vec<Use>> {
    let mut uses = vec![Use::default(); tape.tensors.len()];
    // In which runs the values of shared memory are there.
    let mut written = vec![Rhythm::ALWAYS; tape.tensors.len()];
    for (index, step) in steps.iter().enumerate() {
        let mut touch = |tensor: Tensor, reads: bool, by: &dyn Fn() -> String| {
            let declared = &tape.tensors[tensor.0];
            if !reads {
                written[tensor.0] = step.rhythm();
            } else if matches!(declared.home, Home::Shared)
                && ![step.rhythm(), Rhythm::ALWAYS].contains(&written[tensor.0])
            {
                let why = format!("`{}` is read in runs that do not write it", declared.label);
                return Err(Error::shader(by(), why));
            }
            if uses[tensor.0].life.is_none() && reads && matches!(declared.home, Home::Shared) {
                let why = format!("`{}` is read before anything has written it", declared.label);
                return Err(Error::shader(by(), why));
            }
            uses[tensor.0].life.get_or_insert(Life { first: index, last: index }).last = index;
            Ok(())
        };
        match step {
            Step::Dispatch(dispatch) => {
                let interface = tape.gpu.interface(&dispatch.kernel)?;
                let writes = |name: &str| {
                    let access = interface.bindings.iter().find(|b| b.name == name).map(|b| b.access);
                    access == Some(Access::Write)
                };
                for (name, View { tensor, .. }) in &dispatch.bound {
                    touch(*tensor, !writes(name), &|| dispatch.kernel.label())?;
                }
                for (name, view) in &dispatch.bound {
                    let others = dispatch.bound.iter().filter(|(other, _)| writes(other) != writes(name));
                    uses[view.tensor.0].apart.extend(others.map(|(_, other)| other.tensor.0));
                }
            }
            Step::Copy { from, to, .. } => {
                touch(from.tensor, true, &|| "copy".to_owned())?;
                touch(*to, false, &|| "copy".to_owned())?;
            }
        }
    }
    uses.iter_mut().for_each(|used| {
        used.apart.sort_unstable();
        used.apart.dedup();
    });
    Ok(uses)
}

/// A buffer that is to be allocated, or a given one.
pub(crate) struct Room {
    /// The tensor that the buffer was made for, the largest of those in it.
    pub(crate) owner: usize,
    pub(crate) bytes: u64,
    /// The tensors in it, with their lives and places; `None` if it is not shared.
    tenants: Option<Vec<Tenant>>,
}

struct Tenant {
    tensor: usize,
    life: Life,
    offset: u64,
    bytes: u64,
}

impl Room {
    /// The first place that is free during an entire life.
    fn place(&self, life: Life, bytes: u64, used: &Use) -> Option<u64> {
        let tenants = self.tenants.as_ref()?;
        if tenants.iter().any(|t| used.apart.binary_search(&t.tensor).is_ok()) {
            return None;
        }
        let mut taken: Vec<_> =
            tenants.iter().filter(|t| t.life.meets(life)).map(|t| (t.offset, t.offset + t.bytes)).collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + bytes <= start {
                break;
            }
            offset = offset.max(end.next_multiple_of(ALIGN));
        }
        (offset + bytes <= self.bytes).then_some(offset)
    }
}

/// The place of every tensor.
pub(crate) struct Placement {
    pub(crate) places: Vec<Option<Place>>,
    pub(crate) buffers: Vec<Room>,
}

impl Placement {
    /// Places every tensor that is used. Large tensors choose first. A tensor goes into the first buffer that
    /// has room for it during its life, and in which no tensor must be kept apart from it. There are several
    /// buffers and not one arena, because wgpu tracks whole buffers.
    pub(crate) fn new(tape: &Tape, steps: &[Step], guarded: bool) -> Result<Self> {
        let uses = uses(tape, steps)?;
        let mut order: Vec<usize> = (0..tape.tensors.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(tape.tensors[*i].bytes()));
        let mut placement = Self { places: vec![None; tape.tensors.len()], buffers: Vec::new() };
        for i in order {
            let tensor = &tape.tensors[i];
            let bytes = tensor.bytes();
            let life = match (&tensor.home, uses[i].life) {
                (Home::Shared, None) => continue,
                (Home::Shared, Some(life)) if !guarded => Some(life),
                _ => None,
            };
            let fenced = guarded && !tensor.texels && !matches!(tensor.home, Home::Given(_));
            // A texture is bound as a whole.
            let extent = |room: &Room| if tensor.texels { room.bytes } else { bytes };
            let found = life.and_then(|life| {
                let mut rooms = placement.buffers.iter().enumerate();
                rooms.find_map(|(index, room)| {
                    let kind = |t: &Declared| t.texels.then_some(t.precision);
                    let same_kind = kind(&tape.tensors[room.owner]) == kind(tensor);
                    let offset = room.place(life, extent(room), &uses[i]).filter(|_| same_kind)?;
                    Some((index, offset))
                })
            });
            let (buffer, offset) = found.unwrap_or_else(|| {
                let guard = if fenced { GUARD } else { 0 };
                let (bytes, tenants) = (bytes + guard, life.map(|_| Vec::new()));
                placement.buffers.push(Room { owner: i, bytes, tenants });
                (placement.buffers.len() - 1, 0)
            });
            let room = &mut placement.buffers[buffer];
            let bytes_taken = extent(room);
            if let (Some(tenants), Some(life)) = (&mut room.tenants, life) {
                tenants.push(Tenant { tensor: i, life, offset, bytes: bytes_taken });
            }
            placement.places[i] = Some(Place { buffer, offset, bytes, fenced });
        }
        Ok(placement)
    }

    /// Bytes to be allocated.
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
    let declared = &tape.tensors[tensor.0];
    let range = range.clone().unwrap_or(0..declared.len);
    let value = declared.precision.bytes();
    let offset = place.offset + range.start as u64 * value;
    let mut bytes = (range.len() as u64 * value).next_multiple_of(4).max(4);
    if place.fenced {
        // A driver drops writes beyond a binding, so the guard must be inside the binding to be hit.
        bytes += GUARD;
    }
    // This driver may allow smaller alignments, but the places must be valid on every driver.
    let aligned = offset.is_multiple_of(ALIGN);
    if bytes > tape.gpu.max_binding() || !aligned {
        return Err(too_large(tape.gpu, &tape.tensors[tensor.0].label));
    }
    Ok(Place { offset, bytes, ..place })
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
