//! `impasto stylize`: one command repaints a photograph.
//!
//! A reader who follows one picture goes from [`run`] here to [`Job::run`], with [`options`] for what the user can ask for
//! and [`outputs`] for what is written.

mod job;
mod keep;
mod options;
mod outputs;

use impasto::picture::Picture;
use impasto::record::Record;
use impasto::snapshot::Snapshot;

use self::job::{Ending, Job};
pub use self::options::Options;
use self::outputs::Outputs;
use super::{INTERRUPTED, interrupt};

pub fn run(mut options: Options) -> anyhow::Result<u8> {
    // Everything that can be refused is refused before the first second of work.
    let repeated = options.look.settings_from.as_deref().map(Record::open).transpose()?;
    repeated.as_ref().map_or(Ok(()), |record| options.adopt(record))?;
    let options = &options;
    let settings = options.look.settings();
    settings.validate()?;
    let outputs = Outputs {
        result: &options.output,
        losses: options.record.losses.as_deref(),
        contact_sheet: options.record.contact_sheet.as_deref(),
        checkpoint: options.keep.checkpoint.as_deref(),
        save: options.record.save_options(),
    };
    outputs.check(&options.inputs(), options.keep.resume.as_deref())?;
    interrupt::listen(options.record.quiet)?;

    let content = Picture::open(&options.content)?;
    let styles = options.styles.iter().map(|path| Picture::open(path)).collect::<Result<Vec<_>, _>>()?;
    let snapshot = options.keep.resume.as_deref().map(Snapshot::open).transpose()?;
    for (style, path) in styles.iter().zip(&options.styles) {
        style.notes.iter().for_each(|note| options.record.note(path, note));
    }
    let (gpu, vgg) = options.machine.open(&settings)?;
    let name = &options.content;
    let (gpu, vgg) = (&gpu, &vgg);
    let styles = &styles;
    let job =
        Job { options, settings: &settings, gpu, vgg, name, content, styles, snapshot, repeated, outputs };
    Ok(match job.run()? {
        Ending::Finished => 0,
        Ending::Interrupted => INTERRUPTED,
    })
}
