//! The time from the start of a process to its first iteration, with nothing cached and with caches.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use impasto::engine::precision::Precision;
use serde::{Deserialize, Serialize};

/// Milliseconds from the start of a process until the losses of its first iteration are there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Startup {
    /// With empty caches of this program and of the driver. Drivers that keep their caches elsewhere may find
    /// something there.
    pub cold_ms: f64,
    /// The same once more, with the caches that the first process left.
    pub warm_ms: f64,
}

/// The variables that name the folder of drivers' caches: for all drivers, Mesa's, NVIDIA's.
const CACHES: [&str; 4] =
    ["IMPASTO_CACHE", "XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"];

/// The line that a process prints when its first iteration in this precision is done.
pub fn told(precision: Precision) -> String {
    format!("first in {precision} precision")
}

/// Runs this program twice more with the same arguments, with a folder for caches that is empty at first.
pub fn measure((width, height): (usize, usize), precision: Precision) -> anyhow::Result<Startup> {
    let caches = tempfile::tempdir().context("cannot make a folder for caches")?;
    let once = || -> anyhow::Result<f64> {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program again")?);
        command.args(std::env::args_os().skip(1)).arg("--first").arg(caches.path());
        CACHES.iter().for_each(|name| {
            command.env(name, caches.path());
        });
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start this program again")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).context("cannot read from the program started")?;
        }
        let elapsed = start.elapsed();
        if !child.wait()?.success() || line.trim() != told(precision) {
            bail!("a first iteration at {width} x {height} failed in a process of its own");
        }
        Ok(elapsed.as_secs_f64() * 1e3)
    };
    Ok(Startup { cold_ms: once()?, warm_ms: once()? })
}
