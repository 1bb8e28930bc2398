//! Messages about one picture while it is painted: to people on stderr, to programs on stdout.

use std::path::Path;

use impasto::Store;
use impasto::measuring::estimate::device_memory;
use impasto::painting::capacity;
use impasto::painting::choices::TileStatistics;
use impasto::painting::session::Session;
use impasto::painting::settings::Settings;
use impasto::painting::tiling::{Tiles, Tiling, side_of_tiles};
use impasto::picture::name_of;

use super::job::{Job, Sized};
use super::studio::Studio;
use crate::cli::progress::Progress;
use crate::cli::{console, memory_text, time_text};

impl Job<'_> {
    /// Warns, before the work begins, if the adapter has too little memory according to its driver. The run
    /// may still work, because drivers can use the machine's memory, but slowly.
    pub(super) fn warn(&self, size: (usize, usize)) -> anyhow::Result<()> {
        let Studio { gpu, vgg, tiling, .. } = self.studio;
        self.tell_side();
        self.tell_idle(size)?;
        let Some(there) = device_memory(gpu) else { return Ok(()) };
        let needed = capacity::memory(gpu, vgg, self.settings, size, *tiling)? + vgg.bytes();
        if needed > there {
            let room = there.saturating_sub(vgg.bytes());
            let largest = match capacity::largest(gpu, vgg, self.settings, size, room)? {
                None => "nothing of this shape fits".to_owned(),
                Some((width, height)) => format!("the largest that fits is --size {width}x{height}"),
            };
            console::message(&format!(
                "warning: {} x {} pixels need {} of memory, and {} has {}; {largest}",
                size.0,
                size.1,
                memory_text(needed),
                gpu.info().name,
                memory_text(there)
            ));
        }
        Ok(())
    }

    /// Notes paintings that are smaller than `sizes`, at which they are needed. For many photographs this is
    /// said once.
    pub(super) fn note_enlarged(&self, sizes: &[(usize, usize)]) {
        let Studio { styles, enlarged, .. } = self.studio;
        if enlarged.get() {
            return;
        }
        for ((style, size), path) in styles.iter().zip(sizes).zip(&self.options.styles) {
            if let Some(note) = style.enlarging_note(*size) {
                self.options.reporting.note(path, &note);
                enlarged.set(true);
            }
        }
    }

    /// Says which tiles are used where those that were asked for cannot be.
    fn tell_side(&self) {
        let Tiling::Side(side) = self.studio.tiling else { return };
        let used = side_of_tiles(&self.studio.vgg, self.settings, side);
        if used != side && !self.options.reporting.quiet {
            console::message(&format!(
                "note: tiles begin at multiples of 16 pixels; tiles of {used} are used instead of {side}"
            ));
        }
    }

    /// Says so if what was asked for tiles has nothing to do: other adapters, quick statistics.
    fn tell_idle(&self, size: (usize, usize)) -> anyhow::Result<()> {
        let Studio { gpu, vgg, others, tiling, .. } = self.studio;
        let quick = self.settings.tile_statistics == TileStatistics::Quick;
        let ranks = self.options.ranks.as_ref();
        let asked = !others.is_empty() || ranks.is_some() || quick;
        if self.options.reporting.quiet
            || !asked
            || capacity::tiles(gpu, vgg, self.settings, size, *tiling)?.is_some()
        {
            return Ok(());
        }
        if !others.is_empty() {
            console::message(
                "note: the picture fits on the first adapter, so the others have nothing to do; --tile N shares it \
                 among them",
            );
        }
        if let Some(ranks) = ranks {
            console::message(&format!(
                "note: the picture fits on one adapter, so each of the {} processes paints all of it; --tile N shares it among them",
                ranks.count()
            ));
        }
        if quick {
            console::message("note: no size is painted in tiles, so that --tiling quick changes nothing");
        }
        Ok(())
    }

    /// Prints the expected time and memory when the pace is known. People get this for the first of many
    /// pictures only.
    pub(super) fn estimate(
        &self,
        session: &Session,
        seconds: f64,
        each: f64,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let Studio { gpu, vgg, estimated, .. } = self.studio;
        let (memory, there) = (session.bytes() + vgg.bytes(), device_memory(gpu));
        if !estimated.replace(true) {
            let of = there.map_or(String::new(), |there| format!(" of {}", memory_text(there)));
            progress.say(&format!(
                "estimate {} for {} iterations ({} each at first), {}{of} of the adapter's memory",
                time_text(seconds),
                session.iterations(),
                time_text(each),
                memory_text(memory)
            ));
        }
        if !self.options.reporting.json {
            return Ok(());
        }
        let estimate = serde_json::json!({
            "seconds": seconds, "iteration_seconds": each, "memory_bytes": session.bytes(),
            "network_bytes": vgg.bytes(), "adapter_bytes": there,
        });
        self.tell("estimate", estimate)
    }

    /// Prints a line of JSON about this picture.
    pub(super) fn tell(&self, kind: &str, value: serde_json::Value) -> anyhow::Result<()> {
        console::data_line(&event(kind, Some(self.place.0), value))
    }

    /// The beginning of the progress line.
    pub(super) fn label(&self) -> String {
        match self.place {
            (_, 1) => String::new(),
            (number, of) => {
                let left = self.left.map(|left| format!(", {} left in all", time_text(left.as_secs_f64())));
                format!("[{number}/{of}{}] {}  ", left.unwrap_or_default(), name_of(self.name))
            }
        }
    }

    pub(super) fn explain(
        &self,
        session: &Session,
        Sized { content, styles, start, .. }: &Sized,
        compiled: usize,
    ) {
        console::message(&format!("adapter  {}", self.adapter()));
        let network = self.options.machine.recorded(&self.studio.vgg);
        console::message(&format!("network  {} (SHA-256 {:.16}...)", network.name, network.sha256));
        console::message(&format!(
            "content  {} x {}  {}",
            content.width,
            content.height,
            self.name.display()
        ));
        for (style, path) in styles.pictures.iter().zip(&self.options.styles) {
            console::message(&format!("style    {} x {}  {}", style.width, style.height, path.display()));
        }
        console::message(&format!("start    {}", self.options.look.recorded(start.as_ref())));
        let Settings { recipe, style_loss, content_weight, style_weight, tv_weight, learning_rate, .. } =
            self.settings;
        let stages = session.stages().iter().map(|stage| {
            let finish = if stage.finish { " with the finish" } else { "" };
            let (width, height) = stage.inner();
            format!("{width} x {height}: {} iterations{finish}", stage.iterations)
        });
        console::message(&format!("sizes    {}", stages.collect::<Vec<_>>().join("; ")));
        console::message(&format!(
            "settings {recipe}, {style_loss}; weights: content {content_weight}, style {style_weight}, tv {tv_weight}; \
             learning rate {learning_rate}"
        ));
        console::message(&format!("output   {}", self.outputs.result.display()));
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let pixels = (content.width * content.height) as u64;
        console::message(&format!(
            "memory   {} MiB for the iteration ({} bytes per pixel), {} MiB for the network",
            mib(session.bytes()),
            session.bytes() / pixels,
            mib(self.studio.vgg.bytes())
        ));
        let Studio { gpu, vgg, tiling, store, .. } = self.studio;
        let tiles = capacity::tiles(gpu, vgg, self.settings, (content.width, content.height), *tiling);
        if let Ok(Some(tiles)) = tiles {
            console::message(&format!("tiles    {}", tiles_text(&tiles, store)));
        }
        console::message(&format!("shaders  {compiled} compiled, {} in all", self.studio.gpu.pipelines()));
    }
}

