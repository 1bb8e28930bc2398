//! A margin around the picture, which is painted and taken off.

use impasto::painting::capacity::memory;
use impasto::painting::tiling::Tiling;
use impasto::{Gpu, Picture, Session, Settings};

use crate::support::setup::vgg;
use crate::support::studio::Studio;

/// A picture with so many more pixels on each side, which repeat its edge.
fn padded(picture: &Picture, margin: usize) -> Picture {
    let (width, height) = (picture.width + 2 * margin, picture.height + 2 * margin);
    let inside = |i: usize, n: usize| i.saturating_sub(margin).min(n - 1);
    let mut rgb = Vec::new();
    for plane in picture.rgb.chunks_exact(picture.width * picture.height) {
        for y in 0..height {
            let row = inside(y, picture.height) * picture.width;
            rgb.extend((0..width).map(|x| plane[row + inside(x, picture.width)]));
        }
    }
    Picture::new(width, height, rgb)
}

#[test]
fn a_margin_is_a_larger_picture_that_is_cropped() {
    let mut settings = Settings::painterly();
    (settings.first_size, settings.first_iterations) = (0, vec![]);
    (settings.iterations, settings.finish) = (3, 0.0);
    let gpu = Gpu::new(None).unwrap();
    let vgg = vgg(&gpu, &settings);
    let (content, style) = (Picture::noise(45, 38, 1), Picture::noise(40, 50, 2));
    let paint = |content: &Picture, settings: &Settings| {
        let builder = Session::builder(&gpu, &vgg).content(content).style(&style, 1.0);
        let mut session = builder.settings(settings.clone()).build().unwrap();
        while session.step().unwrap().is_some() {}
        let size = (content.width, content.height);
        assert_eq!(session.bytes(), memory(&gpu, &vgg, settings, size, Tiling::Off).unwrap());
        (session.picture().unwrap(), session.losses().collect::<Vec<_>>())
    };
    let (large, expected) = paint(&padded(&content, 7), &settings);
    settings.margin = 7;
    let (found, losses) = paint(&content, &settings);
    assert_eq!(losses, expected);
    assert_eq!((found.width, found.height), (45, 38));
    for (i, value) in found.rgb.iter().enumerate() {
        let (plane, y, x) = (i / (45 * 38), i / 45 % 38, i % 45);
        assert_eq!(*value, large.rgb[(plane * large.height + y + 7) * large.width + x + 7], "{x}, {y}");
    }
}

#[test]
fn margins_go_through_all_sizes() {
    let studio = Studio::new();
    studio.paint("large.png", 99, 92);
    let run = "stylize large.png painting.png --preset painterly --first-size 70 --iterations 3 -q";
    for (edge, name) in [("margin", "with.png"), ("replicate", "without.png")] {
        let output =
            studio.run(&format!("{run} --edge {edge} -o {name} --save-every 2 --checkpoint c-{edge}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let [with, without] =
        ["with.png", "without.png"].map(|name| image::open(studio.path(name)).unwrap().into_rgb8());
    assert_eq!((with.dimensions(), without.dimensions()), ((99, 92), (99, 92)));
    assert!(with != without);
    // A run that goes on, and one that would go on with another margin.
    let output = studio.run(&format!("{run} --edge margin -o again.png --resume c-margin"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(image::open(studio.path("again.png")).unwrap().into_rgb8() == with);
    for (edge, other) in [("replicate", "margin"), ("margin", "replicate")] {
        studio.refuses(
            1,
            "made with margin",
            &format!("{run} --edge {edge} -o other.png --resume c-{other}"),
        );
    }
    studio.refuses(2, "zeros, replicate, margin", &format!("{run} --edge mirror -o other.png"));
}
