//! The two passes of an iteration over the tiles: statistics of the whole picture, then the gradient of each
//! tile.

use std::collections::BTreeMap;

use super::{Against, Tiled};
use crate::Result;
use crate::engine::tape::Turn;
use crate::painting::objective::Kind;
use crate::painting::stages::Stage;
use crate::painting::tiling::content::pixels;
use crate::painting::tiling::device::{self, Device};
use crate::painting::tiling::layout::{Layout, Tile};
use crate::painting::tiling::rows::Rows;
use crate::painting::tiling::statistics::Sums;

impl Tiled<'_> {
    /// Computes the gradient of the current picture; returns the losses by slot, or nothing if the watch
    /// wanted an end.
    pub(super) async fn differentiate(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(sums) = self.sums().await? else { return Ok(None) };
        let mut losses = self.compare(&sums)?;
        let Some(sums) = self.gradients().await? else { return Ok(None) };
        let Device { window, compare, .. } = &self.devices[0];
        let (squares, nearest) = sums.split_at(window.contents.len());
        for (number, content) in window.contents.iter().enumerate() {
            let weight = self.weights[content.index] * self.times[content.number];
            losses[content.index] = (weight * squares[number] / content.values as f64) as f32;
        }
        for (layer, loss) in window.nearest.iter().zip(nearest) {
            losses[layer.index] = *loss as f32;
        }
        if let Some(compare) = compare {
            let found = compare.losses().await?;
            for style in &window.styles {
                losses[style.index] = found[style.index];
            }
        }
        let variation = self.terms.iter().position(|term| term.kind == Kind::Variation);
        let variation = variation.expect("a term of every run");
        let weight = self.weights[variation];
        losses[variation] = self.variation.add(&self.picture, weight, &mut self.gradient) as f32;
        Ok(Some(losses))
    }

    /// The first pass: the statistics of the picture at all style layers, or nothing if the watch wanted an
    /// end.
    async fn sums(&mut self) -> Result<Option<Vec<Sums>>> {
        let Self { devices, layout, picture, stage, watch, .. } = self;
        let styles = &devices[0].window.styles;
        let mut sums: Vec<Sums> = styles.iter().map(|style| Sums::new(style.channels)).collect();
        let tiles = if sums.is_empty() { 0 } else { layout.features.len() };
        let all = layout.features.len() + layout.gradients.len();
        // Devices finish in any order, and tiles are added in their own.
        let (mut waiting, mut added) = (BTreeMap::new(), 0);
        let whole = device::pass(
            devices,
            Turn::First,
            tiles,
            |window, tile| {
                watch.as_ref().is_none_or(|watch| (watch.borrow_mut())(tile, all)).then(|| {
                    let tile = &layout.features[tile];
                    window.submit(Turn::First, tile, &seen(layout, tile, stage, picture), &[])
                })
            },
            |window, tile, words| {
                waiting.insert(tile, words);
                while let Some(words) = waiting.remove(&added) {
                    window.each_band(&words, |layer, sum, products| sums[layer].add(sum, products));
                    added += 1;
                }
            },
        )
        .await?;
        Ok(whole.then_some(sums))
    }

    /// Compares the statistics of the whole picture with the paintings'. Returns the losses by slot, without
    /// those that the device finds.
    fn compare(&mut self, sums: &[Sums]) -> Result<Vec<f32>> {
        let mut losses = vec![0.0; self.terms.len()];
        let mut moments = vec![[Vec::new(), Vec::new()]; sums.len()];
        for ((style, against), sums) in self.devices[0].window.styles.iter().zip(&self.against).zip(sums) {
            match against {
                Against::Mean(shift) => moments[style.number] = sums.moments(shift, style.sites),
                Against::Gram(target, times) => {
                    let scale = self.weights[style.index] * times / target.len() as f64;
                    let gram = sums.gram(style.sites);
                    let off: Vec<f64> = gram.iter().zip(target).map(|(g, t)| g - f64::from(*t)).collect();
                    losses[style.index] = (scale * off.iter().map(|d| d * d).sum::<f64>()) as f32;
                    let slope = 2.0 * scale * self.gradient_scale;
                    let dg: Vec<f32> = off.iter().map(|d| (slope * d) as f32).collect();
                    self.devices.iter().for_each(|device| device.window.set_gram_gradient(style.number, &dg));
                }
            }
        }
        for compare in self.devices.iter().filter_map(|device| device.compare.as_ref()) {
            compare.submit(&moments, self.submitted - self.stage.first);
        }
        Ok(losses)
    }

    /// The second pass: the gradient of all pixels but for total variation. Returns the sum of squared
    /// differences of each content layer, then the loss of each layer of the nearest-neighbour term; or
    /// nothing if the watch wanted an end.
    async fn gradients(&mut self) -> Result<Option<Vec<f64>>> {
        let Self { devices, layout, picture, stage, watch, features, gradient, submitted, .. } = self;
        devices.iter().for_each(|device| device.window.set_count(*submitted - stage.first));
        let first = layout.features.len();
        let all = first + layout.gradients.len();
        let mut parts = vec![Vec::new(); layout.gradients.len()];
        let whole = device::pass(
            devices,
            Turn::Second,
            layout.gradients.len(),
            |window, tile| {
                watch.as_ref().is_none_or(|watch| (watch.borrow_mut())(first + tile, all)).then(|| {
                    let tile = &layout.gradients[tile];
                    let contents = window.contents.iter();
                    let contents = contents.map(|content| features[content.number].seen(tile, content.shape));
                    let contents: Vec<Vec<f32>> = contents.collect();
                    window.submit(Turn::Second, tile, &seen(layout, tile, stage, picture), &contents)
                })
            },
            |window, tile, words| {
                let (sums, found) = window.found(words);
                take(layout, &layout.gradients[tile], stage.width, &found, gradient);
                parts[tile] = sums;
            },
        )
        .await?;
        let add = |mut sums: Vec<f64>, part: &Vec<f64>| {
            sums.resize(part.len(), 0.0);
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            sums
        };
        Ok(whole.then(|| parts.iter().fold(Vec::new(), add)))
    }
}

/// The pixels of a tile's window, as the network reads them.
fn seen(layout: &Layout, tile: &Tile, stage: &Stage, picture: &Rows) -> Vec<f32> {
    let row = |y| picture.row(y).into_iter().map(|v| v as f32).collect();
    pixels(layout, tile, stage.width, row)
}

/// Copies the pixels that a tile owns from the gradient of its window into the gradient of the picture, which
/// has this width.
fn take(layout: &Layout, tile: &Tile, width: usize, found: &[f32], gradient: &mut [f32]) {
    let [top, bottom, left, right] = tile.within();
    let columns = layout.window.0;
    for y in top..bottom {
        for c in 0..3 {
            let from = &found[(3 * y + c) * columns..][left..right];
            let line = (3 * (tile.rows.begin + y) + c) * width + tile.columns.begin;
            gradient[line + left..][..right - left].copy_from_slice(from);
        }
    }
}
