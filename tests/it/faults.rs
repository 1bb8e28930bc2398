//! What fails while a run goes on: the device, its memory, the disk, the process, the clock. The picture that
//! was saved last is whole, nothing unfinished stays, and the message says what to do.
//!
//! Faults come from a library that the tests compile and put between the program and the system, so that they
//! come at one certain call and need no rights.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::figures::network;
use crate::support::inject::{complaint, inject, run};
use crate::support::studio::Studio;

const RUN: &str = "stylize photo.png painting.png --size 20 --style-size 20 -q -o out.png --iterations";
/// More than anybody waits for.
const FOREVER: &str = "100000";

/// A studio in which a run has already left its picture.
fn painted() -> (Studio, Vec<u8>) {
    let studio = Studio::new();
    assert!(studio.run(&format!("{RUN} 1")).status.success());
    let picture = fs::read(studio.path("out.png")).unwrap();
    (studio, picture)
}

/// Nothing is there but the inputs and `outputs`.
#[track_caller]
fn only(studio: &Studio, outputs: &[&str]) {
    let mut names: Vec<_> =
        ["painting.png", "photo.png"].iter().chain(outputs).map(ToString::to_string).collect();
    names.sort();
    assert_eq!(studio.files(), names);
}

#[test]
fn a_lost_device_is_told_and_costs_nothing_saved() {
    let (studio, before) = painted();
    for call in [1, 3, 12] {
        for kind in ["submit", "wait"] {
            let fault = format!("{kind}:{call}:lost");
            let text = complaint(&run(&studio, &fault, &format!("{RUN} {FOREVER}")), &fault);
            assert!(text.contains("the graphics device was lost"), "{fault}: {text}");
            assert!(fs::read(studio.path("out.png")).unwrap() == before, "{fault}");
            only(&studio, &["out.png"]);
        }
    }
    complaint(&run(&studio, "pipeline:1:lost", &format!("{RUN} {FOREVER}")), "pipeline");
    assert!(fs::read(studio.path("out.png")).unwrap() == before);
}

#[test]
fn after_a_lost_device_the_checkpoint_goes_on() {
    let (studio, _) = painted();
    let arguments = format!("{RUN} {FOREVER} --save-every 2 --checkpoint c --losses l");
    let text = complaint(&run(&studio, "submit:60:lost", &arguments), "submit");
    assert!(text.ends_with("; then continue from the checkpoint with --resume c"), "{text}");
    only(&studio, &["c", "l", "out.png"]);
    image::open(studio.path("out.png")).unwrap();
    let log = fs::read_to_string(studio.path("l")).unwrap().lines().count();
    let done = impasto::painting::checkpoint::Checkpoint::open(&studio.path("c")).unwrap().iteration();
    assert!((2..=log + 2).contains(&done), "{done} of {log}");
    assert!(studio.run(&format!("{RUN} {} --resume c", done + 1)).status.success());
    let resumed = fs::read(studio.path("out.png")).unwrap();
    assert!(studio.run(&format!("{RUN} {}", done + 1)).status.success());
    assert!(fs::read(studio.path("out.png")).unwrap() == resumed);
}

#[test]
fn a_device_without_memory_is_told_wherever_it_is_short() {
    let (studio, before) = painted();
    let mut failures = 0;
    loop {
        let fault = format!("allocate:{}:full", failures + 1);
        let output = run(&studio, &fault, &format!("{RUN} 1"));
        if output.status.success() {
            break;
        }
        let text = complaint(&output, &fault);
        assert!(["memory", "no room"].iter().any(|word| text.contains(word)), "{fault}: {text}");
        assert!(fs::read(studio.path("out.png")).unwrap() == before, "{fault}");
        failures += 1;
    }
    // SwiftShader, whose memory is all of one kind, is asked no more than twice; lavapipe more often.
    assert!((2..100).contains(&failures), "{failures}");
    only(&studio, &["out.png"]);
    let text = complaint(&run(&studio, "pipeline:3:full", &format!("{RUN} 1")), "pipeline");
    assert!(text.contains("memory"), "{text}");
}

/// All outcomes of `arguments` while one allocation after the other is refused, once: what was said, and the
/// result `out`, which is taken away.
fn short_once(studio: &Studio, arguments: &str, out: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let mut outcomes = Vec::new();
    loop {
        let fault = format!("allocate:{}:once", outcomes.len() + 1);
        let output = run(studio, &fault, arguments);
        let result = fs::read(studio.path(out)).ok();
        if output.status.success() {
            return outcomes;
        }
        let text = complaint(&output, &fault);
        if result.is_some() {
            fs::remove_file(studio.path(out)).unwrap();
        }
        outcomes.push((text, result));
    }
}

