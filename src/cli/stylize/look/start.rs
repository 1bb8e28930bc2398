//! Where a run starts: as the options say, as a preset or a record has it, and as a picture.

use std::ffi::OsString;
use std::path::PathBuf;

use impasto::painting::choices::{Colours, Recipe};
use impasto::painting::provenance::Start;
use impasto::picture::{Input, Picture, Size, name_of};

use super::Look;

/// Where a run starts, as it is asked for.
#[derive(Clone, Debug)]
pub(super) enum Init {
    Matched,
    Content,
    Noise,
    Gray,
    File(PathBuf),
}

impl From<OsString> for Init {
    fn from(text: OsString) -> Self {
        match text.to_str() {
            Some("matched") => Self::Matched,
            Some("content") => Self::Content,
            Some("noise") => Self::Noise,
            Some("gray") => Self::Gray,
            _ => Self::File(text.into()),
        }
    }
}

impl Look {
    /// The start as a preset has it.
    pub fn preset_start(&self) -> Start {
        match &self.init {
            Some(Init::File(file)) => Start::Picture(Input::new(name_of(file), &[])),
            Some(Init::Noise) => Start::Noise { seed: self.seed() },
            Some(Init::Gray) => Start::Gray,
            Some(Init::Matched) => Start::Matched,
            Some(Init::Content) => Start::Content,
            None => self.usual_start(),
        }
    }

    /// Takes over a start that needs no file, unless the command line names another.
    pub(super) fn take_start(&mut self, start: &Start) {
        match (&self.init, start) {
            (None | Some(Init::Noise), Start::Noise { seed }) => {
                self.init = Some(Init::Noise);
                self.seed = self.seed.or(Some(*seed));
            }
            (None, Start::Content) => self.init = Some(Init::Content),
            (None, Start::Matched) => self.init = Some(Init::Matched),
            (None, Start::Gray) => self.init = Some(Init::Gray),
            _ => {}
        }
    }

    /// Reads the picture to start from, if it is a file.
    pub fn read_start(&self) -> impasto::Result<Option<Picture>> {
        match &self.init {
            Some(Init::File(file)) => Picture::open(file).map(Some),
            _ => Ok(None),
        }
    }

    /// Where a run starts by default: at the photograph, and in the painterly recipe with the painting's
    /// colours, unless the photograph's colours are asked for.
    fn usual_start(&self) -> Start {
        match (self.base.recipe, self.colours.unwrap_or(self.base.colours)) {
            (Recipe::Painterly, Colours::Painting) => Start::Matched,
            _ => Start::Content,
        }
    }

    /// The picture to start from, if it is not the content; as large as that. `read` is what
    /// [`Look::read_start`] gave, `paintings` are the styles with their weights.
    pub fn start(
        &self,
        content: &Picture,
        read: Option<&Picture>,
        paintings: &[(&Picture, f64)],
    ) -> Option<Picture> {
        let Picture { width, height, .. } = *content;
        match self.preset_start() {
            Start::Noise { seed } => Some(Picture::noise(width, height, seed)),
            Start::Gray => Some(Picture::new(width, height, vec![0.5; 3 * width * height])),
            Start::Matched => Some(content.with_colours_of(paintings, 1.0)),
            _ => read
                .map(|start| start.resampled(Size::Exact { width, height }, true, self.base.recipe.filter())),
        }
    }

    /// The start as it is recorded; `picture` is the result of [`Look::start`].
    pub fn recorded(&self, picture: Option<&Picture>) -> Start {
        match (self.preset_start(), picture.and_then(|p| p.source.clone())) {
            (Start::Picture(_), Some(file)) => Start::Picture(file),
            (start, _) => start,
        }
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }
}
