//! The files that a name stands for: a folder's pictures, what a pattern finds, or one file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use globset::{GlobBuilder, GlobMatcher};
use impasto::Error;
use impasto::same_file;
use walkdir::{DirEntry, WalkDir};

/// The endings of files in a folder that are taken for pictures.
const ENDINGS: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "tif", "tiff", "webp", "bmp", "gif"];

/// What one name stands for.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of their names.
    pub files: Vec<PathBuf>,
    /// A text about the entries of a folder that were not taken; `None` if there are none.
    pub left_out: Option<String>,
}

/// The pictures that one name stands for: a folder's, the matches of a pattern, or a single file.
/// The folder must not be one that pictures are written to, which are `results` and that of the contact
/// sheets.
pub fn expand(name: &Path, results: &Path, sheets: Option<&Path>) -> anyhow::Result<Found> {
    let mut found = match pattern(name) {
        _ if name.is_dir() => {
            let written = [(Some(results), "results"), (sheets, "contact sheets")];
            if let Some((_, what)) = written.iter().find(|(to, _)| to.is_some_and(|to| same_file(name, to))) {
                return Err(Error::Setting(format!(
                    "the {what} cannot go into {} itself, where the next run would take them for photographs; name another \
                     folder",
                    name.display()
                ))
                .into());
            }
            in_folder(name, results)?
        }
        Some((base, pattern)) => Found { files: matching(&base, &pattern, name)?, left_out: None },
        None => return Ok(Found { files: vec![name.to_owned()], left_out: None }),
    };
    found.files.sort();
    Ok(found)
}

/// The pictures of a folder.
fn in_folder(folder: &Path, results: &Path) -> anyhow::Result<Found> {
    let (mut files, mut left) = (Vec::new(), BTreeMap::new());
    let unreadable = || format!("cannot list the folder {}: change its permissions", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if is_hidden(&path) || same_file(&path, results) {
            continue;
        }
        let ending = path.extension().map(OsStr::to_ascii_lowercase);
        let known = ending.as_deref().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        let why = match path.metadata() {
            Ok(about) if about.is_file() && known => {
                files.push(path);
                continue;
            }
            Ok(about) if about.is_file() => match ending {
                Some(ending) => {
                    [format!(".{} file", ending.display()), format!(".{} files", ending.display())]
                }
                None => ["file without an ending", "files without an ending"].map(String::from),
            },
            Ok(about) if about.is_dir() => ["folder", "folders"].map(String::from),
            Ok(_) => ["pipe or device", "pipes or devices"].map(String::from),
            Err(_) if path.is_symlink() => {
                ["link that leads nowhere", "links that lead nowhere"].map(String::from)
            }
            Err(_) => ["unreadable file", "unreadable files"].map(String::from),
        };
        *left.entry(why).or_insert(0) += 1;
    }
    if files.is_empty() {
        return Err(Error::Setting(format!(
            "there are no pictures in {}: only files that end in .{} are looked for, and not in subfolders; a pattern \
             such as \"photos/**/*.jpg\" finds those",
            folder.display(),
            ENDINGS.join(", .")
        ))
        .into());
    }
    Ok(Found { files, left_out: told(&left) })
}

/// A text about the entries that were left out. The keys are their kinds in singular and plural.
fn told(left: &BTreeMap<[String; 2], usize>) -> Option<String> {
    let part = |([one, several], count): (&[String; 2], &usize)| {
        format!("{count} {}", if *count == 1 { one } else { several })
    };
    let parts: Vec<String> = left.iter().map(part).collect();
    match left.values().sum::<usize>() {
        0 => None,
        1 => Some(format!("{} in it is left out", parts[0])),
        sum => Some(format!("{sum} entries in it are left out: {}", parts.join(", "))),
    }
}

/// A folder, and the pattern of names in it, if a name is a pattern and not the name of an existing file.
pub fn pattern(name: &Path) -> Option<(PathBuf, String)> {
    let special = |part: &Component| match part {
        Component::Normal(name) => name.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte)),
        _ => false,
    };
    let parts: Vec<Component> = name.components().collect();
    let first = parts.iter().position(special)?;
    if name.exists() {
        return None;
    }
    let base: PathBuf = parts[..first].iter().collect();
    // The folder may have any name, but a pattern has to be text.
    let rest: PathBuf = parts[first..].iter().collect();
    Some((base, rest.to_str()?.to_owned()))
}

/// The files in `base` whose names match.
fn matching(base: &Path, pattern: &str, name: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let refused = |e: globset::Error| {
        let why = format!("{} is not a pattern of names: {}; check its brackets", name.display(), e.kind());
        Error::Setting(why)
    };
    let matcher =
        GlobBuilder::new(pattern).literal_separator(true).build().map_err(refused)?.compile_matcher();
    let folder = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    // Hidden names match only a pattern that begins with a dot there.
    let hidden = Path::new(pattern).iter().any(|part| part.as_encoded_bytes().starts_with(b"."));
    let depth = if pattern.contains("**") { usize::MAX } else { Path::new(pattern).components().count() };
    let walk = WalkDir::new(folder).min_depth(1).max_depth(depth).follow_links(true).into_iter();
    let mut files = Vec::new();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || hidden || !is_hidden(entry.path())) {
        match entry {
            Ok(entry) => files.extend(taken(&entry, folder, &matcher).map(|inside| base.join(inside))),
            // Links that lead back up or nowhere have no pictures that are not found elsewhere.
            Err(e) if e.loop_ancestor().is_some() || e.path().is_some_and(Path::is_symlink) => {}
            Err(e) if e.depth() == 0 => {}
            Err(e) => {
                let path = e.path().unwrap_or(folder).display().to_string();
                return Err(e).context(format!("cannot list the folder {path}: change its permissions"));
            }
        }
    }
    if files.is_empty() {
        let why = "no file matches that pattern; check it, and quote it";
        return Err(Error::Setting(format!("{}: {why}", name.display())).into());
    }
    Ok(files)
}

