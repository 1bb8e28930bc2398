//! What made a picture, written into its file, so that it can be made again.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::slice;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::painting::preset::check_scale;
use crate::painting::settings::Settings;
use crate::painting::stages;
use crate::painting::steering::{self, Change, End};
use crate::picture::{self, Comment, Input, Size};

/// Name of this program in records.
const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// Where a run started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Start {
    /// At the content.
    Content,
    /// At the content with the colours of the paintings.
    Matched,
    /// At plain gray.
    Gray,
    /// At noise.
    Noise {
        /// Which one.
        seed: u64,
    },
    /// At another picture.
    Picture(Input),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Content => write!(f, "the photograph"),
            Self::Matched => write!(f, "the photograph in the colours of the painting"),
            Self::Gray => write!(f, "gray"),
            Self::Noise { seed } => write!(f, "noise, seed {seed}"),
            Self::Picture(file) => write!(f, "{}", file.name),
        }
    }
}

/// All that determines a picture. With the same inputs and adapter it gives the same pixels.
///
/// In files it is one JSON object in ASCII: the text `impasto` of a PNG, EXIF's user comment elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// `impasto`.
    pub program: String,
    /// Version of the program.
    pub version: String,
    /// The settings, with the iterations that were really done.
    pub settings: Settings,
    /// The iterations that were done, if the run was interrupted or is still going on and a shorter run would be
    /// another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<usize>,
    /// What was changed while the run went on, in the order of iterations. The settings are those before any
    /// change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The size asked for; `None` is the program's default.
    #[serde(default)]
    pub size: Option<Size>,
    /// The size asked for the styles; `None` is the program's default.
    #[serde(default)]
    pub style_size: Option<Size>,
    /// The size of the styles in longest sides of the result, if that was asked for.
    #[serde(default)]
    pub style_scale: Option<f64>,
    /// How much each style counts; empty for all the same.
    #[serde(default)]
    pub style_weights: Vec<f64>,
    /// Where the run started.
    pub start: Start,
    /// Which variants of the ops were asked for, if any.
    #[serde(default)]
    pub variant: Option<String>,
    /// Name and driver of the graphics adapter.
    pub adapter: String,
    /// The photograph.
    pub content: Input,
    /// The paintings.
    pub styles: Vec<Input>,
    /// The picture of the photograph's regions, if there are regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_regions: Option<Input>,
    /// The pictures of the paintings' regions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub style_regions: Vec<Input>,
    /// The network: `built-in` or the name of its file, and what
    /// [`Vgg::digest`](crate::network::vgg::Vgg::digest) gives.
    pub network: Input,
}

impl Record {
    /// Of a run by this version, from the content at default sizes.
    pub fn new(
        settings: Settings,
        adapter: String,
        network: Input,
        content: Input,
        styles: Vec<Input>,
    ) -> Self {
        Self {
            program: PROGRAM.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            settings,
            done: None,
            changes: Vec::new(),
            size: None,
            style_size: None,
            style_scale: None,
            style_weights: Vec::new(),
            start: Start::Content,
            variant: None,
            adapter,
            network,
            content,
            styles,
            content_regions: None,
            style_regions: Vec::new(),
        }
    }

    /// The record of the picture after `iterations` of this run, whose result has the size (width, height), with the
    /// changes so far.
    pub fn after(&self, iterations: usize, size: (usize, usize), changes: &[Change]) -> Self {
        let mut record = self.clone();
        // Those that the picture has seen.
        let seen = |change: &&Change| {
            change.iteration < iterations || (change.end.is_some() && change.iteration == iterations)
        };
        record.changes = changes.iter().filter(seen).cloned().collect();
        let ended = record.changes.iter().any(|change| change.end == Some(End::Run));
        // Sizes, finish and falling steps are planned for the number of iterations.
        let planned = stages::stages(&record.settings, size).len() > 1
            || record.settings.settle > 0.0
            || !record.settings.first_iterations.is_empty();
        let whole = stages::steered(&record.settings, size, &record.changes);
        if !planned && !ended {
            record.settings.iterations = iterations;
        } else if whole.last().is_some_and(|last| iterations < last.end()) {
            record.done = Some(iterations);
        }
        record
    }

