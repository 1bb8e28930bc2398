//! `impasto stylize`: one command repaints a photograph, or many.
//!
//! A reader who follows one picture goes from [`run`] here to [`Job::run`], with [`options`] for what the user can ask for
//! and [`outputs`] for what is written. Many pictures are many jobs ([`batch`]).

mod batch;
mod chart;
mod job;
mod keep;
mod look;
mod many;
mod options;
mod outputs;
mod report;
mod shared;

use impasto::picture::Picture;
use impasto::record::Record;
use impasto::settings::Settings;
use impasto::snapshot::Snapshot;

use self::job::{Ending, Job};
pub use self::look::Look;
use self::many::{Item, Target};
pub use self::options::{Machine, Options, Sizes};
use self::shared::Shared;
use super::{INTERRUPTED, interrupt};

pub fn run(mut options: Options) -> anyhow::Result<u8> {
    interrupt::listen(options.record.quiet)?;
    // Everything that can be refused is refused before the first second of work.
    let repeated = options.look.settings_from.as_deref().map(Record::open).transpose()?;
    repeated.as_ref().map_or(Ok(()), |record| options.adopt(record))?;
    options.take_preset()?;
    let settings = options.look.settings()?;
    let target = options.target()?;
    let contents = options.take_contents(&target);
    options.look.weights(options.styles.len())?;
    let options = &options;
    match target {
        Target::Folder(folder) => batch::run(options, &settings, &contents, &folder, repeated),
        Target::File(file) => {
            let item = options.one(options.content.clone(), file);
            check(options, &item)?;
            options.write_preset(&contents)?;
            let content = Picture::open(&item.content)?;
            let snapshot = item.resume.as_deref().map(Snapshot::open).transpose()?;
            let shared = Shared::open(options, &settings)?;
            let work = Work { content, snapshot, repeated, place: (1, 1) };
            Ok(match paint(options, &settings, &shared, &item, work)? {
                Ending::Finished => 0,
                Ending::Interrupted | Ending::NotBegun => INTERRUPTED,
            })
        }
    }
}

/// What of a picture was read before.
struct Work {
    content: Picture,
    snapshot: Option<Snapshot>,
    repeated: Option<Record>,
    place: (usize, usize),
}

fn check(options: &Options, item: &Item) -> anyhow::Result<()> {
    let mut inputs = options.inputs();
    inputs.push(&item.content);
    item.outputs.check(&inputs, item.resume.as_deref())
}

fn paint(
    options: &Options,
    settings: &Settings,
    shared: &Shared,
    item: &Item,
    work: Work,
) -> anyhow::Result<Ending> {
    let Work { content, snapshot, repeated, place } = work;
    let Item { content: name, outputs, resume } = item;
    let resume = resume.as_deref();
    Job { options, settings, shared, name, content, snapshot, repeated, outputs, resume, place }.run()
}
