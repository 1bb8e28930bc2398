//! Writing files whole or not at all.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::unfinished::{Part, folder, sweep};
use crate::error::{Error, Result};

/// How many symbolic links are followed before they are taken for a circle; the number is Linux's.
const MAX_LINKS: usize = 40;

/// Writes `bytes` to a file beside `path` and renames it: a reader sees the old file or the new one, never a
/// part.
///
/// If `path` is a symbolic link, the link stays, and the file it points at is replaced. A replaced file keeps
/// its permissions; a new one gets the usual ones.
///
/// # Errors
/// [`Error::Write`]; whatever was at `path` is untouched then, and nothing is left beside it.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_file_with(path, |file| file.write_all(bytes))
}

/// As [`replace_file`], with what `write` writes.
pub(crate) fn replace_file_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let fail = |why| Error::write(path, why);
    let target = target(path).map_err(fail)?;
    let part = beside(&target).map_err(fail)?;
    let mut file = part.file();
    let written = write(&mut file).and_then(|()| match fs::metadata(&target) {
        Ok(old) => file.set_permissions(old.permissions()),
        Err(_) => Ok(()),
    });
    // Without this, a power cut after the rename could leave an empty file under the final name.
    written.and_then(|()| file.sync_all()).map_err(|e| fail(explain(&e)))?;
    part.persist(&target).map_err(|e| fail(explain(&e)))
}

/// Finds out whether [`replace_file`] could work, by creating and removing a file beside the target. Files
/// that killed processes left there are removed.
///
/// # Errors
/// [`Error::Write`] says what stands in the way.
pub fn check_replaceable(path: &Path) -> Result<()> {
    let check = || {
        let target = target(path)?;
        beside(&target)?;
        sweep(&target);
        Ok(())
    };
    check().map_err(|why: String| Error::write(path, why))
}

/// Whether two paths lead to the same file, whether or not it exists.
pub fn same_file(a: &Path, b: &Path) -> bool {
    let resolve = |path: &Path| {
        let meant = || Some(fs::canonicalize(folder(path)).ok()?.join(path.file_name()?));
        fs::canonicalize(path).ok().or_else(meant)
    };
    matches!((resolve(a), resolve(b)), (Some(a), Some(b)) if a == b)
}

/// The file to replace, if it can be replaced: `path` itself or the file it links to.
fn target(path: &Path) -> Result<PathBuf, String> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err("its name ends like a folder's; give a file name".into());
    }
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&target) {
            Ok(m) if m.is_symlink() => {
                let link = fs::read_link(&target).map_err(|e| explain(&e))?;
                target = folder(&target).join(link);
            }
            Ok(m) if m.is_dir() => return Err("it is a folder; give a file name inside it".into()),
            Ok(m) if !m.is_file() => return Err("it is not a regular file; choose another name".into()),
            Ok(m) if m.permissions().readonly() => {
                return Err("it exists and is read-only; choose another name or make it writable".into());
            }
            Ok(_) => return Ok(target),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(target),
            Err(e) => return Err(explain(&e)),
        }
    }
    Err("its symbolic links form a loop; choose another name".into())
}

/// An empty file in the folder of `target`, from which it can be renamed to `target`; removed when dropped.
fn beside(target: &Path) -> Result<Part, String> {
    let folder = folder(target);
    if !folder.is_dir() {
        return Err(format!("there is no folder {}; create it first", folder.display()));
    }
    let part = Part::beside(target).map_err(|e| explain(&e))?;
    if part.is_stuck(target) {
        return Err(
            "it belongs to another user, and its folder keeps others from replacing it; choose another \
                    name or folder"
                .into(),
        );
    }
    Ok(part)
}

fn explain(e: &io::Error) -> String {
    match e.kind() {
        ErrorKind::PermissionDenied => {
            "its folder does not allow new files; choose another folder".to_owned()
        }
        ErrorKind::ReadOnlyFilesystem => "its disk is read-only; choose another folder".to_owned(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "its disk is full; free some space or choose another folder".to_owned()
        }
        ErrorKind::FileTooLarge => {
            "it is larger than the system allows files to be (see `ulimit -f`); raise that \
                                    limit, choose another folder or a smaller --size"
                .to_owned()
        }
        _ => format!("the system says: {e}; choose another name or folder"),
    }
}
