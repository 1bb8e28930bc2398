//! A result that cannot be saved where it should go is saved elsewhere, because hours of work may be in it.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

/// Returns the outcome of saving a result. If it failed, `write` is called with other places until one works,
/// and the error names that place: a file called `name` in a new folder that only this user can read.
///
/// # Errors
/// The reason why the result is not where it should be, even if it was saved elsewhere.
pub fn or_elsewhere(
    saved: anyhow::Result<()>,
    name: &Path,
    write: impl Fn(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Err(error) = saved else { return Ok(()) };
    let name = name.file_name().unwrap_or_default();
    for place in places() {
        // A folder that is not kept is removed again.
        let Ok(folder) = tempfile::Builder::new().prefix("impasto-").tempdir_in(place) else { continue };
        let path = folder.path().join(name);
        if write(&path).is_ok() {
            let _ = folder.keep();
            return Err(anyhow!("{error:#}; the picture is saved as {} instead", path.display()));
        }
    }
    Err(error)
}

/// Folders for such results, the best one first. They are usually not all on one disk.
fn places() -> impl Iterator<Item = PathBuf> {
    let elsewhere = [Some(std::env::temp_dir()), etcetera::home_dir().ok(), std::env::current_dir().ok()];
    elsewhere.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_refused_is_found_where_the_error_says() {
        let refused = || Err(anyhow!("no room"));
        let put = |path: &Path| Ok(fs::write(path, "picture")?);
        let text = or_elsewhere(refused(), Path::new("gone/out.png"), put).unwrap_err().to_string();
        let path = text.strip_prefix("no room; the picture is saved as ").unwrap();
        let path = Path::new(path.strip_suffix(" instead").unwrap());
        assert_eq!(
            (path.file_name().unwrap(), fs::read(path).unwrap()),
            ("out.png".as_ref(), b"picture".into())
        );
        fs::remove_dir_all(path.parent().unwrap()).unwrap();

        let nowhere = or_elsewhere(refused(), Path::new("out.png"), |_| refused()).unwrap_err();
        assert_eq!(nowhere.to_string(), "no room");
        or_elsewhere(Ok(()), Path::new("out.png"), |_| panic!("it was saved")).unwrap();
    }
}
