//! Where a run writes, checked before it and written after it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use impasto::Error;
use impasto::painting::provenance::Record;
use impasto::painting::session::{Losses, Session};
use impasto::picture::{self, Format, Picture, SaveOptions};

use super::stdio;
use crate::cli::rescue;

/// White pixels around the pictures of a contact sheet.
const SHEET_GAP: usize = 12;

/// The file of a frame.
fn frame(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("frame-{index:05}.png"))
}

/// The frames in a folder.
fn frames_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_frame = |name: &str| name.starts_with("frame-") && name.ends_with(".png");
    let files =
        fs::read_dir(folder).with_context(|| format!("cannot list the folder {}", folder.display()))?;
    let frames = files.flatten().filter(|file| file.file_name().to_str().is_some_and(is_frame));
    Ok(frames.map(|file| file.path()).collect())
}

/// The files of one picture.
pub struct Outputs {
    /// The result.
    pub result: PathBuf,
    /// The format of a result that goes to standard output; `result` then only names that.
    pub stream: Option<Format>,
    /// Where the picture is on the way to the result, if not there: a result that is there is then a finished
    /// one.
    pub unfinished: Option<PathBuf>,
    /// The log of losses.
    pub losses: Option<PathBuf>,
    /// Content, styles and result side by side.
    pub contact_sheet: Option<PathBuf>,
    /// The page about the run.
    pub report: Option<PathBuf>,
    /// The folder for the pictures on the way.
    pub frames: Option<PathBuf>,
    /// The checkpoint that is written. It may be the file that the run was resumed from.
    pub checkpoint: Option<PathBuf>,
    /// How the result is written.
    pub save: SaveOptions,
}

