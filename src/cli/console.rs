//! What the program says: messages for people on stderr, data for programs on stdout.

use std::io::Write;

use anyhow::Context;

/// Writes a line to stderr. If nobody reads it, the program goes on.
pub fn message(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a line to stdout, see [`data`].
pub fn data_line(line: &str) -> anyhow::Result<()> {
    data(format!("{line}\n").as_bytes())
}

/// Writes data to stdout. A reader that closes the pipe, such as `head`, has seen enough; that is no failure.
pub fn data(data: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
