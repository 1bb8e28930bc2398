//! The adapter in use and what is done with it directly: buffers, kernels, read-backs, faults.
//!
//! What a program of the machine can do and a page in a browser cannot is in `native.rs`: wait, use threads, keep compiled
//! kernels in files. `browser.rs` has what stands in its place.

#[cfg(feature = "native")]
mod adapters;
#[cfg(feature = "native")]
mod ahead;
#[cfg(not(feature = "native"))]
mod browser;
mod identity;
#[cfg(feature = "native")]
mod native;
#[cfg(feature = "native")]
mod pipeline_cache;
mod quirks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

#[cfg(not(feature = "native"))]
use browser as host;
use host::Host;
#[cfg(feature = "native")]
use native as host;

use crate::engine::kernel::{Interface, Kernel, Pipeline};
use crate::engine::memory::{Readback, Texels};
use crate::engine::precision::Precision;
use crate::{Error, Result};
#[cfg(feature = "native")]
pub use adapters::Adapter;
pub(crate) use host::Source;

/// An opened graphics adapter and the kernels compiled on it so far.
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    binding_limit: u64,
    poses_as_gpu: bool,
    matrix_tile: Option<usize>,
    fault: Arc<Mutex<Option<Error>>>,
    mutation: Option<Mutation>,
    interfaces: Mutex<HashMap<Kernel, Arc<Interface>>>,
    pipelines: Mutex<HashMap<Kernel, Arc<Pipeline>>>,
    /// The submission that somebody awaits, for [`Gpu::block_on`].
    awaited: Mutex<Option<wgpu::SubmissionIndex>>,
    host: Host,
}

