//! Whether a picture is painted in tiles, and how large they are.

use crate::disk::Store;
use crate::engine::plan::Plan;
use crate::engine::tape::Shape;
use crate::network::vgg::Vgg;
use crate::painting::choices::{Optimizer, TileStatistics};
use crate::painting::objective::Objective;
use crate::painting::optimiser::{Form, parts};
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::tiling::layout::{Layout, Reach};
use crate::painting::tiling::window::map_size;
use crate::{Error, Result};

/// More pixels than any picture that is read.
const MAX_PIXELS: usize = 1 << 28;

/// When a picture is painted in tiles. The result is the same within rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tiling {
    /// Never.
    #[default]
    Off,
    /// In tiles. An inner tile owns a square with at most this many pixels on a side. What the network
    /// sees of the picture's deepest layer decides at which multiples tiles may begin: of VGG's five blocks,
    /// at multiples of 16. Smaller ones are rounded up to the first, others down.
    Side(usize),
    /// Where the whole would need more bytes of device memory, with the network's; then in the largest tiles
    /// that do not.
    Within(u64),
}

/// The side of the tiles that [`Tiling::Side`] gives for `side`.
pub fn side_of_tiles(vgg: &Vgg, settings: &Settings, side: usize) -> usize {
    let (step, sight) = vgg.reach(&settings.taps());
    let step = Reach::new(step, sight).step;
    (side / step * step).max(step)
}

/// The tiles in which a size is painted. An iteration is two passes over them.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Tiles {
    /// Columns and rows of what the network sees of the picture at a time: a tile and what is around it.
    pub window: (usize, usize),
    /// Tiles of the first pass, which measures the picture; none where that is done in the second.
    pub statistics: usize,
    /// Tiles of the second pass, which finds the gradients.
    pub gradients: usize,
    /// What an iteration computes, as a multiple of what it would for the whole picture at once.
    pub overhead: f64,
    /// Bytes of the machine's own memory that the picture and what belongs to it take.
    pub host_bytes: u64,
    /// The same where the rest lies in the folder of a [`Store`].
    pub host_bytes_beside_folder: u64,
    /// Bytes in that folder.
    pub folder_bytes: u64,
}

/// Bytes of the machine's own memory for a stage in tiles.
struct HostMemory {
    /// The photograph, where the run starts, a picture that is shown; L-BFGS's direction, and the masks of regions.
    in_memory: u64,
    /// Picture, average and optimiser's state, the gradient, the photograph's features; and until the first iteration is
    /// done, the state that the stage before left, which has half of the pixels at most.
    kept: u64,
}

impl Tiles {
    /// Tiles of an iteration.
    pub fn passes(&self) -> usize {
        self.statistics + self.gradients
    }
}

impl Objective<'_, '_> {
    /// What a layout is for a picture of this size, its margin included.
    pub(crate) fn tiles(&self, layout: &Layout, size: (usize, usize)) -> Tiles {
        // Of a quick run, all iterations but the first.
        let looks = self.settings.tile_statistics == TileStatistics::Exact;
        let host = self.host_memory(size);
        Tiles {
            window: layout.window,
            statistics: if looks { layout.features.len() } else { 0 },
            gradients: layout.gradients.len(),
            overhead: layout.overhead(size, looks),
            host_bytes: host.in_memory + host.kept,
            host_bytes_beside_folder: host.in_memory,
            folder_bytes: host.kept,
        }
    }

    /// How far the network looks.
    fn reach(&self) -> Reach {
        let (step, sight) = self.vgg.reach(&self.settings.taps());
        Reach::new(step, sight)
    }

    /// The tiles of a stage, if it is painted in tiles.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if not even the smallest tiles keep within a budget, [`Error::Setting`] for tiles
    /// of no pixels.
    pub(crate) fn layout(&self, stage: &Stage, tiling: Tiling) -> Result<Option<Layout>> {
        let size = (stage.width, stage.height);
        self.choose(size, tiling, || self.whole_memory(stage), |layout| self.tiled_memory(stage, layout))
    }

    /// The tiles of a painting, if it is measured in tiles.
    ///
    /// # Errors
    /// As [`Self::layout`].
    pub(crate) fn painting_layout(&self, size: (usize, usize), tiling: Tiling) -> Result<Option<Layout>> {
        let whole = || self.style_memory(Shape::new(3, size.1, size.0));
        self.choose(size, tiling, whole, |layout| self.painting_memory(layout))
    }

