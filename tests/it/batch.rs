//! Many pictures in one run: which ones are painted, what they share, and that a failure costs no other
//! picture.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::support::studio::Studio;

/// Two pictures of one size, one of another size, a damaged picture, and a file that is not a picture.
fn album() -> Studio {
    let studio = Studio::new();
    fs::create_dir(studio.path("photos")).unwrap();
    studio.paint("photos/a.png", 40, 33);
    studio.paint("photos/b.jpg", 33, 40);
    studio.paint("photos/c.png", 24, 20);
    fs::write(studio.path("photos/bad.jpg"), "dear diary").unwrap();
    fs::write(studio.path("photos/readme.txt"), "about these photographs").unwrap();
    fs::write(studio.path("photos/.hidden.png"), "not for us").unwrap();
    studio
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must end with exit code `code`.
fn ends(studio: &Studio, code: i32, arguments: &str) -> Output {
    let output = studio.run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {}", text(&output.stderr));
    output
}

fn names(studio: &Studio, folder: &str) -> Vec<String> {
    let name = |entry: Result<fs::DirEntry, _>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(studio.path(folder)).unwrap().map(name).collect();
    names.sort();
    names
}

fn events(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_folder_is_painted_and_one_bad_file_stops_nothing() {
    let studio = album();
    let output = ends(&studio, 1, "stylize photos painting.png -o out/ --iterations 2 -v");
    let talk = text(&output.stderr);
    assert_eq!(names(&studio, "out"), ["a.png", "b.png", "c.png"]);
    assert_eq!(text(&output.stdout).lines().count(), 3);
    assert!(text(&output.stdout).contains("c.png"));
    assert!(talk.contains("error: cannot use picture photos/bad.jpg"), "{talk}");
    assert!(talk.contains("4 pictures: 3 painted, 1 failed"), "{talk}");
    assert_eq!(talk.matches("note: photos: 1 .txt file in it is left out").count(), 1, "{talk}");
    // The painting is too small for two of them, which is said once.
    let enlarged = "note: painting.png: the painting has 32 x 37 pixels and is enlarged to 35 x 40";
    assert_eq!(talk.matches(enlarged).count(), 1, "{talk}");
    // Whatever pictures have in common is done once: a.png and b.jpg have the same longest side, c.png has
    // another.
    assert_eq!(talk.matches("style measured").count(), 2, "{talk}");
    let compiled: Vec<&str> = talk.lines().filter(|line| line.starts_with("shaders")).collect();
    assert_eq!(compiled.len(), 3, "{talk}");
    assert!(!compiled[0].contains(" 0 compiled"), "{talk}");
    assert!(compiled[1..].iter().all(|line| line.contains(" 0 compiled")), "{talk}");
}

#[test]
fn many_give_the_bytes_that_each_gives_alone() {
    let studio = album();
    ends(
        &studio,
        1,
        "stylize photos painting.png -o out --iterations 3 -q --losses logs --contact-sheet out",
    );
    for name in ["a.png", "b.jpg", "c.png"] {
        let stem = &name[..1];
        ends(
            &studio,
            0,
            &format!(
                "stylize photos/{name} painting.png -o {stem}.png --iterations 3 -q --losses {stem}.jsonl"
            ),
        );
        for (many, one) in [
            (format!("out/{stem}.png"), format!("{stem}.png")),
            (format!("logs/{stem}.jsonl"), format!("{stem}.jsonl")),
        ] {
            assert!(fs::read(studio.path(&many)).unwrap() == fs::read(studio.path(&one)).unwrap(), "{many}");
        }
        image::open(studio.path(&format!("out/{stem}.sheet.jpg"))).unwrap();
    }
}

#[test]
fn what_is_there_is_skipped_unless_forced() {
    let studio = album();
    fs::remove_file(studio.path("photos/bad.jpg")).unwrap();
    let run = "stylize photos painting.png -o out/ --iterations 1";
    ends(&studio, 0, &format!("{run} -q"));
    fs::remove_file(studio.path("out/b.png")).unwrap();
    fs::write(studio.path("out/a.png"), "mine").unwrap();
    let output = ends(&studio, 0, &format!("{run} --json"));
    let kinds: Vec<_> = events(&output).iter().map(|e| e["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["skipped", "start", "iteration", "done", "skipped", "summary"]);
    let summary = events(&output).pop().unwrap();
    assert_eq!((summary["painted"].as_u64(), summary["skipped"].as_u64()), (Some(1), Some(2)));
    assert!(text(&output.stderr).contains("1 painted, 2 skipped"), "{}", text(&output.stderr));
    assert_eq!(fs::read(studio.path("out/a.png")).unwrap(), b"mine");
    // If there is nothing to do, nothing is set up for it.
    ends(&studio, 0, &format!("{run} --adapter voodoo"));
    ends(&studio, 0, &format!("{run} -q --force"));
    image::open(studio.path("out/a.png")).unwrap();
}

#[test]
fn names_patterns_and_styles_are_told_apart() {
    let studio = album();
    let painted = |arguments: &str| -> Vec<String> {
        let output = ends(&studio, 0, &format!("stylize {arguments} -o out/ --iterations 0 -q"));
        fs::remove_dir_all(studio.path("out")).unwrap();
        text(&output.stdout).lines().map(str::to_owned).collect()
    };
    // As a shell would expand photos/*.png and a painting.
    assert_eq!(painted("photos/a.png photos/c.png painting.png"), ["out/a.png", "out/c.png"]);
    assert_eq!(painted("photos/[ac].* painting.png --format jpg"), ["out/a.jpg", "out/c.jpg"]);
    assert_eq!(painted("**/a.png photos/c.png --style painting.png"), ["out/a.png", "out/c.png"]);
    assert_eq!(painted("photo.png --style painting.png --style photos/a.png"), ["out/photo.png"]);
    // The painting is among the photographs, and one photograph is named twice.
    assert_eq!(painted("*.png photo.png painting.png"), ["out/photo.png"]);
}

#[test]
fn shards_together_paint_each_picture_once() {
    let studio = Studio::new();
    fs::create_dir(studio.path("photos")).unwrap();
    (0..6).for_each(|i| studio.paint(&format!("photos/{i}.png"), 20, 17));
    let mut painted = Vec::new();
    for shard in 1..=3 {
        let run = format!("stylize photos painting.png -o out{shard} --iterations 0 --shard {shard}/3 -q");
        let lines = text(&ends(&studio, 0, &run).stdout);
        painted.extend(lines.lines().map(|line| line.rsplit_once('/').unwrap().1.to_owned()));
    }
    painted.sort();
    assert_eq!(painted, ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png"]);
}

#[test]
fn what_makes_no_sense_is_refused_before_any_work() {
    let studio = album();
    fs::create_dir(studio.path("empty")).unwrap();
    studio.paint("photos/b.png", 20, 20);
    fs::create_dir(studio.path("sheets")).unwrap();
    studio.paint("sheets/photo.sheet.jpg", 20, 20);
    for (code, why, arguments) in [
        (2, "many pictures need a folder", "photos painting.png -o out.png"),
        (2, "many pictures need a folder", "photo.png photos/a.png --style painting.png -o painting.png"),
        (2, "would both become", "photos painting.png -o out/"),
        (2, "itself", "photos painting.png -o photos"),
        (2, "overwritten by an output for photo.png", "photo.png painting.png -o ."),
        // Another photograph as a sheet, and a folder in which the next run would find sheets.
        (
            2,
            "overwritten by an output for photo.png",
            "photo.png sheets/photo.sheet.jpg --style painting.png -o out/ --contact-sheet sheets",
        ),
        (
            2,
            "contact sheets cannot go into photos",
            "photos painting.png -o out/ --format tif --contact-sheet photos",
        ),
        (1, "missing.png: there is no such file", "photos/a.png painting.png -o out/ --init missing.png"),
        (2, "no pictures in empty", "empty painting.png -o out/"),
        (2, "pattern", "photos/*.gif painting.png -o out/"),
        (2, "--force", "photo.png painting.png -o out.png --force"),
        (2, "--shard", "photo.png painting.png -o out.png --shard 1/2"),
        (2, "--format", "photo.png painting.png -o out.png --format jpg"),
        (2, "2/8", "photos painting.png -o out/ --shard 3/2"),
        (2, "16 bits", "photos/a.png painting.png -o out/ --format jpg --depth 16"),
        (1, "cannot create the folder", "photos/a.png painting.png -o missing/out/"),
        (1, "missing.png", "photos/a.png missing.png -o out/"),
        (1, "no adapter is called", "photos/a.png painting.png -o out/ --adapter voodoo"),
        (2, "no file extension", "photo.png painting.png -o out"),
        (2, "standard output", "photos painting.png -o -"),
    ] {
        studio.refuses(code, why, &format!("stylize {arguments}"));
    }
    assert!(!studio.path("out").exists());
}

/// The current picture is saved, but not as a result, so the same command continues with it.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_run_and_the_same_command_goes_on() {
    let studio = Studio::new();
    for name in ["a.png", "b.png", "c.png"] {
        fs::create_dir_all(studio.path("photos")).unwrap();
        studio.paint(&format!("photos/{name}"), 40, 33);
    }
    let run = |iterations: usize| {
        format!(
            "stylize photos painting.png -o out/ --json --checkpoint later --resume later --iterations {iterations}"
        )
    };
    let mut child =
        studio.command(&run(100_000)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("\"iteration\":2,")));
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).last());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let summary: serde_json::Value = serde_json::from_str(&rest.join().unwrap().unwrap()).unwrap();
    assert_eq!((summary["interrupted"].as_bool(), summary["left"].as_u64()), (Some(true), Some(3)));
    assert_eq!(names(&studio, "out"), ["a.unfinished.png"]);
    assert_eq!(names(&studio, "later"), ["a.checkpoint"]);

    let done = impasto::painting::checkpoint::Checkpoint::open(&studio.path("later/a.checkpoint"))
        .unwrap()
        .iteration();
    let output = ends(&studio, 0, &run(done + 1));
    let starts: Vec<_> = events(&output)
        .iter()
        .filter(|e| e["event"] == "start")
        .map(|e| e["first"].as_u64().unwrap())
        .collect();
    assert_eq!(starts, [done as u64, 0, 0]);
    assert_eq!(names(&studio, "out"), ["a.png", "b.png", "c.png"]);
    assert!(names(&studio, "later").is_empty());
    // All three photographs show the same.
    let bytes = |name: &str| image::open(studio.path(name)).unwrap().into_rgb8();
    assert!(bytes("out/a.png") == bytes("out/b.png"));
}
