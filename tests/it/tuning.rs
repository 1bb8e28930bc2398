//! Which variants are chosen: measurements are kept and used, but a kept file is not trusted blindly.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::studio::Studio;
use impasto::LayerSpec;
use impasto::engine::gpu::Gpu;
use impasto::engine::precision::Precision;
use impasto::network::tuning::{Tuning, When};

fn specs() -> Vec<LayerSpec> {
    vec![LayerSpec::new("features.2", 64, 64)]
}

/// The only file in a cache that has measured variants; compiled shaders may be beside it.
fn file(folder: &Path) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn choices_are_kept_and_used() {
    let gpu = Gpu::new(None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("not/there/yet");
    let (measured, notes) =
        Tuning::measured(Precision::Single, &gpu, &specs(), Some(&cache), When::FirstUse).unwrap();
    assert!(notes.len() == 1 && notes[0].contains("measured"), "{notes:?}");
    for when in [When::FirstUse, When::Never] {
        let (again, notes) = Tuning::measured(Precision::Single, &gpu, &specs(), Some(&cache), when).unwrap();
        assert_eq!((again, notes), (measured.clone(), vec![]));
    }

    // Whichever variant won, the cache can name another one, and it is used for its class only.
    let path = file(&cache);
    let mut stored: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    stored["choices"]["conv3x3 64->64"] = "naive".into();
    stored["choices"]["gram 64"] = "naive".into();
    fs::write(&path, stored.to_string()).unwrap();
    let (edited, notes) =
        Tuning::measured(Precision::Single, &gpu, &specs(), Some(&cache), When::FirstUse).unwrap();
    assert_eq!(notes, [] as [String; 0]);
    assert_eq!(edited.conv3x3(&gpu, 64, 64).name(), "naive");
    assert_eq!(edited.gram(&gpu, 64).name(), "naive");
    let default = Tuning::default();
    assert_eq!(edited.conv3x3(&gpu, 64, 128), default.conv3x3(&gpu, 64, 128));
    assert_eq!(edited.gram(&gpu, 128), default.gram(&gpu, 128));

    // Even when measured again, the specification does not win. If time is too short for all forms, the
    // earlier choice stays.
    let (again, notes) =
        Tuning::measured(Precision::Single, &gpu, &specs(), Some(&cache), When::Again).unwrap();
    let names = [again.conv3x3(&gpu, 64, 64).name(), again.gram(&gpu, 64).name()];
    let kept = names.iter().filter(|name| **name == "naive").count();
    let left = notes[0].split("shapes, ").nth(1).map_or(0, |rest| rest[..1].parse().unwrap());
    assert_eq!(kept, left, "{notes:?}");
}

#[test]
fn a_useless_cache_is_ignored_with_a_note() {
    let gpu = Gpu::new(None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    Tuning::measured(Precision::Single, &gpu, &specs(), Some(cache), When::FirstUse).unwrap();
    let path = file(cache);
    let whole = fs::read_to_string(&path).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut stored = stored.clone();
        stored[key] = value;
        stored.to_string().into_bytes()
    };
    for (bytes, why) in [
        (Vec::new(), "damaged"),
        (whole.as_bytes()[..whole.len() / 2].to_vec(), "damaged"),
        (b"\xff\x00\xfe".to_vec(), "damaged"),
        (with("choices", 7.into()), "damaged"),
        (with("key", "0".repeat(64).into()), "another device"),
        (with("choices", serde_json::json!({ "conv3x3 64->64": "cubist" })), "cubist"),
        (with("choices", serde_json::json!({ "sculpture 1": "tiled" })), "sculpture"),
    ] {
        fs::write(&path, bytes).unwrap();
        let (tuning, notes) =
            Tuning::measured(Precision::Single, &gpu, &specs(), Some(cache), When::Never).unwrap();
        assert!(notes.len() == 1 && notes[0].contains(why), "{why}: {notes:?}");
        assert_eq!(tuning, Tuning::default());
    }
    // Measuring again repairs the file.
    let (_, notes) =
        Tuning::measured(Precision::Single, &gpu, &specs(), Some(cache), When::FirstUse).unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    let (_, notes) =
        Tuning::measured(Precision::Single, &gpu, &specs(), Some(cache), When::FirstUse).unwrap();
    assert_eq!(notes, [] as [String; 0]);

    // A folder that cannot be created is not a reason to fail.
    let (_, notes) =
        Tuning::measured(Precision::Single, &gpu, &specs(), Some(&path.join("below")), When::FirstUse)
            .unwrap();
    assert!(notes.iter().any(|note| note.contains("measures again")), "{notes:?}");
}

#[test]
fn the_command_line_keeps_choices_in_the_folder_it_is_given() {
    let studio = Studio::new();
    let run = |arguments: &str| {
        let line =
            format!("stylize photo.png painting.png -o out.png --iterations 1 --cache cache {arguments}");
        let output = studio.run(&line);
        let talk = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{talk}");
        (fs::read(studio.path("out.png")).unwrap(), talk)
    };
    let (first, talk) = run("--retune");
    assert!(talk.contains("note: measured"), "{talk}");
    let (second, talk) = run("");
    assert!(!talk.contains("note: measured") && !talk.contains("damaged"), "{talk}");
    assert!(first == second, "the same choices give the same bits");
    fs::write(file(&studio.path("cache")), "{").unwrap();
    assert!(run("").1.contains("damaged"));
    assert_eq!(run("-q").1, "");
    studio.refuses(
        2,
        "--variant",
        "stylize photo.png painting.png -o new.png --retune --variant conv3x3=tiled",
    );
}
