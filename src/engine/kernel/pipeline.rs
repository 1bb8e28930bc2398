//! A kernel compiled for a device.

use std::sync::Arc;

use super::{Access, Interface, Kernel};

/// A compiled kernel.
pub(crate) struct Pipeline {
    pub(crate) interface: Arc<Interface>,
    pub(crate) group_layout: wgpu::BindGroupLayout,
    pub(crate) pipeline: wgpu::ComputePipeline,
}

impl Pipeline {
    /// Errors surface through the device's error callback, see [`crate::engine::gpu::Gpu`].
    pub(crate) fn compile(
        device: &wgpu::Device,
        kernel: &Kernel,
        interface: Arc<Interface>,
        cache: Option<&wgpu::PipelineCache>,
    ) -> Self {
        let label = kernel.label();
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        let entries: Vec<_> = interface
            .bindings
            .iter()
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding: binding.slot,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: match binding.access {
                    Access::Texels(precision) => wgpu::BindingType::StorageTexture {
                        access: wgpu::StorageTextureAccess::ReadOnly,
                        format: crate::engine::memory::Texels::format(precision),
                        view_dimension: wgpu::TextureViewDimension::D2,
                    },
                    Access::Uniform | Access::Constants => buffer(wgpu::BufferBindingType::Uniform),
                    access => buffer(wgpu::BufferBindingType::Storage { read_only: access == Access::Read }),
                },
                count: None,
            })
            .collect();
        let group_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&label),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&group_layout)],
            immediate_size: 0,
        });
        let description =
            wgpu::ShaderModuleDescriptor { label: Some(&label), source: interface.source.shader() };
        // SAFETY: the shaders are this crate's own, and all loops are bounded by constants and parameters. An
        // index is compared with the sizes that the parameters tell, or need not be, because they are
        // multiples of a workgroup's, which the variant's `supports` demands. Parameters, grid and ranges of
        // the buffers come from the same shapes, in `ops`. The case tables run every form at sizes around its
        // tiles, with guards after the buffers it writes.
        let module = unsafe {
            device.create_shader_module_trusted(description, wgpu::ShaderRuntimeChecks::unchecked())
        };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(kernel.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache,
        });
        Self { interface, group_layout, pipeline }
    }
}
