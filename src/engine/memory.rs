//! Device memory besides plain buffers: textures as linear memory, and buffers that the processor reads.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::engine::gpu::Gpu;
use crate::engine::precision::Precision;
use crate::{Error, Result};

/// A texture used as linear memory of `vec4f`: texel `i` is at `(i % 256, i / 256)`. Software drivers read
/// textures four times faster than buffers, because they check and gather reads of buffers lane by lane.
#[derive(Clone)]
pub(crate) struct Texels {
    pub(crate) texture: wgpu::Texture,
    pub(crate) view: wgpu::TextureView,
    pub(crate) precision: Precision,
}

impl Texels {
    /// Texels in a row.
    pub(crate) const WIDTH: u32 = 256;
    /// Values in a row.
    pub(crate) const ROW: u64 = Self::WIDTH as u64 * 4;

    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.texture.height()) * Self::ROW * self.precision.bytes()
    }

    /// The format that shaders call `rgba32float` or `rgba16float`.
    pub(crate) fn format(precision: Precision) -> wgpu::TextureFormat {
        match precision {
            Precision::Single => wgpu::TextureFormat::Rgba32Float,
            Precision::Half => wgpu::TextureFormat::Rgba16Float,
        }
    }
}

/// A buffer that the processor reads after the device has written it.
pub(crate) struct Readback {
    pub(crate) buffer: wgpu::Buffer,
    mapped: Arc<Mutex<Mapped>>,
}

/// Whether the requested content has arrived.
#[derive(Default)]
struct Mapped {
    result: Option<Result<(), wgpu::BufferAsyncError>>,
    /// Whoever waits for it.
    waker: Option<Waker>,
}

impl Readback {
    pub(crate) fn new(gpu: &Gpu, bytes: u64) -> Self {
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes.max(4),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { buffer, mapped: Arc::default() }
    }

    /// Requests the content: [`Self::take`] returns it when the copy that was submitted before has run, see
    /// [`Self::arrives`].
    pub(crate) fn request(&self) {
        let mapped = self.mapped.clone();
        self.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            let mut mapped = mapped.lock().expect("no panic holds this lock");
            mapped.result = Some(result);
            mapped.waker.take().into_iter().for_each(Waker::wake);
        });
    }

    /// Whether the copy has run, without waiting for it.
    pub(crate) fn is_there(&self, gpu: &Gpu) -> Result<bool> {
        gpu.look()?;
        Ok(self.mapped.lock().expect("no panic holds this lock").result.is_some())
    }

    /// Waits until the copy that `submission` contains has run. A caller that stops waiting may wait again.
    pub(crate) async fn arrives(&self, gpu: &Gpu, submission: &wgpu::SubmissionIndex) -> Result<()> {
        let mut asked = false;
        let poll = |context: &mut Context| {
            // There is a wait even for what has come already, because a driver tells those who wait what has
            // failed.
            if !std::mem::replace(&mut asked, true) {
                gpu.awaits(submission);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Err(error) = gpu.look() {
                return Poll::Ready(Err(error));
            }
            let mut mapped = self.mapped.lock().expect("no panic holds this lock");
            if mapped.result.is_some() {
                return Poll::Ready(Ok(()));
            }
            mapped.waker = Some(context.waker().clone());
            gpu.awaits(submission);
            Poll::Pending
        };
        std::future::poll_fn(poll).await
    }

    /// Returns the content, which has arrived. The buffer can be written again afterwards.
    pub(crate) fn take(&self, gpu: &Gpu) -> Result<Vec<u8>> {
        let unread = || {
            let why = "a result could not be read back from the graphics device; try again, or try a smaller --size";
            Error::Device(why.into())
        };
        let mapped = self.mapped.lock().expect("no panic holds this lock").result.take();
        gpu.check()?;
        mapped.and_then(Result::ok).ok_or_else(unread)?;
        let bytes = self.buffer.get_mapped_range(..).map_err(|_| unread())?.to_vec();
        self.buffer.unmap();
        Ok(bytes)
    }
}
