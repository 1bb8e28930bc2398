//! Unfinished files: named so that they are not taken for results, known so that a program that ends can
//! remove them, and locked so that what a killed program left can be told from what another one is writing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::disk::sha256;

/// Characters of the target's digest in the name of an unfinished file. The whole name might become too long.
const DIGITS: usize = 12;

/// Every unfinished file of this process. Who creates, renames or removes one holds the lock.
static PARTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn parts() -> MutexGuard<'static, Vec<PathBuf>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all unfinished files, for a program that is about to end without waiting for those who write them.
///
/// From then on this process can save nothing more: who tries waits for its end.
pub fn abandon_files() {
    let parts = parts();
    for part in &*parts {
        // The program is ending, so a failure cannot be reported.
        let _ = fs::remove_file(part);
    }
    std::mem::forget(parts);
}

/// A file that will be renamed when it is whole, and is removed if it is dropped before.
pub(crate) struct Part(Option<NamedTempFile>);

impl Part {
    /// An empty one in the folder of `target`.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let prefix = prefix(target);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".part");
        // Temporary files are private by default; this one becomes a normal file, so the umask decides.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        loop {
            let mut parts = parts();
            let file = builder.tempfile_in(folder(target))?;
            parts.push(file.path().to_owned());
            drop(parts);
            let part = Self(Some(file));
            if part.lock()? {
                return Ok(part);
            }
        }
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        self.0.as_ref().expect("it is there until it is renamed").as_file()
    }

    /// Puts it in the place of `target`, all at once.
    pub fn persist(mut self, target: &Path) -> io::Result<()> {
        let mut parts = parts();
        let Some(file) = self.0.take() else { return Ok(()) };
        parts.retain(|part| part != file.path());
        file.persist(target).map(drop).map_err(|e| e.error)
    }

    /// Marks it as in use; false if it was taken for left behind before that and is gone. Not every file
    /// system has locks, and only where there are some is anything taken for left behind.
    #[cfg(unix)]
    fn lock(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        Ok(self.file().lock().is_err() || self.file().metadata()?.nlink() > 0)
    }

    #[cfg(not(unix))]
    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Whether a file at `target` may not be replaced because of whose it is.
    #[cfg(unix)]
    pub fn is_stuck(&self, target: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let about = (fs::metadata(folder(target)), fs::symlink_metadata(target), self.file().metadata());
        let (Ok(folder), Ok(old), Ok(own)) = about else { return false };
        sticks(folder.mode(), folder.uid(), old.uid(), own.uid())
    }

    #[cfg(not(unix))]
    pub fn is_stuck(&self, _: &Path) -> bool {
        false
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let mut parts = parts();
            parts.retain(|part| part != file.path());
            drop(file);
        }
    }
}

/// Whether a folder with the sticky bit keeps `user` from replacing a file of `owner`: that may only who owns
/// one of both.
#[cfg(unix)]
pub(crate) fn sticks(mode: u32, folder_owner: u32, owner: u32, user: u32) -> bool {
    mode & 0o1000 != 0 && user != 0 && user != owner && user != folder_owner
}

/// Removes unfinished files of `target` whose writer is gone.
#[cfg(unix)]
pub(crate) fn sweep(target: &Path) {
    let prefix = prefix(target);
    let Ok(entries) = fs::read_dir(folder(target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let ours = name.starts_with(prefix.as_bytes()) && name.ends_with(b".part");
        if ours
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = File::open(entry.path())
            // Held until it is gone: who has just created it waits for that, and then sees that it is gone.
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Without locks that vanish with their process, this cannot be known.
#[cfg(not(unix))]
pub(crate) fn sweep(_: &Path) {}

/// How the names of all unfinished files of `target` begin.
fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    format!(".impasto-{}-", &sha256::bytes(name.as_encoded_bytes())[..DIGITS])
}

/// The folder a path is in; never empty, which would name nothing.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
