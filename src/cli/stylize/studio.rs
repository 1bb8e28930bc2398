//! What all pictures of a run share: the device with its compiled shaders, the network, the measured styles.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use impasto::Store;
use impasto::engine::gpu::Gpu;
use impasto::network::vgg::Vgg;
use impasto::painting::settings::Settings;
use impasto::painting::style::Style;
use impasto::painting::tiling::Tiling;
use impasto::picture::{Picture, Size};

use super::machine::Machine;
use super::options::Options;
use super::regions::ReadRegions;
use super::stdio::read;
use crate::cli::console;

/// The most measured styles that are kept. Photographs of many sizes need many, and each holds device memory.
const MOST_KEPT: usize = 8;

/// Opened once for all pictures.
pub struct Studio {
    pub gpu: Gpu,
    pub vgg: Vgg,
    /// Adapters that share tiles with the first.
    pub others: Vec<(Gpu, Vgg)>,
    /// When pictures are painted in tiles.
    pub tiling: Tiling,
    /// Where their state is kept.
    pub store: Store,
    /// The pictures as they were read.
    pub styles: Vec<Picture>,
    /// The weight of each style.
    pub weights: Vec<f64>,
    /// The picture to start from, as it was read, if there is one.
    pub start: Option<Picture>,
    /// The regions, if there are any: those of one photograph.
    pub regions: Option<ReadRegions>,
    measured: RefCell<Vec<Rc<Measured>>>,
    /// Whether the needs of a picture have been printed.
    pub estimated: Cell<bool>,
    /// Whether paintings that are too small have been noted.
    pub enlarged: Cell<bool>,
    verbose: bool,
}

/// The styles at one size.
pub struct Measured {
    size: Size,
    pub pictures: Vec<Picture>,
    pub style: Style,
}

impl Studio {
    /// Reads the styles and the start, opens the adapter and uploads the network.
    pub fn open(options: &Options, settings: &Settings) -> anyhow::Result<Self> {
        let styles = options.styles.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
        for (style, path) in styles.iter().zip(&options.styles) {
            style.notes.iter().for_each(|note| options.reporting.note(path, note));
        }
        let start = options.look.read_start()?;
        let open = |machine: Machine| {
            machine.open_telling(settings, |note| {
                if !options.reporting.quiet {
                    console::message(note);
                }
            })
        };
        let mut machines = options.machine.each().into_iter();
        let (gpu, vgg) = open(machines.next().expect("there is one"))?;
        let others = machines.map(open).collect::<anyhow::Result<Vec<_>>>()?;
        let weights = options.look.weights(styles.len())?;
        let (tiling, store) = (options.room.tiling(&gpu), options.room.store());
        let (measured, verbose) = (RefCell::default(), options.reporting.verbose);
        let (estimated, enlarged) = (Cell::new(false), Cell::new(false));
        let regions = None;
        Ok(Self {
            gpu,
            vgg,
            others,
            tiling,
            store,
            styles,
            weights,
            start,
            regions,
            measured,
            estimated,
            enlarged,
            verbose,
        })
    }

    /// Reads the regions of a photograph and of the styles, if there are files of them. Returns the settings
    /// that know of them.
    pub fn read_regions(
        &mut self,
        options: &Options,
        content: &Picture,
        settings: &Settings,
    ) -> anyhow::Result<Settings> {
        let sizes: Vec<_> = self.styles.iter().map(|style| (style.width, style.height)).collect();
        self.regions = options.look.regions.read((content.width, content.height), &sizes)?;
        let mut settings = settings.clone();
        settings.regions = self.regions.as_ref().map_or(0, |read| read.regions.colours().len());
        Ok(settings)
    }

    /// The styles at `size`. They are measured on the first call with that size.
    pub fn measured(&self, size: Size, settings: &Settings) -> anyhow::Result<Rc<Measured>> {
        let mut kept = self.measured.borrow_mut();
        let known = match kept.iter().position(|measured| measured.size == size) {
            Some(index) => kept.remove(index),
            None => {
                let resampled = |style: &Picture| style.resampled(size, true, settings.recipe.filter());
                let pictures: Vec<_> = self.styles.iter().map(resampled).collect();
                let weighted: Vec<_> = pictures.iter().zip(self.weights.iter().copied()).collect();
                let style = match &self.regions {
                    None => Style::measure(&self.gpu, &self.vgg, settings, &weighted, self.tiling)?,
                    Some(ReadRegions { regions, .. }) => {
                        Style::measure_regions(&self.gpu, &self.vgg, settings, &weighted, regions)?
                    }
                };
                if self.verbose {
                    console::message(&format!("style measured at {size}"));
                }
                Rc::new(Measured { size, pictures, style })
            }
        };
        // The least recently used style makes room.
        if kept.len() == MOST_KEPT {
            kept.remove(0);
        }
        kept.push(known.clone());
        Ok(known)
    }
}
