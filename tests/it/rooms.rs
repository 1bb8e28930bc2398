//! The rooms of the house: the files and folders of `src/`, of which none imports from a higher one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, the lowest first. ARCHITECTURE.md shows them.
const ROOMS: [&str; 13] = [
    "error",
    "disk",
    "picture",
    "engine",
    "architecture",
    "cases",
    "ops",
    "network",
    "painting",
    "measuring",
    "lib",
    "cli",
    "main",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// All Rust files in a folder or, if it is a file, that one.
fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_dir() {
        return entries(place).iter().flat_map(|entry| files(entry)).collect();
    }
    place.extension().filter(|ending| *ending == "rs").map(|_| place.to_owned()).into_iter().collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The rooms that a text names behind `crate::` or `impasto::`, outside of comments.
fn imports(text: &str) -> BTreeSet<&'static str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let mut found = BTreeSet::new();
    for root in ["crate::", "impasto::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            // A group of names, or one.
            let names = match rest.strip_prefix('{') {
                Some(group) => &group[..group.find('}').unwrap_or(group.len())],
                None => rest,
            };
            let first = if rest.starts_with('{') { usize::MAX } else { 1 };
            let words = names.split(',').take(first).map(str::trim);
            let heads =
                words.filter_map(|word| word.split(|c: char| !c.is_alphanumeric() && c != '_').next());
            found.extend(heads.filter_map(|head| ROOMS.into_iter().find(|room| *room == head)));
        }
    }
    found
}

#[test]
fn every_entry_of_the_source_is_a_room() {
    let rooms: BTreeSet<_> = entries(&source()).iter().map(|entry| stem(entry)).collect();
    assert_eq!(rooms, ROOMS.map(String::from).into());
    assert!(rooms.len() <= 16);
}

#[test]
fn no_room_imports_from_a_higher_one() {
    let height = |room: &str| ROOMS.iter().position(|r| *r == room).unwrap();
    let mut broken = Vec::new();
    for entry in entries(&source()) {
        let room = stem(&entry);
        for file in files(&entry) {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                if height(import) > height(&room) {
                    broken.push(format!("{} in {room} imports from {import}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The picture in ARCHITECTURE.md has the same rooms on the same floors, the highest first, and the text
/// tells of each.
#[test]
fn the_picture_of_the_rooms_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(page).unwrap();
    let picture = text.split("```").nth(1).expect("a picture");
    let floor = |line: &'_ str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse::<usize>().ok()?, words.next()?.to_owned()))
    };
    let floors: Vec<_> = picture.lines().filter_map(floor).collect();
    let expected = ROOMS.iter().enumerate().map(|(index, room)| (index + 1, (*room).to_owned()));
    assert_eq!(floors, expected.rev().collect::<Vec<_>>());
    let untold: Vec<_> = ROOMS.iter().filter(|room| !text.contains(&format!("**{room}**"))).collect();
    assert!(untold.is_empty(), "ARCHITECTURE.md says nothing of {untold:?}");
}

#[test]
fn imports_are_found_in_every_spelling() {
    let text = "use crate::painting::settings;\nuse crate::{Error, ops};\n// use crate::cli::x;\nlet x = impasto::engine::f();";
    assert_eq!(imports(text), ["engine", "ops", "painting"].into());
}

/// A module with parts is a folder with a `mod.rs`, never a file beside a folder of the same name.
#[test]
fn modules_have_one_style() {
    for file in files(&source()) {
        assert!(!file.with_extension("").is_dir(), "{} stands beside a folder of its name", file.display());
    }
}

/// A file that no module declares is not compiled, and nobody notices when it grows old.
#[test]
fn every_file_is_a_module_of_its_folder() {
    let roots = ["lib.rs", "main.rs"].map(|name| source().join(name));
    let mut forgotten = Vec::new();
    for file in files(&source()).into_iter().filter(|file| !roots.contains(file)) {
        let folder = file.parent().unwrap();
        // A `mod.rs` is declared one folder up, by the name of its folder.
        let (name, above) = match file.ends_with("mod.rs") {
            true => (stem(folder), folder.parent().unwrap()),
            false => (stem(&file), folder),
        };
        let mut parents = if above == source() { roots.to_vec() } else { vec![above.join("mod.rs")] };
        parents.retain(|parent| parent.exists());
        let declared = |parent: &PathBuf| {
            fs::read_to_string(parent).unwrap().lines().any(|line| line.ends_with(&format!("mod {name};")))
        };
        if !parents.iter().any(declared) {
            forgotten.push(file);
        }
    }
    assert!(forgotten.is_empty(), "no module declares {forgotten:?}");
}

/// Where the library may wait: in the calls that say so, and where time is measured or ops are proven. All of
/// it is left out where `native` is, except for what shares work among several devices, which a browser has
/// not, and among the processor's cores, of which it has one.
const WAITING: [&str; 11] = [
    "gpu/ahead.rs",
    "gpu/native.rs",
    "gpu/adapters.rs",
    "gpu/pipeline_cache.rs",
    "blocking.rs",
    "cases/oracle.rs",
    "cases/run.rs",
    "plan/timing.rs",
    "tiling/device.rs",
    "tiling/rows.rs",
    "tuning/measure.rs",
];

#[test]
fn nothing_else_in_the_library_waits() {
    let waits =
        ["block_on(", "pollster::", "PollType::Wait", "wait_indefinitely", ".wait()", ".join()", "sleep("];
    let mut found = BTreeSet::new();
    for room in ["disk", "picture", "engine", "cases", "ops", "network", "painting"] {
        for file in files(&source().join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            // Tests may wait.
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            if !file.ends_with("tests.rs")
                && code.into_iter().any(|line| waits.iter().any(|w| line.contains(w)))
            {
                found.insert(file);
            }
        }
    }
    assert!(!found.is_empty());
    let other: Vec<_> = found.iter().filter(|file| !WAITING.iter().any(|end| file.ends_with(end))).collect();
    assert!(other.is_empty(), "these wait: {other:?}");
}
