//! `impasto grid`: several values of one option at a small size, on one sheet, to choose by eye.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::anyhow;
use clap::{CommandFactory, Parser};
use impasto::engine::gpu::Gpu;
use impasto::network::vgg::Vgg;
use impasto::painting::capacity::check_sizes;
use impasto::painting::cost;
use impasto::painting::result::as_result;
use impasto::painting::run::{Ending, Observer, Run};
use impasto::painting::session::{Losses, Session};
use impasto::painting::settings::Settings;
use impasto::painting::stages::{self, Stage};
use impasto::painting::steering::Change;
use impasto::painting::tiling::Tiling;
use impasto::picture::{self, Picture, Regions, SaveOptions, Size};
use impasto::{Error, Store};

use super::progress::Progress;
use super::sheet::{fitted, sheet};
use super::stylize::{Look, Machine, Sizes, check_inputs, is_stream, read, resolve};
use super::{Cli, Command, INTERRUPTED, console, interrupt, rescue};

/// The longest side of a cell if no size is given.
const SIDE: usize = 192;
/// The iterations of a cell if none are given.
const ITERATIONS: usize = 100;
/// More cells than anybody would compare.
const MOST: usize = 64;

const EXAMPLES: &str = "\
Examples:
  impasto grid photo.jpg painting.jpg -o strengths.png
  impasto grid photo.jpg painting.jpg -o strokes.png --vary style-scale=0.5,1,2,3 --strength 0.6
  impasto grid photo.jpg painting.jpg -o presets.png --vary preset=subtle,painterly,bold
  impasto grid photo.jpg painting.jpg -o layers.png --vary 'layer-weights=1,1,1,1,1;4,1,1,1,1'";

/// Try several values of an option at a small size, side by side on one sheet
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("size", |arg| arg.help(format!("Size of a cell: N for the longest side, or WxH exactly [default: {SIDE}]"))))]
#[command(mut_arg("iterations", |arg| arg.help(format!("Steps of the optimiser at each size, smallest first; the last number is for all further sizes [default: those of the settings, at most {ITERATIONS} at each size]"))))]
pub struct Options {
    /// The photograph; `-` for standard input
    content: PathBuf,

    /// The painting; if there are several, their mean style is used
    #[arg(required = true)]
    styles: Vec<PathBuf>,

    /// Where to write the sheet; the file extension selects the format (.png, .jpg, .tif, .webp)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// An option under Look or Size, and its values; separate values that contain commas with semicolons
    #[arg(long, value_name = "OPTION=V,..", default_value = "strength=0,0.2,0.4,0.6,0.8,1")]
    vary: Variation,

    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    machine: Machine,

    /// No progress and no notes
    #[arg(short, long)]
    quiet: bool,
}

/// An option without its dashes, and the values to try.
#[derive(Clone, Debug)]
struct Variation {
    option: String,
    values: Vec<String>,
}

impl FromStr for Variation {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let usage = "write for example strength=0.2,0.5,0.8";
        let (option, values) = text.split_once('=').ok_or_else(|| anyhow!(usage))?;
        let separator = if values.contains(';') { ';' } else { ',' };
        let values: Vec<String> = values.split(separator).map(|v| v.trim().to_owned()).collect();
        anyhow::ensure!(values.iter().all(|v| !v.is_empty()), "a value is empty; {usage}");
        anyhow::ensure!(values.len() <= MOST, "{} values are more than {MOST}; try fewer", values.len());
        Ok(Self { option: option.trim().trim_start_matches("--").to_owned(), values })
    }
}

/// One value of the option.
struct Cell {
    label: String,
    settings: Settings,
    content: Picture,
    styles: Vec<(Picture, f64)>,
    start: Option<Picture>,
    regions: Option<Regions>,
    /// Those of the run whose settings are used.
    changes: Vec<Change>,
}

impl Cell {
    /// Its stages, of which changes may end some early.
    fn stages(&self) -> Vec<Stage> {
        stages::steered(&self.settings, (self.content.width, self.content.height), &self.changes)
    }

    /// All iterations of the cell, over all sizes.
    fn iterations(&self) -> usize {
        self.stages().last().map_or(0, Stage::end)
    }

    /// Its work, see [`cost::work`].
    fn work(&self) -> f64 {
        cost::work(&self.settings, &self.stages())
    }
}

/// The results of the cells.
struct Painted {
    cells: Vec<(String, Picture)>,
    interrupted: bool,
    /// Whether any cell has failed.
    failed: bool,
}

