//! The options, grouped by purpose. Each group turns itself into what the run needs.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::ArgAction;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use impasto::Error;
use impasto::painting::preset::Preset;
use impasto::painting::provenance::Record;
use impasto::painting::ranks::Ranks;
use impasto::picture::SaveOptions;
use tempfile::TempDir;

use super::inputs::Inputs;
use super::live::Watching;
use super::look::Look;
use super::machine::{Machine, Room};
use super::numbers;
use super::sizes::Sizes;
use super::stdio::is_stream;
use crate::cli::console;
use crate::cli::preview::Way;

/// Repaint photographs in the style of a painting
#[derive(clap::Args)]
pub struct Options {
    /// The photograph; `-` for standard input. With `-o DIR` there may be many: files, a folder, or a quoted
    /// pattern such as "photos/*.jpg"
    pub content: PathBuf,

    /// The painting; if there are several, their mean style is used. With `-o DIR` the last name is the
    /// painting, unless --style names it
    #[arg(required_unless_present = "named_styles", value_name = "STYLE")]
    pub styles: Vec<PathBuf>,

    /// Where to write the result; the file extension selects the format (.png, .jpg, .tif, .webp). In a
    /// folder, each result takes its photograph's name. `-` is standard output
    #[arg(short, long, value_name = "FILE|DIR|-")]
    pub output: PathBuf,

    #[command(flatten)]
    pub many: Inputs,
    #[command(flatten)]
    pub sizes: Sizes,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub room: Room,
    #[command(flatten)]
    pub watching: Watching,
    #[command(flatten)]
    pub reporting: Reporting,
    #[command(flatten)]
    pub keep: Keep,
    /// The processes that share the tiles, if there are several.
    #[arg(skip)]
    pub ranks: Option<Rc<dyn Ranks>>,
    /// The first one's files, as they were given to this one.
    #[arg(skip)]
    pub given: RefCell<Option<TempDir>>,
}

impl Options {
    /// Whether this process only computes, for another one that reads and writes.
    pub fn follows(&self) -> bool {
        self.ranks.as_ref().is_some_and(|ranks| ranks.rank() > 0)
    }

    /// Every file that the run reads, except the photographs.
    pub fn inputs(&self) -> Vec<&Path> {
        let styles = self.styles.iter().map(PathBuf::as_path);
        let machine = self.machine.weights.as_deref();
        let look = self.look.files();
        styles.chain(machine).chain(look).filter(|file| !is_stream(file)).collect()
    }

    /// Writes the run's settings as a preset, if asked for; never over one of the `contents`.
    ///
    /// # Errors
    /// If it cannot be written, or if a preset cannot hold the given options.
    pub fn write_preset(&self, contents: &[PathBuf]) -> impasto::Result<()> {
        let Some(path) = &self.reporting.write_preset else { return Ok(()) };
        let mut inputs = self.inputs();
        inputs.extend(contents.iter().map(PathBuf::as_path));
        inputs.push(&self.output);
        inputs.extend(self.beside().chain(self.keep.resume.as_deref()));
        if let Some(other) = inputs.into_iter().find(|file| *file == path || impasto::same_file(file, path)) {
            return Err(Error::Setting(format!(
                "{} is an input or another output, and cannot be the preset, too; name another file",
                other.display()
            )));
        }
        let preset = Preset::new(self.look.settings()?, self.sizes.style_scale, self.look.preset_start())?;
        impasto::replace_file(path, preset.to_toml().as_bytes())
    }
}

/// Applies the record in the picture of `--settings-from`, and then the preset, where no options are given.
/// Returns the record.
///
/// # Errors
/// If one of them cannot be read, or if that picture was started from a file that is not named now.
pub fn resolve(sizes: &mut Sizes, look: &mut Look, machine: &mut Machine) -> anyhow::Result<Option<Record>> {
    let repeated = look.settings_from.as_deref().map(Record::open).transpose()?;
    if let Some(record) = &repeated {
        sizes.adopt(record);
        look.adopt(record)?;
        machine.adopt(record)?;
    }
    if let Some(preset) = look.take_preset()? {
        sizes.take_preset(&preset);
    }
    Ok(repeated)
}

