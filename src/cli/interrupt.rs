//! Interrupts: the first asks the run to stop and save, the second ends the program.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{INTERRUPTED, console};

/// When the user asked to stop.
static ASKED: OnceLock<Instant> = OnceLock::new();
/// Signals that come sooner than anybody asks again: `timeout` sends one to the process and one to its group.
const ECHO: Duration = Duration::from_millis(300);
/// Whether there is anything to save yet.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// From now on the first interrupt asks the run to stop, where there is one to stop, and the second ends it.
pub fn listen(quiet: bool) -> anyhow::Result<()> {
    // Who started us with `nohup` wants us to outlive the terminal.
    #[cfg(unix)]
    let ignored = ignore_hangup()?;
    ctrlc::set_handler(move || match ASKED.set(Instant::now()) {
        Ok(()) if !RUNNING.load(Ordering::SeqCst) => {
            console::message("interrupted before the first iteration; nothing is saved");
            end();
        }
        Ok(()) if quiet => {}
        Ok(()) => console::message(
            "stopping after the current iterations and saving; interrupt again to quit at once without saving",
        ),
        Err(_) if ASKED.get().is_some_and(|asked| asked.elapsed() < ECHO) => {}
        Err(_) => end(),
    })
    .context("cannot listen for Ctrl-C")?;
    #[cfg(unix)]
    if ignored {
        ignore_hangup()?;
    }
    Ok(())
}

/// From now on interrupts are ignored: another process tells this one when to stop.
pub fn ignore() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {}).context("cannot listen for Ctrl-C")
}

/// Ends the program at once, whatever its other threads are doing.
fn end() -> ! {
    impasto::abandon_files();
    // Not `exit`, which takes down the driver's libraries while other threads are inside them.
    // SAFETY: `_exit` has no preconditions. It ends the process at once, and no more of its code runs.
    #[cfg(unix)]
    unsafe {
        nix::libc::_exit(INTERRUPTED.into())
    }
    #[cfg(not(unix))]
    std::process::exit(INTERRUPTED.into())
}

/// Ignores the end of the terminal, and tells whether that was so before.
#[cfg(unix)]
fn ignore_hangup() -> anyhow::Result<bool> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal installs no handler, so nothing runs that would have to be safe inside one.
    let before =
        unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }.context("cannot listen for the terminal")?;
    Ok(matches!(before, SigHandler::SigIgn))
}

/// From now on there is something to save, so an interrupt only sets the flag that [`requested`] reads.
pub fn running() {
    RUNNING.store(true, Ordering::SeqCst);
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    ASKED.get().is_some()
}
