//! `impasto stylize`: one command repaints a photograph.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use impasto::Error;
use impasto::gpu::Gpu;
use impasto::picture::{self, Picture, SaveOptions, Size};
use impasto::session::{Losses, Session, check_sizes};
use impasto::settings::Settings;
use impasto::tune::Tuning;
use impasto::vgg::{Network, Vgg};
use impasto::weights::Weights;

use super::progress::Progress;
use super::{INTERRUPTED, print, talk};

/// Longest side where none is asked for.
const DEFAULT_SIDE: usize = 512;
/// White pixels around the pictures of a contact sheet.
const SHEET_GAP: usize = 12;

/// Repaint a photograph in the style of a painting
#[derive(clap::Args)]
pub struct Options {
    /// The photograph
    content: PathBuf,

    /// The painting; of several, the mean style is taken
    #[arg(required = true)]
    styles: Vec<PathBuf>,

    /// Where to write the result; the ending chooses the format (.png, .jpg, .tif, .webp)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Size of the result: N for the longest side, or WxH exactly [default: longest side 512, never enlarged]
    #[arg(long, value_name = "N|WxH", help_heading = "Size")]
    size: Option<Size>,

    /// Size of the painting, on which the size of its strokes depends [default: the result's longest side]
    #[arg(long, value_name = "N|WxH", help_heading = "Size")]
    style_size: Option<Size>,

    /// Steps of the optimiser
    #[arg(long, value_name = "N", default_value_t = Settings::default().iterations, help_heading = "Look")]
    iterations: usize,

    /// Weight of the content loss; more keeps the photograph
    #[arg(long, value_name = "X", default_value_t = Settings::default().content_weight,
          allow_negative_numbers = true, help_heading = "Look")]
    content_weight: f64,

    /// Weight of the style loss; more looks like the painting
    #[arg(long, value_name = "X", default_value_t = Settings::default().style_weight,
          allow_negative_numbers = true, help_heading = "Look")]
    style_weight: f64,

    /// Weight of the total variation loss; more is smoother
    #[arg(long, value_name = "X", default_value_t = Settings::default().tv_weight,
          allow_negative_numbers = true, help_heading = "Look")]
    tv_weight: f64,

    /// Adam's learning rate; it falls to 0.8 of itself every 50 iterations
    #[arg(long, value_name = "X", default_value_t = Settings::default().learning_rate,
          allow_negative_numbers = true, help_heading = "Look")]
    learning_rate: f64,

    /// Start from the content, from noise, or from a picture file
    #[arg(long, value_name = "content|noise|FILE", default_value = "content", help_heading = "Look")]
    init: String,

    /// Which noise `--init noise` starts from
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Look")]
    seed: u64,

    /// VGG-19 as a safetensors file with torchvision's tensor names, instead of the built-in one
    #[arg(long, value_name = "FILE", env = "IMPASTO_WEIGHTS", help_heading = "Machine")]
    weights: Option<PathBuf>,

    /// Use the first adapter whose name contains this (see `impasto devices`)
    #[arg(long, value_name = "NAME", env = "IMPASTO_ADAPTER", help_heading = "Machine")]
    adapter: Option<String>,

    /// Compute convolutions with this variant where it can, for measurements: naive, tiled, first or winograd
    #[arg(long, value_name = "conv3x3=NAME", help_heading = "Machine")]
    variant: Option<Tuning>,

    /// Also write every iteration's weighted losses, one JSON object per line
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    losses: Option<PathBuf>,

    /// Also write a picture of content, style and result side by side
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    contact_sheet: Option<PathBuf>,

    /// Print iterations and result as JSON lines on stdout
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// No progress
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,

    /// Tell what was resolved: adapter, sizes, memory
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
}

/// How often the user asked to stop.
static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);
/// Whether there is anything to save yet.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// From now on the first interrupt asks the run to stop, where there is one to stop, and the second ends it.
fn listen(quiet: bool) -> anyhow::Result<()> {
    // Who started us with `nohup` wants us to outlive the terminal.
    #[cfg(unix)]
    let ignored = unsafe { ignore_hangup() }?;
    ctrlc::set_handler(move || match INTERRUPTS.fetch_add(1, Ordering::SeqCst) {
        0 if !RUNNING.load(Ordering::SeqCst) => {
            talk("interrupted before the first iteration; nothing is saved");
            std::process::exit(INTERRUPTED.into());
        }
        0 if quiet => {}
        0 => talk("stopping after the running iterations; interrupt again to end at once without saving"),
        _ => std::process::exit(INTERRUPTED.into()),
    })
    .context("cannot listen for Ctrl-C")?;
    #[cfg(unix)]
    if ignored {
        unsafe { ignore_hangup() }?;
    }
    Ok(())
}

