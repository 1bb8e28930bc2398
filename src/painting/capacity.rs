//! Whether a run fits on a device, found out before anything is allocated.

use crate::disk::Store;
use crate::engine::gpu::Gpu;
use crate::engine::plan::Plan;
use crate::engine::tape::{Shape, Tape, Var};
use crate::network::vgg::Vgg;
use crate::ops::masked::SiteWeights;
use crate::ops::wasserstein;
use crate::painting::choices::StyleLoss;
use crate::painting::objective::{Objective, SPARE_FROM};
use crate::painting::session::HISTORY;
use crate::painting::settings::Settings;
use crate::painting::stages::{Stage, stages};
use crate::painting::tiling::{Tiles, Tiling};
use crate::{Error, Result};

/// Refuses the sizes (width, height) of pictures that [`Builder::build`] would refuse, without needing the
/// pictures.
///
/// # Errors
/// [`Error::Setting`] if a picture is too small for the network, [`Error::TooLarge`] if one is too large for
/// the device, if not even the smallest tiles keep within the budget of `tiling`, or if what is kept of a picture in
/// tiles has no room in `store`.
///
/// [`Builder::build`]: crate::painting::session::Builder::build
pub fn check_sizes(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    styles: &[(usize, usize)],
    (tiling, store): (Tiling, &Store),
) -> Result<()> {
    let styles: Vec<Shape> = styles.iter().map(|size| shape(*size)).collect();
    checked_memory(gpu, vgg, settings, content, (tiling, store))?;
    Objective { gpu, vgg, settings }.fits_styles(&styles, tiling)
}

/// The tiles of the last size of a run, if it is painted in tiles.
///
/// # Errors
/// Like [`memory`].
pub fn tiles(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    tiling: Tiling,
) -> Result<Option<Tiles>> {
    let stages = stages(settings, content);
    let last = &stages[stages.len() - 1];
    let objective = Objective { gpu, vgg, settings };
    let layout = objective.layout(last, tiling)?;
    Ok(layout.map(|layout| objective.tiles(&layout, (last.width, last.height))))
}

/// The device memory in bytes of a session on a content of this size (width, height), which
/// [`Session::bytes`] will return: that of its last stage or, if that is painted in tiles, of the stage that
/// needs the most.
///
/// # Errors
/// Like [`check_sizes`], but nothing is asked of the machine's memory.
///
/// [`Session::bytes`]: crate::painting::session::Session::bytes
pub fn memory(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    tiling: Tiling,
) -> Result<u64> {
    memory_of_run(gpu, vgg, settings, content, tiling, None)
}

/// As [`memory`], of a run that keeps what it has in `store`, which must have room for it.
pub(crate) fn checked_memory(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    (tiling, store): (Tiling, &Store),
) -> Result<u64> {
    memory_of_run(gpu, vgg, settings, content, tiling, Some(store))
}

fn memory_of_run(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    tiling: Tiling,
    store: Option<&Store>,
) -> Result<u64> {
    let objective = Objective { gpu, vgg, settings };
    objective.check()?;
    objective.check_smallest("content", shape(content))?;
    let stages = stages(settings, content);
    let last = &stages[stages.len() - 1];
    if objective.layout(last, tiling)?.is_none() {
        return objective.fits_content(shape(content));
    }
    if let Some(store) = store {
        objective.fits_machine((last.width, last.height), store)?;
    }
    let bytes = |stage: &Stage| match objective.layout(stage, tiling)? {
        Some(layout) => objective.tiled_memory(stage, &layout),
        None => objective.whole_memory(stage),
    };
    stages.iter().map(bytes).try_fold(0, |most, bytes| Ok(bytes?.max(most)))
}

/// The largest size (width, height) in the proportions of `content` that the device's limits allow and whose
/// session needs at most `bytes` of device memory; `None` if there is none.
///
/// # Errors
/// [`Error::Setting`] if the settings name layers that the network does not have.
pub fn largest(
    gpu: &Gpu,
    vgg: &Vgg,
    settings: &Settings,
    content: (usize, usize),
    bytes: u64,
) -> Result<Option<(usize, usize)>> {
    let objective = Objective { gpu, vgg, settings };
    objective.check()?;
    Ok(objective.largest(shape(content), bytes).map(|shape| (shape.width, shape.height)))
}

/// The longest side that [`largest`] considers.
const LONGEST: usize = 65536;

fn shape((width, height): (usize, usize)) -> Shape {
    Shape::new(3, height, width)
}

impl Objective<'_, '_> {
    /// The device memory of a session: that of its last stage, or of the last that is below the size from which
    /// memory is saved.
    pub(crate) fn memory(&self, content: Shape) -> Result<u64> {
        let stages = stages(self.settings, (content.width, content.height));
        let small = stages.iter().rfind(|stage| stage.width * stage.height < SPARE_FROM);
        let bytes = |stage: &Stage| Plan::measure(self.record(stage, None, HISTORY).tape);
        stages.last().into_iter().chain(small).map(bytes).try_fold(0, |most, bytes| Ok(bytes?.max(most)))
    }

    /// The device memory of a stage that is painted as a whole.
    pub(crate) fn whole_memory(&self, stage: &Stage) -> Result<u64> {
        match self.huge(Shape::new(3, stage.height, stage.width)) {
            true => Err(Error::TooLarge("a map is too large for a buffer; paint in tiles".into())),
            false => Plan::measure(self.record(stage, None, HISTORY).tape),
        }
    }

    /// Refuses taps that the network lacks and a precision that the device lacks or the network was not
    /// uploaded for.
    fn check(&self) -> Result<()> {
        self.vgg.check(&self.settings.taps())?;
        self.settings.precision.check(self.gpu)?;
        self.vgg.check_precision(self.settings.precision)
    }

