//! The program as users meet it: what it writes, what it refuses, and what it says.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use impasto::ops::conv3x3::Variant;
use impasto::ops::products;

use crate::support::figures::network;
use crate::support::studio::Studio;

const RUN: &str = "stylize photo.png painting.png -o out.png --iterations 2";

#[test]
fn a_run_writes_the_picture_and_names_it_last() {
    let studio = Studio::new();
    let output = studio.run(&format!("{RUN} --losses losses.jsonl --contact-sheet sheet.jpg"));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().last(), Some("out.png"));
    assert!(talk.contains("2/2"), "{talk}");
    let picture = image::open(studio.path("out.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (40, 33));
    assert!(image::open(studio.path("sheet.jpg")).unwrap().width() > 3 * 28);
    let losses = fs::read_to_string(studio.path("losses.jsonl")).unwrap();
    let losses: Vec<serde_json::Value> = losses.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(losses.len(), 2);
    for (index, line) in losses.iter().enumerate() {
        let value = |key: &str| line[key].as_f64().unwrap();
        assert_eq!(value("iteration"), index as f64);
        let sum: f64 = line["style_layers"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).sum();
        assert!((sum - value("style")).abs() <= 1e-9 * sum);
        assert!(
            (value("content") + value("style") + value("tv") - value("total")).abs() <= 1e-9 * value("total")
        );
    }
    assert_eq!(losses[0]["content"], 0.0, "the first picture is the content");
    let nothing_else = ["losses.jsonl", "out.png", "painting.png", "photo.png", "sheet.jpg"];
    assert_eq!(studio.files(), nothing_else);
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let studio = Studio::new();
    let mut results = Vec::new();
    for extra in ["", "-q"] {
        let output = studio.run(&format!("{RUN} --losses l --json {extra}"));
        assert!(output.status.success());
        results.push((fs::read(studio.path("out.png")).unwrap(), fs::read(studio.path("l")).unwrap()));
    }
    assert!(results[0] == results[1]);
}

#[test]
fn json_lines_tell_every_iteration_and_the_end() {
    let studio = Studio::new();
    let output = studio.run(&format!("{RUN} --json -q"));
    assert!(output.stderr.is_empty());
    let lines: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["start", "iteration", "estimate", "iteration", "done"]);
    assert_eq!((&lines[0]["width"], &lines[0]["iterations"]), (&40.into(), &2.into()));
    assert!(lines[1]["seconds_left"].is_number() && lines[3]["seconds_left"] == 0.0, "{lines:?}");
    assert_eq!(lines[4]["output"], "out.png");
    let output = studio.run("stylize missing.png painting.png -o out.png --json");
    let failed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&failed["event"], &failed["content"]), (&"failed".into(), &"missing.png".into()));
    assert!(failed["error"].as_str().unwrap().contains("no such file"), "{failed}");
}

