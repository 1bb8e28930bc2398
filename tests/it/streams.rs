//! Pictures through standard input and output, as in a pipeline.

use std::fs::{self, File};
use std::process::Output;

use crate::support::studio::Studio;
use impasto::painting::provenance::Record;

const RUN: &str = "--iterations 2 --no-metadata";

/// Runs the command with a file as its standard input.
fn pipe(studio: &Studio, input: &str, arguments: &str) -> Output {
    studio.command(arguments).stdin(File::open(studio.path(input)).unwrap()).output().unwrap()
}

#[test]
fn a_pipeline_gives_the_bytes_of_files() {
    let studio = Studio::new();
    for format in ["png", "jpg", "tif", "webp"] {
        let output = studio.run(&format!("stylize photo.png painting.png {RUN} -q -o out.{format}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output =
            pipe(&studio, "photo.png", &format!("stylize - painting.png {RUN} -o - --format {format}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == fs::read(studio.path(&format!("out.{format}"))).unwrap(), "{format}");
    }
    // The system's own name for standard output is not a file whose ending matters.
    let output = studio.run(&format!("stylize photo.png painting.png {RUN} -q -o /dev/stdout --format webp"));
    assert!(output.stdout == fs::read(studio.path("out.webp")).unwrap());
    // The painting may come from standard input, too. Without an option the result is a PNG.
    let output = pipe(&studio, "painting.png", &format!("stylize photo.png - {RUN} -q -o -"));
    assert!(output.stdout == fs::read(studio.path("out.png")).unwrap());
    assert!(output.stderr.is_empty());
}

#[test]
fn the_result_tells_where_its_photograph_came_from() {
    let studio = Studio::new();
    let output = pipe(&studio, "photo.png", "stylize - painting.png --iterations 1 -q -o - --depth 16");
    fs::write(studio.path("out.png"), output.stdout).unwrap();
    assert_eq!(Record::open(&studio.path("out.png")).unwrap().content.name, "standard input");
    assert_eq!(image::open(studio.path("out.png")).unwrap().color(), image::ColorType::Rgb16);
}

#[test]
fn streams_that_make_no_sense_are_refused() {
    let studio = Studio::new();
    for (code, why, arguments) in [
        (2, "named twice", "- - -o out.png"),
        (2, "--json", "photo.png painting.png -o - --json"),
        (2, "--save-every", "photo.png painting.png -o - --save-every 2"),
        (2, "--force", "photo.png painting.png -o - --force"),
        (2, "16 bits", "photo.png painting.png -o - --format jpg --depth 16"),
        (2, "no name", "- photo.png --style painting.png -o out/"),
        (1, "standard input: the file is empty", "- painting.png -o out.png"),
    ] {
        studio.refuses(code, why, &format!("stylize {arguments}"));
    }
}

/// All cells of a grid show the same photograph, which is read once.
#[test]
fn a_grid_takes_its_photograph_from_a_pipe() {
    let studio = Studio::new();
    let grid = "painting.png --size 24 --iterations 1 --vary precision=single";
    let output = studio.run(&format!("grid photo.png {grid} --style-size 74 -o file.png"));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(
        talk.contains("note: painting.png: the painting has 32 x 37 pixels and is enlarged to 64 x 74"),
        "{talk}"
    );
    let grid = format!("{grid} -q");
    let output = studio.run(&format!("grid photo.png {grid} -o file.png"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = pipe(&studio, "photo.png", &format!("grid - {grid} -o pipe.png"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Only the label of the photograph, which comes first, differs.
    let behind = |name: &str| {
        let sheet = image::open(studio.path(name)).unwrap();
        sheet.crop_imm(sheet.width() / 3, 0, sheet.width(), sheet.height())
    };
    assert!(behind("file.png") == behind("pipe.png"));
    studio.refuses(2, "named twice", "grid - - -o sheet.png");
    studio.refuses(2, "name a file", "grid photo.png painting.png -o -");
}

#[test]
fn nobody_who_reads_is_a_failure_where_the_picture_is_the_data() {
    let studio = Studio::new();
    let mut child = studio
        .command(&format!("stylize photo.png painting.png {RUN} -q -o - --format tif"))
        .env("TMPDIR", studio.folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("write it to a file; the picture is saved as "), "{text}");
    let path = text.split_once("saved as ").unwrap().1.split_once(" instead").unwrap().0;
    assert!(path.ends_with("/result.tif"), "{text}");
    image::open(path).unwrap();
}