#[test]
fn memory_that_is_short_for_one_picture_costs_no_other() {
    let (studio, _) = painted();
    let grid = "grid photo.png painting.png --size 20 --iterations 1 --vary strength=0,1 -q -o sheet.png";
    let batch = "stylize photo.png out.png --style painting.png --size 20 --iterations 1 -q -o all";
    let sheets = short_once(&studio, grid, "sheet.png");
    let pictures = short_once(&studio, batch, "all/out.png");
    for outcomes in [&sheets, &pictures] {
        // SwiftShader asks for memory once or twice, while it is opened.
        assert!(outcomes.iter().any(|(_, result)| result.is_some()) || (1..=2).contains(&outcomes.len()));
    }
    // Either the device could not be opened at all, or the other cell is there, or the second picture.
    for (text, sheet) in &sheets {
        assert_eq!(sheet.is_some(), text.contains(": no room for "), "{text}");
    }
    // If there is no room from the first cell on, each cell says so, and there is no sheet. (On SwiftShader
    // there may be no such moment, see above.)
    if let Some(first) = sheets.iter().position(|(_, sheet)| sheet.is_some()) {
        fs::remove_file(studio.path("sheet.png")).unwrap();
        let output = run(&studio, &format!("allocate:{}:full", first + 1), grid);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let told = |cell: &str| text.contains(&format!("error: strength {cell}: no room for "));
        assert!(told("0") && told("1"), "{text}");
        only(&studio, &["all", "out.png"]);
    }
    for (text, second) in pictures {
        assert_eq!(second.is_some(), text.contains("photo.png: no room for "), "{text}");
    }
}

/// A save writes, takes over the permissions and waits for the disk; then it renames.
const STEPS_OF_A_SAVE: usize = 3;

