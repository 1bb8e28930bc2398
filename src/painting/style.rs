//! The style of one or several paintings, measured once for as many pictures as shall have it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::architecture::Tap;
use crate::engine::gpu::Gpu;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Tape, Tensor, Var};
use crate::network::vgg::Vgg;
use crate::ops::masked::{ResidentWeights, SiteWeights};
use crate::ops::nearest;
use crate::ops::wasserstein::{self, Moments, Statistics};
use crate::painting::choices::StyleLoss;
use crate::painting::objective::{Objective, nearest_taps};
use crate::painting::settings::Settings;
use crate::painting::stages::{Stage, stages};
use crate::picture::{LayerMasks, Mask, Masks, Picture, RegionColour, RegionMasks, Regions, Size};
use crate::{Error, Result};

/// The style of paintings: the weighted mean of their statistics, at the sizes of a run. Copies share what is measured.
#[derive(Clone)]
pub struct Style(Rc<Inner>);

struct Inner {
    /// At the size that serves the run's last one, each with its share; the shares add up to 1.
    paintings: Vec<(Picture, f64)>,
    settings: Settings,
    /// Digest of the network that measures.
    network: String,
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
    /// One per style layer and region, in the order of their terms; `None` where a region is too small for a layer.
    pub(crate) layers: Vec<Option<LayerStyle>>,
    /// One per layer of the nearest-neighbour term; none if it was not asked for.
    pub(crate) nearest: Vec<nearest::Resident>,
}

/// What the style loss of a layer, or of a region there, compares with.
pub(crate) struct LayerStyle {
    pub(crate) statistics: StyleStatistics,
    /// The sites of the picture that are compared; all of them if there are no regions.
    pub(crate) region: Option<ResidentWeights>,
}

/// Statistics of features.
pub(crate) enum StyleStatistics {
    /// A Gram matrix, and the mean square of its values.
    Gram { matrix: wgpu::Buffer, energy: f64 },
    /// Mean and covariance.
    Moments(wasserstein::Resident),
}

impl Measured {
    /// Device memory in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let layer = |LayerStyle { statistics, region }: &LayerStyle| {
            let own = match statistics {
                StyleStatistics::Gram { matrix, .. } => matrix.size(),
                StyleStatistics::Moments(resident) => resident.bytes(),
            };
            own + region.as_ref().map_or(0, ResidentWeights::bytes)
        };
        let nearest: u64 = self.nearest.iter().map(nearest::Resident::bytes).sum();
        self.layers.iter().flatten().map(layer).sum::<u64>() + nearest
    }
}

impl Style {
    /// Measures `paintings`, each with its weight in the mean, at the style layers of `settings`. What smaller sizes of a run need is
    /// measured when they begin.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no painting, or none with a weight above 0, or one too small for the network;
    /// [`Error::TooLarge`] if the device has no room, and [`Error::Device`] if it fails.
    pub fn measure(gpu: &Gpu, vgg: &Vgg, settings: &Settings, paintings: &[(&Picture, f64)]) -> Result<Self> {
        Self::of(gpu, vgg, settings, paintings, None)
    }

    /// As [`Self::measure`], where each of some regions has statistics of its own. Such a style serves runs on the photograph whose
    /// regions they are.
    ///
    /// # Errors
    /// As [`Self::measure`], and [`Error::Setting`] if the regions are those of another number of paintings.
    pub fn measure_regions(
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
        Self::of(gpu, vgg, &settings, paintings, Some(regions.clone()))
    }

