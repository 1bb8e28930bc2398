//! The painting of the finish, where it is too large for the device: its sites are gathered tile by tile.

use crate::Result;
use crate::engine::plan::Plan;
use crate::engine::tape::{Shape, Tape, Tensor};
use crate::ops::nearest::{self, Gathered, Resident, Window, gather};
use crate::ops::owned::{Own, channels};
use crate::painting::objective::{Objective, nearest_taps};
use crate::painting::tiling::Tiling;
use crate::painting::tiling::content::pixels;
use crate::painting::tiling::layout::Layout;
use crate::painting::tiling::window::map_size;
use crate::picture::Picture;

/// A layer of a window of the painting.
struct Layer {
    /// The whole painting's map, and the window's.
    whole: Shape,
    window: Shape,
    halvings: usize,
    /// Sums of channels, for each band of the window's rows.
    sums: Vec<Tensor>,
    packed: Tensor,
}

/// A window of a painting on a tape.
struct Recorded<'g> {
    tape: Tape<'g>,
    picture: Tensor,
    rectangle: Option<Tensor>,
    layers: Vec<Layer>,
}

impl<'g> Objective<'g, '_> {
    fn record_neighbours(&self, size: (usize, usize), layout: &Layout) -> Recorded<'g> {
        let taps = nearest_taps(self.settings);
        let window = Shape::new(3, layout.window.1, layout.window.0);
        let mut rectangle = None;
        let mut layers: Vec<Option<Layer>> = taps.iter().map(|_| None).collect();
        let (tape, leaf) = self.record_look(window, &taps, |tape, index, y| {
            let rectangle = *rectangle.get_or_insert_with(|| tape.state("rectangle", 6));
            let halvings = taps[index].block - 1;
            let (width, height) = map_size(size, taps[index]);
            let whole = Shape::new(y.shape.channels, height, width);
            let own = Own { rectangle, halvings };
            let sums = channels(tape, y, own);
            let packed = gather(tape, y, Window { whole, own });
            sums.iter().chain([&packed]).for_each(|tensor| tape.keep(*tensor));
            layers[index] = Some(Layer { whole, window: y.shape, halvings, sums, packed });
        });
        Recorded { tape, picture: leaf.value, rectangle, layers: layers.into_iter().flatten().collect() }
    }

    /// Records what the finish needs of a painting that is measured as a whole.
    pub(crate) fn record_prepared(&self, shape: Shape) -> (Tape<'g>, Tensor, Vec<nearest::Target>) {
        let taps = nearest_taps(self.settings);
        let mut seen: Vec<Option<nearest::Target>> = taps.iter().map(|_| None).collect();
        let (tape, leaf) = self.record_look(shape, &taps, |tape, index, y| {
            let target = nearest::prepare(tape, y);
            [target.features, target.mean].into_iter().for_each(|tensor| tape.keep(tensor));
            seen[index] = Some(target);
        });
        (tape, leaf.value, seen.into_iter().flatten().collect())
    }

    /// The tiles of the painting of the finish, if it is measured in tiles.
    ///
    /// # Errors
    /// As [`Self::layout`].
    pub(crate) fn neighbours_layout(&self, size: (usize, usize), tiling: Tiling) -> Result<Option<Layout>> {
        let whole = || match self.huge(Shape::new(3, size.1, size.0)) {
            true => Err(crate::Error::TooLarge("a map is too large for a buffer".into())),
            false => Plan::measure(self.record_prepared(Shape::new(3, size.1, size.0)).0),
        };
        self.choose(size, tiling, whole, |layout| Plan::measure(self.record_neighbours(size, layout).tape))
    }

    /// The sites of the painting of the finish, at each layer of the term.
    pub(crate) async fn neighbours_in_tiles(
        &self,
        painting: &Picture,
        layout: &Layout,
    ) -> Result<Vec<Resident>> {
        let size = (painting.width, painting.height);
        let Recorded { tape, picture, rectangle, layers } = self.record_neighbours(size, layout);
        let Some(rectangle) = rectangle else { return Ok(Vec::new()) };
        let plan = tape.finish()?;
        let mut all: Vec<Gathered> = layers.iter().map(|layer| Gathered::new(layer.whole)).collect();
        for tile in &layout.features {
            let row = |y| self.variable().encode_row(painting, y).into_iter().map(|v| v as f32).collect();
            plan.write(self.gpu, picture, &pixels(layout, tile, painting.width, row));
            plan.write(self.gpu, rectangle, &tile.words());
            plan.run(self.gpu);
            for (all, layer) in all.iter_mut().zip(&layers) {
                for sum in &layer.sums {
                    all.add(&plan.read_async(self.gpu, *sum).await?);
                }
                let k = layer.halvings;
                let begin = (tile.rows.begin >> k, tile.columns.begin >> k);
                let packed = plan.read_async(self.gpu, layer.packed).await?;
                all.take(layer.window, begin, tile.within().map(|n| n >> k), &packed);
            }
        }
        all.into_iter().map(|sites| sites.resident(self.gpu)).collect()
    }
}