impl Outputs {
    /// All files that may be written, but not the frames.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let also = [&self.unfinished, &self.losses, &self.contact_sheet, &self.report, &self.checkpoint];
        let file = Some(&self.result).filter(|_| self.stream.is_none());
        file.into_iter().chain(also.into_iter().flatten()).map(PathBuf::as_path)
    }

    /// Refuses what cannot be written and what would destroy an input, `resume` among them, or another
    /// output.
    pub fn check(&self, inputs: &[&Path], resume: Option<&Path>) -> anyhow::Result<()> {
        let outputs: Vec<&Path> = self.files().collect();
        for (i, output) in outputs.iter().enumerate() {
            let resume = resume.iter().filter(|_| self.checkpoint.as_deref() != Some(output));
            if inputs.iter().chain(resume).any(|input| impasto::same_file(input, output)) {
                return Err(Error::Setting(format!(
                    "{} is an input, and writing there would destroy it; name another file for the output",
                    output.display()
                ))
                .into());
            }
            // The result that goes to standard output is not among them.
            if stdio::is_stream(output) {
                let why = "- stands for standard output, where only the result (-o) can go; name a file";
                return Err(Error::Setting(why.into()).into());
            }
            if outputs[..i].iter().any(|other| other == output || impasto::same_file(other, output)) {
                return Err(Error::Setting(format!("{} is named as output twice", output.display())).into());
            }
        }
        match self.stream {
            None => {
                picture::check_writable(&self.result)?;
                self.save.check(&self.result)?;
            }
            Some(format) => {
                stdio::check_output()?;
                self.save.check_for(format, "the picture on standard output")?;
            }
        }
        if let Some(path) = &self.contact_sheet {
            picture::check_writable(path)?;
        }
        for path in [&self.losses, &self.report, &self.checkpoint].into_iter().flatten() {
            impasto::check_replaceable(path)?;
        }
        self.check_frames(resume)
    }

    /// Frames of two runs in one folder would make one film.
    fn check_frames(&self, resume: Option<&Path>) -> anyhow::Result<()> {
        let Some(folder) = &self.frames else { return Ok(()) };
        if folder.exists() && !folder.is_dir() {
            let why = "is a file, and frames need a folder; name one with --frames";
            return Err(Error::Setting(format!("{} {why}", folder.display())).into());
        }
        if !folder.is_dir() {
            // Without a separator at its end, which would make it no name for something new.
            return Ok(impasto::check_replaceable(&folder.components().collect::<PathBuf>())?);
        }
        // Of many pictures, one whose result is not there was not finished, and its frames start again.
        if resume.is_none() && self.unfinished.is_none() && !frames_in(folder)?.is_empty() {
            let why = "already holds frames of another run; name another folder, or remove them";
            return Err(Error::Setting(format!("{} {why}", folder.display())).into());
        }
        Ok(impasto::check_replaceable(&frame(folder, 0))?)
    }

    /// Makes room for the frames of a run that begins: of many pictures, there may be some of an earlier try.
    pub fn clear_frames(&self) -> anyhow::Result<()> {
        let many = self.unfinished.is_some();
        let Some(folder) = self.frames.as_ref().filter(|folder| many && folder.is_dir()) else {
            return Ok(());
        };
        frames_in(folder)?.iter().try_for_each(|file| {
            fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
        })
    }

    /// Writes a frame, if asked for: pixels only.
    pub fn save_frame(&self, index: usize, picture: &Picture) -> anyhow::Result<()> {
        let Some(folder) = &self.frames else { return Ok(()) };
        if !folder.is_dir() {
            let failed = || format!("cannot create the folder {}: create it first", folder.display());
            fs::create_dir(folder).with_context(failed)?;
        }
        Ok(picture.bare().save(&frame(folder, index), &SaveOptions::default())?)
    }

    /// Writes the page about the run, if asked for.
    pub fn save_report(&self, page: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
        let Some(path) = &self.report else { return Ok(()) };
        Ok(impasto::replace_file(path, page()?.as_bytes())?)
    }

    /// Refuses formats that cannot hold the result, or the sheet of content, styles and result, at these
    /// sizes.
    pub fn check_sides(&self, content: (usize, usize), styles: &[(usize, usize)]) -> anyhow::Result<()> {
        let check = |path: &Path, format: Format, (width, height): (usize, usize)| {
            let (side, most) = (width.max(height), format.max_side());
            let why = format!("{side} pixels are more than the {most} this format allows; write PNG");
            anyhow::ensure!(side <= most, Error::write(path, why));
            Ok(())
        };
        check(&self.result, self.format()?, content)?;
        let Some(sheet) = &self.contact_sheet else { return Ok(()) };
        let sizes: Vec<_> = std::iter::once(content).chain(styles.iter().copied()).chain([content]).collect();
        check(sheet, Format::of(sheet)?, picture::contact_sheet_size(&sizes, SHEET_GAP))
    }

    fn format(&self) -> anyhow::Result<Format> {
        Ok(self.stream.map_or_else(|| Format::of(&self.result), Ok)?)
    }

    /// Where the picture is written that is on the way, or the result.
    pub fn picture(&self, finished: bool) -> &Path {
        self.unfinished.as_deref().filter(|_| !finished).unwrap_or(&self.result)
    }

    /// How a picture is written, with what made it inside.
    fn with_record(&self, record: Option<&Record>) -> SaveOptions {
        let mut options = self.save.clone();
        options.comment = record.map(Record::comment);
        options
    }

    /// Writes the picture at the end, as [`Self::save_picture`] does; if that fails, somewhere else.
    pub fn save_result(
        &self,
        picture: &Picture,
        record: Option<Record>,
        finished: bool,
    ) -> anyhow::Result<()> {
        let options = self.with_record(record.as_ref());
        let saved = self.save_picture(picture, record, finished);
        let name = match self.stream {
            Some(format) => format!("result.{}", format.ending()).into(),
            None => self.picture(finished).to_owned(),
        };
        rescue::or_elsewhere(saved, &name, |path| Ok(picture.save(path, &options)?))
    }

    /// Writes the picture after `iterations` beside the result, under a name that nothing has yet, and
    /// returns that.
    pub fn save_copy(
        &self,
        picture: &Picture,
        record: Option<Record>,
        iterations: usize,
    ) -> anyhow::Result<PathBuf> {
        anyhow::ensure!(
            self.stream.is_none(),
            "the result goes to standard output, so there is no place for a copy; name a file with -o"
        );
        let stem = self.result.file_stem().unwrap_or_default().to_string_lossy();
        let ending = self.format()?.ending();
        let name = |again: usize| {
            let again = if again > 1 { format!("-{again}") } else { String::new() };
            self.result.with_file_name(format!("{stem}-after-{iterations}{again}.{ending}"))
        };
        let free = (1..).map(name).find(|path| !path.exists()).expect("names do not run out");
        let options = self.with_record(record.as_ref());
        picture.save(&free, &options)?;
        Ok(free)
    }

    /// Writes the picture, and in it what made it.
    pub fn save_picture(
        &self,
        picture: &Picture,
        record: Option<Record>,
        finished: bool,
    ) -> anyhow::Result<()> {
        let options = self.with_record(record.as_ref());
        if let Some(format) = self.stream {
            return stdio::write(&picture.to_bytes(format, &options)?);
        }
        picture.save(self.picture(finished), &options)?;
        if let Some(unfinished) = self.unfinished.as_ref().filter(|_| finished) {
            // Mostly it is not there.
            let _ = fs::remove_file(unfinished);
        }
        Ok(())
    }

    /// Writes the checkpoint, if asked for.
    pub fn save_checkpoint(&self, session: &mut Session) -> anyhow::Result<()> {
        let Some(path) = &self.checkpoint else { return Ok(()) };
        Ok(session.checkpoint()?.save(path)?)
    }

    /// Of many pictures, those that are finished leave no checkpoints behind.
    pub fn clean_up(&self, resume: Option<&Path>) {
        if self.unfinished.is_some() {
            for file in self.checkpoint.as_deref().into_iter().chain(resume) {
                let _ = fs::remove_file(file);
            }
        }
    }

    /// What ended a run, and how to go on where the device was the reason and a checkpoint is there.
    /// Of many pictures, the same command goes on by itself.
    pub fn with_way_on(&self, error: Error) -> Error {
        match (error, &self.checkpoint) {
            (Error::Device(why), Some(path)) if self.unfinished.is_none() && path.exists() => Error::Device(
                format!("{why}; then continue from the checkpoint with --resume {}", path.display()),
            ),
            (error, _) => error,
        }
    }

    /// Writes the contact sheet, if asked for.
    pub fn save_sheet(&self, content: &Picture, styles: &[Picture], result: &Picture) -> anyhow::Result<()> {
        let Some(path) = &self.contact_sheet else { return Ok(()) };
        let pictures: Vec<&Picture> = std::iter::once(content).chain(styles).chain([result]).collect();
        let mut options = SaveOptions::default();
        options.quality = self.save.quality.filter(|_| Format::of(path).is_ok_and(Format::has_quality));
        Ok(picture::contact_sheet(&pictures, SHEET_GAP).save(path, &options)?)
    }

    /// Writes the log of losses, if asked for.
    pub fn save_losses(&self, log: &[Losses]) -> anyhow::Result<()> {
        let Some(path) = &self.losses else { return Ok(()) };
        let mut lines = String::new();
        for losses in log {
            lines += &serde_json::to_string(losses)?;
            lines.push('\n');
        }
        Ok(impasto::replace_file(path, lines.as_bytes())?)
    }
}