#[test]
fn a_full_disk_costs_only_what_does_not_fit() {
    let (studio, before) = painted();
    for step in 1..=STEPS_OF_A_SAVE {
        let fault = format!("file:{step}:full");
        let text = complaint(&run(&studio, &fault, &format!("{RUN} 2")), &fault);
        assert!(text.contains("cannot write out.png: its disk is full; free some space"), "{text}");
        assert!(fs::read(studio.path("out.png")).unwrap() == before, "{fault}");
        only(&studio, &["out.png"]);
    }
    // One that is full when the second copy is due: the first one stays, and the run goes on.
    let fault = format!("file:{}:full", STEPS_OF_A_SAVE + 2);
    let output = run(&studio, &fault, &format!("{RUN} 5 --save-every 2"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.matches("warning: cannot write out.png: its disk is full").count(), 1, "{text}");
    complaint(&output, &fault);
    let kept = fs::read(studio.path("out.png")).unwrap();
    assert!(studio.run(&format!("{RUN} 2")).status.success());
    assert!(fs::read(studio.path("out.png")).unwrap() == kept);
    only(&studio, &["out.png"]);
}

/// The file that an error tells of instead of the one that was asked for.
#[track_caller]
fn instead(text: &str) -> Vec<u8> {
    let path = text.split_once("the picture is saved as ").unwrap().1.split_once(" instead").unwrap().0;
    fs::read(path).unwrap()
}

#[test]
fn a_result_that_cannot_go_where_it_should_goes_elsewhere() {
    let (studio, before) = painted();
    fs::create_dir(studio.path("elsewhere")).unwrap();
    let elsewhere = studio.path("elsewhere");
    let output = |fault: &str, arguments: &str| {
        let mut command = studio.command(arguments);
        inject(&mut command, fault);
        command.env("TMPDIR", &elsewhere).output().unwrap()
    };
    // The disk of the result is full, that of the system's folder is not.
    for step in 1..=STEPS_OF_A_SAVE {
        let fault = format!("file:{step}:once");
        let text = complaint(&output(&fault, &format!("{RUN} 2")), &fault);
        let start = format!(
            "cannot write out.png: its disk is full; free some space or choose another folder; the picture \
                             is saved as {}",
            elsewhere.display()
        );
        assert!(text.contains(&start), "{text}");
        assert!(fs::read(studio.path("out.png")).unwrap() == before, "{fault}");
        let saved = instead(&text);
        assert!(studio.run(&format!("{RUN} 2").replace("out.png", "other.png")).status.success());
        assert!(saved == fs::read(studio.path("other.png")).unwrap());
    }
    // A sheet is a result, too.
    let grid = "grid photo.png painting.png --size 20 --iterations 1 --vary strength=0,1 -q -o out.png";
    let text = complaint(&output("file:1:once", grid), "grid");
    image::load_from_memory(&instead(&text)).unwrap();
    assert!(fs::read(studio.path("out.png")).unwrap() == before);
}

#[test]
fn a_folder_that_goes_away_takes_no_picture_along() {
    let studio = Studio::new();
    for folder in ["way", "elsewhere"] {
        fs::create_dir(studio.path(folder)).unwrap();
    }
    let arguments = format!("{RUN} {FOREVER} --save-every 1").replace("out.png", "way/out.png");
    let mut command = studio.command(&arguments);
    command.env("TMPDIR", studio.path("elsewhere")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let began = Instant::now();
    while !studio.path("way/out.png").exists() {
        assert!(began.elapsed() < Duration::from_secs(300), "nothing was saved");
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::rename(studio.path("way"), studio.path("gone")).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("error: cannot write way/out.png: there is no folder way; create it first; "),
        "{text}"
    );
    image::load_from_memory(&instead(last)).unwrap();
}

#[test]
fn the_limit_on_the_size_of_files_is_an_error_like_others() {
    let (studio, before) = painted();
    let text = complaint(&run(&studio, "file:1:large", &format!("{RUN} 2")), "large");
    assert!(text.contains("cannot write out.png") && text.contains("ulimit -f"), "{text}");
    assert!(fs::read(studio.path("out.png")).unwrap() == before);
    only(&studio, &["out.png"]);
}

/// Rights are looked at before the run, not when hours of work shall be saved.
#[test]
fn what_may_not_be_written_is_refused_before_the_run() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let (studio, _) = painted();
    let mode = |name: &str, mode| fs::set_permissions(studio.path(name), fs::Permissions::from_mode(mode));
    fs::create_dir(studio.path("shut")).unwrap();
    fs::create_dir(studio.path("shared")).unwrap();
    fs::copy(studio.path("out.png"), studio.path("shared/out.png")).unwrap();
    mode("shut", 0o555).unwrap();
    mode("shared", 0o1777).unwrap();
    mode("shared/out.png", 0o666).unwrap();
    mode(".", 0o755).unwrap();
    // For root there are no limits, so that it becomes somebody else; and only root can make files of two
    // users.
    let root = fs::metadata(studio.path("shut")).unwrap().uid() == 0;
    let program = studio.path("program");
    fs::copy(assert_cmd::cargo::cargo_bin!("impasto"), &program).unwrap();
    let mut cases = vec![("shut/new.png", "does not allow new files; choose another folder")];
    if root {
        cases.push((
            "shared/out.png",
            "it belongs to another user, and its folder keeps others from replacing it; ",
        ));
    }
    for (output, why) in cases {
        let mut command = Command::new(&program);
        if root {
            command.uid(65534).gid(65534);
        }
        let arguments = ["stylize", "photo.png", "painting.png", "-o", output];
        let text = complaint(&command.current_dir(&studio.folder).args(arguments).output().unwrap(), output);
        assert!(text.contains(why), "{text}");
    }
    mode("shut", 0o755).unwrap();
}

#[test]
fn killed_while_saving_leaves_the_picture_before_and_the_next_run_tidies_up() {
    let (studio, before) = painted();
    for step in 1..=STEPS_OF_A_SAVE {
        let output = run(&studio, &format!("file:{step}:kill"), &format!("{RUN} 2"));
        assert_eq!(output.status.signal(), Some(9));
        assert!(fs::read(studio.path("out.png")).unwrap() == before, "{step}");
        assert_eq!(studio.files().len(), 4, "something unfinished was there when it was killed");
        // Another picture's run leaves it alone, a new run of the same name does not.
        assert!(studio.run(&format!("{RUN} 1 -o other.png").replacen("-o out.png ", "", 1)).status.success());
        assert_eq!(studio.files().len(), 5);
        fs::remove_file(studio.path("other.png")).unwrap();
        assert!(studio.run(&format!("{RUN} 1")).status.success());
        only(&studio, &["out.png"]);
    }
    // Between two copies and their checkpoints: both are whole.
    for step in [2, 7, 9, 11] {
        let arguments = format!("{RUN} {FOREVER} --save-every 1 --checkpoint c");
        let output = run(&studio, &format!("file:{step}:kill"), &arguments);
        assert_eq!(output.status.signal(), Some(9));
        image::open(studio.path("out.png")).unwrap();
        if step > STEPS_OF_A_SAVE {
            impasto::painting::checkpoint::Checkpoint::open(&studio.path("c")).unwrap();
        }
    }
}

#[test]
fn whenever_a_signal_comes_the_end_is_orderly() {
    let (studio, before) = painted();
    // Where it is not among the files that a run leaves.
    let elsewhere = Studio::new();
    let weights = elsewhere.path("vgg19.safetensors");
    fs::write(&weights, network()).unwrap();
    let weights = weights.display();
    // Start-up, the network's file, memory, compilation, and what is measured before the first iteration.
    let early = ["instance:1", "open:1", "allocate:1", "allocate:2", "pipeline:1", "pipeline:9", "submit:1"];
    for (i, moment) in early.iter().enumerate() {
        let fault = format!("{moment}:{}", ["int", "term"][i % 2]);
        let output = run(&studio, &fault, &format!("{RUN} {FOREVER} --weights {weights}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{fault}: {:?} {text}", output.status);
        assert!(text.contains("nothing is saved"), "{fault}: {text}");
        assert!(fs::read(studio.path("out.png")).unwrap() == before, "{fault}");
        only(&studio, &["out.png"]);
    }
    for fault in ["submit:30:int", "submit:40:term", "wait:30:term", "submit:30:echo"] {
        let output = run(&studio, fault, &format!("{RUN} {FOREVER} --losses l"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{fault}: {:?} {text}", output.status);
        image::open(studio.path("out.png")).unwrap();
        let log = fs::read_to_string(studio.path("l")).unwrap().lines().count();
        assert!(text.contains(&format!("after {log} iterations; the picture so far is saved")), "{text}");
        only(&studio, &["l", "out.png"]);
    }
    assert!(studio.run(&format!("{RUN} 2")).status.success());
    let whole = fs::read(studio.path("out.png")).unwrap();
    for step in 1..=STEPS_OF_A_SAVE {
        fs::write(studio.path("out.png"), &before).unwrap();
        let output = run(&studio, &format!("file:{step}:term"), &format!("{RUN} 2"));
        // All iterations were done.
        assert!(output.status.success(), "{output:?}");
        assert!(fs::read(studio.path("out.png")).unwrap() == whole, "{step}");
        // Who insists gets the end at once, and even then nothing unfinished stays.
        fs::write(studio.path("out.png"), &before).unwrap();
        let output = run(&studio, &format!("file:{step}:end"), &format!("{RUN} 2"));
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        assert!(fs::read(studio.path("out.png")).unwrap() == before, "{step}");
        fs::remove_file(studio.path("l")).unwrap_or_default();
        only(&studio, &["out.png"]);
    }
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let (studio, _) = painted();
    let mut date = Command::new("date");
    inject(&mut date, "clock");
    let year = String::from_utf8(date.arg("+%Y").output().unwrap().stdout).unwrap();
    assert!(year.trim() == "1970" || year.trim() == "2050", "the clock does not jump: {year}");

    assert!(studio.run(&format!("{RUN} 5")).status.success());
    let usual = fs::read(studio.path("out.png")).unwrap();
    let began = Instant::now();
    let arguments = format!("{RUN} 5 --json --save-every 2 --checkpoint c").replace(" -q", "");
    let output = run(&studio, "clock", &arguments);
    let all = began.elapsed().as_secs_f64();
    let (out, talk) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{talk}");
    assert!(fs::read(studio.path("out.png")).unwrap() == usual);
    let done: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let seconds = done["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0 && seconds < all, "{seconds} of {all}");
    let line = talk.lines().find(|line| line.starts_with("5/5")).unwrap();
    let rate: f64 =
        line.split_whitespace().find_map(|word| word.strip_suffix("/s")).unwrap().parse().unwrap();
    assert!(rate > 0.0 && rate.is_finite() && line.ends_with("  0 s left"), "{line}");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let (studio, _) = painted();
    let program = assert_cmd::cargo::cargo_bin!("impasto");
    for arguments in [&format!("{RUN} 9 --json"), "weights", "devices", "--help"] {
        // The status is the program's, not that of `head`.
        let line = format!("{{ \"$0\" {arguments}; echo $? >status; }} | head -n 1");
        let mut command = Command::new("sh");
        let output = command.current_dir(&studio.folder).arg("-c").arg(line).arg(program).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1, "{arguments}");
        assert!(output.stderr.is_empty(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_to_string(studio.path("status")).unwrap(), "0\n", "{arguments}");
    }
    image::open(studio.path("out.png")).unwrap();
}