/// A deliberate mistake in one shader, see [`Gpu::with_mutation`].
struct Mutation {
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

impl Gpu {
    /// Uses a device that an application already has. Its error callbacks are replaced.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let fault = Arc::new(Mutex::new(None));
        // The first fault is the cause; what follows it is noise.
        let keep = |fault: &Mutex<Option<Error>>, error: Error| {
            fault.lock().expect("no panic holds this lock").get_or_insert(error);
        };
        let (lost, other) = (fault.clone(), fault.clone());
        device.set_device_lost_callback(move |reason, text| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                keep(&lost, Error::lost_device(&text));
            }
        });
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            keep(
                &other,
                match error {
                    wgpu::Error::OutOfMemory { .. } => Error::full_device(),
                    error => Error::Device(format!("the graphics driver refused a command: {error}")),
                },
            );
        }));
        let mut info = device.adapter_info();
        // Browsers tell no names, and messages need one.
        if info.name.is_empty() {
            info.name = "the browser's device".into();
        }
        Self {
            device,
            queue,
            info,
            binding_limit: u64::MAX,
            poses_as_gpu: false,
            matrix_tile: None,
            mutation: None,
            fault,
            interfaces: Mutex::default(),
            pipelines: Mutex::default(),
            awaited: Mutex::default(),
            host: Host::default(),
        }
    }

    /// Name, type and driver of the adapter in use.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// Adapter, backend and driver in a line: what records, checkpoints and caches tell devices apart by.
    pub fn description(&self) -> String {
        let info = &self.info;
        format!("{} ({}, {} {})", info.name, info.backend, info.driver, info.driver_info)
    }

    /// Whether shaders run on the processor's own cores.
    pub fn is_software(&self) -> bool {
        // A browser compiles shaders for a GPU and checks every access, wherever they run in the end.
        let in_browser = self.info.backend == wgpu::Backend::BrowserWebGpu;
        self.info.device_type == wgpu::DeviceType::Cpu && !self.poses_as_gpu && !in_browser
    }

    #[doc(hidden)]
    /// Pretends that this is no software driver, so that tests can meet what GPUs are given where there is none.
    pub fn with_gpu_forms(self) -> Self {
        Self { poses_as_gpu: true, ..self }
    }

    /// Whether shaders can compute with 64 bits.
    pub(crate) fn has_float64(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F64)
    }

    /// Submissions of work whose time is not known yet, see [`crate::engine::plan::Plan::run`].
    pub(crate) fn unknown_pieces(&self) -> usize {
        if self.quirks().patient { 1 } else { usize::MAX }
    }

    /// Whether shaders can be timed.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// All device memory that is allocated now, in bytes; `None` where the backend does not tell.
    pub fn allocated(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// Whether feature maps can be stored in 16 bits.
    pub fn has_half(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// The side of the square matrices of float16 that the device multiplies, and adds up in float32: 8 or
    /// 16. `None` without matrix units, and on a device that an application opened, because only its adapter
    /// knows.
    pub fn matrix_tile(&self) -> Option<usize> {
        self.matrix_tile
    }

    #[doc(hidden)]
    /// Pretends that it is another side, so that tests can meet the one that the driver has, but does not
    /// list. Without matrix units, kernels for them can be recorded then, but not compiled.
    pub fn with_matrix_tile(self, side: usize) -> Self {
        Self { matrix_tile: Some(side), ..self }
    }

    #[doc(hidden)]
    /// Makes a mistake: in the shader `file`, `from` is replaced by `to` wherever it stands. For tests of the tests.
    pub fn with_mutation(self, file: &'static str, from: &'static str, to: &'static str) -> Self {
        Self { mutation: Some(Mutation { file, from, to }), ..self }
    }

    /// Whether subgroup operations are there and every subgroup has `size` lanes.
    pub(crate) fn has_subgroups_of(&self, size: u32) -> bool {
        self.device.features().contains(wgpu::Features::SUBGROUP)
            && (self.info.subgroup_min_size, self.info.subgroup_max_size) == (size, size)
    }

    /// What the device allows.
    pub(crate) fn limits(&self) -> wgpu::Limits {
        self.device.limits()
    }

    /// Bytes that one binding may see.
    pub(crate) fn max_binding(&self) -> u64 {
        self.limits().max_storage_buffer_binding_size.min(self.binding_limit)
    }

    #[doc(hidden)]
    /// Pretends that one binding may see at most `bytes`, so that tests can meet drivers with small limits.
    pub fn with_binding_limit(self, bytes: u64) -> Self {
        Self { binding_limit: bytes, ..self }
    }

    /// The declaration of a kernel, read from its WGSL once.
    pub(crate) fn interface(&self, kernel: &Kernel) -> Result<Arc<Interface>> {
        if let Some(interface) = self.interfaces.lock().expect("no panic holds this lock").get(kernel) {
            return Ok(interface.clone());
        }
        let mut text = kernel.wgsl()?;
        if let Some(Mutation { file, from, to }) = self.mutation.as_ref().filter(|m| m.file == kernel.file) {
            assert!(text.contains(from), "{file} has no {from:?} to mutate");
            text = text.replace(from, to);
        }
        let interface = Arc::new(Interface::read(kernel, &text)?);
        self.interfaces.lock().expect("no panic holds this lock").insert(kernel.clone(), interface.clone());
        Ok(interface)
    }

    /// Compiles the kernels that are not compiled yet.
    pub(crate) fn compile(&self, kernels: &[Kernel]) -> Result<Vec<Arc<Pipeline>>> {
        let mut missing: Vec<&Kernel> = Vec::new();
        {
            let known = self.pipelines.lock().expect("no panic holds this lock");
            for kernel in kernels {
                if !known.contains_key(kernel) && !missing.contains(&kernel) {
                    missing.push(kernel);
                }
            }
        }
        let interfaces = missing.iter().map(|s| self.interface(s)).collect::<Result<Vec<_>>>()?;
        self.host.compile(&self.device, &missing, &interfaces, &|kernel, pipeline| {
            let mut known = self.pipelines.lock().expect("no panic holds this lock");
            known.insert(kernel.clone(), Arc::new(pipeline));
        });
        let mut known = self.pipelines.lock().expect("no panic holds this lock");
        if let Err(error) = self.check() {
            // Whichever failed must not be found here by the next plan.
            known.clear();
            return Err(error);
        }
        if !missing.is_empty() {
            self.host.keep_pipelines();
        }
        Ok(kernels.iter().map(|s| known[s].clone()).collect())
    }

    /// How many kernels were compiled on this device so far. Later users of the device find them ready.
    pub fn pipelines(&self) -> usize {
        self.pipelines.lock().expect("no panic holds this lock").len()
    }

    /// A storage buffer of `bytes`, all zero; parts of it may also be bound as uniform blocks.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the device has no room for it.
    pub(crate) fn buffer(&self, label: &str, bytes: u64) -> Result<wgpu::Buffer> {
        let limit = self.limits().max_buffer_size;
        let refused = || {
            Error::TooLarge(format!(
                "no room for {label} ({} MiB) on {}; try a smaller --size",
                bytes.div_ceil(1 << 20),
                self.info.name
            ))
        };
        if bytes > limit {
            return Err(refused());
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes.next_multiple_of(16).max(16),
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if self.host.caught(scope) { Err(refused()) } else { Ok(buffer) }
    }

    /// A storage buffer with `values`.
    pub fn upload(&self, label: &str, values: &[f32]) -> Result<wgpu::Buffer> {
        self.upload_bytes(label, bytemuck::cast_slice(values))
    }

    /// A storage buffer with `bytes`, a multiple of four.
    pub(crate) fn upload_bytes(&self, label: &str, bytes: &[u8]) -> Result<wgpu::Buffer> {
        let buffer = self.buffer(label, bytes.len() as u64)?;
        self.queue.write_buffer(&buffer, 0, bytes);
        Ok(buffer)
    }

    /// Whether a texture can hold `len` values.
    pub(crate) fn has_texels_of(&self, len: u64) -> bool {
        len.div_ceil(Texels::ROW) <= u64::from(self.limits().max_texture_dimension_2d)
    }

    /// Texels with room for `len` values.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if a texture cannot be as high, or if the device has no room for it.
    pub(crate) fn texels(&self, label: &str, len: u64, precision: Precision) -> Result<Texels> {
        let height = len.div_ceil(Texels::ROW).max(1);
        let fits = self.has_texels_of(len);
        let refused =
            || Error::TooLarge(format!("no room for {label} on {}; try a smaller --size", self.info.name));
        if !fits {
            return Err(refused());
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width: Texels::WIDTH, height: height as u32, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: Texels::format(precision),
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        // A view of an invalid texture would raise a fault, which would be blamed on the next step.
        if self.host.caught(scope) {
            return Err(refused());
        }
        Ok(Texels { view: texture.create_view(&Default::default()), texture, precision })
    }

    /// Texels with `values`, four to a texel.
    pub(crate) fn upload_texels(&self, label: &str, values: &[f32], precision: Precision) -> Result<Texels> {
        let texels = self.texels(label, values.len() as u64, precision)?;
        let mut rows = precision.encode(values);
        rows.resize(texels.bytes() as usize, 0);
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some((Texels::ROW * precision.bytes()) as u32),
            rows_per_image: None,
        };
        let to = texels.texture.as_image_copy();
        self.queue.write_texture(to, &rows, layout, texels.texture.size());
        Ok(texels)
    }

    /// The first `len` values of `buffer`, after all work submitted so far.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub async fn download_async(&self, buffer: &wgpu::Buffer, len: usize) -> Result<Vec<f32>> {
        let staging = Readback::new(self, (len * 4) as u64);
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging.buffer, 0, (len * 4) as u64);
        let submission = self.queue.submit([encoder.finish()]);
        staging.request();
        staging.arrives(self, &submission).await?;
        staging.take(self).map(|bytes| bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Says what the future that is being polled waits for.
    pub(crate) fn awaits(&self, submission: &wgpu::SubmissionIndex) {
        *self.awaited.lock().expect("no panic holds this lock") = Some(submission.clone());
    }

    /// Learns what is done by now, without waiting.
    pub(crate) fn look(&self) -> Result<()> {
        self.poll(wgpu::PollType::Poll)
    }

    fn poll(&self, until: wgpu::PollType) -> Result<()> {
        self.check()?;
        // wgpu panics where a device is lost while somebody waits for it; nothing of it is touched afterwards.
        let poll = std::panic::AssertUnwindSafe(|| self.device.poll(until));
        let polled = std::panic::catch_unwind(poll);
        self.check()?;
        match polled {
            Ok(polled) => polled
                .map(drop)
                .map_err(|e| Error::Device(format!("waiting for the graphics device failed: {e}"))),
            Err(_) => Err(Error::lost_device("while it was waited for")),
        }
    }

    /// The first fault the driver reported since the last call, if any.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(late) = self.host.late_fault() {
            self.fail(late);
        }
        match self.fault.lock().expect("no panic holds this lock").take() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Keeps a fault until it is asked for; the first one is the cause of those that follow.
    fn fail(&self, error: Error) {
        self.fault.lock().expect("no panic holds this lock").get_or_insert(error);
    }
}
