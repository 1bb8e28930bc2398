//! The style of one or several paintings, measured once and used for any number of pictures.

mod measuring;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use self::measuring::Measuring;
use crate::engine::gpu::Gpu;
use crate::engine::tape::{Shape, Tape};
use crate::network::vgg::Vgg;
use crate::ops::masked::{ResidentWeights, SiteWeights};
use crate::ops::nearest;
use crate::ops::wasserstein;
use crate::painting::choices::StyleLoss;
use crate::painting::objective::Objective;
use crate::painting::settings::Settings;
use crate::painting::stages::{Stage, stages};
use crate::painting::tiling::Tiling;
use crate::picture::{LayerMasks, Mask, Masks, Picture, RegionColour, RegionMasks, Regions, Size};
use crate::{Error, Result};

/// The style of paintings: the weighted mean of their statistics, at the sizes of a run. Clones share the
/// measurements.
#[derive(Clone)]
pub struct Style(Rc<Inner>);

struct Inner {
    /// At the size that serves the run's last one, each with its share; the shares add up to 1.
    paintings: Vec<(Picture, f64)>,
    settings: Settings,
    /// Digest of the network that measures.
    network: String,
    /// When they are measured in tiles.
    tiling: Tiling,
    /// The regions that have statistics of their own, if there are any.
    regions: Option<Regions>,
    /// The smallest side that the network can measure.
    least: usize,
    /// What was measured so far, and for which stage.
    measured: RefCell<Vec<(Place, Rc<Measured>)>>,
}

/// What a measurement depends on besides the paintings.
#[derive(Clone, Copy, PartialEq)]
struct Place {
    /// Sides as a share of those at the last size.
    scale: f64,
    finish: bool,
    /// Width and height of the run's picture, where regions are laid on it.
    size: Option<(usize, usize)>,
}

/// Statistics of the paintings at one size, on the device.
pub(crate) struct Measured {
    /// One per style layer and region, in the order of their terms; `None` where a region is too small for a
    /// layer.
    pub(crate) layers: Vec<Option<LayerStyle>>,
    /// One per layer of the nearest-neighbour term; none if it was not asked for.
    pub(crate) nearest: Vec<nearest::Resident>,
}

/// What the style loss of a layer, or of a region there, compares with.
pub(crate) struct LayerStyle {
    pub(crate) statistics: StyleStatistics,
    /// The sites of the picture that are compared; all of them if there are no regions.
    pub(crate) region: Option<RegionSites>,
}

/// How much each site of the picture belongs to a region.
pub(crate) struct RegionSites {
    pub(crate) mask: Mask,
    /// The same on the device, where the picture is painted as a whole.
    resident: OnceCell<ResidentWeights>,
}

impl RegionSites {
    /// The number of sites.
    pub(crate) fn sum(&self) -> f64 {
        self.mask.sites()
    }

    /// The mask on a tape; it was brought to the device.
    pub(crate) fn on(&self, tape: &mut Tape) -> SiteWeights {
        self.resident.get().expect("masks are brought before a stage is recorded").on(tape)
    }
}

/// Statistics of features.
pub(crate) enum StyleStatistics {
    /// A Gram matrix, and the mean square of its values.
    Gram { matrix: wgpu::Buffer, energy: f64 },
    /// Mean and covariance.
    Moments(wasserstein::Resident),
}

impl Measured {
    /// Brings the masks of regions to the device, for a picture that is painted as a whole. Tiles are given
    /// their parts instead.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::TooLarge`] if there is no room.
    pub(crate) fn bring_masks(&self, gpu: &Gpu) -> Result<()> {
        for region in self.layers.iter().flatten().filter_map(|layer| layer.region.as_ref()) {
            if region.resident.get().is_none() {
                let resident = ResidentWeights::upload(gpu, &region.mask.weights)?;
                region.resident.get_or_init(|| resident);
            }
        }
        Ok(())
    }

    /// Device memory in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let layer = |LayerStyle { statistics, region }: &LayerStyle| {
            let own = match statistics {
                StyleStatistics::Gram { matrix, .. } => matrix.size(),
                StyleStatistics::Moments(resident) => resident.bytes(),
            };
            let region = region.as_ref().and_then(|region| region.resident.get());
            own + region.map_or(0, ResidentWeights::bytes)
        };
        let nearest: u64 = self.nearest.iter().map(nearest::Resident::bytes).sum();
        self.layers.iter().flatten().map(layer).sum::<u64>() + nearest
    }
}