/// Paints every cell and writes the sheet.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    check_pipes(options)?;
    let variants = variants(options)?;
    check(options, &variants)?;
    interrupt::listen(options.quiet)?;
    let content = read(&options.content)?;
    let styles = options.styles.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    for (picture, path) in
        [&content].into_iter().chain(&styles).zip([&options.content].into_iter().chain(&options.styles))
    {
        let notes = picture.notes.iter().filter(|_| !options.quiet);
        notes.for_each(|note| console::message(&format!("note: {}: {note}", path.display())));
    }
    // The network is opened once, as deep as the deepest cell needs it.
    let settings =
        variants.iter().map(|(_, variant)| variant.look.settings()).collect::<Result<Vec<_>, _>>()?;
    let starts = variants.iter().map(|(_, variant)| variant.look.read_start());
    let starts = starts.collect::<Result<Vec<_>, _>>()?;
    let mut deepest = settings[0].clone();
    deepest.style_layers = settings.iter().flat_map(Settings::taps).collect();
    let tell = |note: &str| {
        if !options.quiet {
            console::message(note);
        }
    };
    // All cells have the same machine, which may come from `--settings-from`.
    let (gpu, vgg) = variants[0].1.machine.open_telling(&deepest, tell)?;
    let cells = variants
        .iter()
        .zip(settings)
        .zip(&starts)
        .map(|(((label, variant), settings), start)| {
            variant.cell(label, settings, &content, &styles, start.as_ref(), (&gpu, &vgg))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (i, (style, path)) in styles.iter().zip(&options.styles).enumerate() {
        let sizes = cells.iter().map(|cell| (cell.styles[i].0.width, cell.styles[i].0.height));
        let note = sizes.max().and_then(|size| style.enlarging_note(size));
        note.iter().for_each(|note| tell(&format!("note: {}: {note}", path.display())));
    }
    variants[0].1.note_changes(&cells).iter().for_each(|note| tell(note));
    let painted = paint(&cells, options.quiet, &gpu, &vgg)?;
    let (width, height) =
        cells.iter().fold((0, 0), |(w, h), c| (w.max(c.content.width), h.max(c.content.height)));
    let inputs = std::iter::once((&options.content, &content)).chain(options.styles.iter().zip(&styles));
    let named = inputs.map(|(path, picture)| (picture::name_of(path), fitted(picture, width, height)));
    let page: Vec<_> = named.chain(painted.cells).collect();
    let page = sheet(&page);
    let write = |path: &Path| Ok(page.save(path, &SaveOptions::default())?);
    rescue::or_elsewhere(write(&options.output), &options.output, write)?;
    if painted.interrupted {
        console::message("interrupted; the sheet has the cells so far");
    }
    console::data_line(&options.output.display().to_string())?;
    Ok(if painted.interrupted { INTERRUPTED } else { u8::from(painted.failed) })
}

/// Refuses outputs that cannot be written or that would destroy an input.
fn check(options: &Options, variants: &[(String, Options)]) -> anyhow::Result<()> {
    if is_stream(&options.output) {
        return Err(Error::Setting("a sheet cannot go to standard output; name a file".into()).into());
    }
    picture::check_writable(&options.output)?;
    let inputs = || std::iter::once(&options.content).chain(&options.styles).map(PathBuf::as_path);
    check_inputs(inputs())?;
    let files = variants.iter().flat_map(|(_, variant)| variant.look.files());
    let mut inputs = inputs().chain(files).filter(|input| !is_stream(input));
    if let Some(input) = inputs.find(|input| impasto::same_file(input, &options.output)) {
        let why = format!(
            "{} is an input, and writing the sheet there would destroy it; name another output",
            input.display()
        );
        return Err(Error::Setting(why).into());
    }
    Ok(())
}

/// Refuses pipes if a file would be read once for each value.
fn check_pipes(options: &Options) -> anyhow::Result<()> {
    let is_pipe = |file: &&Path| file.exists() && !file.is_file() && !file.is_dir();
    if let Some(file) = options.look.files().find(is_pipe) {
        let why = format!(
            "{} is read once for each value, and a pipe only once; save it in a file",
            file.display()
        );
        return Err(Error::Setting(why).into());
    }
    Ok(())
}

/// Parses the command line once per value, with the option set to that value.
fn variants(options: &Options) -> anyhow::Result<Vec<(String, Options)>> {
    let Variation { option, values } = &options.vary;
    let command = Cli::command();
    let own = command.find_subcommand("grid").expect("this command");
    let varied: Vec<_> = own
        .get_arguments()
        .filter(|a| matches!(a.get_help_heading(), Some("Look" | "Size")))
        .filter_map(clap::Arg::get_long)
        .filter(|name| *name != "settings-from")
        .collect();
    if !varied.contains(&option.as_str()) {
        let why = format!("--{option} cannot be varied; these can: {}", varied.join(", "));
        return Err(Error::Setting(why).into());
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let at = 1 + arguments.iter().position(|a| a == "grid").unwrap_or(0);
    let variant = |value: &String| {
        let mut arguments = arguments.clone();
        arguments.insert(at, format!("--{option}={value}").into());
        let cli = Cli::try_parse_from(arguments).map_err(|error| {
            // The first line has the error; the others show how this command is called.
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Error::Setting(format!("--{option} cannot be {value}: {line}"))
        })?;
        let Command::Grid(mut variant) = cli.command else {
            unreachable!("these arguments were this command's")
        };
        variant.resolve()?;
        Ok((format!("{option} {value}"), *variant))
    };
    values.iter().map(variant).collect()
}

impl Options {
    /// Applies preset and recorded settings, and shortens the run if no iterations are given.
    fn resolve(&mut self) -> anyhow::Result<()> {
        resolve(&mut self.sizes, &mut self.look, &mut self.machine)?;
        self.sizes.size = self.sizes.size.or(Some(Size::Longest(SIDE)));
        self.look.hurry(ITERATIONS);
        Ok(())
    }

    /// The note on the changes of the run whose settings are used, if there are any. Cells may be too short for them.
    fn note_changes(&self, cells: &[Cell]) -> Option<String> {
        let (file, note) = self.look.settings_from.as_ref().zip(self.look.note_on_changes())?;
        let last = self.look.changes().last()?.iteration;
        let short = cells.iter().any(|cell| cell.iterations() < last);
        let rest = if short {
            ", but the cells end before the last of them; --iterations makes them longer"
        } else {
            ""
        };
        Some(format!("note: {}: {note}{rest}", file.display()))
    }

    fn cell(
        &self,
        label: &str,
        mut settings: Settings,
        content: &Picture,
        styles: &[Picture],
        start: Option<&Picture>,
        (gpu, vgg): (&Gpu, &Vgg),
    ) -> anyhow::Result<Cell> {
        let (width, height) = self.sizes.of_content(content);
        let style_size = self.sizes.of_styles((width, height));
        let sizes: Vec<_> = styles.iter().map(|s| style_size.of(s.width, s.height, true)).collect();
        let drawn_beside: Vec<_> = styles.iter().map(|s| (s.width, s.height)).collect();
        let regions = self.look.regions.read((content.width, content.height), &drawn_beside)?;
        let regions = regions.map(|read| read.regions);
        settings.regions = regions.as_ref().map_or(0, |regions| regions.colours().len());
        check_sizes(gpu, vgg, &settings, (width, height), &sizes, (Tiling::Off, &Store::memory()))?;
        let filter = settings.recipe.filter();
        let content = content.resampled(Size::Exact { width, height }, true, filter);
        let weights = self.look.weights(styles.len())?;
        let styles: Vec<(Picture, f64)> =
            styles.iter().map(|s| s.resampled(style_size, true, filter)).zip(weights).collect();
        let paintings: Vec<_> = styles.iter().map(|(style, weight)| (style, *weight)).collect();
        let start = self.look.start(&content, start, &paintings);
        let changes = self.look.changes().to_vec();
        Ok(Cell { label: label.to_owned(), settings, content, styles, start, regions, changes })
    }
}

/// The observer of a cell's run.
struct Watch<'a> {
    /// The iterations of the cells before.
    before: usize,
    /// The work of the cells after it.
    after: f64,
    progress: &'a mut Progress,
}

impl Observer for Watch<'_> {
    fn losses(&mut self, run: &mut Run, losses: &Losses) -> impasto::Result<()> {
        let mut losses = losses.clone();
        losses.iteration += self.before;
        self.progress.report(&losses, run.session().work_left() + self.after);
        if interrupt::requested() {
            run.stop();
        }
        Ok(())
    }
}

