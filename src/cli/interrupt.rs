//! Interrupts: the first asks the run to stop and save, the second ends the program.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;

use impasto::picture;

use super::{INTERRUPTED, talk};

/// How often the user asked to stop.
static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);
/// Whether there is anything to save yet.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// From now on the first interrupt asks the run to stop, where there is one to stop, and the second ends it.
pub fn listen(quiet: bool) -> anyhow::Result<()> {
    // Who started us with `nohup` wants us to outlive the terminal.
    #[cfg(unix)]
    let ignored = unsafe { ignore_hangup() }?;
    ctrlc::set_handler(move || match INTERRUPTS.fetch_add(1, Ordering::SeqCst) {
        0 if !RUNNING.load(Ordering::SeqCst) => {
            talk("interrupted before the first iteration; nothing is saved");
            end();
        }
        0 if quiet => {}
        0 => talk(
            "stopping after the running iterations and saving; interrupt again to end at once without that",
        ),
        _ => end(),
    })
    .context("cannot listen for Ctrl-C")?;
    #[cfg(unix)]
    if ignored {
        unsafe { ignore_hangup() }?;
    }
    Ok(())
}

/// Ends the program from beside whatever it is doing.
fn end() -> ! {
    picture::abandon_files();
    // Not `exit`, which takes down the driver's libraries while other threads are inside them.
    #[cfg(unix)]
    unsafe {
        nix::libc::_exit(INTERRUPTED.into())
    }
    #[cfg(not(unix))]
    std::process::exit(INTERRUPTED.into())
}

/// Ignores the end of the terminal, and tells whether that was so before.
///
/// # Safety
/// Ignoring a signal installs no handler, so nothing runs that would have to be safe inside one.
#[cfg(unix)]
unsafe fn ignore_hangup() -> anyhow::Result<bool> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    let before =
        unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }.context("cannot listen for the terminal")?;
    Ok(matches!(before, SigHandler::SigIgn))
}

/// From now on there is something to save, so that an interrupt waits for whoever asks [`requested`].
pub fn running() {
    RUNNING.store(true, Ordering::SeqCst);
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    INTERRUPTS.load(Ordering::SeqCst) > 0
}
