//! The two passes of an iteration over the tiles: statistics of the whole picture, then the gradient of each
//! tile.

use std::collections::BTreeMap;

use super::{Against, Tiled};
use crate::Result;
use crate::engine::tape::{Tensor, Turn};
use crate::painting::objective::Kind;
use crate::painting::stages::Stage;
use crate::painting::style::Measured;
use crate::painting::tiling::content::pixels;
use crate::painting::tiling::device::Device;
use crate::painting::tiling::layout::{Layout, Tile};
use crate::painting::tiling::rows::Rows;
use crate::painting::tiling::shared;
use crate::painting::tiling::statistics::{Statistic, Sums};
use crate::painting::tiling::window::{Brought, StyleOnTape, Window};

impl Tiled<'_> {
    /// Computes the gradient of the current picture; returns the losses by slot, or nothing if the watch
    /// wanted an end. Where statistics of the iteration before are kept, one pass does; else there are two.
    pub(super) async fn differentiate(&mut self) -> Result<Option<Vec<f32>>> {
        let (mut losses, sums) = match self.last.take() {
            None => {
                let Some(sums) = self.sums().await? else { return Ok(None) };
                let statistics = self.statistics(&sums);
                let losses = self.compare(&statistics);
                let Some((_, sums)) = self.gradients(Turn::Second).await? else { return Ok(None) };
                self.last = self.quick.then_some(statistics);
                (losses, sums)
            }
            Some(last) => {
                let losses = self.compare(&last);
                let Some((sums, parts)) = self.gradients(Turn::Every).await? else {
                    // Nothing has moved, so that these are still those of the iteration before.
                    self.last = Some(last);
                    return Ok(None);
                };
                self.last = Some(self.statistics(&sums));
                (losses, parts)
            }
        };
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

    /// The first pass: sums over the picture at all style layers, or nothing if the watch wanted an end.
    async fn sums(&mut self) -> Result<Option<Vec<Sums>>> {
        let Self { devices, ranks, style, layout, picture, stage, watch, .. } = self;
        let mut sums = InOrder::new(&devices[0].window);
        let tiles = if sums.sums.is_empty() { 0 } else { layout.features.len() };
        let all = layout.features.len() + layout.gradients.len();
        let whole = shared::pass(
            devices,
            ranks.as_deref(),
            tiles,
            |window, tile| {
                watch.as_ref().is_none_or(|watch| (watch.borrow_mut())(tile, all)).then(|| {
                    let tile = &layout.features[tile];
                    let masks = masks(&window.styles, Turn::First, style, tile);
                    let picture = seen(layout, tile, stage, picture);
                    window.submit(Turn::First, tile, &Brought { picture, contents: Vec::new(), masks })
                })
            },
            |window, tile, words| {
                sums.add(window, tile, words);
            },
        )
        .await?;
        Ok(whole.then_some(sums.sums))
    }

    /// The statistics that follow from sums over the whole picture.
    fn statistics(&self, sums: &[Sums]) -> Vec<Statistic> {
        let styles = self.devices[0].window.styles.iter().zip(&self.against).zip(sums);
        let statistic = |((style, against), sums): ((&StyleOnTape, &Against), &Sums)| match against {
            Against::Gram(..) => Statistic::Gram(sums.gram(style.sites)),
            Against::Mean(shift) => Statistic::Moments(match style.mask {
                None => sums.moments(shift, style.sites),
                Some(_) => sums.clone().moments_of_weighed(shift, style.sites),
            }),
        };
        let found = styles.map(statistic);
        // Kept ones are those of a checkpoint.
        if self.quick { found.map(Statistic::rounded).collect() } else { found.collect() }
    }

    /// Compares the statistics of the whole picture with the paintings'. Returns the losses by slot, without
    /// those that the device finds.
    fn compare(&self, statistics: &[Statistic]) -> Vec<f32> {
        let mut losses = vec![0.0; self.terms.len()];
        let mut moments = Vec::new();
        let styles = self.devices[0].window.styles.iter().zip(&self.against);
        for ((style, against), statistic) in styles.zip(statistics) {
            match (against, statistic) {
                (Against::Gram(target, times), Statistic::Gram(gram)) => {
                    let scale = self.weights[style.index] * style.share * times / target.len() as f64;
                    let off: Vec<f64> = gram.iter().zip(target).map(|(g, t)| g - f64::from(*t)).collect();
                    losses[style.index] = (scale * off.iter().map(|d| d * d).sum::<f64>()) as f32;
                    let slope = 2.0 * scale * self.gradient_scale;
                    let dg: Vec<f32> = off.iter().map(|d| (slope * d) as f32).collect();
                    self.devices.iter().for_each(|device| device.window.set_gram_gradient(style.number, &dg));
                }
                (_, Statistic::Moments(found)) => moments.push((style.number, found)),
                (Against::Mean(_), Statistic::Gram(_)) => unreachable!("a term has one kind of statistic"),
            }
        }
        for compare in self.devices.iter().filter_map(|device| device.compare.as_ref()) {
            compare.submit(&moments, self.submitted - self.stage.first);
        }
        losses
    }

    /// The second pass, or both in one: the gradient of all pixels but for total variation. Returns sums over
    /// the picture, if the first pass is in it; and the sum of squared differences of each content layer, then
    /// the loss of each layer of the nearest-neighbour term. Returns nothing if the watch wanted an end.
    async fn gradients(&mut self, turn: Turn) -> Result<Option<(Vec<Sums>, Vec<f64>)>> {
        let Self {
            devices, ranks, style, layout, picture, stage, watch, features, gradient, submitted, ..
        } = self;
        devices.iter().for_each(|device| device.window.set_count(*submitted - stage.first));
        let first = if turn == Turn::Every { 0 } else { layout.features.len() };
        let all = first + layout.gradients.len();
        let mut sums = InOrder::new(&devices[0].window);
        let mut parts = vec![Vec::new(); layout.gradients.len()];
        let whole = shared::pass(
            devices,
            ranks.as_deref(),
            layout.gradients.len(),
            |window, tile| {
                watch.as_ref().is_none_or(|watch| (watch.borrow_mut())(first + tile, all)).then(|| {
                    let tile = &layout.gradients[tile];
                    let contents = window.contents.iter();
                    let contents = contents.map(|content| features[content.number].seen(tile, content.shape));
                    let contents: Vec<Vec<f32>> = contents.collect();
                    let masks = masks(&window.styles, turn, style, tile);
                    let picture = seen(layout, tile, stage, picture);
                    window.submit(turn, tile, &Brought { picture, contents, masks })
                })
            },
            |window, tile, words| {
                let words = if turn == Turn::Every { sums.add(window, tile, words) } else { words };
                let (losses, found) = window.found(words);
                take(layout, &layout.gradients[tile], stage.width, &found, gradient);
                gradient.unload();
                parts[tile] = losses;
            },
        )
        .await?;
        let add = |mut sums: Vec<f64>, part: &Vec<f64>| {
            sums.resize(part.len(), 0.0);
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            sums
        };
        Ok(whole.then(|| (sums.sums, parts.iter().fold(Vec::new(), add))))
    }
}

