//! `impasto stylize`: one command repaints a photograph, or many.
//!
//! To follow one picture through the code, go from [`run`] here to [`Job::run`]. The user's options are in
//! [`options`], the outputs in [`outputs`]. Many pictures are many jobs ([`batch`]).

mod autosave;
mod batch;
mod chart;
mod inputs;
mod job;
mod live;
mod look;
mod machine;
mod messages;
mod names;
mod numbers;
mod options;
mod outputs;
// Only a launcher of several processes makes use of it.
#[cfg_attr(not(feature = "mpi"), allow(dead_code))]
mod ranks;
mod regions;
mod report;
mod sizes;
mod stdio;
mod studio;
mod watch;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use impasto::Error;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::provenance::Record;
use impasto::painting::settings::Settings;
use impasto::picture::{Format, Picture};

use self::inputs::{Item, Target};
use self::job::{Ending, Job};
use self::live::Live;
pub use self::look::Look;
pub use self::machine::{Machine, Room, load, network};
pub use self::messages::tiles_text;
pub use self::options::{Options, resolve};
pub use self::sizes::Sizes;
pub use self::stdio::{check_inputs, is_stream, read};
use self::studio::Studio;
use super::{INTERRUPTED, console, interrupt};

pub fn run(mut options: Options) -> anyhow::Result<u8> {
    let Some(party) = ranks::join()? else {
        interrupt::listen(options.reporting.quiet)?;
        return run_here(options);
    };
    // The first rank alone is stopped, and tells the others.
    let listening = if party.ranks.rank() == 0 {
        interrupt::listen(options.reporting.quiet)
    } else {
        interrupt::ignore()
    };
    let outcome = listening.and_then(|()| party.prepare(&mut options)).and_then(|()| run_here(options));
    party.end(outcome)
}

/// Paints, in this process or as one of several.
fn run_here(mut options: Options) -> anyhow::Result<u8> {
    // Everything that can be refused is refused before the work begins.
    let repeated = resolve(&mut options.sizes, &mut options.look, &mut options.machine)?;
    let settings = options.look.settings()?;
    let target = options.target()?;
    let contents = options.take_contents(&target);
    options.look.weights(options.styles.len())?;
    let options = &options;
    let result = match target {
        Target::Folder(_) if options.look.regions.are_given() => {
            let why =
                "regions belong to one photograph, and here there may be several; name the result with -o";
            return Err(Error::Setting(why.into()).into());
        }
        Target::Folder(folder) => return batch::run(options, &settings, &contents, &folder, repeated),
        Target::File(file) => (file, None),
        Target::Stream(format) => ("-".into(), Some(format)),
    };
    let painted = one(options, &settings, &contents, result, repeated);
    if let Err(error) = &painted
        && options.reporting.json
        && let Err(other) = console::data_line(&messages::failed(1, &options.content, &format!("{error:#}")))
    {
        console::message(&format!("error: {other:#}"));
    }
    painted
}

/// Paints one picture.
fn one(
    options: &Options,
    settings: &Settings,
    contents: &[PathBuf],
    (result, stream): (PathBuf, Option<Format>),
    repeated: Option<Record>,
) -> anyhow::Result<u8> {
    let item = options.one(options.content.clone(), result, stream);
    check(options, &item)?;
    options.write_preset(contents)?;
    let live = Live::start(&options.watching, &options.reporting, std::iter::once(item.content.as_path()))?;
    live.iter().for_each(|live| live.prepare(1));
    let painted = one_begun(options, settings, &item, repeated, live.as_ref());
    live.iter().for_each(|live| live.end(1, &painted));
    Ok(match painted? {
        Ending::Finished => 0,
        Ending::Interrupted | Ending::NotBegun => INTERRUPTED,
    })
}

/// The same, when all that can be refused has been, and there is a page if there is to be one.
fn one_begun(
    options: &Options,
    settings: &Settings,
    item: &Item,
    repeated: Option<Record>,
    live: Option<&Live>,
) -> anyhow::Result<Ending> {
    let content = read(&item.content)?;
    let store = options.room.store();
    let checkpoint = item.resume.as_deref().map(|file| Checkpoint::open_in(file, &store)).transpose()?;
    let mut studio = Studio::open(options, settings)?;
    let settings = &studio.read_regions(options, &content, settings)?;
    let work = Work { content, checkpoint, repeated, place: (1, 1), left: None, live };
    paint(options, settings, &studio, item, work)
}

/// What has been read for a picture.
struct Work<'a> {
    content: Picture,
    checkpoint: Option<Checkpoint>,
    repeated: Option<Record>,
    place: (usize, usize),
    left: Option<Duration>,
    live: Option<&'a Live>,
}

fn check(options: &Options, item: &Item) -> anyhow::Result<()> {
    if options.follows() {
        return Ok(());
    }
    let mut inputs = options.inputs();
    inputs.extend(Some(item.content.as_path()).filter(|content| !stdio::is_stream(content)));
    options.room.store().check()?;
    item.outputs.check(&inputs, item.resume.as_deref())
}

fn paint(
    options: &Options,
    settings: &Settings,
    studio: &Studio,
    item: &Item,
    work: Work<'_>,
) -> anyhow::Result<Ending> {
    let Work { content, checkpoint, repeated, place, left, live } = work;
    let Item { content: name, outputs, resume } = item;
    let resume = resume.as_deref();
    let job = Job {
        options,
        settings,
        studio,
        name,
        content,
        checkpoint: Cell::new(checkpoint),
        repeated,
        outputs,
        resume,
        place,
        left,
        live,
    };
    job.run()
}
