//! Measuring paintings on the device: statistics of each, and the mean of several. Of what is measured, only
//! energies and traces are read.

use super::StyleStatistics;
use crate::Result;
use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Var};
use crate::ops::masked::{ResidentWeights, SiteWeights};
use crate::ops::mixture;
use crate::ops::mse::mean_square;
use crate::ops::nearest;
use crate::ops::wasserstein::{self, Resident};
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

/// A statistic of one painting on the device: its tensors, and how many values each has.
type Statistic = Vec<(wgpu::Buffer, usize)>;

impl Measuring<'_> {
    /// The sums over the tiles of painting number `index`, with their numbers of sites, if it is measured in
    /// tiles.
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

    /// How much the sites of painting number `index` count in each term; `None` where the painting lacks the
    /// region.
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

    /// Measures of the painting number `index` what `look` records for each term; nothing where the painting
    /// lacks the region.
    async fn whole(
        &self,
        index: usize,
        look: impl Fn(&mut Tape, Var, Option<SiteWeights>) -> Vec<Tensor>,
    ) -> Result<Vec<Option<Statistic>>> {
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
        let own = |tensor: &Tensor| (plan.buffer(*tensor).clone(), plan.len(*tensor));
        let statistics: Vec<Option<Statistic>> =
            seen.iter().map(|tensors| Some(tensors.as_ref()?.iter().map(own).collect())).collect();
        // Waits for one value, so that this painting's maps are freed before the next painting's are
        // allocated.
        if let Some((buffer, _)) = statistics.iter().flatten().flatten().next() {
            gpu.download_async(buffer, 1).await?;
        }
        Ok(statistics)
    }

    /// Each term's statistics of the paintings that have a part in it, with their shares: what `look`
    /// records, or what `summed` makes of sums over tiles.
    async fn gathered(
        &self,
        look: impl Fn(&mut Tape, Var, Option<SiteWeights>) -> Vec<Tensor>,
        summed: impl Fn(&Sums, usize) -> Vec<Vec<f32>>,
    ) -> Result<Vec<Vec<(Statistic, f64)>>> {
        let upload = |values: Vec<f32>| Ok((self.objective.gpu.upload("statistic", &values)?, values.len()));
        let brought = |(sums, sites): &(Sums, usize)| {
            summed(sums, *sites).into_iter().map(upload).collect::<Result<Statistic>>().map(Some)
        };
        let mut terms: Vec<Vec<_>> = Vec::new();
        for (index, (_, share)) in self.paintings.iter().enumerate() {
            let measured = match self.in_tiles(index).await? {
                None => self.whole(index, &look).await?,
                Some(layers) => layers.iter().map(brought).collect::<Result<_>>()?,
            };
            terms.resize_with(measured.len(), Vec::new);
            for (term, statistic) in terms.iter_mut().zip(measured) {
                // A painting without weight must not be the only one that has a region.
                let counts = self.masks.is_none() || *share > 0.0;
                term.extend(statistic.filter(|_| counts).map(|statistic| (statistic, *share)));
            }
        }
        Ok(terms)
    }

    /// The weighted mean of the paintings' Gram matrices.
    pub(super) async fn grams(&self) -> Result<Vec<Option<StyleStatistics>>> {
        let gpu = self.objective.gpu;
        let look = |tape: &mut Tape, x: Var, weights| vec![self.objective.gram(tape, x, weights).value];
        let summed = |sums: &Sums, sites| {
            vec![sums.gram(sites as f64).into_iter().map(|v| v as f32).collect::<Vec<f32>>()]
        };
        let terms = self.gathered(look, summed).await?;
        let mut tape = Tape::forward_only(gpu);
        tape.op("mixture");
        let losses = tape.state("energies", terms.len());
        let mut mix = |(index, term): (usize, &Vec<(Statistic, f64)>)| {
            let len = term.first()?.0[0].1;
            let grams: Vec<_> =
                term.iter().map(|(statistic, share)| (tape.given("gram", &statistic[0].0), *share)).collect();
            let value = mixture::mean(&mut tape, &grams, len);
            let shape = Shape::new(1, len.isqrt(), len.isqrt());
            let matrix = Var { shape, precision: Precision::Single, value, grad: None };
            mean_square(&mut tape, matrix, Slot { losses, index });
            Some(value)
        };
        let mixed: Vec<_> = terms.iter().enumerate().map(&mut mix).collect();
        let plan = tape.finish()?;
        plan.run(gpu);
        let energies = plan.read_async(gpu, losses).await?;
        let statistics = |(index, matrix): (usize, Option<Tensor>)| {
            let matrix = plan.buffer(matrix?).clone();
            // A black painting has no energy.
            Some(StyleStatistics::Gram { matrix, energy: f64::from(energies[index]).max(1e-12) })
        };
        Ok(mixed.into_iter().enumerate().map(statistics).collect())
    }

    /// Mean and covariance of the paintings together.
    pub(super) async fn moments(&self) -> Result<Vec<Option<StyleStatistics>>> {
        let gpu = self.objective.gpu;
        let look = |tape: &mut Tape, x: Var, weights| {
            let variant = self.objective.vgg.tuning().gram(gpu, x.shape.channels);
            wasserstein::moments(tape, x, variant, weights).into()
        };
        let terms = self.gathered(look, |sums, sites| sums.raw_moments(sites).into()).await?;
        let mut tape = Tape::forward_only(gpu);
        tape.op("mixture");
        let losses = tape.state("sums", 2 * terms.len());
        let mut mix = |(index, term): (usize, &Vec<(Statistic, f64)>)| {
            let channels = term.first()?.0[0].1;
            let moments: Vec<_> = term
                .iter()
                .map(|(statistic, share)| {
                    let given = |tensor: usize| tape.given("moments", &statistic[tensor].0);
                    ([0, 1].map(given), *share)
                })
                .collect();
            let mixed = mixture::moments(&mut tape, &moments, channels);
            let slot = Slot { losses, index: 2 * index };
            Some(wasserstein::prepare(&mut tape, mixed, channels, slot))
        };
        let mixed: Vec<_> = terms.iter().enumerate().map(&mut mix).collect();
        let plan = tape.finish()?;
        plan.run(gpu);
        let sums = plan.read_async(gpu, losses).await?;
        let statistics = |(index, prepared): (usize, Option<wasserstein::Prepared>)| {
            let prepared = prepared?;
            let own = [sums[2 * index], sums[2 * index + 1]];
            Some(StyleStatistics::Moments(Resident::new(&plan, &prepared, own)))
        };
        Ok(mixed.into_iter().enumerate().map(statistics).collect())
    }

    /// The features of the painting that counts most, as the nearest-neighbour term wants them.
    pub(super) async fn nearest(&self) -> Result<Vec<nearest::Resident>> {
        let Objective { gpu, settings, .. } = self.objective;
        if nearest_taps(settings).is_empty() {
            return Ok(Vec::new());
        }
        let first = &self.paintings[0];
        let (painting, _) =
            self.paintings.iter().fold(first, |most, next| if next.1 > most.1 { next } else { most });
        let size = (painting.width, painting.height);
        if let Some(layout) = self.objective.neighbours_layout(size, self.tiling)? {
            return self.objective.neighbours_in_tiles(painting, &layout).await;
        }
        let shape = Shape::new(3, painting.height, painting.width);
        let (tape, picture, targets) = self.objective.record_prepared(shape);
        let plan = tape.finish()?;
        plan.write(gpu, picture, &Real::F32.encode(&self.objective.variable().encode(painting)));
        plan.run(gpu);
        Ok(targets.iter().map(|target| nearest::Resident::new(&plan, target)).collect())
    }
}
