//! From the steps of a tape to what is replayed: pipelines, parameters, bind groups.

use std::sync::Arc;

use super::Plan;
use crate::Result;
use crate::engine::kernel::{Access, Pipeline};
use crate::engine::memory::Texels;
use crate::engine::placement::{Place, dispatch, window, workgroups};
use crate::engine::tape::{Dispatch, Memory, Step, Tape, Tensor};

/// A step that is ready to be replayed.
pub(super) enum Ready {
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
    pub(super) fn encode_copy(&self, encoder: &mut wgpu::CommandEncoder) {
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
    pub(super) fn encode_dispatch(&self, pass: &mut wgpu::ComputePass) {
        let Self::Dispatch { pipeline, bindings, workgroups: [x, y, z], .. } = self else { return };
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, bindings, &[]);
        pass.dispatch_workgroups(*x, *y, *z);
    }
}

impl Plan {
    /// Compiles the kernels, fills one buffer with all parameters, and makes the bind groups.
    pub(super) fn ready(&mut self, tape: &Tape, steps: &[Step]) -> Result<()> {
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
                Step::Copy { from, to, at, len, .. } => {
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
}
