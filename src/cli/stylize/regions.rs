//! Pictures of regions: which parts of the photograph and of the paintings belong together.

use std::path::{Path, PathBuf};

use impasto::Error;
use impasto::picture::{Input, Picture, RegionPicture, Regions};

use super::stdio::read;

/// The pictures that are drawn beside the photograph and the paintings.
#[derive(Clone, clap::Args)]
pub struct RegionFiles {
    /// A picture of the photograph's regions: each takes its style from the region of the same colour in
    /// --style-regions
    #[arg(long, value_name = "FILE", requires = "style")]
    content_regions: Option<PathBuf>,

    /// A picture of the regions of each painting, in the order of the paintings. It takes every name up to the next
    /// option, so give it after the photograph and the paintings
    #[arg(long = "style-regions", id = "style", value_name = "FILE", num_args = 1.., requires = "content_regions")]
    style_regions: Vec<PathBuf>,
}

/// Regions that were read, and their files as they are recorded.
pub struct ReadRegions {
    pub regions: Regions,
    pub content: Option<Input>,
    pub styles: Vec<Input>,
}

impl RegionFiles {
    /// Whether there are any.
    pub fn are_given(&self) -> bool {
        self.content_regions.is_some()
    }

    /// The photograph's file.
    pub fn content(&self) -> Option<&Path> {
        self.content_regions.as_deref()
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.content_regions.iter().chain(&self.style_regions).map(PathBuf::as_path)
    }

    /// Their names, to be replaced.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.content_regions.iter_mut().chain(&mut self.style_regions)
    }

    /// Reads them, for a photograph and paintings of these sizes.
    ///
    /// # Errors
    /// If a file cannot be read, is no picture of regions, or has another shape than what it is drawn beside;
    /// if colours have no partner, or if there is not one file for each painting.
    pub fn read(
        &self,
        content: (usize, usize),
        styles: &[(usize, usize)],
    ) -> anyhow::Result<Option<ReadRegions>> {
        let Some(file) = &self.content_regions else { return Ok(None) };
        if self.style_regions.len() != styles.len() {
            let why = format!(
                "{} files after --style-regions for {} paintings; give one for each, in their order",
                self.style_regions.len(),
                styles.len()
            );
            return Err(Error::Setting(why).into());
        }
        let drawn = read(file)?;
        let painted =
            self.style_regions.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<Picture>>>()?;
        let beside: Vec<_> = self
            .style_regions
            .iter()
            .zip(&painted)
            .zip(styles)
            .map(|((path, picture), size)| RegionPicture { path, picture, beside: *size })
            .collect();
        let regions = Regions::new(RegionPicture { path: file, picture: &drawn, beside: content }, &beside)?;
        let styles = painted.iter().filter_map(|picture| picture.source.clone()).collect();
        Ok(Some(ReadRegions { regions, content: drawn.source, styles }))
    }
}
