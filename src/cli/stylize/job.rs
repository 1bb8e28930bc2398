//! One picture from its files to its result: sizes, session, iterations, outputs.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use impasto::painting::capacity::check_sizes;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::choices::Colours;
use impasto::painting::provenance::Record;
use impasto::painting::result::as_result;
use impasto::painting::run;
use impasto::painting::session::{Losses, Session};
use impasto::painting::settings::Settings;
use impasto::painting::steering::Change;
use impasto::picture::{Exif, Picture, Size, name_of};

use super::autosave::Autosave;
use super::live::Live;
use super::options::Options;
use super::outputs::Outputs;
use super::studio::{Measured, Studio};
use super::watch::Watch;
use crate::cli::progress::preparing;
use crate::cli::{console, interrupt};

/// One content picture to be painted. Many jobs may share the device, the network and the styles.
pub struct Job<'a> {
    pub options: &'a Options,
    pub settings: &'a Settings,
    pub studio: &'a Studio,
    /// The content's file, for messages.
    pub name: &'a Path,
    /// The picture as it was read.
    pub content: Picture,
    /// Where the run continues, if it was interrupted. The session takes it, and what it takes of memory.
    pub checkpoint: Cell<Option<Checkpoint>>,
    /// The record of the picture whose settings are used.
    pub repeated: Option<Record>,
    pub outputs: &'a Outputs,
    /// The file of `checkpoint`.
    pub resume: Option<&'a Path>,
    /// The number of the picture, counted from 1, and the number of all pictures.
    pub place: (usize, usize),
    /// The time that this and all remaining pictures will take, if known.
    pub left: Option<Duration>,
    /// The page that shows the run, if there is one.
    pub live: Option<&'a Live>,
}

/// How a job ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All iterations are done.
    Finished,
    /// The user stopped it, and the picture so far is saved.
    Interrupted,
    /// The user stopped it before its first iteration, so there was nothing to save.
    NotBegun,
}

/// The pictures of a job at the sizes at which they are used.
pub struct Sized {
    pub content: Picture,
    pub styles: Rc<Measured>,
    /// Where the optimiser starts, if not at the content.
    pub start: Option<Picture>,
    /// What determines the result.
    pub record: Option<Record>,
    /// Whether outputs contain pixels only.
    bare: bool,
    /// Whose colours outputs have.
    colours: Colours,
}

impl Sized {
    /// The picture of an output: the session's picture with the content's alpha and metadata.
    pub fn dress(&self, picture: Picture) -> Picture {
        let mut picture = as_result(picture, &self.content, self.colours);
        if self.bare {
            picture.exif = Exif::default();
        }
        picture
    }

    /// The record of an output after `iterations` of a run with these changes.
    pub fn record(&self, iterations: usize, changes: &[Change]) -> Option<Record> {
        let record = self.record.as_ref().filter(|_| !self.bare)?;
        Some(record.after(iterations, (self.content.width, self.content.height), changes))
    }
}

/// The state after the iterations.
pub struct Painted<'a> {
    pub log: Vec<Losses>,
    pub interrupted: bool,
    /// Iterations that were done before this run.
    pub first: usize,
    /// The time until the first iteration, and from there to the last.
    pub times: [Duration; 2],
    /// Whether everything for stdout could be written.
    told: anyhow::Result<()>,
    keeper: Autosave<'a>,
}

