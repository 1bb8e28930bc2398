//! What a run shows besides its result: grid, report, frames, and the picture in the terminal.

use std::fs;

use impasto::painting::provenance::Record;
use impasto::{Picture, SaveOptions};

use crate::support::studio::Studio;

const RUN: &str = "stylize photo.png painting.png -q --size 24 -o";

fn succeeds(studio: &Studio, arguments: &str) -> String {
    let output = studio.run(arguments);
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments}: {talk}");
    talk
}

fn pixels(studio: &Studio, name: &str) -> image::RgbImage {
    image::open(studio.path(name)).unwrap().into_rgb8()
}

/// Whether `small` is somewhere in `large`, pixel by pixel.
fn contains(large: &image::RgbImage, small: &image::RgbImage) -> bool {
    let (w, h) = small.dimensions();
    (0..=large.width() - w).any(|x| {
        (0..=large.height() - h)
            .any(|y| small.enumerate_pixels().all(|(dx, dy, p)| large.get_pixel(x + dx, y + dy) == p))
    })
}

#[test]
fn a_grid_has_the_pictures_that_single_runs_give() {
    let studio = Studio::new();
    let common = "--size 24 --iterations 2";
    succeeds(
        &studio,
        &format!("grid photo.png painting.png -q {common} -o sheet.png --vary strength=0.1,0.9"),
    );
    let sheet = pixels(&studio, "sheet.png");
    for strength in ["0.1", "0.9"] {
        succeeds(&studio, &format!("{RUN} one.png --iterations 2 --strength {strength}"));
        assert!(contains(&sheet, &pixels(&studio, "one.png")), "{strength}");
    }
    // Any option of the look and of the sizes, including those whose values contain commas.
    for vary in
        ["preset=subtle,bold", "init=content,noise", "style-size=20;24", "layer-weights=1,1,1,1,1;1,0,0,0,0"]
    {
        succeeds(&studio, &format!("grid photo.png painting.png -q {common} -o sheet.png --vary {vary}"));
        assert!(pixels(&studio, "sheet.png").width() > 2 * 24, "{vary}");
    }
    let talk = succeeds(&studio, "grid photo.png painting.png --size 20 -o sheet.png --vary iterations=1,2");
    assert!(talk.contains("3/3"), "{talk}");
    assert_eq!(studio.files(), ["one.png", "painting.png", "photo.png", "sheet.png"]);
}

/// A run that was steered is repeated with its changes by every command that takes its settings.
#[test]
fn grids_and_estimates_repeat_what_was_changed_on_the_way() {
    let studio = Studio::new();
    succeeds(&studio, &format!("{RUN} plain.png --iterations 4"));
    let mut record = Record::open(&studio.path("plain.png")).unwrap();
    let changes = r#"[{"iteration":1,"tv_weight":3000.0},{"iteration":3,"end":"run"}]"#;
    record.changes = serde_json::from_str(changes).unwrap();
    let mut options = SaveOptions::default();
    options.comment = Some(record.comment());
    let picture = Picture::open(&studio.path("plain.png")).unwrap();
    picture.save(&studio.path("steered.png"), &options).unwrap();

    let with = "photo.png painting.png --settings-from steered.png";
    succeeds(&studio, &format!("stylize {with} --strength 0.5 -q -o one.png"));
    succeeds(&studio, &format!("{RUN} other.png --iterations 3 --strength 0.5"));
    let talk = succeeds(&studio, &format!("grid {with} --vary strength=0.5 -o sheet.png"));
    assert!(talk.contains("note: steered.png: its run was changed 2 times while it was painted"), "{talk}");
    let sheet = pixels(&studio, "sheet.png");
    assert!(contains(&sheet, &pixels(&studio, "one.png")), "the cell is not the repeated picture");
    assert!(!contains(&sheet, &pixels(&studio, "other.png")), "the changes make no difference");

    let output = studio.run(&format!("estimate {with} --json"));
    let estimate: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(estimate["iterations"], 3, "{estimate}");
    let value = |member: &str| estimate[member].as_f64().unwrap();
    let sum = value("start_seconds") + 3.0 * value("iteration_seconds");
    assert!((value("seconds") - sum).abs() < 1e-9 * sum, "{estimate}");
    // Shorter cells do not get to all changes.
    let talk = succeeds(&studio, &format!("grid {with} --vary strength=0.5 --iterations 2 -o sheet.png"));
    assert!(talk.contains("the cells end before the last of them"), "{talk}");
}