/// Tiles in words.
pub fn tiles_text(tiles: &Tiles, store: &Store) -> String {
    let (width, height) = tiles.window;
    let passes = match tiles.statistics {
        0 => format!("{} in one pass", tiles.gradients),
        statistics => format!("{statistics} for the statistics and {} for the gradients", tiles.gradients),
    };
    let taken = match store.path() {
        Some(folder) => format!(
            "{} of the machine's own memory and {} of the disk of {}",
            memory_text(tiles.host_bytes_beside_folder),
            memory_text(tiles.folder_bytes),
            folder.display()
        ),
        None => format!("{} of the machine's own memory", memory_text(tiles.host_bytes)),
    };
    format!(
        "windows of {width} x {height} at the last size, {passes}; an iteration computes {:.2} times what the whole would, and the \
         picture takes {taken}",
        tiles.overhead
    )
}

/// The JSON line with the reason why a picture could not be painted.
pub fn failed(picture: usize, content: &Path, why: &str) -> String {
    event("failed", Some(picture), serde_json::json!({ "content": content.to_string_lossy(), "error": why }))
}

/// A JSON line with its event and the number of the picture, counted from 1.
pub fn event(kind: &str, picture: Option<usize>, mut value: serde_json::Value) -> String {
    value["event"] = kind.into();
    if let Some(picture) = picture {
        value["picture"] = picture.into();
    }
    value.to_string()
}