impl Style {
    /// Measures `paintings`, each with its weight in the mean, at the style layers of `settings`; in tiles
    /// where `tiling` asks for that. What smaller sizes of a run need is measured when they begin.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no painting, or none with a weight above 0, or one too small for the
    /// network; [`Error::TooLarge`] if the device has no room, and [`Error::Device`] if it fails.
    pub async fn measure_async(
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        paintings: &[(&Picture, f64)],
        tiling: Tiling,
    ) -> Result<Self> {
        Self::of(gpu, vgg, settings, paintings, None, tiling).await
    }

    /// As [`Self::measure_async`], with statistics for each region. Such a style serves runs on the
    /// photograph that the regions belong to.
    ///
    /// # Errors
    /// As [`Self::measure_async`], and [`Error::Setting`] if the regions were drawn for another number of
    /// paintings.
    pub async fn measure_regions_async(
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        paintings: &[(&Picture, f64)],
        regions: &Regions,
    ) -> Result<Self> {
        if regions.paintings() != paintings.len() {
            return Err(Error::Setting(format!(
                "there are pictures of regions for {} paintings, and {} paintings; give one for each",
                regions.paintings(),
                paintings.len()
            )));
        }
        let settings = Settings { regions: regions.colours().len(), ..settings.clone() };
        Self::of(gpu, vgg, &settings, paintings, Some(regions.clone()), Tiling::Off).await
    }

    async fn of(
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        paintings: &[(&Picture, f64)],
        regions: Option<Regions>,
        tiling: Tiling,
    ) -> Result<Self> {
        let sum: f64 = paintings.iter().map(|(_, weight)| weight).sum();
        if paintings.iter().any(|(_, weight)| weight.is_nan() || *weight < 0.0)
            || sum <= 0.0
            || !sum.is_finite()
        {
            return Err(Error::Setting("no style picture with a weight above 0".into()));
        }
        let sizes: Vec<_> = paintings.iter().map(|(p, _)| Shape::new(3, p.height, p.width)).collect();
        Objective { gpu, vgg, settings }.fits_styles(&sizes, tiling)?;
        let style = Self(Rc::new(Inner {
            paintings: paintings.iter().map(|(p, weight)| (p.bare(), weight / sum)).collect(),
            settings: settings.clone(),
            network: vgg.digest().to_owned(),
            tiling,
            regions,
            least: vgg.smallest(&settings.taps()),
            measured: RefCell::default(),
        }));
        if settings.first_size == 0 && style.0.regions.is_none() {
            style.measured(gpu, vgg, Place { scale: 1.0, finish: false, size: None }).await?;
        }
        Ok(style)
    }

    /// The style of the same paintings for another device, on which it is measured when stages begin.
    pub(crate) fn elsewhere(&self) -> Self {
        let Inner { paintings, settings, network, tiling, regions, least, .. } = &*self.0;
        Self(Rc::new(Inner {
            paintings: paintings.clone(),
            settings: settings.clone(),
            network: network.clone(),
            tiling: *tiling,
            regions: regions.clone(),
            least: *least,
            measured: RefCell::default(),
        }))
    }

    /// The digest and the share of each painting.
    pub(crate) fn paintings(&self) -> Vec<(String, f64)> {
        self.0.paintings.iter().map(|(painting, share)| (painting.digest(), *share)).collect()
    }

    /// The digest of the network that measured.
    pub(crate) fn network(&self) -> &str {
        &self.0.network
    }

    /// Whether a run of `settings` can use what is measured here.
    pub(crate) fn serves(&self, settings: &Settings) -> bool {
        let what = |s: &Settings| {
            (s.style_layers.clone(), s.style_loss, s.recipe, s.network_options(), s.precision, s.finish > 0.0)
        };
        // Masks have the picture's margin; what is measured without them has not.
        let masks = |s: &Settings| (s.regions, if s.regions > 0 { s.margin } else { 0 });
        what(&self.0.settings) == what(settings) && masks(&self.0.settings) == masks(settings)
    }

    /// The regions that have statistics of their own.
    pub(crate) fn regions(&self) -> Option<&Regions> {
        self.0.regions.as_ref()
    }

