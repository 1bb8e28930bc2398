//! Many pictures, one after the other on one device. Existing results are skipped, and a failure does not
//! stop the others.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use impasto::Error;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::provenance::Record;
use impasto::painting::settings::Settings;
use impasto::picture::Picture;

use super::inputs::{Folder, Item};
use super::job::Ending;
use super::live::Live;
use super::messages::{event, failed};
use super::options::Options;
use super::studio::Studio;
use super::{Work, check, paint};
use crate::cli::{INTERRUPTED, console, interrupt, time_text};

/// How the pictures of a run ended.
#[derive(Default)]
struct Summary {
    painted: usize,
    skipped: usize,
    /// The errors, naming the files.
    failed: Vec<String>,
    interrupted: bool,
}

/// Paints the pictures that `names` stand for into `folder`.
pub fn run(
    options: &Options,
    settings: &Settings,
    names: &[PathBuf],
    folder: &Path,
    repeated: Option<Record>,
) -> anyhow::Result<u8> {
    let began = Instant::now();
    let items = options.many(names, folder)?;
    let made = std::iter::once(folder).chain(options.beside()).map(Folder::make);
    // Folders that stay empty are removed again.
    let _made: Vec<Folder> = made.collect::<anyhow::Result<_>>()?;
    if let Some(item) = items.first() {
        item.outputs.save.check(&item.outputs.result)?;
    }
    options.write_preset(&items.iter().map(|item| item.content.clone()).collect::<Vec<_>>())?;

    let live =
        Live::start(&options.watching, &options.reporting, items.iter().map(|item| item.content.as_path()))?;
    let (summary, of, told) = (Summary::default(), items.len(), Ok(()));
    let skipped = |item: &Item| item.outputs.result.exists() && !options.many.force;
    let left = items.iter().filter(|item| !skipped(item)).count();
    let took = Duration::ZERO;
    let mut batch = Batch { options, settings, repeated, studio: None, live, summary, of, left, took, told };
    for (index, item) in items.iter().enumerate() {
        // Checked again: another machine may have painted it in the meantime.
        if skipped(item) {
            batch.skip(index + 1, item);
            continue;
        }
        let started = Instant::now();
        batch.live.iter().for_each(|live| live.prepare(index + 1));
        let painted = batch.paint(index + 1, item);
        batch.left = batch.left.saturating_sub(1);
        match painted {
            Ok(Ending::Finished) => {
                batch.summary.painted += 1;
                batch.took += started.elapsed();
            }
            Ok(Ending::Interrupted | Ending::NotBegun) => batch.summary.interrupted = true,
            Err(Failure::OfAll(error)) => {
                batch.tell(|| failed(index + 1, &item.content, &format!("{error:#}")));
                batch.end(began)?;
                return Err(error);
            }
            Err(Failure::OfOne(error)) => batch.fail(index + 1, item, &error),
        }
        if interrupt::requested() && batch.left > 0 {
            batch.summary.interrupted = true;
            break;
        }
    }
    batch.end(began)
}

/// Whether the other pictures can still be painted.
enum Failure {
    OfOne(anyhow::Error),
    OfAll(anyhow::Error),
}

struct Batch<'a> {
    options: &'a Options,
    settings: &'a Settings,
    repeated: Option<Record>,
    /// Opened when it is first needed, and again after the device has failed.
    studio: Option<Studio>,
    /// The page of all pictures, if there is one.
    live: Option<Live>,
    summary: Summary,
    /// Number of pictures.
    of: usize,
    /// The number of pictures that are still to be painted, and the times of those that were.
    left: usize,
    took: Duration,
    /// Whether everything for stdout could be written.
    told: anyhow::Result<()>,
}

impl Batch<'_> {
    fn paint(&mut self, number: usize, item: &Item) -> Result<Ending, Failure> {
        let options = self.options;
        check(options, item).map_err(Failure::OfOne)?;
        if self.studio.is_none() {
            self.studio = Some(Studio::open(options, self.settings).map_err(Failure::OfAll)?);
        }
        let studio = self.studio.as_ref().expect("it was opened");
        let repeated = self.repeated.take();
        let painted = (|| {
            let content = Picture::open(&item.content)?;
            let checkpoint =
                item.resume.as_deref().map(|file| Checkpoint::open_in(file, &studio.store)).transpose()?;
            // With many pictures it is no news that the photograph is another one.
            let repeated = repeated.map(|mut record| {
                record.content = content.source.clone().unwrap_or(record.content);
                record
            });
            let left = self.took.checked_div(self.summary.painted as u32).map(|mean| mean * self.left as u32);
            let work = Work {
                content,
                checkpoint,
                repeated,
                place: (number, self.of),
                left,
                live: self.live.as_ref(),
            };
            paint(options, self.settings, studio, item, work)
        })();
        self.live.iter().for_each(|live| live.end(number, &painted));
        painted.map_err(|error| {
            if matches!(error.downcast_ref(), Some(Error::Device(_))) {
                self.studio = None;
            }
            Failure::OfOne(error)
        })
    }

    fn skip(&mut self, number: usize, item: &Item) {
        self.summary.skipped += 1;
        self.live.iter().for_each(|live| live.skip(number));
        let skipped = serde_json::json!({
            "content": item.content.to_string_lossy(), "output": item.outputs.result.to_string_lossy(),
        });
        self.tell(|| event("skipped", Some(number), skipped));
    }

    fn fail(&mut self, number: usize, item: &Item, error: &anyhow::Error) {
        let (mut why, name) = (format!("{error:#}"), item.content.display().to_string());
        if !why.contains(&name) {
            why = format!("{name}: {why}");
        }
        console::message(&format!("error: {why}"));
        self.tell(|| failed(number, &item.content, &why));
        self.summary.failed.push(why);
    }

    /// Writes a line of JSON. A failure is reported at the end, because the pictures can still be painted.
    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.options.reporting.json && self.told.is_ok() {
            self.told = console::data_line(&line());
        }
    }

    /// Reports how everything ended, and turns that into the exit code.
    fn end(mut self, began: Instant) -> anyhow::Result<u8> {
        let Summary { painted, skipped, failed, interrupted } = std::mem::take(&mut self.summary);
        let left = self.of - painted - skipped - failed.len();
        let summary = serde_json::json!({
            "pictures": self.of, "painted": painted, "skipped": skipped, "failed": failed.len(), "left": left,
            "interrupted": interrupted, "seconds": began.elapsed().as_secs_f64(),
        });
        self.tell(|| event("summary", None, summary));
        if !self.options.reporting.quiet && left < self.of {
            let pictures = if self.of == 1 { "picture" } else { "pictures" };
            let mut line = format!("{} {pictures}: {painted} painted", self.of);
            for (count, what) in [
                (skipped, "skipped because their results exist (--force paints them again)"),
                (failed.len(), "failed"),
                (left, "left (the same command continues with them)"),
            ] {
                if count > 0 {
                    line += &format!(", {count} {what}");
                }
            }
            console::message(&format!("{line}, in {}", time_text(began.elapsed().as_secs_f64())));
            // The first error was printed long ago.
            failed.iter().for_each(|why| console::message(&format!("  failed: {why}")));
        }
        self.told?;
        Ok(if interrupted { INTERRUPTED } else { u8::from(!failed.is_empty()) })
    }
}