impl Job<'_> {
    /// Paints the picture and writes its outputs.
    pub fn run(&self) -> anyhow::Result<Ending> {
        self.content.notes.iter().for_each(|note| self.options.reporting.note(self.name, note));
        let began = Instant::now();
        let preparing =
            preparing(&self.label(), self.options.reporting.quiet || self.options.reporting.verbose);
        let pictures = self.size()?;
        self.compare(&pictures);
        let compiled = self.studio.gpu.pipelines();
        let mut session = self.session(&pictures)?;
        drop(preparing);
        if self.options.follows() {
            // All has been read. A process that is killed later can remove nothing.
            drop(self.options.given.take());
            session.run(&mut ())?;
            return Ok(Ending::Finished);
        }
        // Only between pictures. Before the first picture, an interrupt ends the program.
        if interrupt::requested() {
            return Ok(Ending::NotBegun);
        }
        if self.options.reporting.verbose {
            self.explain(&session, &pictures, self.studio.gpu.pipelines() - compiled);
        }
        let painted = self.paint(&pictures, &mut session, began)?;
        self.save(&pictures, &mut session, painted, began)
    }

    /// Resizes the pictures. A size that is too large for the adapter may be too large for memory, too, so
    /// the check comes before anything is enlarged.
    fn size(&self) -> anyhow::Result<Sized> {
        let sizes = &self.options.sizes;
        let (width, height) = sizes.of_content(&self.content);
        let style_size = sizes.of_styles((width, height));
        let Studio { gpu, vgg, styles, tiling, store, .. } = self.studio;
        sizes.check(&self.content, styles, vgg.smallest(&self.settings.taps()))?;
        let style_sizes: Vec<_> = styles.iter().map(|s| style_size.of(s.width, s.height, true)).collect();
        check_sizes(gpu, vgg, self.settings, (width, height), &style_sizes, (*tiling, store))?;
        self.warn((width, height))?;
        self.note_enlarged(&style_sizes);
        self.outputs.check_sides((width, height), &style_sizes)?;
        let filter = self.settings.recipe.filter();
        let content = self.content.resampled(Size::Exact { width, height }, true, filter);
        let styles = self.studio.measured(style_size, self.settings)?;
        if let Some(file) = self.options.look.regions.content() {
            let notes = styles.style.notes((width, height));
            notes.iter().for_each(|note| self.options.reporting.note(file, note));
        }
        let weights = self.studio.weights.iter().copied();
        let paintings: Vec<_> = styles.pictures.iter().zip(weights).collect();
        let start = self.options.look.start(&content, self.studio.start.as_ref(), &paintings);
        let record = self.record(start.as_ref());
        let (colours, bare) = (self.settings.colours, self.options.reporting.no_metadata);
        Ok(Sized { content, styles, start, record, colours, bare })
    }

    fn session(&self, pictures: &Sized) -> anyhow::Result<Session<'_>> {
        let mut builder = Session::builder(&self.studio.gpu, &self.studio.vgg)
            .content(&pictures.content)
            .measured(&pictures.styles.style)
            .settings(self.settings.clone())
            .repeat(self.options.look.changes())
            .tiling(self.studio.tiling)
            .store(self.studio.store.clone());
        for (gpu, vgg) in &self.studio.others {
            builder = builder.share(gpu, vgg);
        }
        if let Some(ranks) = &self.options.ranks {
            builder = builder.ranks(ranks.clone());
        }
        if let Some(start) = &pictures.start {
            builder = builder.start(start);
        }
        let Some(checkpoint) = self.checkpoint.take() else { return Ok(builder.build()?) };
        let session = builder.resume(&checkpoint).build()?;
        if !session.same_bits() {
            let why = format!(
                "it was made on {}, perhaps by other variants of the shaders; the result will differ by rounding from \
                 that of an uninterrupted run",
                checkpoint.adapter()
            );
            self.options.reporting.note(self.resume.unwrap_or(self.name), &why);
        }
        Ok(session)
    }

    /// Iterates to the end, or until the user asks to stop.
    fn paint<'a>(
        &'a self,
        pictures: &'a Sized,
        session: &mut Session,
        began: Instant,
    ) -> anyhow::Result<Painted<'a>> {
        let mut watch = Watch::new(self, pictures, session, began);
        let (first, started) = (watch.log.len(), Instant::now());
        interrupt::running();
        if self.options.reporting.json {
            watch.told = self.tell("start", self.beginning(pictures, session));
        }
        let finished = loop {
            match session.run(&mut watch) {
                Ok(run::Ending::Paused) => {
                    if let Err(error) = watch.rest(session) {
                        break Err(error);
                    }
                }
                finished => break finished,
            }
        };
        let Watch { log, told, keeper, helm, progress, .. } = watch;
        progress.finish();
        let rested = helm.map_or(Duration::ZERO, |mut helm| {
            helm.leave(session);
            helm.rested
        });
        let ending = finished.map_err(|error| self.failed(error, &log))?;
        let times = [started - began, started.elapsed().saturating_sub(rested)];
        Ok(Painted { log, interrupted: ending != run::Ending::Complete, first, times, told, keeper })
    }

    /// The run that begins, for programs.
    fn beginning(&self, pictures: &Sized, session: &Session) -> serde_json::Value {
        let (content, result) = (&pictures.content, self.outputs.result.to_string_lossy());
        serde_json::json!({
            "content": self.name.to_string_lossy(), "output": result, "pictures": self.place.1,
            "width": content.width, "height": content.height,
            "first": session.losses().count(), "iterations": session.iterations(),
            "memory_bytes": session.bytes(), "network_bytes": self.studio.vgg.bytes(),
        })
    }

    /// The error that ended the run. The losses are saved, because they may show its cause.
    fn failed(&self, error: impasto::Error, log: &[Losses]) -> anyhow::Error {
        if let Err(other) = self.outputs.save_losses(log) {
            console::message(&format!("error: {other:#}"));
        }
        self.outputs.with_way_on(error).into()
    }

    /// Writes all outputs. If one cannot be written, the others still are.
    fn save(
        &self,
        pictures: &Sized,
        session: &mut Session,
        painted: Painted,
        began: Instant,
    ) -> anyhow::Result<Ending> {
        let interrupted = painted.interrupted;
        let result = session.picture().map_err(|error| self.failed(error, &painted.log))?;
        let result = pictures.dress(result);
        let record = pictures.record(session.submitted(), session.changes());
        let saved = self.outputs.save_result(&result, record, !interrupted);
        let there = saved.is_ok();
        let output = self.outputs.picture(!interrupted);
        if let Some(live) = self.live.filter(|_| there) {
            let place = self
                .outputs
                .stream
                .map_or_else(|| output.display().to_string(), |_| "standard output".into());
            live.show(result.clone(), format!("Saved to {place}, {} x {}", result.width, result.height));
        }
        let mut outcomes = vec![
            saved,
            self.outputs.save_checkpoint(session),
            self.outputs.save_losses(&painted.log),
            self.outputs.save_sheet(&pictures.content, &pictures.styles.pictures, &result),
            self.outputs.save_report(|| self.report(pictures, session, &painted, &result)),
        ];
        if there && !interrupted {
            self.outputs.clean_up(self.resume);
        }
        if interrupted && there {
            console::message(&format!(
                "interrupted after {} iterations; the picture so far is saved",
                session.submitted()
            ));
        }
        let Painted { mut keeper, told, .. } = painted;
        outcomes.extend([keeper.finish(session.submitted(), &result), told]);
        if there && self.options.reporting.json {
            let done = serde_json::json!({
                "output": output.to_string_lossy(), "iterations": session.submitted(),
                "interrupted": interrupted, "seconds": began.elapsed().as_secs_f64(),
                "width": result.width, "height": result.height,
            });
            outcomes.push(self.tell("done", done));
        } else if there && self.outputs.stream.is_none() {
            // The path in the system's own encoding, for scripts, even if it is not valid text.
            outcomes.push(console::data(&[output.as_os_str().as_encoded_bytes(), b"\n"].concat()));
        }
        let mut errors = outcomes.into_iter().filter_map(Result::err);
        let first = errors.next();
        errors.for_each(|error| console::message(&format!("error: {error:#}")));
        match first {
            Some(error) => Err(error),
            None => Ok(if interrupted { Ending::Interrupted } else { Ending::Finished }),
        }
    }

    /// Everything that determines the result; `start` comes from [`Sized`].
    fn record(&self, start: Option<&Picture>) -> Option<Record> {
        let Options { sizes, look, machine, .. } = self.options;
        let styles = self.studio.styles.iter().filter_map(|style| style.source.clone()).collect();
        let network = machine.recorded(&self.studio.vgg);
        let mut record =
            Record::new(self.settings.clone(), self.adapter(), network, self.content.source.clone()?, styles);
        record.size = sizes.size;
        (record.style_size, record.style_scale) = (sizes.style_size, sizes.style_scale);
        record.style_weights = self.studio.weights.clone();
        record.start = look.recorded(start);
        if let Some(regions) = &self.studio.regions {
            record.content_regions = regions.content.clone();
            record.style_regions = regions.styles.clone();
        }
        record.variant = machine.variant.as_ref().map(ToString::to_string);
        Some(record)
    }

    /// Says why a picture that is repeated may come out different.
    fn compare(&self, pictures: &Sized) {
        let files = self.repeated.as_ref().zip(self.options.look.settings_from.as_ref());
        if let (Some((old, file)), Some(new)) = (files, &pictures.record) {
            old.differences(new).iter().for_each(|note| self.options.reporting.note(file, note));
            let changes = self.options.look.note_on_changes();
            changes.iter().for_each(|note| self.options.reporting.note(file, note));
        }
    }

    /// What is painted, for people.
    pub fn title(&self) -> String {
        let styles: Vec<_> = self.options.styles.iter().map(|path| name_of(path)).collect();
        format!("{} in the style of {}", name_of(self.name), styles.join(", "))
    }

    pub fn adapter(&self) -> String {
        self.studio.gpu.description()
    }
}
