//! What stands in the place of the machine in a browser, where nobody may wait: no threads, no files, late answers.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::Error;
use crate::engine::kernel::{Interface, Kernel, Pipeline};

/// The answer of an error scope.
type Scope = Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>;

/// What the page around the device still has to tell.
#[derive(Default)]
pub(super) struct Host {
    /// Error scopes whose answers have not come.
    scopes: Mutex<Vec<Scope>>,
}

/// A shader as text, which the browser reads itself.
#[derive(Debug, Default)]
pub(crate) struct Source(String);

impl Source {
    pub(crate) fn new(_: naga::Module, text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn shader(&self) -> wgpu::ShaderSource<'_> {
        wgpu::ShaderSource::Wgsl(self.0.as_str().into())
    }
}

/// What a future says now; it is told to wake nobody, because it is asked again.
fn ask(scope: &mut Scope) -> Poll<Option<wgpu::Error>> {
    scope.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

impl Host {
    /// Compiles kernels one after the other, and calls `done` with each. The browser does it outside the page's thread.
    pub(super) fn compile(
        &self,
        device: &wgpu::Device,
        kernels: &[&Kernel],
        interfaces: &[Arc<Interface>],
        done: &dyn Fn(&Kernel, Pipeline),
    ) {
        for (kernel, interface) in kernels.iter().zip(interfaces) {
            done(kernel, Pipeline::compile(device, kernel, interface.clone(), None));
        }
    }

    /// There is no place to store what was compiled; browsers have caches of their own.
    pub(super) fn keep_pipelines(&self) {}

    /// Whether an error scope is known to have caught anything. If it has not answered yet, [`Self::late_fault`] tells
    /// what it does answer.
    pub(super) fn caught(&self, scope: wgpu::ErrorScopeGuard) -> bool {
        let mut scope: Scope = Box::pin(scope.pop());
        match ask(&mut scope) {
            Poll::Ready(error) => error.is_some(),
            Poll::Pending => {
                self.scopes.lock().expect("no panic holds this lock").push(scope);
                false
            }
        }
    }

    /// What error scopes caught that have answered since. They stand around allocations alone.
    pub(super) fn late_fault(&self) -> Option<Error> {
        let mut caught = false;
        self.scopes.lock().expect("no panic holds this lock").retain_mut(|scope| match ask(scope) {
            Poll::Ready(error) => {
                caught |= error.is_some();
                false
            }
            Poll::Pending => true,
        });
        caught.then(Error::full_device)
    }
}
