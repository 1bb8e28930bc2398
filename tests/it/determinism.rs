//! The same bits across runs and processes, with and without the progress display, in submissions of any
//! length, and after interrupts. (`resume.rs` interrupts and kills processes and continues from their
//! checkpoints.)

use std::fs;

use crate::support::studio::Studio;

const RUN: &str = "stylize photo.png painting.png --iterations 9 --size 32";

/// The picture and the losses of a run.
fn outputs(studio: &Studio, name: &str, options: &str) -> (Vec<u8>, Vec<u8>) {
    let run = format!("{RUN} -o {name}.png --losses {name}.jsonl {options}");
    let output = studio.run(&run);
    assert!(output.status.success(), "{run}: {}", String::from_utf8_lossy(&output.stderr));
    let read = |ending: &str| fs::read(studio.path(&format!("{name}.{ending}"))).unwrap();
    (read("png"), read("jsonl"))
}

#[test]
fn what_is_displayed_changes_nothing() {
    let studio = Studio::new();
    let quiet = outputs(&studio, "quiet", "-q");
    // The same settings in another process, too.
    for (name, options) in [("again", "-q"), ("lines", ""), ("verbose", "-v"), ("json", "--json")] {
        let other = outputs(&studio, name, options);
        assert!(quiet == other, "{name} differs from a quiet run");
    }
}

/// With a progress bar, which is shown only on a terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_progress_bar_changes_nothing() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    let studio = Studio::new();
    let quiet = outputs(&studio, "quiet", "-q");
    let line = format!(
        "{} {RUN} --preset book -o bar.png --losses bar.jsonl",
        assert_cmd::cargo::cargo_bin!("impasto").display()
    );
    let script = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(studio.folder.path())
        .stdin(Stdio::null())
        .output();
    let Ok(output) = script else {
        println!("util-linux's `script`, which makes a terminal, is not here");
        return;
    };
    assert_eq!((output.status.code(), output.status.signal()), (Some(0), None));
    assert!(String::from_utf8_lossy(&output.stdout).contains("9/9"), "there was no bar");
    let read = |name: &str| fs::read(studio.path(name)).unwrap();
    assert!(quiet == (read("bar.png"), read("bar.jsonl")), "a run with a progress bar differs");
}

/// Copies on the way cut submissions short, so these runs submit 1, 2, 4 and any number of iterations at a
/// time.
#[test]
fn the_length_of_submits_changes_nothing() {
    let studio = Studio::new();
    let free = outputs(&studio, "free", "-q");
    for every in [1, 2, 4] {
        let other = outputs(&studio, &format!("every{every}"), &format!("-q --save-every {every}"));
        assert!(free.1 == other.1, "losses differ with --save-every {every}");
        // The provenance in the picture leaves out options that change nothing, so the files are equal, too.
        assert!(free.0 == other.0, "the picture differs with --save-every {every}");
    }
}
