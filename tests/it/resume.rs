//! Runs that are interrupted and continued: they have the bits of a run that never stopped.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::setup::vgg;
use crate::support::studio::Studio;
use impasto::Error;
use impasto::engine::gpu::Gpu;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::session::Session;
use impasto::painting::settings::Settings;
use impasto::painting::style::Style;
use impasto::painting::tiling::Tiling;
use impasto::picture::Picture;

const RUN: &str = "stylize photo.png painting.png -q -o";

fn succeeds(studio: &Studio, arguments: &str) {
    let output = studio.run(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn same(studio: &Studio, a: &str, b: &str) {
    assert!(fs::read(studio.path(a)).unwrap() == fs::read(studio.path(b)).unwrap(), "{a} and {b} differ");
}

/// The same command begins a run and continues it.
#[test]
fn a_checkpoint_that_is_not_there_yet_begins_a_run() {
    let studio = Studio::new();
    let run = format!("{RUN} out.png --iterations 3 --checkpoint c --resume c");
    succeeds(&studio, &run);
    assert!(studio.path("c").exists());
    succeeds(&studio, &run.replace("--iterations 3", "--iterations 4"));
    succeeds(&studio, &format!("{RUN} whole.png --iterations 4"));
    same(&studio, "out.png", "whole.png");
    // A checkpoint with another name has to exist.
    studio.refuses(1, "no such file", &format!("{RUN} out.png --iterations 3 --checkpoint c --resume d"));
}

#[test]
fn a_resumed_run_gives_the_same_bytes() {
    let studio = Studio::new();
    succeeds(&studio, &format!("{RUN} whole.png --iterations 12 --losses whole.jsonl --checkpoint whole"));
    succeeds(&studio, &format!("{RUN} out.png --iterations 5 --checkpoint c"));
    succeeds(&studio, &format!("{RUN} out.png --iterations 12 --losses out.jsonl --resume c --checkpoint c"));
    same(&studio, "whole.png", "out.png");
    // The log covers the whole run, and so does the checkpoint.
    same(&studio, "whole.jsonl", "out.jsonl");
    assert_eq!(fs::read_to_string(studio.path("out.jsonl")).unwrap().lines().count(), 12);
    let open = |name: &str| Checkpoint::open(&studio.path(name)).unwrap();
    assert_eq!((open("c").iteration(), open("c").size()), (12, (40, 33)));
    // Nothing is left to do, and the picture is written anyway.
    fs::remove_file(studio.path("out.png")).unwrap();
    succeeds(&studio, &format!("{RUN} out.png --iterations 12 --resume c"));
    same(&studio, "whole.png", "out.png");
}

/// Neither the kind of interruption nor its moment makes a difference.
#[cfg(unix)]
#[test]
fn interrupts_and_kills_lose_nothing() {
    let studio = Studio::new();
    for signal in ["-TERM", "-KILL"] {
        let arguments = format!("{RUN} out.png --iterations 100000 --json --save-every 3 --checkpoint c");
        let mut child = studio.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let mut lines = lines.map_while(Result::ok);
        // By now the second copy is due, so the first one has been saved.
        let late = |line: &String| line.contains("\"iteration\":7,") || line.contains("\"iteration\":7}");
        assert!(lines.any(|line| late(&line)));
        let rest = std::thread::spawn(move || lines.count());
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        rest.join().unwrap();
        assert_eq!(status.code(), if signal == "-TERM" { Some(130) } else { None });
        image::open(studio.path("out.png")).unwrap();
        let done = Checkpoint::open(&studio.path("c")).unwrap().iteration();
        assert!(done >= 3, "{done}");
        let iterations = done + 2;
        succeeds(&studio, &format!("{RUN} out.png --iterations {iterations} --resume c"));
        succeeds(&studio, &format!("{RUN} whole.png --iterations {iterations}"));
        same(&studio, "whole.png", "out.png");
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let studio = Studio::new();
    studio.paint("other.png", 40, 34);
    succeeds(&studio, &format!("{RUN} out.png --iterations 3 --checkpoint c --size 24"));
    let run = "stylize photo.png painting.png -o new.png --size 24 --resume c";
    for (arguments, text) in [
        (format!("{run} --style-weight 5"), "style weight 10000.0, and this run has 5.0"),
        (format!("{run} --learning-rate 0.2"), "learning rate 0.3, and this run has 0.2"),
        (format!("{run} --iterations 2"), "3 iterations already"),
        (format!("{run} --init noise"), "started from another picture"),
        (format!("{run} --style-size 20"), "its styles"),
        (run.replace("--size 24", "--size 20"), "24 x 20, and that of this run 20 x 17"),
        (run.replace("photo.png", "other.png"), "its content is another picture"),
        (run.replace("painting.png", "other.png"), "its styles"),
        (run.replace("--resume c", "--resume missing"), "no such file"),
        (run.replace("--resume c", "--resume photo.png"), "not a checkpoint"),
        (run.replace("--resume c", "--resume ."), "not a file"),
    ] {
        studio.refuses(1, text, &arguments);
    }
    studio.refuses(2, "is an input", "stylize photo.png painting.png -o c.png --losses c --resume c");
    studio.refuses(2, "twice", "stylize photo.png painting.png -o c.png --checkpoint c.png");
}

/// The checkpoint with one text in its header replaced by another of the same length.
fn altered(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect(from);
    let mut altered = bytes.to_vec();
    altered[at..at + to.len()].copy_from_slice(to.as_bytes());
    altered
}

#[test]
fn damaged_and_malformed_checkpoints_are_refused() {
    let studio = Studio::new();
    succeeds(
        &studio,
        &format!("{RUN} out.png --iterations 1 --checkpoint c --size 16x16 --style-size 16x16"),
    );
    let whole = fs::read(studio.path("c")).unwrap();
    Checkpoint::open(&studio.path("c")).unwrap();
    let version = format!("\"program\":\"{}\"", env!("CARGO_PKG_VERSION"));
    let other = version.replace(|c: char| c.is_ascii_digit(), "9");
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 8..].fill(0xff);
    let mut turned = whole.clone();
    turned[end / 2] ^= 1;
    let mut cases = vec![
        (Vec::new(), "not a checkpoint"),
        (whole[..7].to_vec(), "not a checkpoint"),
        (whole[..100].to_vec(), "not a checkpoint"),
        (whole[..end - 1].to_vec(), "cut short"),
        (u64::MAX.to_le_bytes().to_vec(), "not a checkpoint"),
        (altered(&whole, "impasto checkpoint 3", "impasto checkpoint 1"), "wrote it"),
        (altered(&whole, "\"iteration\":\"1\"", "\"iteration\":\"2\""), "makes no sense"),
        (altered(&whole, "\"iteration\":\"1\"", "\"iteration\":\"x\""), "damaged"),
        (altered(&whole, "\\\"width\\\":16", "\\\"width\\\":99"), "do not fit"),
        (altered(&whole, "\\\"width\\\":16", "\\\"width\\\":00"), "damaged"),
        (nan, "no run has"),
        (turned, "has changed"),
    ];
    let fits = |n: usize| altered(&whole, "\\\"height\\\":16", &format!("\\\"height\\\":{n:02}"));
    cases.push((fits(15), "do not fit"));
    // Another version of the program that writes the same format.
    fs::write(studio.path("other"), altered(&whole, &version, &other)).unwrap();
    assert!(Checkpoint::open(&studio.path("other")).is_ok());
    for (bytes, text) in cases {
        fs::write(studio.path("bad"), &bytes).unwrap();
        let error = Checkpoint::open(&studio.path("bad")).unwrap_err().to_string();
        assert!(error.contains(text), "expected {text:?} in: {error}");
    }
    // Whichever byte is wrong, the program answers.
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..2000.min(bytes.len()));
            bytes[at] = random.u8(..);
        }
        fs::write(studio.path("bad"), &bytes).unwrap();
        let _ = Checkpoint::open(&studio.path("bad"));
    }
}

