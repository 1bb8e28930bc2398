//! Whether a picture is painted in tiles, and how large they are.

use crate::engine::plan::Plan;
use crate::painting::objective::Objective;
use crate::painting::stages::Stage;
use crate::painting::tiling::layout::{Layout, Reach};
use crate::picture::memory_text;
use crate::{Error, Result};

/// When a picture is painted in tiles. The result is the same within rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tiling {
    /// Never.
    #[default]
    Off,
    /// In tiles of which an inner one owns a square of so many pixels on a side, or fewer. What the network sees of the picture's deepest
    /// layer decides at which multiples tiles may begin: of VGG's five blocks, at multiples of 16. Smaller ones are rounded up to the
    /// first, others down.
    Side(usize),
    /// Where the whole would need more bytes of device memory, with the network's; then in the largest tiles that do not.
    Within(u64),
}

impl Objective<'_, '_> {
    /// How far the network looks.
    fn reach(&self) -> Reach {
        let (step, sight) = self.vgg.reach(&self.settings.taps());
        Reach::new(step, sight)
    }

    /// The side of the tiles that [`Tiling::Side`] gives for `side`.
    pub(crate) fn tile_side(&self, side: usize) -> usize {
        let step = self.reach().step;
        (side / step * step).max(step)
    }

    /// The tiles of a stage, if it is painted in tiles.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if not even the smallest tiles keep within a budget, [`Error::Setting`] for tiles of no pixels.
    pub(crate) fn layout(&self, stage: &Stage, tiling: Tiling) -> Result<Option<Layout>> {
        let (size, reach) = ((stage.width, stage.height), self.reach());
        let of = |side: usize| Layout::new(size, side, reach);
        match tiling {
            Tiling::Off => Ok(None),
            Tiling::Side(0) => Err(Error::Setting("a tile has no pixels; choose a multiple of 16".into())),
            Tiling::Side(side) => Ok(of(self.tile_side(side))),
            Tiling::Within(bytes) => {
                let room = bytes.saturating_sub(self.vgg.bytes());
                if self.whole_memory(stage).is_ok_and(|needed| needed <= room) {
                    return Ok(None);
                }
                let fits = |side: usize| match of(side) {
                    Some(layout) => self.tiled_memory(stage, &layout).is_ok_and(|needed| needed <= room),
                    None => false,
                };
                let whole = size.0.max(size.1) / reach.step + 1;
                // In steps: the largest that fits, if any does. One window for all is the whole, which does not.
                let (mut low, mut high) = (0, whole);
                while high - low > 1 {
                    let middle = (low + high) / 2;
                    if fits(middle * reach.step) { low = middle } else { high = middle }
                }
                match low {
                    0 => Err(self.refuse(stage, of(reach.step), bytes)),
                    _ => Ok(of(low * reach.step)),
                }
            }
        }
    }

    /// The error for a budget that is too small, which names the least that works.
    fn refuse(&self, stage: &Stage, smallest: Option<Layout>, bytes: u64) -> Error {
        let needed = match smallest {
            Some(layout) => self.tiled_memory(stage, &layout),
            None => self.whole_memory(stage),
        };
        match needed {
            Ok(needed) => Error::TooLarge(format!(
                "{} of device memory are too few: {} x {} pixels need at least {} with the network, in the smallest tiles; \
                 allow as much, or choose a smaller --size",
                memory_text(bytes),
                stage.width,
                stage.height,
                memory_text(needed + self.vgg.bytes())
            )),
            Err(error) => error,
        }
    }

    /// The device memory of a stage that is painted in these tiles, without the network's.
    pub(crate) fn tiled_memory(&self, stage: &Stage, layout: &Layout) -> Result<u64> {
        let window = Plan::measure(self.record_window(stage, layout, None, None).tape)?;
        Ok(window + Plan::measure(self.record_compare(stage, None).tape)?)
    }
}