#[test]
fn useless_grids_are_refused() {
    let studio = Studio::new();
    let run = "grid photo.png painting.png";
    studio.refuses(2, "cannot be varied; these can:", &format!("{run} -o s.png --vary adapter=a,b"));
    studio.refuses(2, "cannot be varied", &format!("{run} -o s.png --vary output=a.png"));
    studio.refuses(2, "strength is 1.5", &format!("{run} -o s.png --vary strength=0.5,1.5"));
    studio.refuses(2, "cannot be much", &format!("{run} -o s.png --vary iterations=much"));
    studio.refuses(2, "strength=0.2", &format!("{run} -o s.png --vary strength"));
    studio.refuses(2, "a value is empty", &format!("{run} -o s.png --vary strength=0.1,"));
    studio.refuses(2, "multiple times", &format!("{run} -o s.png --vary strength=0.1 --strength 0.2"));
    studio.refuses(2, "no bundled preset", &format!("{run} -o s.png --vary preset=bold,nothing"));
    studio.refuses(2, "is an input", &format!("{run} -o photo.png"));
    // Only one of the values reads the photograph as a start, and it is protected all the same.
    studio.refuses(
        2,
        "is an input",
        "grid painting.png painting.png --vary init=photo.png,noise -o photo.png",
    );
    studio.refuses(2, "file extension", &format!("{run} -o sheet.gif"));
    studio.refuses(1, "no such file", "grid photo.png missing.png -o s.png");
}

#[test]
fn frames_are_the_way_to_the_result() {
    let studio = Studio::new();
    succeeds(
        &studio,
        &format!("{RUN} out.png --iterations 7 --frames way --frames-every 3 --save-every 2 --checkpoint c"),
    );
    let mut names: Vec<_> = fs::read_dir(studio.path("way"))
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["frame-00000.png", "frame-00001.png", "frame-00002.png", "frame-00003.png"]);
    for (frame, iterations) in [(1, 3), (2, 6), (3, 7)] {
        succeeds(&studio, &format!("{RUN} short.png --iterations {iterations}"));
        assert!(
            pixels(&studio, &format!("way/frame-0000{frame}.png")) == pixels(&studio, "short.png"),
            "{frame}"
        );
    }
    // Frames of another run are not mixed in; the same run continues.
    let more = format!("{RUN} out.png --iterations 9 --frames way --frames-every 3");
    studio.refuses(2, "already holds frames of another run", &more);
    let before = pixels(&studio, "way/frame-00000.png");
    succeeds(&studio, &format!("{more} --resume c"));
    assert!(pixels(&studio, "way/frame-00003.png") == pixels(&studio, "out.png"));
    assert!(pixels(&studio, "way/frame-00000.png") == before);
    studio.refuses(1, "no folder", &format!("{RUN} new.png --frames missing/way"));
    studio.refuses(1, "photo.png", &format!("{RUN} new.png --frames photo.png/way"));
    studio.refuses(2, "--frames-every", &format!("{RUN} new.png --frames new --frames-every 0"));
    studio.refuses(2, "frames need a folder", &format!("{RUN} new.png --frames photo.png"));
    succeeds(&studio, &format!("{RUN} new.png --iterations 1 --frames new/"));
    assert!(studio.path("new/frame-00001.png").exists());
}

