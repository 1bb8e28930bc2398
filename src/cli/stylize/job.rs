//! One picture from its files to its result: sizes, session, iterations, outputs.

use std::path::Path;
use std::time::Instant;

use impasto::fit::check_sizes;
use impasto::gpu::Gpu;
use impasto::picture::{Exif, Picture, Size};
use impasto::record::Record;
use impasto::session::{Losses, Session};
use impasto::settings::Settings;
use impasto::snapshot::Snapshot;
use impasto::vgg::Vgg;

use super::keep::Keeper;
use super::options::Options;
use super::outputs::Outputs;
use crate::cli::progress::Progress;
use crate::cli::{interrupt, print, talk};

/// One content picture to be painted. Many jobs may share the device, the network and the styles.
pub struct Job<'a> {
    pub options: &'a Options,
    pub settings: &'a Settings,
    pub gpu: &'a Gpu,
    pub vgg: &'a Vgg,
    /// The content's file, for messages.
    pub name: &'a Path,
    /// As it was read.
    pub content: Picture,
    /// As they were read.
    pub styles: &'a [Picture],
    /// Where the run goes on, if it was interrupted.
    pub snapshot: Option<Snapshot>,
    /// What made the picture whose settings are taken.
    pub repeated: Option<Record>,
    pub outputs: Outputs<'a>,
}

/// How a job ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All iterations are done.
    Finished,
    /// The user stopped it, and what was there is saved.
    Interrupted,
}

/// The pictures of a job at the sizes they are worked on.
pub struct Sized {
    content: Picture,
    styles: Vec<Picture>,
    /// Where the optimiser starts, if not at the content.
    start: Option<Picture>,
    /// What determines the result.
    record: Option<Record>,
    /// Whether outputs have pixels only.
    bare: bool,
}

impl Sized {
    /// What an output shows: the session's picture, as transparent as the content, and what the content's file tells.
    pub fn dress(&self, picture: Picture) -> Picture {
        let exif = if self.bare { Exif::default() } else { self.content.exif.clone() };
        Picture { alpha: self.content.alpha.clone(), exif, ..picture }
    }

    /// What an output tells about itself after `iterations`.
    pub fn record(&self, iterations: usize) -> Option<Record> {
        let mut record = self.record.clone().filter(|_| !self.bare)?;
        record.settings.iterations = iterations;
        Some(record)
    }
}

/// What the iterations left behind.
struct Painted {
    log: Vec<Losses>,
    interrupted: bool,
    /// Whether all could be said on stdout that was to be said.
    told: anyhow::Result<()>,
}