    /// Whether a single map is too large for a buffer. Recording everything to find out would take long.
    pub(crate) fn huge(&self, shape: Shape) -> bool {
        let pixel = self.settings.precision.bytes() * self.vgg.widest() as u64;
        shape.pixels() as u64 > self.gpu.limits().max_buffer_size / pixel
    }

    fn check_smallest(&self, name: &str, Shape { width, height, .. }: Shape) -> Result<()> {
        let smallest = self.vgg.smallest(&self.settings.taps());
        if width.min(height) >= smallest {
            return Ok(());
        }
        Err(Error::Setting(format!(
            "the {name} picture would be {width} x {height} pixels, but the network halves it until nothing is left \
             below {smallest} x {smallest}; use a larger picture, --size or --style-size"
        )))
    }

    /// Refuses a content that is too small for the network or too large for the device's limits, naming the
    /// largest of the same shape that they allow. Otherwise returns the bytes of device memory.
    ///
    /// This needs no picture, so it can be called before one is enlarged.
    pub(crate) fn fits_content(&self, shape: Shape) -> Result<u64> {
        self.check()?;
        self.check_smallest("content", shape)?;
        match if self.huge(shape) { Err(Error::TooLarge(String::new())) } else { self.memory(shape) } {
            Ok(bytes) => return Ok(bytes),
            Err(Error::TooLarge(_)) => {}
            Err(other) => return Err(other),
        }
        let largest = match self.largest(shape, u64::MAX) {
            None => "nothing of this shape fits; crop the picture, or use another adapter".to_owned(),
            Some(Shape { width, height, .. }) => {
                format!("the largest that fits is {width} x {height}, which is --size {width}x{height}")
            }
        };
        Err(Error::TooLarge(format!(
            "{} x {} pixels are too many for {}; {largest}",
            shape.width,
            shape.height,
            self.gpu.info().name
        )))
    }

    /// The largest content of this shape that the limits allow and that needs at most `bytes`.
    fn largest(&self, shape: Shape, bytes: u64) -> Option<Shape> {
        let longest = shape.width.max(shape.height);
        let scaled = |side: usize| {
            let scale = |n: usize| ((n * side + longest / 2) / longest).max(1);
            Shape::new(3, scale(shape.height), scale(shape.width))
        };
        let smallest = self.vgg.smallest(&self.settings.taps());
        let fits = |shape: Shape| {
            shape.width.min(shape.height) >= smallest
                && !self.huge(shape)
                && self.memory(shape).is_ok_and(|needed| needed <= bytes)
        };
        // Binary search; callers make sure that `high` does not fit.
        let search = |mut low: usize, mut high: usize| {
            if low >= high || !fits(scaled(low)) {
                return None;
            }
            while high - low > 1 {
                let middle = (low + high) / 2;
                if fits(scaled(middle)) { low = middle } else { high = middle }
            }
            Some(scaled(low))
        };
        let first = |enough: &dyn Fn(Shape) -> bool| (smallest..=LONGEST).find(|side| enough(scaled(*side)));
        let least = first(&|shape| shape.width.min(shape.height) >= smallest)?;
        // Above the size from which memory is saved, a larger picture may need less.
        let spared = first(&|shape| shape.pixels() >= SPARE_FROM).map_or(LONGEST + 1, |side| side.max(least));
        search(spared, LONGEST + 1).or_else(|| search(least, spared))
    }

    /// Refuses styles that are too small for the network or too large for the device's limits, unless they
    /// are measured in tiles.
    pub(crate) fn fits_styles(&self, styles: &[Shape], tiling: Tiling) -> Result<()> {
        self.check()?;
        for shape in styles {
            self.check_smallest("style", *shape)?;
        }
        // With regions, paintings are measured as a whole.
        let tiling = if self.settings.regions > 0 { Tiling::Off } else { tiling };
        let measure = |style: &Shape| match self.painting_layout((style.width, style.height), tiling)? {
            None => self.style_memory(*style).map(drop).map_err(|error| match error {
                Error::TooLarge(_) => Error::TooLarge(format!(
                    "a style picture of {} x {} pixels is too large for {}; use a smaller --style-size",
                    style.width,
                    style.height,
                    self.gpu.info().name
                )),
                other => other,
            }),
            Some(_) => Ok(()),
        };
        styles.iter().try_for_each(measure)?;
        // Which of them the finish looks at follows from their weights.
        let finish = |style: &Shape| self.neighbours_layout((style.width, style.height), tiling).map(drop);
        if self.settings.finish > 0.0 { styles.iter().try_for_each(finish) } else { Ok(()) }
    }

    /// The device memory that measuring a painting as a whole takes.
    pub(crate) fn style_memory(&self, shape: Shape) -> Result<u64> {
        let look = |tape: &mut Tape, _: usize, x: Var| {
            let regions = self.settings.regions;
            for _ in 0..regions.max(1) {
                let weights = (regions > 0).then(|| SiteWeights::blank(tape, x.shape));
                match self.settings.style_loss {
                    StyleLoss::Gram => {
                        self.gram(tape, x, weights);
                    }
                    StyleLoss::Wasserstein => {
                        let variant = self.vgg.tuning().gram(self.gpu, x.shape.channels);
                        wasserstein::moments(tape, x, variant, weights);
                    }
                }
            }
        };
        let taps = &self.settings.style_layers;
        match (self.huge(shape), taps.is_empty()) {
            (true, _) => Err(Error::TooLarge("a map is too large for a buffer".into())),
            (false, true) => Ok(0),
            (false, false) => Plan::measure(self.record_look(shape, taps, look).0),
        }
    }
}
