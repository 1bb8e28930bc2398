//! Measuring paintings: what a device reads of each, and the mean of several.

use super::StyleStatistics;
use crate::Result;
use crate::architecture::Tap;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Tape, Tensor, Var};
use crate::ops::masked::{ResidentWeights, SiteWeights};
use crate::ops::nearest;
use crate::ops::wasserstein::{self, Moments, Statistics};
use crate::painting::objective::{Objective, nearest_taps};
use crate::painting::tiling::Tiling;
use crate::painting::tiling::statistics::Sums;
use crate::picture::{Mask, Picture, RegionMasks};

/// Paintings that are being measured.
pub(super) struct Measuring<'a> {
    pub(super) objective: Objective<'a, 'a>,
    pub(super) paintings: Vec<(Picture, f64)>,
    /// The regions' masks, by layer and region in the order of the terms; `None` where there are no regions.
    pub(super) masks: Option<Vec<Option<RegionMasks>>>,
    /// When paintings are measured in tiles.
    pub(super) tiling: Tiling,
}

/// What was read of a statistic of one painting: the values of its tensors. `None` where the painting lacks the region.
type Values = Option<Vec<Vec<f32>>>;

impl Measuring<'_> {
    /// What is summed over the painting number `index` in tiles, if it is measured in tiles.
    async fn in_tiles(&self, index: usize) -> Result<Option<Vec<(Sums, usize)>>> {
        let painting = &self.paintings[index].0;
        let layout = self.objective.painting_layout((painting.width, painting.height), self.tiling)?;
        match layout {
            None => Ok(None),
            Some(layout) => self.objective.painting_in_tiles(painting, &layout).await.map(Some),
        }
    }

    /// The masks of the term with this number, if it is a region's.
    pub(super) fn region(&self, number: usize) -> Option<&RegionMasks> {
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
    async fn read(
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
        let mut read = Vec::new();
        for tensors in seen {
            let Some(tensors) = tensors else {
                read.push(None);
                continue;
            };
            let mut values = Vec::new();
            for tensor in tensors {
                values.push(plan.read_async(gpu, tensor).await?);
            }
            read.push(Some(values));
        }
        Ok(read)
    }

    /// Each term's values of the paintings that have a part in it, with their shares: what `look` records, or what `summed` makes of sums
    /// over tiles.
    async fn gathered(
        &self,
        look: impl Fn(&mut Tape, Var, Option<SiteWeights>) -> Vec<Tensor>,
        summed: impl Fn(&Sums, usize) -> Vec<Vec<f32>>,
    ) -> Result<Vec<Vec<(Vec<Vec<f32>>, f64)>>> {
        let mut terms: Vec<Vec<_>> = Vec::new();
        for (index, (_, share)) in self.paintings.iter().enumerate() {
            let measured = match self.in_tiles(index).await? {
                None => self.read(index, &look).await?,
                Some(layers) => layers.iter().map(|(sums, sites)| Some(summed(sums, *sites))).collect(),
            };
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
    pub(super) async fn grams(&self) -> Result<Vec<Option<StyleStatistics>>> {
        let look = |tape: &mut Tape, x: Var, weights| vec![self.objective.gram(tape, x, weights).value];
        let summed =
            |sums: &Sums, sites| vec![sums.gram(sites).into_iter().map(|v| v as f32).collect::<Vec<f32>>()];
        let terms = self.gathered(look, summed).await?;
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
    pub(super) async fn moments(&self) -> Result<Vec<Option<StyleStatistics>>> {
        let gpu = self.objective.gpu;
        let look = |tape: &mut Tape, x: Var, weights| {
            let variant = self.objective.vgg.tuning().gram(gpu, x.shape.channels);
            let (mean, covariance) = wasserstein::moments(tape, x, variant, weights);
            vec![mean, covariance]
        };
        let terms = self.gathered(look, |sums, sites| sums.raw_moments(sites).into()).await?;
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
    pub(super) fn nearest(&self) -> Result<Vec<nearest::Resident>> {
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