/// Sums over the sites of all tiles. Devices finish in any order, and tiles are added in their own.
struct InOrder {
    sums: Vec<Sums>,
    waiting: BTreeMap<usize, Vec<f32>>,
    added: usize,
}

impl InOrder {
    fn new(window: &Window) -> Self {
        let sums = window.styles.iter().map(|style| Sums::new(style.channels)).collect();
        Self { sums, waiting: BTreeMap::new(), added: 0 }
    }

    /// Takes the sums of a tile from what a pass gave of it; returns the rest.
    fn add(&mut self, window: &Window, tile: usize, mut words: Vec<f32>) -> Vec<f32> {
        let rest = words.split_off(window.each_band(&words, |_, _, _| ()));
        self.waiting.insert(tile, words);
        while let Some(words) = self.waiting.remove(&self.added) {
            window.each_band(&words, |layer, sum, products| self.sums[layer].add(sum, products));
            self.added += 1;
        }
        rest
    }
}

/// What a pass over the window of a tile reads of the regions of `style`, for those of `styles` that have one.
fn masks(styles: &[StyleOnTape], turn: Turn, style: &Measured, tile: &Tile) -> Vec<(Tensor, Vec<f32>)> {
    let seen = |on_tape: &StyleOnTape| {
        let region = style.layers[on_tape.number].as_ref()?.region.as_ref()?;
        Some(on_tape.mask?.seen(turn, &region.mask, tile))
    };
    styles.iter().filter_map(seen).flatten().collect()
}

/// The pixels of a tile's window, as the network reads them.
fn seen(layout: &Layout, tile: &Tile, stage: &Stage, picture: &Rows) -> Vec<f32> {
    let row = |y| picture.row(y).into_iter().map(|v| v as f32).collect();
    let pixels = pixels(layout, tile, stage.width, row);
    picture.words().unload();
    pixels
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
