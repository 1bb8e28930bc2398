//! Paintings that are too large for the device, measured in tiles.

use crate::Result;
use crate::engine::plan::Plan;
use crate::engine::tape::{Shape, Tape, Tensor};
use crate::ops::owned::{Own, Sums as Band, sums};
use crate::painting::objective::Objective;
use crate::painting::tiling::content::pixels;
use crate::painting::tiling::layout::Layout;
use crate::painting::tiling::statistics::Sums;
use crate::painting::tiling::window::map_size;
use crate::picture::Picture;

/// A window of a painting on a tape.
struct Recorded<'g> {
    tape: Tape<'g>,
    picture: Tensor,
    rectangle: Option<Tensor>,
    /// Channels and bands of each style layer.
    layers: Vec<(usize, Vec<Band>)>,
}

impl<'g> Objective<'g, '_> {
    fn record_painting(&self, layout: &Layout) -> Recorded<'g> {
        let taps = &self.settings.style_layers;
        let window = Shape::new(3, layout.window.1, layout.window.0);
        let mut rectangle = None;
        let mut layers = vec![(0, Vec::new()); taps.len()];
        let (tape, leaf) = self.record_look(window, taps, |tape, index, x| {
            let rectangle = *rectangle.get_or_insert_with(|| tape.state("rectangle", 4));
            let own = Own { rectangle, halvings: taps[index].block - 1 };
            let c = x.shape.channels;
            let zeros = tape.state("zeros", c);
            let bands = sums(tape, x, own, zeros, self.vgg.tuning().gram(self.gpu, c));
            bands.iter().flat_map(|band| [band.sum, band.products]).for_each(|tensor| tape.keep(tensor));
            layers[index] = (c, bands);
        });
        Recorded { tape, picture: leaf.value, rectangle, layers }
    }

    /// The device memory that [`Self::painting_in_tiles`] takes.
    pub(crate) fn painting_memory(&self, layout: &Layout) -> Result<u64> {
        Plan::measure(self.record_painting(layout).tape)
    }

    /// Sums over the sites of a painting at each style layer, and how many sites there are.
    pub(crate) async fn painting_in_tiles(
        &self,
        painting: &Picture,
        layout: &Layout,
    ) -> Result<Vec<(Sums, usize)>> {
        let Recorded { tape, picture, rectangle, layers } = self.record_painting(layout);
        let mut all: Vec<Sums> = layers.iter().map(|(c, _)| Sums::new(*c)).collect();
        let Some(rectangle) = rectangle else { return Ok(Vec::new()) };
        let plan = tape.finish()?;
        for tile in &layout.features {
            let row = |y| self.variable().encode_row(painting, y).into_iter().map(|v| v as f32).collect();
            plan.write(self.gpu, picture, &pixels(layout, tile, painting.width, row));
            plan.write(self.gpu, rectangle, &tile.within().map(|n| f32::from_bits(n as u32)));
            plan.run(self.gpu);
            for (all, (_, bands)) in all.iter_mut().zip(&layers) {
                for band in bands {
                    let sum = plan.read_async(self.gpu, band.sum).await?;
                    all.add(&sum, &plan.read_async(self.gpu, band.products).await?);
                }
            }
        }
        let sites = self.settings.style_layers.iter().map(|tap| {
            let (width, height) = map_size((painting.width, painting.height), *tap);
            width * height
        });
        Ok(all.into_iter().zip(sites).collect())
    }
}