    /// Refuses a size whose picture, moments and features have no room where they are kept, as far as the system
    /// tells.
    pub(crate) fn fits_machine(&self, size: (usize, usize), store: &Store) -> Result<()> {
        let needed = self.host_memory(size);
        let refused = |bytes: u64, store: &Store, place: &str, way: &str| match store.room() {
            Some(room) if bytes > room => Err(Error::TooLarge(format!(
                "{} x {} pixels in tiles need {} MiB of {place}, of which {} MiB are free; {way}",
                size.0,
                size.1,
                bytes.div_ceil(1 << 20),
                room >> 20
            ))),
            _ => Ok(()),
        };
        let memory = "the machine's memory";
        if store.path().is_none() {
            let way = "choose a smaller --size, or keep most of it in files with --scratch DIR";
            return refused(needed.in_memory + needed.kept, store, memory, way);
        }
        refused(needed.in_memory, &Store::memory(), memory, "choose a smaller --size")?;
        let way = "free some space, choose another folder or a smaller --size";
        refused(needed.kept, store, "the disk of --scratch", way)
    }

    /// The machine's memory that a stage in tiles takes.
    fn host_memory(&self, size: (usize, usize)) -> HostMemory {
        let real = self.real().len(3);
        let average = if self.settings.average > 0.0 { real } else { 0 };
        // L-BFGS has the direction beside its state.
        let more = if self.settings.optimizer == Optimizer::Lbfgs { 3 } else { 0 };
        let parts = parts(self.settings, self.real());
        let kept = parts.iter().filter(|part| matches!(part.form, Form::Picture(_)));
        let kept: usize = kept.map(|part| part.words(3)).sum();
        let bytes = |words: usize| 4 * words as u64 * size.0 as u64 * size.1 as u64;
        let state = bytes(real + average + kept);
        let features = self.settings.content_layers.iter().map(|tap| {
            let (width, height) = map_size(size, *tap);
            4 * self.vgg.channels(*tap) * width * height
        });
        let masks = self.settings.style_layers.iter().map(|tap| {
            let (width, height) = map_size(size, *tap);
            4 * self.settings.regions * width * height
        });
        let before = if self.settings.first_size > 0 { state / 2 } else { 0 };
        HostMemory {
            in_memory: bytes(3 * 3 + more) + masks.sum::<usize>() as u64,
            kept: state + before + bytes(3) + features.sum::<usize>() as u64,
        }
    }

    /// The tiles of a picture, from the memory that it needs as a whole and in tiles.
    pub(super) fn choose(
        &self,
        size: (usize, usize),
        tiling: Tiling,
        whole: impl Fn() -> Result<u64>,
        tiled: impl Fn(&Layout) -> Result<u64>,
    ) -> Result<Option<Layout>> {
        let reach = self.reach();
        let of = |side: usize| Layout::new(size, side, reach);
        match tiling {
            Tiling::Off => Ok(None),
            // Nothing so large is read or written, so that it is refused as without tiles.
            _ if size.0.saturating_mul(size.1) > MAX_PIXELS => Ok(None),
            Tiling::Side(0) => Err(Error::Setting("a tile has no pixels; choose a multiple of 16".into())),
            Tiling::Side(side) => Ok(of(side_of_tiles(self.vgg, self.settings, side))),
            Tiling::Within(bytes) => {
                let room = bytes.saturating_sub(self.vgg.bytes());
                if whole().is_ok_and(|needed| needed <= room) {
                    return Ok(None);
                }
                let needed = |side: usize| of(side).map_or_else(&whole, |layout| tiled(&layout));
                let fits = |side: usize| needed(side).is_ok_and(|needed| needed <= room);
                if !fits(reach.step) {
                    return Err(self.refuse(size, needed(reach.step)?, bytes));
                }
                // In steps. One window for all would be the whole, which does not fit.
                let (mut low, mut high) = (1, size.0.max(size.1) / reach.step + 1);
                while high - low > 1 {
                    let middle = (low + high) / 2;
                    if fits(middle * reach.step) { low = middle } else { high = middle }
                }
                Ok(of(low * reach.step))
            }
        }
    }

    /// The error for a budget that is too small, which names the least that works.
    fn refuse(&self, (width, height): (usize, usize), needed: u64, bytes: u64) -> Error {
        Error::TooLarge(format!(
            "{} MiB of device memory are too few: {width} x {height} pixels in the smallest tiles need {} MiB, of which the network \
             has {}; allow as much, or choose a smaller --size",
            bytes >> 20,
            (needed + self.vgg.bytes()).div_ceil(1 << 20),
            self.vgg.bytes().div_ceil(1 << 20)
        ))
    }

    /// The device memory of a stage that is painted in these tiles, without the network's: that of its plans,
    /// and what is brought to them and read from them while a pass goes on.
    pub(crate) fn tiled_memory(&self, stage: &Stage, layout: &Layout) -> Result<u64> {
        let window = self.record_window(stage, layout, None, None);
        let passing = window.passing_bytes();
        Ok(passing + Plan::measure(window.tape)? + Plan::measure(self.record_compare(stage, None).tape)?)
    }
}