/// The entry's name inside `folder`, if it is a file of that pattern.
fn taken<'a>(entry: &'a DirEntry, folder: &Path, matcher: &GlobMatcher) -> Option<&'a Path> {
    let inside = entry.path().strip_prefix(folder).ok()?;
    (entry.file_type().is_file() && matcher.is_match(inside)).then_some(inside)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a name finds in a folder, without that folder's own name.
    fn names(folder: &Path, name: &str) -> Vec<PathBuf> {
        let found = expand(&folder.join(name), Path::new("elsewhere"), None).unwrap();
        found.files.iter().map(|file| file.strip_prefix(folder).unwrap().to_owned()).collect()
    }

    fn touch(folder: &Path, files: &[&str]) {
        for file in files {
            fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            fs::write(folder.join(file), "").unwrap();
        }
    }

    #[test]
    fn patterns_find_names_in_folders_and_below() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a.jpg", "b.png", ".c.jpg", "x/d.jpg", "x/y/e.jpg", ".z/f.jpg", "x/[g].jpg"]);
        let expected = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(names(dir.path(), "*.jpg"), expected(&["a.jpg"]));
        assert_eq!(names(dir.path(), "*"), expected(&["a.jpg", "b.png"]));
        assert_eq!(names(dir.path(), "?.p[mn]g"), expected(&["b.png"]));
        assert_eq!(names(dir.path(), "*/*.jpg"), expected(&["x/[g].jpg", "x/d.jpg"]));
        assert_eq!(names(dir.path(), "**/*.jpg"), expected(&["a.jpg", "x/[g].jpg", "x/d.jpg", "x/y/e.jpg"]));
        assert_eq!(names(dir.path(), "x/**/e.*"), expected(&["x/y/e.jpg"]));
        assert_eq!(names(dir.path(), ".*.jpg"), expected(&[".c.jpg"]));
        assert_eq!(names(dir.path(), ".z/*"), expected(&[".z/f.jpg"]));
        assert_eq!(names(dir.path(), "*.{jpg,png}"), expected(&["a.jpg", "b.png"]));
        // The name of an existing file is not a pattern.
        assert_eq!(names(dir.path(), "x/[g].jpg"), expected(&["x/[g].jpg"]));
        for (name, why) in [
            ("*.gif", "no file matches that pattern"),
            ("[", "not a pattern"),
            ("none/*", "no file matches that pattern"),
        ] {
            let text = format!("{:#}", expand(&dir.path().join(name), Path::new("o"), None).unwrap_err());
            assert!(text.contains(why) && text.contains("; "), "{text}");
        }
    }

    #[test]
    fn a_folder_gives_its_pictures_and_tells_what_else_is_there() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["b.JPG", "a.jfif", "c.jpe", "d.gif", "e.bmp", ".hidden.jpg", "out/r.png"]);
        let find = || expand(dir.path(), &dir.path().join("out"), None).unwrap();
        assert_eq!((find().files.len(), find().left_out), (5, None));
        touch(dir.path(), &["f.heic"]);
        assert_eq!(find().left_out.unwrap(), "1 .heic file in it is left out");
        touch(dir.path(), &["g.HEIC", "notes", "below/h.jpg"]);
        let text = find().left_out.unwrap();
        assert_eq!(text, "4 entries in it are left out: 2 .heic files, 1 file without an ending, 1 folder");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_names_that_are_no_text() {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(OsStr::from_bytes(b"caf\xe9"));
        touch(&odd, &["a.jpg"]);
        fs::write(odd.join(OsStr::from_bytes(b"b\xff.jpg")), "").unwrap();
        // Back up, and nowhere.
        symlink(dir.path(), odd.join("up")).unwrap();
        symlink("none", odd.join("c.jpg")).unwrap();
        for pattern in ["**/*.jpg", "*/*.jpg"] {
            let found = expand(&dir.path().join(pattern), Path::new("o"), None).unwrap();
            assert_eq!(
                found.files,
                [odd.join("a.jpg"), odd.join(OsStr::from_bytes(b"b\xff.jpg"))],
                "{pattern}"
            );
        }
        assert_eq!(expand(&odd.join("*.jpg"), Path::new("o"), None).unwrap().files.len(), 2);
        let left = expand(&odd, Path::new("o"), None).unwrap().left_out.unwrap();
        assert_eq!(left, "2 entries in it are left out: 1 folder, 1 link that leads nowhere");
    }
}
