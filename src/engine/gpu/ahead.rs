//! Compiling ahead, for drivers that compile a shader when it first runs.
//!
//! lavapipe makes machine code of a shader at its first dispatch, one shader after the other while other processors
//! wait, and keeps the code in files. Here, devices on threads of their own dispatch shaders with no workgroups at
//! all. The device that paints then finds their code in the files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::kernel::{Access, Interface, Kernel, Pipeline};
use crate::engine::memory::Texels;
use crate::engine::precision::Precision;

/// The driver finds code in its files within 3 ms; the smallest shader takes 20 to compile.
const FOUND_WITHIN: Duration = Duration::from_millis(8);
/// After so many shaders in a row that were in the files, all are.
const FOUND_IN_A_ROW: usize = 3;

/// The largest size that a binding of a kernel demands.
const BYTES: u64 = 1 << 16;

/// Opens devices that compile.
pub(super) struct Ahead {
    adapter: wgpu::Adapter,
    /// How the painting device was requested.
    request: wgpu::DeviceDescriptor<'static>,
}

/// A device that compiles, and something to bind.
pub(super) struct Helper {
    device: wgpu::Device,
    queue: wgpu::Queue,
    uniform: wgpu::Buffer,
    read: wgpu::Buffer,
    write: wgpu::Buffer,
    /// In single and half precision.
    texels: [wgpu::TextureView; 2],
    /// How many of the last shaders in a row were in the files.
    found: usize,
}

/// Whether Mesa can keep files: where its documentation says that it does, unless a variable forbids it.
fn files_are_kept() -> bool {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let off = variable("MESA_SHADER_CACHE_DISABLE").or_else(|| variable("MESA_GLSL_CACHE_DISABLE"));
    if off.is_some_and(|off| ["1", "true", "t", "yes", "y"].iter().any(|yes| off.eq_ignore_ascii_case(yes))) {
        return false;
    }
    let folder = |name| variable(name).map(PathBuf::from);
    let folder = folder("MESA_SHADER_CACHE_DIR")
        .or_else(|| folder("XDG_CACHE_HOME"))
        .or_else(|| Some(folder("HOME")?.join(".cache")));
    // Mesa makes the folder if it is not there yet.
    let folder = folder.map(|folder| folder.join("mesa_shader_cache"));
    let there = folder.as_deref().and_then(|folder| folder.ancestors().find(|folder| folder.is_dir()));
    there.is_some_and(|folder| tempfile::tempfile_in(folder).is_ok())
}

impl Ahead {
    /// For a device that was requested so; `None` if its files would not be kept, so that everything would be
    /// compiled twice.
    pub(super) fn new(adapter: wgpu::Adapter, request: wgpu::DeviceDescriptor<'static>) -> Option<Self> {
        files_are_kept().then_some(Self { adapter, request })
    }

    /// A device of its own; `None` if the driver gives none.
    pub(super) fn open(&self) -> Option<Helper> {
        let (device, queue) = pollster::block_on(self.adapter.request_device(&self.request)).ok()?;
        // Errors do not matter here: the painting device compiles the same shaders and reports its own.
        device.on_uncaptured_error(Arc::new(|_| ()));
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        let texels = [Precision::Single, Precision::Half].map(|precision| {
            let texture = device.create_texture(&wgpu::TextureDescriptor {
                label: None,
                size: wgpu::Extent3d { width: Texels::WIDTH, ..Default::default() },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: Texels::format(precision),
                usage: wgpu::TextureUsages::STORAGE_BINDING,
                view_formats: &[],
            });
            texture.create_view(&Default::default())
        });
        Some(Helper {
            uniform: buffer(wgpu::BufferUsages::UNIFORM),
            read: buffer(wgpu::BufferUsages::STORAGE),
            write: buffer(wgpu::BufferUsages::STORAGE),
            texels,
            found: 0,
            device,
            queue,
        })
    }
}

impl Helper {
    /// Has the driver compile a kernel. Returns the helper, unless the driver seems to have compiled all others
    /// before.
    pub(super) fn compile(mut self, kernel: &Kernel, interface: Arc<Interface>) -> Option<Self> {
        let Pipeline { interface, group_layout, pipeline } =
            Pipeline::compile(&self.device, kernel, interface, None);
        let start = Instant::now();
        let entries = interface.bindings.iter().map(|binding| wgpu::BindGroupEntry {
            binding: binding.slot,
            resource: match binding.access {
                Access::Uniform | Access::Constants => self.uniform.as_entire_binding(),
                Access::Read => self.read.as_entire_binding(),
                Access::Write => self.write.as_entire_binding(),
                Access::Texels(precision) => wgpu::BindingResource::TextureView(
                    &self.texels[usize::from(precision == Precision::Half)],
                ),
            },
        });
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &group_layout,
            entries: &entries.collect::<Vec<_>>(),
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(0, 0, 0);
        drop(pass);
        self.queue.submit([encoder.finish()]);
        // If this device is lost, nothing was compiled ahead, and nothing else depends on it.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.found = if start.elapsed() < FOUND_WITHIN { self.found + 1 } else { 0 };
        (self.found < FOUND_IN_A_ROW).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::Gpu;
    use crate::engine::kernel::kernel;

    /// A helper that finds three shaders in a row stops, which shows that it found them.
    #[test]
    fn what_one_device_compiles_another_finds() {
        let gpu = Gpu::new(None).unwrap();
        assert_eq!(
            gpu.host.ahead.is_some(),
            gpu.quirks().compiles_late,
            "does Mesa have a folder for its shaders?"
        );
        let Some(ahead) = &gpu.host.ahead else { return };
        let kernels = [kernel!("relu", "forward"), kernel!("reduce", "forward"), kernel!("log", "forward")];
        let all_are_found = || {
            let helper = ahead.open().expect("a second device");
            let compile = |helper: Helper, kernel| {
                helper.compile(kernel, gpu.interface(kernel).expect("a declaration"))
            };
            kernels.iter().try_fold(helper, compile).is_none()
        };
        // Mesa writes its files some time after it has compiled, and other tests keep the processor busy.
        let soon = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            all_are_found()
        });
        assert!(soon, "the shaders are compiled each time");
    }
}