/// Paints all cells, one after the other; after an interrupt, those that were begun. A failure does not
/// affect other cells.
fn paint(cells: &[Cell], quiet: bool, gpu: &Gpu, vgg: &Vgg) -> anyhow::Result<Painted> {
    let total = cells.iter().map(Cell::iterations).sum();
    let work = |cells: &[Cell]| cells.iter().map(Cell::work).sum::<f64>();
    let mut progress = Progress::new(String::new(), [0, total], work(cells), quiet);
    let mut painted = Painted { cells: Vec::new(), interrupted: false, failed: false };
    let (mut before, mut failed) = (0, Vec::new());
    interrupt::running();
    for (index, cell) in cells.iter().enumerate() {
        let mut builder = Session::builder(gpu, vgg).content(&cell.content).settings(cell.settings.clone());
        builder = builder.repeat(&cell.changes);
        for (style, weight) in &cell.styles {
            builder = builder.style(style, *weight);
        }
        if let Some(start) = &cell.start {
            builder = builder.start(start);
        }
        if let Some(regions) = &cell.regions {
            builder = builder.regions(regions);
        }
        let after = work(&cells[index + 1..]);
        let paint = || {
            let mut session = builder.build()?;
            let ending = session.run(&mut Watch { before, after, progress: &mut progress })?;
            painted.interrupted = ending != Ending::Complete;
            session.picture()
        };
        match paint() {
            Ok(picture) => {
                let result = as_result(picture, &cell.content, cell.settings.colours);
                painted.cells.push((cell.label.clone(), result));
            }
            Err(error) => failed.push((&cell.label, error)),
        }
        before += cell.iterations();
        painted.interrupted |= interrupt::requested() && index + 1 < cells.len();
        if painted.interrupted {
            break;
        }
    }
    progress.finish();
    painted.failed = !failed.is_empty();
    let last = if painted.cells.is_empty() { failed.pop() } else { None };
    for (label, error) in failed {
        console::message(&format!("error: {label}: {error}"));
    }
    match last {
        Some((label, error)) => Err(anyhow::Error::from(error).context(label.clone())),
        None => Ok(painted),
    }
}
