//! The photograph's features, measured tile by tile and kept on the processor.

use crate::Result;
use crate::architecture::Tap;
use crate::disk::{Store, Words};
use crate::engine::tape::{Shape, Tensor};
use crate::ops::widened::widened;
use crate::painting::objective::Objective;
use crate::painting::tiling::layout::{Layout, Tile};
use crate::painting::tiling::rows::blocks;
use crate::painting::tiling::window::map_size;
use crate::picture::Picture;

/// The features of a photograph at a content layer.
pub(crate) struct Features {
    shape: Shape,
    /// How often the picture was halved on its way to the map.
    halvings: usize,
    values: Words,
    /// The mean of their squares.
    pub(crate) energy: f64,
}

/// The pixels of a tile's window, `height x 3 x width`, of a picture whose rows `row` gives.
pub(crate) fn pixels(
    layout: &Layout,
    tile: &Tile,
    width: usize,
    row: impl Fn(usize) -> Vec<f32>,
) -> Vec<f32> {
    let (columns, rows) = layout.window;
    let mut pixels = Vec::with_capacity(3 * columns * rows);
    for y in tile.rows.begin..tile.rows.begin + rows {
        let row = row(y);
        for c in 0..3 {
            pixels.extend_from_slice(&row[c * width + tile.columns.begin..][..columns]);
        }
    }
    pixels
}

impl Features {
    /// The part of a tile's window, whose map has this shape.
    pub(crate) fn seen(&self, tile: &Tile, window: Shape) -> Vec<f32> {
        let (top, left) = (tile.rows.begin >> self.halvings, tile.columns.begin >> self.halvings);
        let mut values = Vec::with_capacity(window.len());
        for y in top..top + window.height {
            for c in 0..window.channels {
                let line = (y * self.shape.channels + c) * self.shape.width;
                values.extend_from_slice(&self.values[line + left..][..window.width]);
            }
        }
        self.values.unload();
        values
    }

    /// Takes the sites that a tile owns from the map of its window.
    fn take(&mut self, tile: &Tile, window: Shape, map: &[f32]) {
        let k = self.halvings;
        let [top, bottom, left, right] = tile.within().map(|n| n >> k);
        let (down, across) = (tile.rows.begin >> k, tile.columns.begin >> k);
        for y in top..bottom {
            for c in 0..window.channels {
                let from = &map[(y * window.channels + c) * window.width..][left..right];
                let line = ((down + y) * self.shape.channels + c) * self.shape.width;
                self.values[line + across + left..][..right - left].copy_from_slice(from);
            }
        }
    }
}

impl Objective<'_, '_> {
    /// The features of a photograph at the content layers, measured in the windows of `layout`.
    pub(crate) async fn features_in_tiles(
        &self,
        photograph: &Picture,
        layout: &Layout,
        store: &Store,
    ) -> Result<Vec<Features>> {
        let taps: &[Tap] = &self.settings.content_layers;
        if taps.is_empty() {
            return Ok(Vec::new());
        }
        let window = Shape::new(3, layout.window.1, layout.window.0);
        let mut seen: Vec<Option<(Tensor, Shape)>> = vec![None; taps.len()];
        let (tape, leaf) = self.record_look(window, taps, |tape, index, x| {
            seen[index] = Some((widened(tape, x), x.shape));
        });
        let seen: Vec<(Tensor, Shape)> = seen.into_iter().flatten().collect();
        let plan = tape.finish()?;
        let size = (photograph.width, photograph.height);
        let features = taps.iter().zip(&seen).map(|(tap, (_, window))| {
            let (width, height) = map_size(size, *tap);
            let shape = Shape::new(window.channels, height, width);
            let values = store.zeros(shape.len())?;
            Ok(Features { shape, halvings: tap.block - 1, values, energy: 0.0 })
        });
        let mut features: Vec<Features> = features.collect::<Result<_>>()?;
        for tile in &layout.features {
            let row = |y| self.variable().encode_row(photograph, y).into_iter().map(|v| v as f32).collect();
            plan.write(self.gpu, leaf.value, &pixels(layout, tile, photograph.width, row));
            plan.run(self.gpu);
            for (features, (tensor, window)) in features.iter_mut().zip(&seen) {
                features.take(tile, *window, &plan.read_async(self.gpu, *tensor).await?);
                features.values.unload();
            }
        }
        for features in &mut features {
            let row = features.shape.channels * features.shape.width;
            let mut squares = 0.0;
            for rows in blocks(features.shape.height, row) {
                let values = &features.values[rows.start * row..rows.end * row];
                values.iter().for_each(|v| squares += f64::from(*v).powi(2));
                features.values.unload();
            }
            // A black photograph has no energy.
            features.energy = (squares / features.values.len() as f64).max(1e-6);
        }
        Ok(features)
    }
}