#[test]
fn a_report_is_one_page_with_everything() {
    let studio = Studio::new();
    fs::rename(studio.path("photo.png"), studio.path("a&b.png")).unwrap();
    let run = RUN.replace("photo.png", "a&b.png");
    succeeds(&studio, &format!("{run} out.png --iterations 3 --report page.html --strength 0.8"));
    let page = fs::read_to_string(studio.path("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for part in [
        "a&amp;b.png in the style of painting.png",
        "type=\"range\"",
        "<svg",
        "style relu3_1",
        "conv5_1",
        "total variation",
        "content weight",
        "adapter",
        "24 x 20 pixels, 3 iterations",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // One curve for each loss and one for their sum, with a point for each iteration whose value has a
    // logarithm.
    let curves: Vec<&str> = page.split("class=\"series\"").skip(1).collect();
    assert_eq!(curves.len(), 8);
    let points = |curve: &str| {
        curve.split(" d=\"").nth(1).unwrap().split('"').next().unwrap().matches(['M', 'L']).count()
    };
    // The content loss is 0 at the start.
    assert_eq!(curves.iter().map(|c| points(c)).collect::<Vec<_>>(), [3, 2, 3, 3, 3, 3, 3, 3]);
    // The result is embedded.
    let data = page
        .split("alt=\"the result\" src=\"data:image/jpeg;base64,")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let picture = image::load_from_memory(&decoded(data)).unwrap();
    assert_eq!((picture.width(), picture.height()), (24, 20));
    for outside in ["http:", "https:", "<link", "src=\"/", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    studio.refuses(2, "twice", &format!("{run} new.png --report new.png"));
    studio.refuses(2, "is an input", &format!("{run} new.png --report painting.png"));
    studio.refuses(1, "no folder", &format!("{run} new.png --report missing/page.html"));
}

fn decoded(base64: &str) -> Vec<u8> {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values: Vec<u32> = base64.chars().filter_map(|c| digits.find(c).map(|i| i as u32)).collect();
    let group = |g: &[u32]| {
        let bits = g.iter().enumerate().map(|(i, v)| v << (18 - 6 * i)).sum::<u32>();
        bits.to_be_bytes()[1..g.len()].to_vec()
    };
    values.chunks(4).flat_map(group).collect()
}

#[test]
fn many_pictures_have_many_reports_and_frames() {
    let studio = Studio::new();
    studio.paint("other.png", 40, 30);
    let run = "stylize photo.png other.png painting.png -q --size 24 --iterations 2 -o done/ --report pages --frames ways";
    succeeds(&studio, run);
    for file in
        ["pages/photo.html", "pages/other.html", "ways/photo/frame-00001.png", "ways/other/frame-00000.png"]
    {
        assert!(studio.path(file).exists(), "{file}");
    }
    // A picture whose result is not there starts again, and so do its frames.
    fs::remove_file(studio.path("done/other.png")).unwrap();
    fs::write(studio.path("ways/other/frame-00007.png"), "of an earlier try").unwrap();
    succeeds(&studio, run);
    assert!(!studio.path("ways/other/frame-00007.png").exists());
    assert!(studio.path("ways/other/frame-00001.png").exists());
}

#[test]
fn the_terminal_shows_the_picture_where_it_can() {
    let studio = Studio::new();
    let run = "stylize photo.png painting.png --size 24 --iterations 2 -o out.png";
    let talk = succeeds(&studio, &format!("{run} --preview=blocks"));
    assert!(talk.contains("\u{1b}[38;2;") && talk.contains('\u{2580}'), "{talk:?}");
    assert!(succeeds(&studio, &format!("{run} --preview=kitty")).contains("\u{1b}_Ga=T,f=100"));
    assert!(succeeds(&studio, &format!("{run} --preview=iterm")).contains("\u{1b}]1337;File=inline=1"));
    // Nothing is sent to an output that is not a terminal, and the run is not affected.
    let talk = succeeds(&studio, &format!("{run} --preview"));
    assert!(talk.contains("no preview") && !talk.contains('\u{1b}'), "{talk:?}");
    assert_eq!(succeeds(&studio, &format!("{run} -q --preview")), "");
    studio.refuses(2, "--preview", &format!("{run} --preview=oil"));
}