/// Ignores the end of the terminal, and tells whether that was so before.
///
/// # Safety
/// Ignoring a signal installs no handler, so nothing runs that would have to be safe inside one.
#[cfg(unix)]
unsafe fn ignore_hangup() -> anyhow::Result<bool> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    let before =
        unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }.context("cannot listen for the terminal")?;
    Ok(matches!(before, SigHandler::SigIgn))
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    // Everything that can be refused is refused before the first second of work.
    let settings = options.settings();
    settings.validate()?;
    options.check_outputs()?;
    listen(options.quiet)?;

    let content = Picture::open(&options.content)?;
    let styles = options.styles.iter().map(|path| Picture::open(path)).collect::<Result<Vec<_>, Error>>()?;
    let network = Network::vgg19();
    let specs = network.specs(&settings.taps())?;
    let weights = match &options.weights {
        None => Weights::embedded(&specs)?,
        Some(file) => Weights::from_file(file, &specs)?,
    };
    let gpu = Gpu::new(options.adapter.as_deref())?;
    let vgg = Vgg::new(&gpu, network, &weights, &options.variant.unwrap_or_default())?;

    // Enlarging comes after the check: what is too large for the adapter may be too large for memory, too.
    let size = options.size.unwrap_or(Size::Longest(DEFAULT_SIDE));
    let (width, height) = size.of(content.width, content.height, options.size.is_some());
    let style_size = options.style_size.unwrap_or(Size::Longest(width.max(height)));
    let style_sizes: Vec<_> = styles.iter().map(|s| style_size.of(s.width, s.height, true)).collect();
    check_sizes(&gpu, &vgg, &settings, (width, height), &style_sizes)?;
    options.check_format(width.max(height))?;
    let content = content.resized(Size::Exact { width, height }, true);
    let styles: Vec<_> = styles.iter().map(|style| style.resized(style_size, true)).collect();
    let start = options.start(&content)?;
    let began = Instant::now();
    let mut builder = Session::builder(&gpu, &vgg).content(&content).settings(settings.clone());
    for style in &styles {
        builder = builder.style(style, 1.0);
    }
    if let Some(start) = &start {
        builder = builder.start(start);
    }
    let mut session = builder.build()?;
    if options.verbose {
        options.explain(&gpu, &vgg, &session, &content, &styles);
    }

    let (mut log, mut stdout) = (Vec::new(), Ok(()));
    let mut progress = Progress::new(settings.iterations, options.quiet);
    let mut interrupted = false;
    RUNNING.store(true, Ordering::SeqCst);
    let finished = loop {
        if !interrupted && INTERRUPTS.load(Ordering::SeqCst) > 0 {
            interrupted = true;
            session.stop();
        }
        let losses = match session.step() {
            Ok(Some(losses)) => losses,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        progress.report(&losses);
        if options.json && stdout.is_ok() {
            stdout = print(&event("iteration", serde_json::to_value(&losses)?));
        }
        log.push(losses);
    };
    progress.finish();

    if let Err(error) = finished {
        // What led here may show in the losses.
        options.save_losses(&log)?;
        return Err(error.into());
    }
    let mut result = session.picture()?;
    result.alpha = content.alpha.clone();
    // One output that cannot be written takes none of the others along.
    let saved = result.save(&options.output, &SaveOptions::default()).map_err(anyhow::Error::from);
    let there = saved.is_ok();
    let mut outcomes = vec![saved, options.save_losses(&log), options.save_sheet(&content, &styles, &result)];
    if interrupted && there {
        talk(&format!("interrupted after {} iterations; the picture so far is saved", session.submitted()));
    }
    outcomes.push(stdout);
    let line = if options.json {
        let done = serde_json::json!({
            "output": options.output.to_string_lossy(), "iterations": session.submitted(),
            "interrupted": interrupted, "seconds": began.elapsed().as_secs_f64(),
            "width": result.width, "height": result.height,
        });
        event("done", done)
    } else {
        options.output.display().to_string()
    };
    if there {
        outcomes.push(print(&line));
    }
    let mut errors = outcomes.into_iter().filter_map(Result::err);
    let first = errors.next();
    errors.for_each(|error| talk(&format!("error: {error:#}")));
    match first {
        Some(error) => Err(error),
        None => Ok(if interrupted { INTERRUPTED } else { 0 }),
    }
}

