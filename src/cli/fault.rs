//! Unforeseen faults end in one sentence, too.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use anyhow::anyhow;

/// Runs a command and turns a panic into an error that says what to do about it.
pub fn guarded(command: impl FnOnce() -> anyhow::Result<u8>) -> anyhow::Result<u8> {
    // A user who asks for a backtrace gets it, unless the library expects the panic and explains it.
    let wanted = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if wanted && !inside_wgpu(info) {
            usual(info);
        }
    }));
    // A write beyond the limit on the size of files must fail, not end the program.
    // SAFETY: ignoring a signal installs no handler, so no code runs that would have to be signal-safe.
    #[cfg(unix)]
    unsafe {
        use nix::sys::signal::{SigHandler, Signal, signal};
        let _ = signal(Signal::SIGXFSZ, SigHandler::SigIgn);
    }
    // The state that the command leaves behind is not used again.
    panic::catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|panic| {
        Err(anyhow!(
            "internal error ({}); please report it with the command and what `impasto devices` prints",
            text(&*panic)
        ))
    })
}

fn inside_wgpu(info: &PanicHookInfo) -> bool {
    info.location().is_some_and(|location| location.file().contains("wgpu"))
}

/// The message of a panic, in one line.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
