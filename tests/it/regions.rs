//! Regions: what belongs together in the photograph and in the painting has a style of its own.

use std::path::Path;

use impasto::cases::{relative_error, widen};
use impasto::painting::capacity::memory;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::choices::StyleLoss;
use impasto::painting::provenance::Record;
use impasto::painting::session::{Builder, Losses};
use impasto::painting::tiling::Tiling;
use impasto::picture::{RegionPicture, Regions};
use impasto::{Gpu, Picture, Session, Settings, Vgg};

use crate::support::setup::vgg;
use crate::support::studio::Studio;

const RED: [f32; 3] = [1.0, 0.0, 0.0];
const BLUE: [f32; 3] = [0.0, 0.0, 1.0];

/// A picture of regions: one colour left of a column, another from there on.
fn drawn((width, height): (usize, usize), edge: usize, [left, right]: [[f32; 3]; 2]) -> Picture {
    let plane =
        |c: usize| (0..width * height).map(move |i| if i % width < edge { left[c] } else { right[c] });
    Picture::new(width, height, (0..3).flat_map(plane).collect())
}

fn pair(content: &Picture, style: &Picture) -> Regions {
    let beside = |picture: &Picture| (picture.width, picture.height);
    let of = |path, picture| RegionPicture { path: Path::new(path), picture, beside: beside(picture) };
    Regions::new(of("c.png", content), &[of("s.png", style)]).unwrap()
}

/// A photograph with a smooth and a rough half, and the same mirrored as its painting.
fn halves(width: usize, height: usize, smooth_left: bool) -> Picture {
    let noise = Picture::noise(width, height, 3);
    let mut picture = noise.clone();
    for (i, v) in picture.rgb.iter_mut().enumerate() {
        if (i % width < width / 2) == smooth_left {
            *v = 0.4 + 0.1 * ((i / (width * height)) as f32) + 0.02 * *v;
        }
    }
    picture
}

struct Setup {
    gpu: Gpu,
    vgg: Vgg,
}

impl Setup {
    fn new(settings: &Settings) -> Self {
        let gpu = Gpu::new(None).unwrap();
        let vgg = vgg(&gpu, settings);
        Self { gpu, vgg }
    }

    fn builder<'a>(
        &'a self,
        content: &'a Picture,
        style: &'a Picture,
        settings: &Settings,
    ) -> Builder<'a, 'a> {
        Session::builder(&self.gpu, &self.vgg).content(content).style(style, 1.0).settings(settings.clone())
    }
}

/// One size, two iterations.
fn settings(style_loss: StyleLoss) -> Settings {
    let mut settings = Settings::painterly();
    (settings.first_size, settings.first_iterations) = (0, vec![]);
    (settings.iterations, settings.finish, settings.settle) = (2, 0.0, 0.0);
    settings.style_loss = style_loss;
    settings
}

/// Losses and gradient of the first iteration.
fn first(builder: Builder) -> (Losses, Vec<f64>) {
    let mut session = builder.build().unwrap();
    session.allow(1);
    let losses = session.step().unwrap().unwrap();
    (losses, widen(&session.gradient().unwrap()))
}

#[test]
fn one_region_over_everything_is_no_regions() {
    let (content, style) = (Picture::noise(48, 39, 1), halves(45, 52, true));
    for loss in [StyleLoss::Wasserstein, StyleLoss::Gram] {
        let settings = settings(loss);
        let setup = Setup::new(&settings);
        let whole = pair(&drawn((48, 39), 48, [RED, BLUE]), &drawn((45, 52), 45, [RED, BLUE]));
        let (plain, gradient) = first(setup.builder(&content, &style, &settings));
        let (with, weighed) = first(setup.builder(&content, &style, &settings).regions(&whole));
        assert_eq!(with.style_layers.len(), plain.style_layers.len());
        for (a, b) in with.style_layers.iter().zip(&plain.style_layers) {
            // Sums in another order; the root of few pixels keeps three digits.
            assert!((a / b - 1.0).abs() < 1e-3, "{loss}: {a} and {b}");
        }
        let error = relative_error(&weighed, &gradient);
        assert!(error < 1e-3, "{loss}: the gradients differ by {error:.1e}");
    }
}