    /// What regions leave out in a run whose result has this width and height, in sentences: those that are
    /// too small for a layer.
    pub fn notes(&self, size: (usize, usize)) -> Vec<String> {
        let mut notes = Vec::new();
        for stage in stages(&self.0.settings, size) {
            for note in self.masks(self.place(&stage)).map(|masks| masks.notes).unwrap_or_default() {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        notes
    }

    fn place(&self, stage: &Stage) -> Place {
        let size = self.0.regions.as_ref().map(|_| stage.inner());
        Place { scale: stage.scale, finish: stage.finish, size }
    }

    /// The sizes of the paintings where the picture has `scale` times its last size.
    fn sizes(&self, scale: f64) -> Vec<(usize, usize)> {
        let side = |n: usize| ((n as f64 * scale).round() as usize).max(self.0.least.min(n));
        self.0.paintings.iter().map(|(p, _)| (side(p.width), side(p.height))).collect()
    }

    /// The masks of the regions at the style layers.
    fn masks(&self, place: Place) -> Option<Masks> {
        let (regions, size) = self.0.regions.as_ref().zip(place.size)?;
        let named: Vec<_> =
            self.0.settings.style_layers.iter().map(|tap| (tap.to_string(), tap.poolings())).collect();
        let layers: Vec<_> = named.iter().map(|(name, poolings)| (name.as_str(), *poolings)).collect();
        Some(regions.masks_with_margin(size, self.0.settings.margin, &self.sizes(place.scale), &layers))
    }

    /// The paintings' statistics at the size of a stage, and what its finish needs of them.
    pub(crate) async fn at(&self, gpu: &Gpu, vgg: &Vgg, stage: &Stage) -> Result<Rc<Measured>> {
        self.measured(gpu, vgg, self.place(stage)).await
    }

    async fn measured(&self, gpu: &Gpu, vgg: &Vgg, place: Place) -> Result<Rc<Measured>> {
        if let Some((_, measured)) = self.0.measured.borrow().iter().find(|(known, _)| *known == place) {
            return Ok(measured.clone());
        }
        let resized = |((painting, share), (width, height)): (&(Picture, f64), (usize, usize))| {
            let picture = if place.scale == 1.0 {
                painting.clone()
            } else {
                painting.resampled(Size::Exact { width, height }, true, self.0.settings.recipe.filter())
            };
            (picture, *share)
        };
        let paintings: Vec<_> = self.0.paintings.iter().zip(self.sizes(place.scale)).map(resized).collect();
        let settings = &self.0.settings;
        let masks = self.masks(place).map(|masks| self.by_number(masks));
        let tiling = self.0.tiling;
        let measuring = Measuring { objective: Objective { gpu, vgg, settings }, paintings, masks, tiling };
        let statistics = match settings.style_loss {
            StyleLoss::Gram => measuring.grams().await?,
            StyleLoss::Wasserstein => measuring.moments().await?,
        };
        let mut layers = Vec::new();
        for (number, statistics) in statistics.into_iter().enumerate() {
            let sites =
                |masks: &RegionMasks| RegionSites { mask: masks.content.clone(), resident: OnceCell::new() };
            let region = measuring.region(number).map(sites);
            layers.push(statistics.map(|statistics| LayerStyle { statistics, region }));
        }
        let nearest = if place.finish { measuring.nearest().await? } else { Vec::new() };
        let measured = Rc::new(Measured { layers, nearest });
        self.0.measured.borrow_mut().push((place, measured.clone()));
        Ok(measured)
    }

    /// Masks by layer and number of the region, in the order of the terms.
    fn by_number(&self, masks: Masks) -> Vec<Option<RegionMasks>> {
        let colours = self.0.regions.as_ref().map_or(&[][..], Regions::colours);
        let layer = |layer: LayerMasks| {
            let find = |colour: &RegionColour| layer.regions.iter().find(|r| r.colour == *colour).cloned();
            colours.iter().map(find).collect::<Vec<_>>()
        };
        masks.layers.into_iter().flat_map(layer).collect()
    }

    /// The palette that a run may start with: the photograph with the colours of the paintings.
    pub fn colour(&self, photograph: &Picture) -> Picture {
        let paintings: Vec<_> = self.0.paintings.iter().map(|(painting, share)| (painting, *share)).collect();
        photograph.with_colours_of(&paintings, 1.0)
    }
}