/// Options for what is written and printed besides the result.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Reporting {
    /// Also write every iteration's weighted losses, one JSON object per line
    #[arg(long, value_name = "FILE|DIR")]
    pub losses: Option<PathBuf>,

    /// Also write a picture of content, style and result side by side
    #[arg(long, value_name = "FILE|DIR")]
    pub contact_sheet: Option<PathBuf>,

    /// Also write an HTML page with the pictures, a before/after slider, the loss curves and the settings
    #[arg(long, value_name = "FILE.html|DIR")]
    pub report: Option<PathBuf>,

    /// Also write intermediate pictures into this folder, frame-00000.png and so on, for a time-lapse
    #[arg(long, value_name = "DIR")]
    pub frames: Option<PathBuf>,

    /// Iterations between two frames
    #[arg(long, value_name = "N", default_value = "10", requires = "frames", allow_negative_numbers = true,
          value_parser = numbers::positive)]
    pub frames_every: usize,

    /// Show the picture in the terminal while it is painted
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub preview: Option<Way>,

    /// Also write the settings of this run as a preset
    #[arg(long, value_name = "FILE")]
    pub write_preset: Option<PathBuf>,

    /// Bits per sample of the result; 16 for .png and .tif only
    #[arg(long = "depth", value_name = "BITS", default_value = "8", action = ArgAction::Set,
          value_parser = PossibleValuesParser::new(["8", "16"]).map(|bits| bits == "16"))]
    depth16: bool,

    /// Quality of a .jpg or .webp, 1 (small) to 100 (best) [default: 92 for .jpg, .webp without loss]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,

    /// Write pixels only: none of the photograph's EXIF (camera, date, place), no settings
    #[arg(long)]
    pub no_metadata: bool,

    /// Print starts, iterations and results as JSON lines on stdout
    #[arg(long)]
    pub json: bool,

    /// No progress and no notes
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print adapter, sizes and memory of the run
    #[arg(short, long)]
    pub verbose: bool,
}

impl Reporting {
    /// Nothing is written or said.
    pub fn silent() -> Self {
        Self {
            losses: None,
            contact_sheet: None,
            report: None,
            frames: None,
            frames_every: 1,
            preview: None,
            write_preset: None,
            depth16: false,
            quality: None,
            no_metadata: false,
            json: false,
            quiet: true,
            verbose: false,
        }
    }

    /// How the result is written, as far as that is known before the run.
    pub fn save_options(&self) -> SaveOptions {
        let mut options = SaveOptions::default();
        options.depth16 = self.depth16;
        options.quality = self.quality;
        options
    }

    /// Prints a note about a file.
    pub fn note(&self, file: &Path, text: &str) {
        if !self.quiet {
            console::message(&format!("note: {}: {text}", file.display()));
        }
    }
}

/// Options for what is saved during a long run.
#[derive(clap::Args)]
#[command(next_help_heading = "Long runs")]
pub struct Keep {
    /// Also write the result after every N iterations
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::positive)]
    pub save_every: Option<usize>,

    /// Write a checkpoint to resume from: every minute, with each --save-every, when interrupted, and at the
    /// end
    #[arg(long, value_name = "FILE|DIR")]
    pub checkpoint: Option<PathBuf>,

    /// Continue from a checkpoint, with the same pictures and settings; only with --preset book may there be more
    /// --iterations
    #[arg(long, value_name = "FILE|DIR")]
    pub resume: Option<PathBuf>,
}

impl Keep {
    /// Writes nothing, and continues only if the file to continue from is there.
    pub fn only_go_on(&mut self) {
        let begins = |file: &PathBuf| self.checkpoint.as_ref() == Some(file);
        self.resume = self.resume.take().filter(|file| !begins(file));
        (self.save_every, self.checkpoint) = (None, None);
    }
}
