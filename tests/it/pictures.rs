//! What a run does besides painting: settings, metadata, transparency and depth.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder};
use impasto::painting::settings::Settings;
use tempfile::TempDir;

const SIDE: u32 = 24;

/// A folder with a photograph and a painting in it.
struct Studio(TempDir);

impl Studio {
    fn new() -> Self {
        let studio = Self(TempDir::new().unwrap());
        studio.paint("photo.png", 7);
        studio.paint("painting.png", 11);
        studio
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn paint(&self, name: &str, step: u32) {
        image::RgbImage::from_raw(SIDE, SIDE, samples(step)).unwrap().save(self.path(name)).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("impasto"));
        command.current_dir(&self.0).args(arguments.split_whitespace()).stdin(Stdio::null());
        command
    }

    /// Runs `impasto stylize`, which must succeed, and returns its messages.
    #[track_caller]
    fn stylize(&self, arguments: &str) -> String {
        // The book's one small size is the quickest to paint.
        let looks = ["--preset", "--settings-from"].iter().any(|look| arguments.contains(look));
        let book = if looks { "" } else { "--preset book" };
        told(self.command(&format!("stylize {book} {arguments}")).output().unwrap(), 0)
    }

    /// Runs a command that must be refused with exit code `code`.
    #[track_caller]
    fn refuses(&self, code: i32, arguments: &str) -> String {
        let text = told(self.command(&format!("stylize {arguments}")).output().unwrap(), code);
        assert!(text.starts_with("error: "), "{text}");
        text
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Every entry in a file's EXIF.
    fn exif(&self, name: &str) -> Vec<String> {
        let file = fs::File::open(self.path(name)).unwrap();
        let exif = exif::Reader::new().read_from_container(&mut std::io::BufReader::new(file));
        let line = |f: &exif::Field| format!("{} {}", f.tag, f.display_value());
        exif.map_or(Vec::new(), |exif| exif.fields().map(line).collect())
    }
}

#[track_caller]
fn told(output: Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn samples(step: u32) -> Vec<u8> {
    (0..3 * SIDE * SIDE).map(|i| (i * step + i / SIDE * 5) as u8).collect()
}

#[test]
fn settings_from_a_result_give_the_same_pixels_through_every_format() {
    let studio = Studio::new();
    let inputs = "photo.png painting.png";
    let options = "--size 20x17 --style-size 19 --iterations 3 --style-weight 12345.678 --tv-weight 0.3 --learning-rate \
                   0.17 --content-weight 1.1 --init noise --seed 7 --variant conv3x3=naive";
    studio.stylize(&format!("{inputs} -o first.png {options}"));
    let mut last = "first.png";
    for next in ["a.jpg", "b.tif", "c.webp", "d.webp --quality 70", "again.png"] {
        let text = studio.stylize(&format!("{inputs} --settings-from {last} -o {next}"));
        assert!(!text.contains("note:"), "{text}");
        last = next.split(' ').next().unwrap();
    }
    assert!(studio.bytes("first.png") == studio.bytes("again.png"));

    // Options on the command line take precedence; the rest stays.
    studio.stylize(&format!("{inputs} --settings-from first.png -o other.png --seed 8"));
    assert!(studio.bytes("first.png") != studio.bytes("other.png"));
    studio.stylize(&format!("{inputs} --settings-from other.png -o back.png --seed 7"));
    assert!(studio.bytes("first.png") == studio.bytes("back.png"));

    // A note says that another picture takes the photograph's place.
    let text = studio.stylize("painting.png painting.png --settings-from first.png -o new.png");
    assert!(text.contains("note: first.png: another content: \"photo.png\" (SHA-256 "), "{text}");
    let text = studio.stylize("painting.png painting.png --settings-from first.png -o new.png -q");
    assert_eq!(text, "");
}

#[test]
fn settings_that_cannot_be_taken_are_refused() {
    let studio = Studio::new();
    studio.stylize("photo.png painting.png -o out.png --iterations 1 --init painting.png");
    let text = studio.refuses(2, "photo.png painting.png --settings-from out.png -o new.png");
    assert!(text.contains("\"painting.png\"") && text.contains("--init FILE"), "{text}");
    let again = "photo.png painting.png --settings-from out.png --init painting.png -o";
    studio.stylize(&format!("{again} new.png"));
    assert!(studio.bytes("out.png") == studio.bytes("new.png"));
    let text = studio.refuses(2, &format!("{again} out.png"));
    assert!(text.contains("is an input"), "{text}");
    let text = studio.refuses(1, "photo.png painting.png --settings-from photo.png -o new.png");
    assert!(text.contains("no settings are in it; "), "{text}");
}

#[test]
fn an_interrupted_or_shorter_run_is_recorded_as_it_ended() {
    let studio = Studio::new();
    studio.stylize("photo.png painting.png -o out.png --iterations 2");
    let record = impasto::painting::provenance::Record::open(&studio.path("out.png")).unwrap();
    assert_eq!((record.settings.iterations, record.content.name.as_str()), (2, "photo.png"));
    // The digest as any other program computes it.
    let sum = Command::new("sha256sum").arg(studio.path("photo.png")).output();
    if let Ok(sum) = sum {
        assert!(String::from_utf8(sum.stdout).unwrap().starts_with(&record.content.sha256));
    }
}

#[test]
fn sixteen_bits_come_from_the_computed_picture() {
    let studio = Studio::new();
    let run = "photo.png painting.png --iterations 2 -o";
    studio.stylize(&format!("{run} eight.png"));
    let eight = image::open(studio.path("eight.png")).unwrap().to_rgb8();
    for name in ["sixteen.png", "sixteen.tif"] {
        studio.stylize(&format!("{run} {name} --depth 16"));
        let DynamicImage::ImageRgb16(sixteen) = image::open(studio.path(name)).unwrap() else {
            panic!("{name} has other samples");
        };
        // Both are nearest to the same value, and most values of 16 bits lie between those of 8 bits.
        let pairs = || sixteen.as_raw().iter().zip(eight.as_raw());
        let apart = |(&fine, &coarse): (&u16, &u8)| (f64::from(fine) / 257.0 - f64::from(coarse)).abs();
        assert!(pairs().map(apart).fold(0.0, f64::max) <= 0.5 + 0.5 / 257.0, "{name}");
        let between = pairs().filter(|(fine, _)| **fine % 257 != 0).count();
        assert!(between * 2 > eight.as_raw().len(), "{name}: {between}");
    }
    for (name, option, why) in [
        ("a.jpg", "--depth 16", "8 bits per sample"),
        ("a.webp", "--depth 16", "8 bits per sample"),
        ("a.png", "--quality 90", "without loss"),
        ("a.tif", "--quality 90", "without loss"),
    ] {
        let text = studio.refuses(2, &format!("{run} {name} {option}"));
        assert!(text.contains(why) && text.contains("; "), "{text}");
    }
    studio.refuses(2, &format!("{run} a.jpg --quality 0"));
    studio.refuses(2, &format!("{run} a.jpg --depth 12"));
}

#[test]
fn quality_makes_files_smaller() {
    let studio = Studio::new();
    let size = |name: &str, quality: u8| {
        studio.stylize(&format!(
            "photo.png painting.png --no-metadata --iterations 1 -o {name} --quality {quality}"
        ));
        studio.bytes(name).len()
    };
    for name in ["a.jpg", "a.webp"] {
        assert!(size(name, 20) < size(name, 95), "{name}");
    }
}

#[test]
fn alpha_is_kept_and_hidden_colours_change_nothing() {
    let studio = Studio::new();
    // Transparent, half visible and opaque thirds. The colours hidden in the first third differ from file to
    // file.
    let alpha = |i: usize| [0, 128, 255][i % SIDE as usize / 8];
    for (name, hidden) in [("green.png", [0, 255, 0]), ("black.png", [0, 0, 0])] {
        let pixel = |(i, p): (usize, &[u8])| {
            let colour = if alpha(i) == 0 { hidden } else { [p[0], p[1], p[2]] };
            [colour[0], colour[1], colour[2], alpha(i)]
        };
        let pixels = samples(7).chunks(3).enumerate().flat_map(pixel).collect();
        image::RgbaImage::from_raw(SIDE, SIDE, pixels).unwrap().save(studio.path(name)).unwrap();
    }
    for size in ["24", "17"] {
        let run = format!("painting.png --iterations 2 --no-metadata --size {size} -o");
        studio.stylize(&format!("green.png {run} a.png"));
        studio.stylize(&format!("black.png {run} b.png"));
        assert!(studio.bytes("a.png") == studio.bytes("b.png"), "{size}");
    }
    for name in ["a.png", "a.tif", "a.webp", "b.webp --quality 50"] {
        studio.stylize(&format!("green.png painting.png --iterations 1 -o {name}"));
        let picture = image::open(studio.path(name.split(' ').next().unwrap())).unwrap().to_rgba8();
        assert!(picture.pixels().enumerate().all(|(i, p)| p[3] == alpha(i)), "{name}");
    }
    studio.stylize("green.png painting.png --iterations 1 -o a.jpg");
    let ground = image::open(studio.path("a.jpg")).unwrap().to_rgb8();
    // The first third is white; JPEG blurs across a block of eight.
    assert!(ground.get_pixel(2, 12).0.iter().all(|v| *v > 240), "{:?}", ground.get_pixel(2, 12));
}

/// A photograph lying on its side, as cameras store it.
fn camera(studio: &Studio) {
    use exif::experimental::Writer;
    use exif::{Field, In, Rational, Tag, Value};
    let field = |tag, value| Field { tag, ifd_num: In::PRIMARY, value };
    let degrees = [52, 30, 12].map(|num| Rational { num, denom: 1 });
    let fields = [
        field(Tag::Make, Value::Ascii(vec![b"Maker".to_vec()])),
        field(Tag::Orientation, Value::Short(vec![6])),
        field(Tag::DateTimeOriginal, Value::Ascii(vec![b"2024:05:06 07:08:09".to_vec()])),
        field(Tag::GPSLatitude, Value::Rational(degrees.to_vec())),
    ];
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut block = std::io::Cursor::new(Vec::new());
    writer.write(&mut block, false).unwrap();
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new(&mut file);
    encoder.set_exif_metadata(block.into_inner()).unwrap();
    encoder.write_image(&samples(7)[..3 * 24 * 20], 24, 20, ExtendedColorType::Rgb8).unwrap();
    fs::write(studio.path("camera.jpg"), file).unwrap();
}

#[test]
fn exif_goes_into_the_result_unless_it_is_not_wanted() {
    let studio = Studio::new();
    camera(&studio);
    for name in ["a.jpg", "a.png", "a.webp", "a.tif"] {
        studio.stylize(&format!("camera.jpg painting.png --iterations 1 -o {name}"));
        let lines = studio.exif(name);
        let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
        assert!(has("Make \"Maker\"") && has("DateTimeOriginal 2024-05-06 07:08:09"), "{name}: {lines:?}");
        assert!(has("GPSLatitude 52 deg 30 min 12 sec"), "{name}: {lines:?}");
        assert!(has(&format!("Software \"impasto {}\"", env!("CARGO_PKG_VERSION"))), "{name}: {lines:?}");
        assert!(!has("Orientation"), "{name}: {lines:?}");
        let picture = image::open(studio.path(name)).unwrap();
        assert_eq!((picture.width(), picture.height()), (20, 24), "{name}");
        // None of this decides what is painted.
        studio.stylize(&format!("camera.jpg painting.png --iterations 1 --no-metadata -o bare-{name}"));
        assert_eq!(image::open(studio.path(&format!("bare-{name}"))).unwrap(), picture, "{name}");
        let lines = studio.exif(&format!("bare-{name}"));
        assert!(
            !lines
                .iter()
                .any(|l| ["Make", "Software", "GPS", "Date", "UserComment"].iter().any(|w| l.starts_with(w)))
        );
        let text =
            studio.refuses(1, &format!("camera.jpg painting.png --settings-from bare-{name} -o new.png"));
        assert!(text.contains("no settings are in it"), "{text}");
    }
}

/// A report is made to be shown, so the pictures inside it do not tell where they were taken.
#[test]
fn a_report_has_no_exif() {
    let studio = Studio::new();
    camera(&studio);
    let bytes = studio.bytes("camera.jpg");
    assert!(bytes.windows(4).any(|word| word == b"Exif"));
    studio.stylize("camera.jpg camera.jpg --iterations 1 -o out.jpg --report page.html");
    let page = String::from_utf8(studio.bytes("page.html")).unwrap();
    assert!(page.matches("data:image/jpeg;base64,").count() >= 3);
    // "Exif" in base64, at each of the three positions within a group of three bytes.
    for word in ["RXhpZ", "FeGlm", "V4aWY"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn notes_on_files_need_no_option() {
    let studio = Studio::new();
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(b"no profile at all".to_vec()).unwrap();
    encoder.write_image(&samples(7), SIDE, SIDE, ExtendedColorType::Rgb8).unwrap();
    fs::write(studio.path("odd.png"), file).unwrap();
    for inputs in ["odd.png painting.png", "photo.png odd.png"] {
        let text = studio.stylize(&format!("{inputs} -o out.png --iterations 1"));
        assert_eq!(text.matches("note: odd.png: its colour profile was ignored (").count(), 1, "{text}");
        assert_eq!(studio.stylize(&format!("{inputs} -o out.png --iterations 1 -q")), "");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_start_picture_need_not_have_a_name_in_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let studio = Studio::new();
    let name = std::ffi::OsStr::from_bytes(b"start\xff.png");
    fs::copy(studio.path("painting.png"), studio.0.path().join(name)).unwrap();
    let run = "stylize photo.png painting.png --iterations 1 -o out.png --init";
    told(studio.command(run).arg(name).output().unwrap(), 0);
}

#[test]
fn help_tells_the_defaults() {
    let studio = Studio::new();
    let output = studio.command("stylize --help").output().unwrap();
    // Lines are wrapped at the terminal's width.
    let help = String::from_utf8(output.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (painterly, book) = (Settings::painterly(), Settings::book());
    let sizes: Vec<String> = painterly.first_iterations.iter().map(ToString::to_string).collect();
    let both = |of: fn(&Settings) -> f64| format!("{}; with the book {}", of(&painterly), of(&book));
    let defaults = [
        (
            "iterations",
            format!("{},{}; with the book {}", sizes.join(","), painterly.iterations, book.iterations),
        ),
        ("first-size", format!("{}; with the book one size", painterly.first_size)),
        ("average", both(|s| s.average)),
        ("settle", both(|s| s.settle)),
        ("content-weight", both(|s| s.content_weight)),
        ("style-weight", both(|s| s.style_weight)),
        ("tv-weight", both(|s| s.tv_weight)),
        ("learning-rate", both(|s| s.learning_rate)),
        ("init", "matched; with the book, or the photograph's colours, content".into()),
        ("seed", "0".into()),
    ];
    for (option, value) in defaults {
        let text = help.split_once(&format!("--{option} <")).unwrap().1.split(" --").next().unwrap();
        assert!(text.contains(&format!("[default: {value}]")), "--{option}: {text}");
    }
}
