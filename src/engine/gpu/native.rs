//! What a program of the machine can do: compile on several threads, keep compiled kernels in files, wait for the device.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::Gpu;
use super::ahead::Ahead;
use super::pipeline_cache::PipelineCache;
use crate::engine::kernel::{Interface, Kernel, Pipeline};
use crate::{Error, Result};

/// What belongs to the machine around the device.
#[derive(Default)]
pub(super) struct Host {
    pub(super) cache: Option<PipelineCache>,
    pub(super) ahead: Option<Ahead>,
}

/// A shader as naga read it for its interface, so that it need not be parsed again.
#[derive(Debug, Default)]
pub(crate) struct Source(naga::Module);

impl Source {
    pub(crate) fn new(module: naga::Module, _: &str) -> Self {
        Self(module)
    }

    pub(crate) fn shader(&self) -> wgpu::ShaderSource<'_> {
        wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(self.0.clone()))
    }
}

impl Host {
    /// Compiles kernels side by side, and calls `done` with each. See [`Ahead`] for drivers that would not.
    pub(super) fn compile(
        &self,
        device: &wgpu::Device,
        kernels: &[&Kernel],
        interfaces: &[Arc<Interface>],
        done: &(dyn Fn(&Kernel, Pipeline) + Sync),
    ) {
        if kernels.is_empty() {
            return;
        }
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(kernels.len());
        let next = AtomicUsize::new(0);
        let cache = self.cache.as_ref().map(PipelineCache::cache);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut helper = self.ahead.as_ref().and_then(Ahead::open);
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        let Some(kernel) = kernels.get(i) else { break };
                        helper = helper.and_then(|helper| helper.compile(kernel, interfaces[i].clone()));
                        done(kernel, Pipeline::compile(device, kernel, interfaces[i].clone(), cache));
                    }
                });
            }
        });
    }

    /// Stores what was compiled.
    pub(super) fn keep_pipelines(&self) {
        self.cache.iter().for_each(PipelineCache::keep);
    }

    /// Whether an error scope caught anything. The answer is there at once.
    pub(super) fn caught(&self, scope: wgpu::ErrorScopeGuard) -> bool {
        pollster::block_on(scope.pop()).is_some()
    }

    /// All faults are known at once.
    pub(super) fn late_fault(&self) -> Option<Error> {
        None
    }
}

impl Gpu {
    /// Runs `work`, a future of this library, to its end. The thread waits for the device whenever `work` does.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
                return result;
            }
            let awaited = self.awaited.lock().expect("no panic holds this lock").take();
            let waited = match awaited {
                Some(submission_index) => self
                    .poll(wgpu::PollType::Wait { submission_index: Some(submission_index), timeout: None }),
                None => self.wait(),
            };
            if let Err(error) = waited {
                // `work` finds it when it asks for what it waits for.
                self.fail(error);
            }
        }
    }

    /// As [`Self::download_async`], but waits.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn download(&self, buffer: &wgpu::Buffer, len: usize) -> Result<Vec<f32>> {
        self.block_on(self.download_async(buffer, len))
    }

    /// Waits for all submitted work.
    pub(crate) fn wait(&self) -> Result<()> {
        self.poll(wgpu::PollType::wait_indefinitely())
    }
}
