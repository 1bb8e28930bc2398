//! An observer of your own. It looks at the picture while it is painted, stops when the losses hardly fall
//! any more, and the run can be continued later.
//!
//!     cargo run --release --example preview -- photo.jpg painting.jpg FOLDER [ITERATIONS] [LONGEST SIDE]
//!
//! A second call continues where the first one stopped.

use std::path::Path;

use impasto::{Checkpoint, Gpu, Losses, Observer, Picture, Run, SaveOptions, Session, Settings, Size, Vgg};

/// Iterations between two previews.
const EVERY: usize = 10;
/// If the loss falls by less than this fraction between two previews, it is not worth waiting any longer.
const WORTH: f64 = 0.002;

/// Saves previews, and stops the run when it is not worth its time any more.
struct Watch<'a> {
    folder: &'a Path,
    /// The loss at the preview before.
    last: f64,
}

impl Observer for Watch<'_> {
    fn losses(&mut self, run: &mut Run, losses: &Losses) -> impasto::Result<()> {
        if losses.iteration.is_multiple_of(EVERY) {
            if losses.total > self.last * (1.0 - WORTH) {
                // Iterations that were submitted already are still reported.
                run.stop();
            }
            self.last = losses.total;
        }
        Ok(())
    }

    fn picture(&mut self, _: &mut Run, iterations: usize, picture: Picture) -> impasto::Result<()> {
        println!("{iterations:4}  preview.png");
        picture.save(&self.folder.join("preview.png"), &SaveOptions::default())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photo, painting, folder, numbers @ ..] = arguments.as_slice() else {
        return Err("name a photograph, a painting and a folder".into());
    };
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;
    let mut settings = Settings::default();
    if let Some(iterations) = numbers.first() {
        settings.first_iterations.clear();
        settings.iterations = iterations.parse()?;
    }
    let side: usize = numbers.get(1).map_or(Ok(256), |side| side.parse())?;

    let gpu = Gpu::new(None)?;
    let vgg = Vgg::builtin(&gpu, &settings)?;
    let photo = Picture::open(Path::new(photo))?.resized(Size::Longest(side), false);
    let painting = Picture::open(Path::new(painting))?.resized(Size::Longest(side), true);

    let checkpoint = folder.join("checkpoint");
    let before = checkpoint.exists().then(|| Checkpoint::open(&checkpoint)).transpose()?;
    let mut builder = Session::builder(&gpu, &vgg).content(&photo).style(&painting, 1.0).settings(settings);
    if let Some(checkpoint) = &before {
        builder = builder.resume(checkpoint);
    }
    let mut session = builder.build()?;

    // The device works ahead and does not wait for the previews. They arrive as copies when it has painted
    // them.
    session.copy_every(EVERY);
    session.run(&mut Watch { folder, last: f64::INFINITY })?;
    session.checkpoint()?.save(&checkpoint)?;
    session.picture()?.save(&folder.join("result.png"), &SaveOptions::default())?;
    println!("{:4}  result.png", session.submitted());
    Ok(())
}