#[test]
fn variables_that_are_empty_say_nothing() {
    let studio = Studio::new();
    let mut command = studio.command(&format!("{RUN} -q"));
    let output = command.env("IMPASTO_ADAPTER", "").env("IMPASTO_WEIGHTS", "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn sizes_and_starts_are_what_was_asked_for() {
    let studio = Studio::new();
    for (arguments, width, height) in [
        ("--size 20", 20, 17),
        ("--size 24x48 --style-size 17x19", 24, 48),
        ("--size 60", 60, 50),
        ("--init noise --seed 7 --size 16", 19, 16),
        ("--init painting.png --size 20", 20, 17),
    ] {
        let arguments = arguments.replace("--size 16", "--size 19x16");
        let output = studio.run(&format!("{RUN} {arguments} -q"));
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        let picture = image::open(studio.path("out.png")).unwrap();
        assert_eq!((picture.width(), picture.height()), (width, height), "{arguments}");
    }
}

#[test]
fn useless_pictures_are_refused() {
    let studio = Studio::new();
    fs::write(studio.path("empty.png"), "").unwrap();
    fs::write(studio.path("text.jpg"), "dear diary").unwrap();
    let whole = fs::read(studio.path("photo.png")).unwrap();
    fs::write(studio.path("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::create_dir(studio.path("folder.png")).unwrap();
    studio.refuses(2, "folder", "stylize folder.png painting.png -o out.png");
    studio.refuses(1, "folder", "stylize photo.png folder.png -o out.png");
    studio.paint("line.png", 1, 64);
    studio.paint("small.png", 15, 40);
    for (content, code, text) in [
        ("missing.png", 1, "missing.png"),
        ("empty.png", 1, "empty"),
        ("text.jpg", 1, "text.jpg"),
        ("cut.png", 1, "cut.png"),
        ("line.png", 2, "1 x 64"),
        ("small.png", 2, "16 x 16"),
    ] {
        studio.refuses(code, text, &format!("stylize {content} painting.png -o out.png"));
        studio.refuses(
            code,
            text,
            &format!(
                "stylize photo.png {content} -o out.png --style-size {}",
                match content {
                    "line.png" => "1x64",
                    "small.png" => "15x40",
                    _ => "32",
                }
            ),
        );
    }
}

#[test]
fn useless_outputs_are_refused_before_the_run() {
    let studio = Studio::new();
    studio.refuses(2, "photo.png is an input", "stylize photo.png painting.png -o photo.png");
    studio.refuses(2, "is an input", "stylize photo.png painting.png -o ./painting.png");
    studio.refuses(2, "is an input", "stylize photo.png painting.png -o out.png --losses photo.png");
    studio.refuses(2, "twice", "stylize photo.png painting.png -o out.png --contact-sheet out.png");
    // The refusal comes before the run: content and result side by side are wider than the format allows.
    studio.paint("wide.png", 8300, 16);
    let sheet =
        "stylize wide.png painting.png -o out.png --size 8300x16 --style-size 32 --contact-sheet s.webp";
    studio.refuses(1, "16383", sheet);
    studio.refuses(2, "file extension", "stylize photo.png painting.png -o out.gif");
    studio.refuses(2, "file extension", "stylize photo.png painting.png -o out");
    studio.refuses(2, "standard output", &format!("{RUN} --losses -"));
    studio.refuses(2, "cannot be the preset", &format!("{RUN} --report page --write-preset page"));
    studio.refuses(1, "no folder", "stylize photo.png painting.png -o missing/out.png");
    studio.refuses(2, "twice", "stylize photo.png painting.png -o out.png --losses ./out.png");
    studio.refuses(1, "no folder", "stylize photo.png painting.png -o out.png --losses missing/l");
}

#[test]
fn useless_numbers_are_refused() {
    let studio = Studio::new();
    for option in ["content-weight", "style-weight", "tv-weight", "learning-rate"] {
        for value in ["-1", "nan", "inf", "-inf", "1e300", "many"] {
            let output = studio.run(&format!("{RUN} --{option} {value}"));
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "--{option} {value}: {message}");
            assert!(message.starts_with("error: ") && !studio.path("out.png").exists(), "{message}");
        }
    }
    studio.refuses(2, "nothing to do", &format!("{RUN} --content-weight 0 --style-weight 0 --tv-weight 0"));
    let nothing = "--content-weight 0 --layer-weights 0,0,0,0,0 --tv-weight 0";
    studio.refuses(2, "nothing to do", &format!("{RUN} {nothing}"));
    studio.refuses(2, "--init noise", &format!("{RUN} --seed 4"));
    studio.refuses(2, "--frames", &format!("{RUN} --frames-every 4"));
    for size in ["0", "-5", "0x10", "10x", "big", "99999999999999999999", "70000"] {
        studio.refuses(2, "size", &format!("{RUN} --size={size}"));
        studio.refuses(2, "size", &format!("{RUN} --style-size={size}"));
    }
    studio.refuses(2, "iterations", &format!("{RUN}9999999999999999999999"));
    studio.refuses(2, "too many", &format!("{RUN}99999999999"));
}

#[test]
fn a_size_beyond_the_adapter_names_the_largest_that_fits() {
    let studio = Studio::new();
    let output = studio.run(&format!("{RUN} --size 65536x65536"));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("the largest that fits is"), "{message}");
    studio.refuses(1, "--style-size", &format!("{RUN} --style-size 65536"));
}

#[test]
fn useless_weights_are_refused() {
    let studio = Studio::new();
    let whole = network();
    fs::write(studio.path("empty"), "").unwrap();
    fs::write(studio.path("cut"), &whole[..whole.len() - 1000]).unwrap();
    fs::write(studio.path("lies"), u64::MAX.to_le_bytes()).unwrap();
    fs::write(studio.path("text"), "not weights at all, but long enough to hold a header").unwrap();
    for file in ["missing", "empty", "cut", "lies", "text", "photo.png"] {
        studio.refuses(1, "cannot use weights", &format!("{RUN} --weights {file}"));
    }
}

#[test]
fn adapters_are_listed_and_chosen() {
    let studio = Studio::new();
    let output = studio.run("devices --json");
    assert!(output.status.success());
    let adapters: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&adapters[0]["default"], &adapters[0]["number"]), (&true.into(), &1.into()));
    let list = String::from_utf8(studio.run("devices").stdout).unwrap();
    assert!(list.starts_with("1: "), "{list}");
    studio.refuses(1, "no adapter is called", &format!("{RUN} --adapter voodoo"));
    // A number is a place in the list, and never a part of a name.
    studio.refuses(1, "there is no adapter 4711; there is 1: ", &format!("{RUN} --adapter 4711"));
    let output = studio.run(&format!("{RUN} --adapter 1"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn numbers_that_are_not_clear_are_refused_with_what_to_write() {
    let studio = Studio::new();
    for (why, options) in [
        ("whole number from 0 to 9223372036854775807", "--init noise --seed -1"),
        ("write 512 for the longest side", "--size -5"),
        ("write it with a point, not a comma: 0.5", "--tv-weight 0,5"),
        ("write it with a point, not a comma: 0.5", "--strength 0,5"),
        ("write a whole number, 0 or more", "--iterations 1.5"),
        ("write a whole number, 0 or more", "--iterations -3"),
        ("write a number", "--learning-rate fast"),
        ("write a number", "--style-weights 1;2"),
        ("write a number", "--layer-weights 1,2,3,4,five"),
        ("the strength is -0.5; it must be from 0", "--strength -50%"),
        ("write a whole number, 1 or more", "--save-every -1"),
        ("write a whole number, 1 or more", "--save-every 0"),
    ] {
        studio.refuses(2, why, &format!("stylize photo.png painting.png -o out.png {options}"));
    }
    // Other unambiguous forms are accepted.
    for options in ["--strength 50% --iterations 1e0", "--strength 0.5 --iterations 1"] {
        let output =
            studio.run(&format!("stylize photo.png painting.png -q --no-metadata -o out.png {options}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(studio.path("out.png"), studio.path(&options[11..12])).unwrap();
    }
    assert!(fs::read(studio.path("5")).unwrap() == fs::read(studio.path("0")).unwrap());
}

/// The network would halve its shorter side to nothing.
#[test]
fn a_panorama_is_told_the_smallest_size_that_works() {
    let studio = Studio::new();
    studio.paint("wide.png", 403, 40);
    let run = "stylize wide.png painting.png -o out.png --iterations 1";
    studio.refuses(2, "--size 157 is the smallest that works", &format!("{run} --size 96"));
    studio.refuses(2, "--size 157 is the smallest that works", &format!("{run} --size 156"));
    let output = studio.run(&format!("{run} --size 157"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = "stylize photo.png wide.png -o out.png --iterations 1 --size 40";
    studio.refuses(2, "--style-size 157 is the smallest that works", run);
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_it_says_what_to_install() {
    let studio = Studio::new();
    for arguments in [RUN, "devices", "check"] {
        let output = studio.command(arguments).env("VK_DRIVER_FILES", "/nowhere").output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("mesa-vulkan-drivers"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_the_picture_so_far() {
    let studio = Studio::new();
    let child = studio
        .command("stylize photo.png painting.png -o out.png --iterations 100000 --json --losses l")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = child;
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("\"iteration\":")));
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).last());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let done: serde_json::Value = serde_json::from_str(&rest.join().unwrap().unwrap()).unwrap();
    assert_eq!(done["interrupted"], true);
    image::open(studio.path("out.png")).unwrap();
    let losses = fs::read_to_string(studio.path("l")).unwrap();
    assert_eq!(losses.lines().count() as u64, done["iterations"].as_u64().unwrap());
}

/// A full disk or a vanished reader may cost one output, but not the others.
#[cfg(target_os = "linux")]
#[test]
fn a_full_stdout_costs_no_picture() {
    let studio = Studio::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = studio.command(&format!("{RUN} --json --losses l")).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: "));
    image::open(studio.path("out.png")).unwrap();
    assert_eq!(fs::read_to_string(studio.path("l")).unwrap().lines().count(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let studio = Studio::new();
    let name = std::ffi::OsStr::from_bytes(b"out\xff.png");
    for json in ["--json", ""] {
        let mut command = studio.command(&format!("stylize photo.png painting.png --iterations 1 {json} -o"));
        let output = command.arg(name).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(studio.folder.path().join(name).exists());
        assert!(!json.is_empty() || output.stdout == b"out\xff.png\n");
    }
}

#[cfg(unix)]
#[test]
fn before_the_run_one_interrupt_is_enough() {
    let studio = Studio::new();
    assert!(Command::new("mkfifo").arg(studio.path("fifo")).status().unwrap().success());
    // Nothing is written to the pipe, so the program waits for its content.
    let mut child =
        studio.command("stylize fifo painting.png -o out.png").stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!studio.path("out.png").exists());
}

#[cfg(unix)]
#[test]
fn closed_pipes_are_no_failure() {
    let studio = Studio::new();
    let mut child = studio.command(&format!("{RUN} --json")).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    // The events have no reader any more, but the picture is still wanted.
    assert!(status.success(), "{status}");
    image::open(studio.path("out.png")).unwrap();
}

#[test]
fn help_names_every_command_and_every_form() {
    let studio = Studio::new();
    let help = String::from_utf8(studio.run("--help").stdout).unwrap();
    for command in ["stylize", "devices", "check", "bench", "weights"] {
        assert!(help.contains(command), "{help}");
        assert!(studio.run(&format!("{command} --help")).status.success());
    }
    let help = String::from_utf8(studio.run("stylize --help").stdout).unwrap();
    let names = Variant::ALL.map(Variant::name).into_iter();
    for name in names.chain(products::Variant::OF_MAPS.map(products::Variant::name)) {
        assert!(help.split([' ', ',', ';', '.', '\n']).any(|word| word == name), "{name}: {help}");
    }
    studio.refuses(
        2,
        "\"gram=fast\" is no variant; write conv3x3=NAME with one of naive",
        "stylize photo.png painting.png -o refused.png --variant conv3x3=few,gram=fast",
    );
    assert_eq!(studio.run("paint").status.code(), Some(2));
    assert_eq!(studio.run("").status.code(), Some(2));
}

/// Tiles and budgets, and those that cannot be.
#[test]
fn a_picture_is_painted_in_tiles_when_asked_to() {
    let studio = Studio::new();
    studio.paint("wide.png", 370, 40);
    let output = studio.run("stylize wide.png painting.png -o out.png --iterations 1 --tile 20 -v");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    assert!(talk.contains("note: tiles begin at multiples of 16 pixels; tiles of 16 are used"), "{talk}");
    assert!(talk.contains("tiles    windows of "), "{talk}");
    assert!(talk.contains("for the statistics") && talk.contains("of the machine's own memory"), "{talk}");
    assert_eq!(image::open(studio.path("out.png")).unwrap().width(), 370);
    // Quick statistics are settings, which another run takes over, and change nothing without tiles.
    let quick = "stylize wide.png painting.png --tile 16";
    let output = studio.run(&format!("{quick} -o quick.png --iterations 3 --tiling quick -v"));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && talk.contains(" in one pass"), "{talk}");
    assert!(studio.run(&format!("{quick} -o again.png --settings-from quick.png")).status.success());
    let pixels = |name: &str| image::open(studio.path(name)).unwrap().into_rgb8();
    assert!(pixels("again.png") == pixels("quick.png"), "other statistics");
    let output = studio.run("stylize photo.png painting.png -o whole.png --iterations 1 --tiling quick");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && talk.contains("--tiling quick changes nothing"), "{talk}");
    studio.refuses(2, "exact, quick", "stylize photo.png painting.png -o refused.png --tiling fast");
    let run = "stylize wide.png painting.png -o refused.png";
    studio.refuses(2, "such as 2GiB", &format!("{run} --memory much"));
    studio.refuses(2, "such as 1024, or off", &format!("{run} --tile 0"));
    studio.refuses(2, "cannot be used with", &format!("{run} --tile 64 --memory 2GiB"));
    studio.refuses(1, "in the smallest tiles need ", &format!("{run} --memory 60MiB"));
}
