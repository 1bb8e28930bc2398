//! Runs of several sizes: they resume with the bits of a run without a break, and say what they do.

use std::collections::BTreeMap;

use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::session::Losses;
use impasto::{Gpu, Picture, Session, Settings};

use crate::support::setup::vgg;
use crate::support::studio::Studio;

/// Two sizes, 79 x 65 and 112 x 92, and a finish in the last three of six iterations.
fn settings() -> Settings {
    let mut settings = Settings::painterly();
    settings.first_size = 70;
    settings.first_iterations = vec![4];
    settings.iterations = 6;
    settings.finish = 0.5;
    settings
}

/// Steps a session to its end and gives losses, the variable's bits, and a checkpoint after each step by its
/// iteration.
fn finish(mut session: Session, keep: bool) -> (Vec<Losses>, Vec<u64>, BTreeMap<usize, Checkpoint>) {
    let mut checkpoints = BTreeMap::new();
    while session.step().unwrap().is_some() {
        if keep {
            let checkpoint = session.checkpoint().unwrap();
            checkpoints.insert(checkpoint.iteration(), checkpoint);
        }
    }
    let losses = session.losses().collect();
    let bits = session.variable().unwrap().into_iter().map(f64::to_bits).collect();
    (losses, bits, checkpoints)
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_never_stopped() {
    let gpu = Gpu::new(None).unwrap();
    let settings = settings();
    let vgg = vgg(&gpu, &settings);
    let (content, style) = (Picture::noise(112, 92, 1), Picture::noise(100, 90, 2));
    let builder =
        || Session::builder(&gpu, &vgg).content(&content).style(&style, 1.0).settings(settings.clone());

    let session = builder().build().unwrap();
    let told: Vec<_> = session.stages().iter().map(|s| (s.width, s.height, s.iterations, s.finish)).collect();
    assert_eq!(told, [(79, 65, 4, false), (112, 92, 3, false), (112, 92, 3, true)]);
    let (losses, bits, _) = finish(session, false);
    assert_eq!(losses.len(), 10);
    assert!(losses.iter().enumerate().all(|(i, l)| l.iteration == i && l.nearest.is_some() == (i >= 7)));

    // Checkpoints on the way change nothing, and each of them leads to the same end.
    let (kept_losses, kept_bits, checkpoints) = finish(builder().build().unwrap(), true);
    assert!(kept_losses == losses && kept_bits == bits);
    let at: Vec<usize> = checkpoints.keys().copied().collect();
    // Among them the borders of sizes and of the finish.
    assert!(
        [4, 7].iter().all(|border| at.contains(border)) && at.iter().any(|n| ![4, 7, 10].contains(n)),
        "{at:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    for (iteration, checkpoint) in &checkpoints {
        // As a file, too.
        let path = folder.path().join("run.checkpoint");
        checkpoint.save(&path).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        let session = builder().resume(&checkpoint).build().unwrap();
        assert!(session.same_bits(), "after {iteration}");
        let (resumed, resumed_bits, _) = finish(session, false);
        assert!(resumed == losses, "losses differ after {iteration}");
        assert!(resumed_bits == bits, "the picture differs after {iteration}");
    }
    // Other sizes are another run.
    let (_, checkpoint) = checkpoints.first_key_value().unwrap();
    let mut other = settings.clone();
    other.iterations = 8;
    let refused = builder().settings(other).resume(checkpoint).build().err().unwrap().to_string();
    assert!(refused.contains("are planned for that number"), "{refused}");
}

/// After the first iterations at a size, a style term keeps its transport for several more. A checkpoint has to have
/// it, whichever iteration it is from.
#[test]
fn a_run_is_resumed_between_two_transports() {
    let gpu = Gpu::new(None).unwrap();
    let mut settings = Settings::painterly();
    settings.first_iterations.clear();
    (settings.first_size, settings.iterations) = (0, 24);
    (settings.finish, settings.settle) = (0.0, 0.0);
    let vgg = vgg(&gpu, &settings);
    let (content, style) = (Picture::noise(33, 25, 1), Picture::noise(31, 35, 2));
    let builder =
        || Session::builder(&gpu, &vgg).content(&content).style(&style, 1.0).settings(settings.clone());
    let (losses, bits, checkpoints) = finish(builder().build().unwrap(), true);
    // The first 15 iterations and the 18th renew the transport, and after the last one nothing can go wrong.
    let between = |iteration: usize| (16..24).contains(&iteration) && iteration != 18;
    let late: Vec<_> = checkpoints.iter().filter(|(iteration, _)| between(**iteration)).collect();
    assert!(!late.is_empty(), "{:?}", checkpoints.keys());
    for (iteration, checkpoint) in late {
        let (resumed, resumed_bits, _) = finish(builder().resume(checkpoint).build().unwrap(), false);
        assert!(resumed == losses, "losses differ after {iteration}");
        assert!(resumed_bits == bits, "the picture differs after {iteration}");
    }
}

#[test]
fn the_default_is_painterly_and_repeats_itself() {
    let studio = Studio::new();
    studio.paint("photo.png", 112, 92);
    studio.paint("painting.png", 100, 90);
    let few = "--iterations 1,3 --first-size 70";
    let run = |look: &str, name: &str| {
        let output =
            studio.run(&format!("stylize photo.png painting.png -q {look} -o {name} --losses {name}.jsonl"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        image::open(studio.path(name)).unwrap().into_rgb8()
    };
    let named = run(&format!("--preset painterly {few}"), "named.png");
    assert_eq!(named.dimensions(), (112, 92));
    // What made it is in the picture.
    let again = run("--settings-from named.png", "again.png");
    assert!(named == again);
    let lines = std::fs::read_to_string(studio.path("named.png.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 4);
    // Each option does something.
    for look in [
        "--style-loss gram",
        "--average 0",
        "--finish 0",
        "--settle 0",
        "--first-size 112",
        "--init content",
        "--init gray",
        "--colours photo",
        "--pooling average",
        "--edge zeros",
        "--strength 0.9",
    ] {
        let few = if look.starts_with("--first-size") { "--iterations 1,3" } else { few };
        assert!(run(&format!("--preset painterly {few} {look}"), "other.png") != named, "{look}");
    }
    studio.refuses(2, "finish is 2", &format!("stylize photo.png painting.png -o o.png {few} --finish 2"));
    studio.refuses(
        2,
        "average keeps 1",
        &format!("stylize photo.png painting.png -o o.png {few} --average 1"),
    );
}
