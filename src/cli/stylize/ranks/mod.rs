//! Several processes that `mpirun` has started paint one picture. The first one reads, writes and talks; the others
//! have its options and files, and compute.

#[cfg(feature = "mpi")]
mod world;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use impasto::Error;
use impasto::painting::ranks::Ranks;

use super::inputs::Target;
use super::options::{Options, Reporting};
use super::stdio::is_stream;
use crate::cli::{INTERRUPTED, console};

/// What the first rank has to say comes before what the others have.
const GRACE: Duration = Duration::from_secs(2);

/// The processes of a run.
pub struct Party {
    pub ranks: Rc<dyn Ranks>,
    /// Ends all of them at once.
    abort: Box<dyn Fn(u8)>,
}

/// The processes that were started together, if there are several.
pub fn join() -> anyhow::Result<Option<Party>> {
    #[cfg(feature = "mpi")]
    return world::join();
    #[cfg(not(feature = "mpi"))]
    Ok(None)
}

impl Party {
    /// Whether this process only computes.
    fn follows(&self) -> bool {
        self.ranks.rank() > 0
    }

    /// Refuses what processes cannot share, and gives all of them the first one's files.
    pub fn prepare(&self, options: &mut Options) -> anyhow::Result<()> {
        let refuse = |why: &str| Err(Error::Setting(why.into()).into());
        if matches!(options.target()?, Target::Folder(_)) {
            return refuse(
                "several processes share the tiles of one picture; name its file with -o, or start many pictures with --shard",
            );
        }
        if options.watching.is_asked_for() {
            return refuse("--live steers one process, and here are several; leave it out, or start one");
        }
        if options.files_mut().into_iter().any(|file| is_stream(file)) {
            return refuse("standard input reaches one process only; name a file");
        }
        options.ranks = Some(self.ranks.clone());
        let folder =
            self.follows().then(|| tempfile::Builder::new().prefix("impasto-").tempdir()).transpose();
        let folder = folder.context("cannot keep the files of the first rank")?;
        for (number, file) in options.files_mut().into_iter().enumerate() {
            if let Some(bytes) = self.contents(file)?
                && let Some(folder) = &folder
            {
                let copy = folder.path().join(number.to_string());
                std::fs::write(&copy, bytes).context("cannot keep the files of the first rank")?;
                *file = copy;
            }
        }
        options.given = RefCell::new(folder);
        if self.follows() {
            options.reporting = Reporting::silent();
            options.keep.only_go_on();
        }
        Ok(())
    }

    /// What the first rank reads under this name, if it is a file there.
    fn contents(&self, file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
        let bytes = if self.follows() { None } else { std::fs::read(file).ok() };
        let length = bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
        let mut said = [length as u32, (length >> 32) as u32].map(f32::from_bits);
        self.ranks.share(&mut said)?;
        let length = u64::from(said[0].to_bits()) | u64::from(said[1].to_bits()) << 32;
        if length == u64::MAX {
            return Ok(None);
        }
        let length = usize::try_from(length).context("a file is larger than the memory")?;
        let mut words = vec![0f32; length.div_ceil(4)];
        let own = bytemuck::cast_slice_mut::<f32, u8>(&mut words);
        bytes.iter().for_each(|bytes| own[..length].copy_from_slice(bytes));
        self.ranks.share(&mut words)?;
        let mut bytes = bytemuck::cast_slice::<f32, u8>(&words).to_vec();
        bytes.truncate(length);
        Ok(Some(bytes))
    }

    /// Ends all processes where this one failed or was stopped. The others may be waiting for it.
    pub fn end(self, outcome: anyhow::Result<u8>) -> anyhow::Result<u8> {
        let code = match &outcome {
            Ok(INTERRUPTED) if !self.follows() => INTERRUPTED,
            Ok(_) => return outcome,
            Err(error) => {
                if self.follows() {
                    thread::sleep(GRACE);
                    console::message(&format!("error on rank {}: {error:#}", self.ranks.rank()));
                } else {
                    console::message(&format!("error: {error:#}"));
                }
                if matches!(error.downcast_ref(), Some(Error::Setting(_))) { 2 } else { 1 }
            }
        };
        (self.abort)(code);
        outcome
    }
}

impl Options {
    /// The names of all files that a run of one picture reads.
    fn files_mut(&mut self) -> Vec<&mut PathBuf> {
        let styles = self.styles.iter_mut().chain(&mut self.many.named_styles);
        let more = self.machine.weights.iter_mut().chain(&mut self.keep.resume);
        [&mut self.content].into_iter().chain(styles).chain(more).chain(self.look.files_mut()).collect()
    }
}
