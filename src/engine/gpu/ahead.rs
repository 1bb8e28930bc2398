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

/// Code that is in the files is found within 3 ms; the smallest shader takes 20 to compile.
const FOUND: Duration = Duration::from_millis(8);
/// After so many shaders in a row that were in the files, all are.
const ENOUGH: usize = 3;

/// As many bytes as any binding of a kernel needs at least.
const BYTES: u64 = 1 << 16;

/// Opens devices that compile.
pub(super) struct Ahead {
    adapter: wgpu::Adapter,
    features: wgpu::Features,
}

/// A device that compiles, and something to bind.
pub(super) struct Bench {
    device: wgpu::Device,
    queue: wgpu::Queue,
    uniform: wgpu::Buffer,
    read: wgpu::Buffer,
    write: wgpu::Buffer,
    texels: [wgpu::TextureView; 2],
    /// How many of the last shaders in a row were in the files.
    found: usize,
}

/// Whether Mesa can keep files: where its documentation says that it does, unless a variable forbids it.
fn files_are_kept() -> bool {
    let is_off = |value: String| ["1", "true", "yes", "y", "on"].contains(&value.to_lowercase().as_str());
    if std::env::var("MESA_SHADER_CACHE_DISABLE").is_ok_and(is_off) {
        return false;
    }
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder =
        folder("MESA_SHADER_CACHE_DIR").or_else(|| folder("XDG_CACHE_HOME")).or_else(|| folder("HOME"));
    // Mesa makes the folder if it is not there yet.
    let there = folder.as_deref().and_then(|folder| folder.ancestors().find(|folder| folder.is_dir()));
    there.is_some_and(|folder| tempfile::tempfile_in(folder).is_ok())
}

impl Ahead {
    /// For a device of this adapter that has these features; `None` if its files would not be kept, so that
    /// everything would be compiled twice.
    pub(super) fn new(adapter: wgpu::Adapter, features: wgpu::Features) -> Option<Self> {
        files_are_kept().then_some(Self { adapter, features })
    }

    /// A device of its own; `None` if the driver gives none.
    pub(super) fn open(&self) -> Option<Bench> {
        let request = wgpu::DeviceDescriptor {
            label: Some("compiling ahead"),
            required_features: self.features,
            required_limits: self.adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(self.adapter.request_device(&request)).ok()?;
        // Whatever is refused here, the device that paints is asked again.
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
        Some(Bench {
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

impl Bench {
    /// Has the driver compile a kernel. Returns the device, unless it need not compile any more.
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
        // A device that is lost has compiled nothing, and is not needed.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.found = if start.elapsed() < FOUND { self.found + 1 } else { 0 };
        (self.found < ENOUGH).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::gpu::Gpu;
    use crate::engine::kernel::kernel;

    /// And a device that finds three shaders in a row has done its work.
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
        let compiled = || {
            let bench = ahead.open().expect("a second device");
            kernels
                .iter()
                .try_fold(bench, |bench, kernel| bench.compile(kernel, gpu.interface(kernel).unwrap()))
        };
        compiled();
        assert!(compiled().is_none(), "the shaders were compiled again");
    }
}