/// The pictures that are kept on the way are those that shorter runs would end with.
#[test]
fn copies_on_the_way_are_the_pictures_of_shorter_runs() {
    let gpu = Gpu::new(None).unwrap();
    let vgg = vgg(&gpu, &Settings::book());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let content = Picture::open(&folder.join("content_70x101.png")).unwrap();
    let content = content.resized("24".parse().unwrap(), false);
    let painting = Picture::open(&folder.join("style_83x64.png")).unwrap();
    let style = Style::measure(&gpu, &vgg, &Settings::book(), &[(&painting, 1.0)], Tiling::Off).unwrap();
    let session = |iterations: usize| {
        let mut settings = Settings::book();
        settings.iterations = iterations;
        let builder = Session::builder(&gpu, &vgg).content(&content).settings(settings);
        builder.measured(&style).build().unwrap()
    };
    let mut long = session(7);
    long.copy_every(3);
    let mut copies = Vec::new();
    while long.step().unwrap().is_some() {
        while let Some(copy) = long.take_copy().unwrap() {
            copies.push(copy);
        }
    }
    assert_eq!(copies.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 6]);
    for (iterations, copy) in copies {
        let mut short = session(iterations);
        while short.step().unwrap().is_some() {}
        assert!(short.picture().unwrap() == copy, "after {iterations} iterations");
    }
    // A style measured beforehand equals one measured for the session.
    let mut settings = Settings::book();
    settings.iterations = 7;
    let builder = Session::builder(&gpu, &vgg).content(&content).settings(settings);
    let mut own = builder.style(&painting, 3.0).build().unwrap();
    while own.step().unwrap().is_some() {}
    assert!(own.picture().unwrap() == long.picture().unwrap());
    // Numbers that are no longer finite are a failure of their own, and yield neither a picture nor a
    // checkpoint.
    let mut lost = content.clone();
    lost.rgb[100] = f32::NAN;
    let builder = Session::builder(&gpu, &vgg).content(&content).start(&lost).settings(Settings::book());
    let mut session = builder.measured(&style).build().unwrap();
    assert!(matches!(session.step(), Err(Error::NotFinite(_))));
    assert!(matches!(session.picture(), Err(Error::NotFinite(_))));
    assert!(matches!(session.checkpoint(), Err(Error::NotFinite(_))));
}
