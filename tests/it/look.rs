//! The controls of a look: strength, presets, weights of paintings and layers, and how they are recorded.

use std::fs;
use std::path::Path;

use crate::support::studio::Studio;
use impasto::painting::preset::Preset;
use impasto::painting::provenance::Record;

const RUN: &str = "stylize photo.png painting.png -q --iterations 2 --size 24 -o";

fn succeeds(studio: &Studio, arguments: &str) {
    let output = studio.run(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The pixels of a result, whatever is stored beside them.
fn pixels(studio: &Studio, arguments: &str) -> Vec<u8> {
    succeeds(studio, &format!("{RUN} out.png {arguments}"));
    image::open(studio.path("out.png")).unwrap().into_rgb8().into_raw()
}

#[test]
fn strength_is_one_name_for_weights() {
    let studio = Studio::new();
    let default = pixels(&studio, "");
    assert!(default == pixels(&studio, "--strength 0.5"));
    assert!(default != pixels(&studio, "--strength 0.9"));
    let weight = Record::open(&studio.path("out.png")).unwrap().settings.content_weight;
    assert!(pixels(&studio, &format!("--content-weight {weight}")) == pixels(&studio, "--strength 0.9"));
    for strength in ["-0.1", "1.1", "nan"] {
        studio.refuses(2, "from 0 (hardly any) to 1", &format!("{RUN} new.png --strength {strength}"));
    }
    studio.refuses(2, "--content-weight", &format!("{RUN} new.png --strength 0.5 --content-weight 2"));
}

/// More strength is closer to the painting and farther from the photograph, by the program's own measure.
#[test]
fn strength_goes_from_the_photograph_to_the_painting() {
    let studio = Studio::new();
    let mut before = (-1.0, f64::INFINITY);
    for strength in [0.0, 0.35, 0.7] {
        let run = RUN.replace("--iterations 2", "--iterations 25");
        succeeds(&studio, &format!("{run} out.png --losses l --strength {strength}"));
        let weight = Record::open(&studio.path("out.png")).unwrap().settings.content_weight;
        let losses = fs::read_to_string(studio.path("l")).unwrap();
        let last: serde_json::Value = serde_json::from_str(losses.lines().last().unwrap()).unwrap();
        let now = (last["content"].as_f64().unwrap() / weight, last["style"].as_f64().unwrap());
        assert!(now.0 > before.0 && now.1 < before.1, "{strength}: {before:?} {now:?}");
        before = now;
    }
}

#[test]
fn several_paintings_have_weights_that_are_kept() {
    let studio = Studio::new();
    studio.paint("other.png", 33, 32);
    fs::rename(studio.path("other.png"), studio.path("o.png")).unwrap();
    let inverted = |p: &mut image::Rgb<u8>| p.0 = p.0.map(|v| 255 - v);
    let mut other = image::open(studio.path("o.png")).unwrap().into_rgb8();
    other.pixels_mut().for_each(inverted);
    other.save(studio.path("o.png")).unwrap();
    let two = |more: &str| {
        succeeds(
            &studio,
            &format!("{} {more}", RUN.replace("painting.png", "painting.png o.png") + " two.png"),
        );
        image::open(studio.path("two.png")).unwrap().into_rgb8().into_raw()
    };
    // Only proportions count, and a painting of weight 0 has no influence.
    assert!(two("--style-weights 1,1") == two(""));
    assert!(two("--style-weights 4,1") == two("--style-weights 8,2"));
    assert!(two("--style-weights 1,0") == pixels(&studio, ""));
    let uneven = two("--style-weights 1,3");
    assert!(uneven != two("--style-weights 3,1") && uneven != two(""));
    succeeds(
        &studio,
        &format!("{} two.png --style-weights 1,3", RUN.replace("painting.png", "painting.png o.png")),
    );
    fs::rename(studio.path("two.png"), studio.path("made.png")).unwrap();
    assert!(uneven == two("--settings-from made.png"));
    studio.refuses(2, "1 style weights for 2", &format!("{RUN} n.png o.png --style-weights 1"));
    for weights in ["0,0", "-1,2", "nan,1", "inf,1"] {
        studio.refuses(2, "style weights must be", &format!("{RUN} n.png o.png --style-weights={weights}"));
    }
    studio.refuses(2, "--style-weights", &format!("{RUN} n.png o.png --style-weights much,1"));
}

#[test]
fn layers_have_weights() {
    let studio = Studio::new();
    let losses = |more: &str| -> Vec<f64> {
        succeeds(&studio, &format!("{RUN} out.png --losses l {more}"));
        let log = fs::read_to_string(studio.path("l")).unwrap();
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        first["style_layers"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let (plain, weighted) = (losses(""), losses("--layer-weights 2,1,0,1,0.5"));
    for (index, factor) in [2.0, 1.0, 0.0, 1.0, 0.5].into_iter().enumerate() {
        assert!((weighted[index] - factor * plain[index]).abs() <= 1e-5 * plain[index], "{index}");
    }
    let made = image::open(studio.path("out.png")).unwrap();
    fs::rename(studio.path("out.png"), studio.path("made.png")).unwrap();
    assert!(made.into_rgb8().into_raw() == pixels(&studio, "--settings-from made.png"));
    studio.refuses(2, "give one for each", &format!("{RUN} n.png --layer-weights 1,2"));
    studio.refuses(2, "layer weight is -1", &format!("{RUN} n.png --layer-weights=-1,1,1,1,1"));
}

#[test]
fn presets_are_written_and_taken() {
    let studio = Studio::new();
    let options =
        "--strength 0.7 --tv-weight 3 --style-scale 1.5 --init noise --seed 4 --layer-weights 1,2,3,4,5";
    let made = pixels(&studio, &format!("{options} --write-preset my.toml"));
    fs::rename(studio.path("out.png"), studio.path("made.png")).unwrap();
    assert!(made == pixels(&studio, "--preset my.toml"));
    assert!(made == pixels(&studio, "--settings-from made.png"));
    // An option on the command line takes precedence.
    let other = options.replace("--seed 4", "--seed 5");
    assert!(pixels(&studio, &other) == pixels(&studio, "--preset my.toml --seed 5"));
    assert!(
        pixels(&studio, "--preset broad --style-scale 1 --strength 0.5")
            == pixels(&studio, "--preset painterly")
    );
    for name in Preset::names() {
        // Half the size of the result is still large enough for the network.
        succeeds(&studio, &format!("{} out.png --preset {name}", RUN.replace("24", "40")));
    }
    // The built-in network does not contain every layer of VGG-19.
    fs::write(studio.path("deep.toml"), "content_layers = [\"relu5_4\"]\n").unwrap();
    studio.refuses(2, "ends at conv5_1", &format!("{RUN} new.png --preset deep.toml"));
    // A file written by hand, with one line.
    fs::write(studio.path("hand.toml"), "recipe = \"book\"\nstrength = 0.9\n").unwrap();
    assert!(pixels(&studio, "--preset hand.toml") == pixels(&studio, "--strength 0.9"));
}

#[test]
fn useless_presets_are_refused() {
    let studio = Studio::new();
    fs::write(studio.path("bad.toml"), "strength = 0.5\nstyle_wait = 4\n").unwrap();
    fs::write(studio.path("half.toml"), "strength = \n").unwrap();
    fs::create_dir(studio.path("folder")).unwrap();
    let run = format!("{RUN} n.png");
    studio.refuses(2, "style_wait", &format!("{run} --preset bad.toml"));
    studio.refuses(2, "line 1", &format!("{run} --preset half.toml"));
    studio.refuses(2, "one of bold, book", &format!("{run} --preset blod"));
    studio.refuses(2, "cannot be read", &format!("{run} --preset folder"));
    studio.refuses(2, "cannot be read", &format!("{run} --preset photo.png"));
    studio.refuses(2, "is an input", &format!("{run} --write-preset photo.png"));
    studio.refuses(1, "no folder", &format!("{run} --write-preset missing/my.toml"));
    studio.refuses(2, "cannot hold the picture", &format!("{run} --init photo.png --write-preset my.toml"));
    studio.refuses(2, "--settings-from", &format!("{run} --preset bold --settings-from photo.png"));
    for scale in ["0", "-1", "17", "nan", "wide"] {
        studio.refuses(2, "--style-scale", &format!("{run} --style-scale={scale}"));
    }
}

#[test]
fn the_help_names_every_bundled_preset() {
    let help = String::from_utf8(Studio::new().run("stylize --help").stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = help.split_once("--preset <").unwrap().1.split(" --").next().unwrap();
    for name in Preset::names() {
        assert!(text.contains(name), "{name}: {text}");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("presets/{name}.toml")).exists());
    }
}

/// A picture twice as wide and high, with every pixel four times. A mean stays the same; a sum would become
/// four times as large. The network's borders count for more in the small picture.
#[test]
fn weights_mean_the_same_at_every_size() {
    let studio = Studio::new();
    studio.paint("tile.png", 64, 64);
    let tile = image::open(studio.path("tile.png")).unwrap().into_rgb8();
    for (side, name) in [(64, "small"), (128, "large")] {
        let photo = image::RgbImage::from_fn(side, side, |x, y| *tile.get_pixel(x % 64, y % 64));
        let start = image::RgbImage::from_fn(side, side, |x, y| *tile.get_pixel(y % 64, 63 - x % 64));
        photo.save(studio.path(&format!("{name}.png"))).unwrap();
        start.save(studio.path(&format!("{name}-start.png"))).unwrap();
    }
    let losses = |name: &str| {
        succeeds(
            &studio,
            &format!(
                "stylize {name}.png painting.png -q --iterations 1 --style-size 32x37 --init {name}-start.png -o o.png \
                 --losses l"
            ),
        );
        let log = fs::read_to_string(studio.path("l")).unwrap();
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        ["content", "style", "tv"].map(|loss| first[loss].as_f64().unwrap())
    };
    let (small, large) = (losses("small"), losses("large"));
    for (index, most) in [1.5, 1.5, 1.1].into_iter().enumerate() {
        let ratio = large[index] / small[index];
        assert!((1.0 / most..most).contains(&ratio), "{small:?} {large:?}");
    }
}