impl Job<'_> {
    /// Paints the picture and writes its outputs.
    pub fn run(&self) -> anyhow::Result<Ending> {
        self.content.notes.iter().for_each(|note| self.options.record.note(self.name, note));
        let pictures = self.size()?;
        self.compare(&pictures);
        let began = Instant::now();
        let mut session = self.session(&pictures)?;
        if self.options.record.verbose {
            self.explain(&session, &pictures);
        }
        let painted = self.paint(&pictures, &mut session)?;
        self.save(&pictures, &mut session, painted, began)
    }

    /// Brings the pictures to their sizes. What is too large for the adapter may be too large for memory, too, so the check
    /// comes before anything is enlarged.
    fn size(&self) -> anyhow::Result<Sized> {
        let sizes = &self.options.sizes;
        let (width, height) = sizes.of_content(&self.content);
        let style_size = sizes.of_styles((width, height));
        let style_sizes: Vec<_> =
            self.styles.iter().map(|s| style_size.of(s.width, s.height, true)).collect();
        check_sizes(self.gpu, self.vgg, self.settings, (width, height), &style_sizes)?;
        self.outputs.check_side(width.max(height))?;
        let content = self.content.resized(Size::Exact { width, height }, true);
        let styles = self.styles.iter().map(|style| style.resized(style_size, true)).collect();
        let start = self.options.look.start(&content)?;
        let record = self.record(start.as_ref());
        Ok(Sized { content, styles, start, record, bare: self.options.record.no_metadata })
    }

    fn session(&self, pictures: &Sized) -> anyhow::Result<Session<'_>> {
        let mut builder =
            Session::builder(self.gpu, self.vgg).content(&pictures.content).settings(self.settings.clone());
        for style in &pictures.styles {
            builder = builder.style(style, 1.0);
        }
        if let Some(start) = &pictures.start {
            builder = builder.start(start);
        }
        let Some(snapshot) = &self.snapshot else { return Ok(builder.build()?) };
        let session = builder.resume(snapshot).build()?;
        if !session.same_bits() {
            talk(&format!(
                "note: the checkpoint was made on {}, perhaps by other variants of the shaders; the result will differ \
                 by rounding from that of a run without a break",
                snapshot.adapter()
            ));
        }
        Ok(session)
    }

    /// Iterates to the end, or until the user asks to stop.
    fn paint(&self, pictures: &Sized, session: &mut Session) -> anyhow::Result<Painted> {
        let (mut told, mut interrupted) = (Ok(()), false);
        let mut log: Vec<Losses> = session.losses().collect();
        let quiet = self.options.record.quiet;
        let mut progress = Progress::new(log.len(), self.settings.iterations, quiet);
        let mut keeper = Keeper::new(&self.outputs, pictures, session, self.options.keep.save_every);
        interrupt::running();
        let finished = loop {
            if !interrupted && interrupt::requested() {
                interrupted = true;
                session.stop();
            }
            let losses = match session.step() {
                Ok(Some(losses)) => losses,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            progress.report(&losses);
            if self.options.record.json && told.is_ok() {
                told = print(&event("iteration", serde_json::to_value(&losses)?));
            }
            log.push(losses);
            if let Err(error) = keeper.keep(session) {
                break Err(error);
            }
        };
        progress.finish();
        if let Err(error) = finished {
            // What led here may show in the losses.
            self.outputs.save_losses(&log)?;
            return Err(error.into());
        }
        Ok(Painted { log, interrupted, told })
    }

    /// Writes all outputs: one that cannot be written takes none of the others along.
    fn save(
        &self,
        pictures: &Sized,
        session: &mut Session,
        painted: Painted,
        began: Instant,
    ) -> anyhow::Result<Ending> {
        let Painted { log, interrupted, told } = painted;
        let result = pictures.dress(session.picture()?);
        let saved = self.outputs.save_result(&result, pictures.record(session.submitted()));
        let there = saved.is_ok();
        let mut outcomes = vec![
            saved,
            self.outputs.save_checkpoint(session),
            self.outputs.save_losses(&log),
            self.outputs.save_sheet(&pictures.content, &pictures.styles, &result),
        ];
        if interrupted && there {
            talk(&format!(
                "interrupted after {} iterations; the picture so far is saved",
                session.submitted()
            ));
        }
        outcomes.push(told);
        let output = self.outputs.result;
        let line = if self.options.record.json {
            let done = serde_json::json!({
                "output": output.to_string_lossy(), "iterations": session.submitted(),
                "interrupted": interrupted, "seconds": began.elapsed().as_secs_f64(),
                "width": result.width, "height": result.height,
            });
            event("done", done)
        } else {
            output.display().to_string()
        };
        if there {
            outcomes.push(print(&line));
        }
        let mut errors = outcomes.into_iter().filter_map(Result::err);
        let first = errors.next();
        errors.for_each(|error| talk(&format!("error: {error:#}")));
        match first {
            Some(error) => Err(error),
            None => Ok(if interrupted { Ending::Interrupted } else { Ending::Finished }),
        }
    }

    /// What determines the result; `start` as it is in [`Sized`].
    fn record(&self, start: Option<&Picture>) -> Option<Record> {
        let Options { sizes, look, machine, .. } = self.options;
        let styles = self.styles.iter().filter_map(|style| style.source.clone()).collect();
        let network = machine.recorded(self.vgg);
        let mut record =
            Record::new(self.settings.clone(), self.adapter(), network, self.content.source.clone()?, styles);
        record.size = sizes.size;
        record.style_size = sizes.style_size;
        record.start = look.recorded(start);
        record.variant = machine.variant.map(|variant| variant.to_string());
        Some(record)
    }

    /// Says why a picture that is repeated may come out different.
    fn compare(&self, pictures: &Sized) {
        let files = self.repeated.as_ref().zip(self.options.look.settings_from.as_ref());
        if let (Some((old, file)), Some(new)) = (files, &pictures.record) {
            old.differences(new).iter().for_each(|note| self.options.record.note(file, note));
        }
    }

    fn adapter(&self) -> String {
        let info = self.gpu.info();
        format!("{} ({}, {} {})", info.name, info.backend, info.driver, info.driver_info)
    }

    fn explain(&self, session: &Session, Sized { content, styles, .. }: &Sized) {
        talk(&format!("adapter  {}", self.adapter()));
        talk(&format!("content  {} x {}", content.width, content.height));
        for (style, path) in styles.iter().zip(&self.options.styles) {
            talk(&format!("style    {} x {}  {}", style.width, style.height, path.display()));
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let pixels = (content.width * content.height) as u64;
        talk(&format!(
            "memory   {} MiB for the iteration ({} bytes per pixel), {} MiB for the network",
            mib(session.bytes()),
            session.bytes() / pixels,
            mib(self.vgg.bytes())
        ));
    }
}

/// A JSON line that says first what it is about.
fn event(kind: &str, mut value: serde_json::Value) -> String {
    value["event"] = kind.into();
    value.to_string()
}