/// A JSON line that says first what it is about.
fn event(kind: &str, mut value: serde_json::Value) -> String {
    value["event"] = kind.into();
    value.to_string()
}

impl Options {
    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.iterations = self.iterations;
        settings.content_weight = self.content_weight;
        settings.style_weight = self.style_weight;
        settings.tv_weight = self.tv_weight;
        settings.learning_rate = self.learning_rate;
        settings
    }

    /// Refuses outputs that cannot be written or that would destroy an input or each other.
    fn check_outputs(&self) -> anyhow::Result<()> {
        let outputs = [Some(&self.output), self.losses.as_ref(), self.contact_sheet.as_ref()];
        let outputs: Vec<&PathBuf> = outputs.into_iter().flatten().collect();
        let init = (!matches!(self.init.as_str(), "content" | "noise")).then(|| PathBuf::from(&self.init));
        let inputs: Vec<&PathBuf> =
            std::iter::once(&self.content).chain(&self.styles).chain(&self.weights).chain(&init).collect();
        for (i, output) in outputs.iter().enumerate() {
            if inputs.iter().any(|input| picture::same_file(input, output)) {
                return Err(Error::Setting(format!(
                    "{} is an input, and writing the result there would destroy it; name another output",
                    output.display()
                ))
                .into());
            }
            if outputs[..i].iter().any(|other| other == output || picture::same_file(other, output)) {
                return Err(Error::Setting(format!("{} is named as output twice", output.display())).into());
            }
        }
        picture::check_writable(&self.output)?;
        if let Some(path) = &self.contact_sheet {
            picture::check_writable(path)?;
        }
        if let Some(path) = &self.losses {
            picture::check_replaceable(path)?;
        }
        Ok(())
    }

    /// Refuses an output format that cannot hold the result.
    fn check_format(&self, side: usize) -> anyhow::Result<()> {
        let most = picture::Format::of(&self.output)?.max_side();
        anyhow::ensure!(
            side <= most,
            Error::write(
                &self.output,
                format!("{side} pixels are more than the {most} this format allows; write PNG")
            )
        );
        Ok(())
    }

    /// The picture to start from, if it is not the content.
    fn start(&self, content: &Picture) -> anyhow::Result<Option<Picture>> {
        let size = Size::Exact { width: content.width, height: content.height };
        Ok(match self.init.as_str() {
            "content" => None,
            "noise" => Some(Picture::noise(content.width, content.height, self.seed)),
            file => Some(Picture::open(Path::new(file))?.resized(size, true)),
        })
    }

    fn explain(&self, gpu: &Gpu, vgg: &Vgg, session: &Session, content: &Picture, styles: &[Picture]) {
        let info = gpu.info();
        talk(&format!("adapter  {} ({}, {} {})", info.name, info.backend, info.driver, info.driver_info));
        talk(&format!("content  {} x {}", content.width, content.height));
        for (style, path) in styles.iter().zip(&self.styles) {
            talk(&format!("style    {} x {}  {}", style.width, style.height, path.display()));
            style.notes.iter().for_each(|note| talk(&format!("note     {}: {note}", path.display())));
        }
        content.notes.iter().for_each(|note| talk(&format!("note     {}: {note}", self.content.display())));
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let pixels = (content.width * content.height) as u64;
        talk(&format!(
            "memory   {} MiB for the iteration ({} bytes per pixel), {} MiB for the network",
            mib(session.bytes()),
            session.bytes() / pixels,
            mib(vgg.bytes())
        ));
    }

    fn save_sheet(&self, content: &Picture, styles: &[Picture], result: &Picture) -> anyhow::Result<()> {
        let Some(path) = &self.contact_sheet else { return Ok(()) };
        let pictures: Vec<&Picture> = std::iter::once(content).chain(styles).chain([result]).collect();
        Ok(picture::contact_sheet(&pictures, SHEET_GAP).save(path, &SaveOptions::default())?)
    }

    fn save_losses(&self, log: &[Losses]) -> anyhow::Result<()> {
        let Some(path) = &self.losses else { return Ok(()) };
        let mut lines = String::new();
        for losses in log {
            lines += &serde_json::to_string(losses)?;
            lines.push('\n');
        }
        Ok(picture::replace_file(path, lines.as_bytes())?)
    }
}