    /// After how many iterations the run was interrupted. Where it was before the first, there is nothing to repeat.
    pub fn interrupted(&self) -> Option<usize> {
        self.done.filter(|done| *done > 0)
    }

    /// The changes with which a run of these settings gives this picture: those that were made, and its end where it
    /// was interrupted.
    pub fn repeated(&self) -> Vec<Change> {
        let end = self.interrupted().map(|done| Change::ending(done, End::Run));
        self.changes.iter().cloned().chain(end).collect()
    }

    /// Reads the record in the bytes of a picture file; `name` is for error texts.
    ///
    /// # Errors
    /// [`Error::Picture`] if the file has no record, or one that this version does not understand.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::in_file(bytes).map_err(|why| Error::picture(Path::new(name), why))
    }

    pub(super) fn in_file(bytes: &[u8]) -> Result<Self, String> {
        Self::from_json(&picture::comment(bytes)?.unwrap_or_default())
    }

    /// Program and version.
    pub fn software(&self) -> String {
        format!("{} {}", self.program, self.version)
    }

    /// The part of it that is written into a picture's file.
    pub fn comment(&self) -> Comment {
        Comment { software: self.software(), text: self.to_json() }
    }

    /// One line of JSON in ASCII.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string(self).expect("a record has nothing that JSON cannot hold");
        let mut units = [0; 2];
        let escape = |c: char| match (' '..='~').contains(&c) {
            true => c.to_string(),
            false => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        text.chars().map(escape).collect()
    }

    /// The inverse of [`Record::to_json`], or why there is none.
    fn from_json(text: &str) -> Result<Self, String> {
        let none = "no settings are in it; use the picture as this program wrote it, because other programs may drop them";
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| none)?;
        if value["program"] != PROGRAM {
            return Err(none.into());
        }
        let version = value["version"].as_str().unwrap_or("an unknown version").to_owned();
        let foreign = |e: &dyn std::fmt::Display| {
            format!(
                "its settings were written by {PROGRAM} {version} and are not understood here ({e}); use that version"
            )
        };
        let record: Self = serde_json::from_value(value).map_err(|e| foreign(&e))?;
        record.style_scale.map_or(Ok(1.0), check_scale).map_err(|e| foreign(&e))?;
        steering::check(&record.settings, &record.changes).map_err(|e| foreign(&e))?;
        Ok(record)
    }

    /// What of `other`, in sentences, keeps it from giving the picture of this record, though both have the
    /// same settings.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut compare = |what: &str, old: &str, new: &str| {
            if old != new {
                notes.push(format!("{what}: {old} then, {new} now"));
            }
        };
        compare("another version", &self.software(), &other.software());
        compare("another adapter", &self.adapter, &other.adapter);
        let mut files = |what: &str, old: &[Input], new: &[Input]| {
            let list = |files: &[Input]| files.iter().map(Input::label).collect::<Vec<_>>().join(", ");
            if !old.iter().map(|file| &file.sha256).eq(new.iter().map(|file| &file.sha256)) {
                compare(what, &list(old), &list(new));
            }
        };
        files("another content", slice::from_ref(&self.content), slice::from_ref(&other.content));
        files("other styles", &self.styles, &other.styles);
        files("another network", slice::from_ref(&self.network), slice::from_ref(&other.network));
        let regions = |record: &Self| -> Vec<Input> {
            record.content_regions.iter().chain(&record.style_regions).cloned().collect()
        };
        files("other regions", &regions(self), &regions(other));
        if let (Start::Picture(old), Start::Picture(new)) = (&self.start, &other.start) {
            files("another picture to start from", slice::from_ref(old), slice::from_ref(new));
        }
        notes
    }
}