/// A photograph and its mirror image look the same to statistics of everything, and so do their halves that
/// belong together. Halves that do not belong together look different.
#[test]
fn what_belongs_together_is_compared() {
    let (content, style) = (halves(64, 48, true), halves(64, 48, false));
    let colours = [RED, BLUE];
    let content_regions = drawn((64, 48), 32, colours);
    let together = pair(&content_regions, &drawn((64, 48), 32, [BLUE, RED]));
    let crossed = pair(&content_regions, &drawn((64, 48), 32, colours));
    for loss in [StyleLoss::Wasserstein, StyleLoss::Gram] {
        let mut settings = settings(loss);
        // Where deeper layers look across the edge, halves mix.
        settings.style_layers.truncate(2);
        settings.style_layer_weights = vec![1.0, 1.0];
        let setup = Setup::new(&settings);
        let style_of = |builder: Builder| first(builder).0.style;
        let plain = style_of(setup.builder(&content, &style, &settings));
        let right = style_of(setup.builder(&content, &style, &settings).regions(&together));
        let wrong = style_of(setup.builder(&content, &style, &settings).regions(&crossed));
        assert!(wrong > 10.0 * right && wrong > 10.0 * plain, "{loss}: {plain} {right} {wrong}");
    }
}

/// What a region's pixels are moved by depends on that region alone.
#[test]
fn a_region_moves_its_own_pixels() {
    let mut settings = settings(StyleLoss::Wasserstein);
    (settings.content_weight, settings.tv_weight) = (0.0, 0.0);
    // There a site sees its neighbours and no more.
    settings.style_layers.truncate(1);
    settings.style_layer_weights = vec![1.0];
    let setup = Setup::new(&settings);
    let (content, style) = (Picture::noise(64, 48, 1), halves(64, 48, true));
    let mut other = content.clone();
    other.rgb.iter_mut().enumerate().filter(|(i, _)| i % 64 < 20).for_each(|(_, v)| *v *= 0.3);
    let regions = pair(&drawn((64, 48), 32, [RED, BLUE]), &drawn((64, 48), 32, [RED, BLUE]));
    let right = |content: &Picture, regions: Option<&Regions>| -> Vec<f64> {
        let mut builder = setup.builder(content, &style, &settings);
        if let Some(regions) = regions {
            builder = builder.regions(regions);
        }
        let gradient = first(builder).1;
        gradient.chunks_exact(64).flat_map(|row| row[40..].to_vec()).collect()
    };
    let change = |regions| relative_error(&right(&other, regions), &right(&content, regions));
    let (within, without) = (change(Some(&regions)), change(None));
    // Nothing but rounding, and the other half's mean and covariance.
    assert!(within < 1e-5 && without > 1e-2, "{within:.1e} with regions, {without:.1e} without");
}

