//! Repaints one picture: the core of what the program does, with nothing around it.
//!
//!     cargo run --release --example one_picture -- photo.jpg painting.jpg result.png [ITERATIONS AT EACH SIZE] [LONGEST SIDE]

use std::path::Path;

use impasto::{Gpu, Losses, Picture, SaveOptions, Session, Settings, Size, Vgg};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photo, painting, result, numbers @ ..] = arguments.as_slice() else {
        return Err("name a photograph, a painting and the file for the result".into());
    };
    let mut settings = Settings::default();
    if let Some(iterations) = numbers.first() {
        settings.first_iterations.clear();
        settings.iterations = iterations.parse()?;
    }
    let side: usize = numbers.get(1).map_or(Ok(512), |side| side.parse())?;

    // One device and one network serve any number of pictures.
    let gpu = Gpu::new(None)?;
    let vgg = Vgg::builtin(&gpu, &settings)?;

    let photo = Picture::open(Path::new(photo))?.resized(Size::Longest(side), false);
    let painting = Picture::open(Path::new(painting))?.resized(Size::Longest(side), true);
    let mut session =
        Session::builder(&gpu, &vgg).content(&photo).style(&painting, 1.0).settings(settings).build()?;
    session.run(&mut |losses: &Losses| println!("{:4}  {:.3}", losses.iteration, losses.total))?;
    session.picture()?.save(Path::new(result), &SaveOptions::default())?;
    Ok(())
}