    fn of(
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        paintings: &[(&Picture, f64)],
        regions: Option<Regions>,
    ) -> Result<Self> {
        let sum: f64 = paintings.iter().map(|(_, weight)| weight).sum();
        if paintings.iter().any(|(_, weight)| weight.is_nan() || *weight < 0.0)
            || sum <= 0.0
            || !sum.is_finite()
        {
            return Err(Error::Setting("no style picture with a weight above 0".into()));
        }
        let sizes: Vec<_> = paintings.iter().map(|(p, _)| Shape::new(3, p.height, p.width)).collect();
        Objective { gpu, vgg, settings }.fits_styles(&sizes)?;
        let style = Self(Rc::new(Inner {
            paintings: paintings.iter().map(|(p, weight)| (p.bare(), weight / sum)).collect(),
            settings: settings.clone(),
            network: vgg.digest().to_owned(),
            regions,
            least: vgg.smallest(&settings.taps()),
            measured: RefCell::default(),
        }));
        if settings.first_size == 0 && style.0.regions.is_none() {
            style.measured(gpu, vgg, Place { scale: 1.0, finish: false, size: None })?;
        }
        Ok(style)
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

    /// What regions leave out in a run whose result has this width and height, in sentences: those that are too small for a layer.
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
    pub(crate) fn at(&self, gpu: &Gpu, vgg: &Vgg, stage: &Stage) -> Result<Rc<Measured>> {
        self.measured(gpu, vgg, self.place(stage))
    }

    fn measured(&self, gpu: &Gpu, vgg: &Vgg, place: Place) -> Result<Rc<Measured>> {
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
        let measuring = Measuring { objective: Objective { gpu, vgg, settings }, paintings, masks };
        let statistics = match settings.style_loss {
            StyleLoss::Gram => measuring.grams()?,
            StyleLoss::Wasserstein => measuring.moments()?,
        };
        let mut layers = Vec::new();
        for (number, statistics) in statistics.into_iter().enumerate() {
            let region =
                measuring.region(number).map(|masks| ResidentWeights::upload(gpu, &masks.content.weights));
            let region = region.transpose()?;
            layers.push(statistics.map(|statistics| LayerStyle { statistics, region }));
        }
        let nearest = if place.finish { measuring.nearest()? } else { Vec::new() };
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

/// Paintings that are being measured.
struct Measuring<'a> {
    objective: Objective<'a, 'a>,
    paintings: Vec<(Picture, f64)>,
    /// The regions' masks, by layer and region in the order of the terms; `None` where there are no regions.
    masks: Option<Vec<Option<RegionMasks>>>,
}

/// What was read of a statistic of one painting: the values of its tensors. `None` where the painting lacks the region.
type Values = Option<Vec<Vec<f32>>>;

impl Measuring<'_> {
    /// The masks of the term with this number, if it is a region's.
    fn region(&self, number: usize) -> Option<&RegionMasks> {
        self.masks.as_ref()?[number].as_ref()
    }

    /// The terms of the style loss at each layer: one for each region, or one for everything.
    fn parts(&self) -> usize {
        self.objective.settings.regions.max(1)
    }

    /// How much the sites of the painting number `index` count in each term: not at all where it has no part in it.
    fn weights(&self, index: usize) -> Result<Vec<Option<Option<ResidentWeights>>>> {
        let terms = self.objective.settings.style_layers.len() * self.parts();
        let weights = |number: usize| {
            if self.masks.is_none() {
                return Ok(Some(None));
            }
            let mask = self.region(number).and_then(|region| region.styles[index].as_ref());
            let upload = |mask: &Mask| ResidentWeights::upload(self.objective.gpu, &mask.weights);
            Ok(mask.map(upload).transpose()?.map(Some))
        };
        (0..terms).map(weights).collect()
    }

    /// Reads of the painting number `index` what `look` records for each term.
    fn read(
        &self,
        index: usize,
        look: impl Fn(&mut Tape, Var, Option<SiteWeights>) -> Vec<Tensor>,
    ) -> Result<Vec<Values>> {
        let Objective { gpu, settings, .. } = self.objective;
        let taps = &settings.style_layers;
        if taps.is_empty() {
            return Ok(Vec::new());
        }
        let painting = &self.paintings[index].0;
        let (parts, weights) = (self.parts(), self.weights(index)?);
        let mut seen: Vec<Option<Vec<Tensor>>> = vec![None; weights.len()];
        let shape = Shape::new(3, painting.height, painting.width);
        let (tape, leaf) = self.objective.record_look(shape, taps, |tape, layer, x| {
            for number in layer * parts..(layer + 1) * parts {
                let Some(weights) = &weights[number] else { continue };
                let weights = weights.as_ref().map(|weights| weights.on(tape));
                let tensors = look(tape, x, weights);
                tensors.iter().for_each(|tensor| tape.keep(*tensor));
                seen[number] = Some(tensors);
            }
        });
        let plan = tape.finish()?;
        plan.write(gpu, leaf.value, &Real::F32.encode(&self.objective.variable().encode(painting)));
        plan.run(gpu);
        let read = |tensors: Vec<Tensor>| tensors.iter().map(|tensor| plan.read(gpu, *tensor)).collect();
        seen.into_iter().map(|tensors| tensors.map(read).transpose()).collect()
    }

    /// Each term's values of the paintings that have a part in it, with their shares.
    fn gathered(
        &self,
        look: impl Fn(&mut Tape, Var, Option<SiteWeights>) -> Vec<Tensor>,
    ) -> Result<Vec<Vec<(Vec<Vec<f32>>, f64)>>> {
        let mut terms: Vec<Vec<_>> = Vec::new();
        for (index, (_, share)) in self.paintings.iter().enumerate() {
            let measured = self.read(index, &look)?;
            terms.resize_with(measured.len(), Vec::new);
            for (term, values) in terms.iter_mut().zip(measured) {
                // A painting that counts nothing must not be all that has a region.
                let counts = self.masks.is_none() || *share > 0.0;
                term.extend(values.filter(|_| counts).map(|values| (values, *share)));
            }
        }
        Ok(terms)
    }

    /// The weighted mean of the paintings' Gram matrices.
    fn grams(&self) -> Result<Vec<Option<StyleStatistics>>> {
        let terms = self.gathered(|tape, x, weights| vec![self.objective.gram(tape, x, weights).value])?;
        let upload = |paintings: &Vec<(Vec<Vec<f32>>, f64)>| {
            let mut sum = vec![0.0; paintings[0].0[0].len()];
            for (gram, share) in paintings {
                sum.iter_mut().zip(&gram[0]).for_each(|(s, g)| *s += share * f64::from(*g));
            }
            if paintings.len() < self.paintings.len() {
                // Those without the region count nothing.
                let all: f64 = paintings.iter().map(|(_, share)| share).sum();
                sum.iter_mut().for_each(|s| *s /= all);
            }
            let energy = sum.iter().map(|v| v * v).sum::<f64>() / sum.len() as f64;
            let values: Vec<f32> = sum.iter().map(|v| *v as f32).collect();
            let matrix = self.objective.gpu.upload("target", &values)?;
            // A black painting has no energy.
            Ok(StyleStatistics::Gram { matrix, energy: energy.max(1e-12) })
        };
        terms.iter().map(|term| (!term.is_empty()).then(|| upload(term)).transpose()).collect()
    }

    /// Mean and covariance of the paintings together.
    fn moments(&self) -> Result<Vec<Option<StyleStatistics>>> {
        let gpu = self.objective.gpu;
        let terms = self.gathered(|tape, x, weights| {
            let variant = self.objective.vgg.tuning().gram(gpu, x.shape.channels);
            let (mean, covariance) = wasserstein::moments(tape, x, variant, weights);
            vec![mean, covariance]
        })?;
        let moments = |(values, share): (Vec<Vec<f32>>, f64)| {
            let [mean, covariance] = values.try_into().expect("two tensors were asked for");
            (Moments { mean, covariance }, share)
        };
        let upload = |term: Vec<_>| {
            let paintings: Vec<(Moments, f64)> = term.into_iter().map(moments).collect();
            Statistics::new(&paintings).upload(gpu).map(StyleStatistics::Moments)
        };
        terms.into_iter().map(|term| (!term.is_empty()).then(|| upload(term)).transpose()).collect()
    }

    /// The features of the painting that counts most, as the nearest-neighbour term wants them.
    fn nearest(&self) -> Result<Vec<nearest::Resident>> {
        let Objective { gpu, settings, .. } = self.objective;
        let taps: Vec<Tap> = nearest_taps(settings);
        let first = &self.paintings[0];
        let (painting, _) =
            self.paintings.iter().fold(first, |most, next| if next.1 > most.1 { next } else { most });
        let mut seen: Vec<Option<nearest::Target>> = taps.iter().map(|_| None).collect();
        let shape = Shape::new(3, painting.height, painting.width);
        let (tape, leaf) = self.objective.record_look(shape, &taps, |tape, index, y| {
            let target = nearest::prepare(tape, y);
            [target.features, target.mean].into_iter().for_each(|tensor| tape.keep(tensor));
            seen[index] = Some(target);
        });
        let plan = tape.finish()?;
        plan.write(gpu, leaf.value, &Real::F32.encode(&self.objective.variable().encode(painting)));
        plan.run(gpu);
        Ok(seen.into_iter().flatten().map(|target| nearest::Resident::new(&plan, &target)).collect())
    }
}