#[test]
fn regions_resume_and_are_counted() {
    let mut settings = settings(StyleLoss::Wasserstein);
    (settings.first_size, settings.first_iterations, settings.iterations) = (70, vec![3], 3);
    let setup = Setup::new(&settings);
    let (content, style) = (Picture::noise(112, 92, 1), Picture::noise(100, 90, 2));
    let [content_regions, style_regions] =
        [drawn((112, 92), 14, [RED, BLUE]), drawn((100, 90), 50, [RED, BLUE])];
    let regions = pair(&content_regions, &style_regions);
    let builder = || setup.builder(&content, &style, &settings).regions(&regions);
    let mut session = builder().build().unwrap();
    let mut counted = settings.clone();
    counted.regions = 2;
    assert_eq!(session.bytes(), memory(&setup.gpu, &setup.vgg, &counted, (112, 92), Tiling::Off).unwrap());
    let mut checkpoint: Option<Checkpoint> = None;
    while session.step().unwrap().is_some() {
        checkpoint.get_or_insert_with(|| session.checkpoint().unwrap());
    }
    let checkpoint = checkpoint.unwrap();
    let bits = |session: &mut Session| -> Vec<u64> {
        session.variable().unwrap().into_iter().map(f64::to_bits).collect()
    };
    let whole = bits(&mut session);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.checkpoint");
    checkpoint.save(&path).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let mut resumed = builder().resume(&checkpoint).build().unwrap();
    while resumed.step().unwrap().is_some() {}
    assert!(bits(&mut resumed) == whole, "a resumed run differs");

    let other = pair(&content_regions, &drawn((100, 90), 40, [RED, BLUE]));
    for (builder, why) in [
        (setup.builder(&content, &style, &settings), "this run has none"),
        (setup.builder(&content, &style, &settings).regions(&other), "its regions are other pictures"),
    ] {
        let refused = builder.resume(&checkpoint).build().err().unwrap().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

/// Writes pictures of regions beside those of a studio: halves of the photograph and of the painting.
fn studio() -> Studio {
    let studio = Studio::new();
    let save = |name: &str, picture: Picture| picture.save(&studio.path(name), &Default::default()).unwrap();
    save("photo-regions.png", drawn((40, 33), 30, [RED, BLUE]));
    save("painting-regions.png", drawn((32, 37), 16, [RED, BLUE]));
    save("lonely.png", drawn((32, 37), 16, [RED, [0.0, 1.0, 0.0]]));
    studio
}

const RUN: &str = "stylize photo.png painting.png --iterations 2 -o out.png";
const REGIONS: &str = "--content-regions photo-regions.png --style-regions painting-regions.png";

#[test]
fn the_command_line_takes_regions_and_records_them() {
    let studio = studio();
    let output = studio.run(&format!("{RUN} {REGIONS}"));
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("photo-regions.png: the photograph's region #0000ff is too small for"), "{notes}");
    let record = Record::open(&studio.path("out.png")).unwrap();
    let names: Vec<_> =
        record.content_regions.iter().chain(&record.style_regions).map(|i| i.name.as_str()).collect();
    assert_eq!((names, record.settings.regions), (vec!["photo-regions.png", "painting-regions.png"], 2));
    let pixels = |name: &str| image::open(studio.path(name)).unwrap().into_rgb8().into_raw();
    let with = pixels("out.png");
    let repeat = format!("{} --settings-from out.png", RUN.replace("out.png", "again.png"));
    studio.refuses(2, "name the files with --content-regions", &repeat);
    assert!(studio.run(&format!("{repeat} -q {REGIONS}")).status.success());
    assert!(pixels("again.png") == with);
    assert!(studio.run(&format!("{} -q", RUN.replace("out.png", "plain.png"))).status.success());
    assert!(pixels("plain.png") != with);
    // The sheet paints with them, and the estimate counts them.
    assert!(studio.run(&format!("grid photo.png painting.png -q --iterations 1 --size 33 --vary strength=0.5 -o sheet.png {REGIONS}")).status.success());
    let memory = |more: &str| {
        let output = studio.run(&format!("estimate photo.png painting.png --json {more}"));
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        line["memory_bytes"].as_u64().unwrap()
    };
    assert!(memory(REGIONS) > memory(""));
}

#[test]
fn useless_regions_are_refused() {
    let studio = studio();
    let alone = REGIONS.replace("painting-regions", "lonely");
    studio.refuses(2, "has no partner in", &format!("{RUN} {}", alone));
    studio.refuses(
        2,
        "2 files after --style-regions for 1 paintings",
        &format!("{RUN} {REGIONS} painting-regions.png"),
    );
    studio.refuses(2, "--style-regions", &format!("{RUN} --content-regions photo-regions.png"));
    studio.refuses(1, "the most is 16", &format!("{RUN} {}", REGIONS.replace("photo-regions", "photo")));
    let folder = RUN.replace("out.png", "results/");
    studio.refuses(2, "regions belong to one photograph", &format!("{folder} {REGIONS}"));
}
