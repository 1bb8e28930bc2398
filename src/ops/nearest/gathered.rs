//! What the search needs of a painting whose map is seen in windows: its sites are gathered on the processor.

use super::lattice::{BLOCK, Lattice};
use super::{PAINTING_SITES, Resident, Target, Window, params, quads};
use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::{Value, kernel};
use crate::engine::tape::{Shape, Tape, Tensor, Var};

/// Records, for the forward pass, the features of those sites of a painting's lattice that lie in a window
/// `y` of its map, packed as the search reads them. [`Gathered`] takes them.
pub(crate) fn gather(tape: &mut Tape, y: Var, window: Window) -> Tensor {
    let Window { whole, own } = window;
    let c = y.shape.channels;
    let lattice = Lattice { shape: y.shape, ..Lattice::new(whole, PAINTING_SITES) };
    // The mean is known when all windows were seen, and the lattice does not move.
    let (zeros, step) = (tape.state("zeros", Target::mean_len(c)), tape.state("step", 1));
    let packed = tape.scratch("packed", 4 * quads(c) * lattice.slots());
    for rows in tape.bands(&[y.shape]) {
        let scales = [Value::Float(0.0); 2];
        tape.forward(kernel!("nearest", "pack_window").storing("Map", y))
            .params(params(lattice, whole, own.halvings, rows.start, rows.len(), 0, scales))
            .bind("tile", own.rectangle)
            .bind("x", y.rows(rows.clone()))
            .bind("mean", zeros)
            .bind("step", step)
            .bind("packed", packed)
            .grid([lattice.slots(), quads(c), 1]);
    }
    packed
}

/// The sites of a painting, while its windows are looked at.
pub(crate) struct Gathered {
    /// That of the whole map.
    lattice: Lattice,
    /// Of all sites of the map, by channel.
    sum: Vec<f64>,
    /// The features of the lattice's sites, one site behind the other.
    sites: Vec<f32>,
}

impl Gathered {
    /// Of a map of shape `whole`, nothing of which was seen yet.
    pub(crate) fn new(whole: Shape) -> Self {
        let lattice = Lattice::new(whole, PAINTING_SITES);
        let sites = vec![0.0; lattice.places() * whole.channels];
        Self { lattice, sum: vec![0.0; whole.channels], sites }
    }

    /// Adds the sums of channels over some sites of the map.
    pub(crate) fn add(&mut self, sum: &[f32]) {
        self.sum.iter_mut().zip(sum).for_each(|(all, sum)| *all += f64::from(*sum));
    }

    /// Takes the sites that a tile owns, from what [`gather`] packed of its window. The window, of this
    /// shape, begins at a row and a column of the map, and the tile owns the rows and columns `own` of the
    /// window: the first and the one behind the last, of rows and then of columns.
    pub(crate) fn take(
        &mut self,
        window: Shape,
        (top, left): (usize, usize),
        own: [usize; 4],
        packed: &[f32],
    ) {
        let Lattice { shape, rows_apart, columns_apart } = self.lattice;
        let (c, across) = (shape.channels, Lattice { shape: window, ..self.lattice }.across());
        let of_window = |origin: usize, apart: usize| origin.div_ceil(apart);
        let within =
            |begin: usize, from: usize, to: usize| move |at: &usize| (begin + from..begin + to).contains(at);
        let [first, behind, from, to] = own;
        for row in (0..shape.height).step_by(rows_apart).filter(within(top, first, behind)) {
            for column in (0..shape.width).step_by(columns_apart).filter(within(left, from, to)) {
                let place = (row / rows_apart, column / columns_apart);
                let slot = (place.0 - of_window(top, rows_apart)) * across + place.1
                    - of_window(left, columns_apart);
                let at = (place.0 * self.lattice.across() + place.1) * c;
                for (channel, value) in self.sites[at..at + c].iter_mut().enumerate() {
                    *value = packed[index(c, slot, channel)];
                }
            }
        }
    }

    /// Brings them to the device: without their mean and of length 1, as [`prepare`](super::prepare) does.
    ///
    /// # Errors
    /// [`crate::Error::Device`] or [`crate::Error::TooLarge`] if there is no room.
    pub(crate) fn resident(self, gpu: &Gpu) -> Result<Resident> {
        let c = self.lattice.shape.channels;
        let all = self.lattice.shape.pixels() as f64;
        let mean: Vec<f32> = self.sum.iter().map(|sum| (sum / all) as f32).collect();
        let square = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        // What is shorter is rounding: the shader has the same.
        let least = square(&mean) * 0.5f64.powi(40);
        let sites = self.lattice.places();
        let mut features = vec![0.0; Target::features_len(c, sites)];
        for slot in 0..sites.next_multiple_of(BLOCK) {
            // The first site fills the last block.
            let site = if slot < sites { slot } else { 0 };
            let u: Vec<f32> = self.sites[site * c..][..c].iter().zip(&mean).map(|(x, m)| x - m).collect();
            let length = square(&u);
            let inverse = if length <= least { 0.0 } else { 1.0 / length.sqrt() };
            for (channel, u) in u.iter().enumerate() {
                features[index(c, slot, channel)] = (inverse * f64::from(*u)) as f32;
            }
        }
        let mut padded = mean;
        padded.resize(Target::mean_len(c), 0.0);
        let features = gpu.upload("target.features", &features)?;
        Ok(Resident { features, mean: gpu.upload("target.mean", &padded)?, sites })
    }
}

/// Where the value of a channel of a packed site is, of sites of `c` channels.
fn index(c: usize, slot: usize, channel: usize) -> usize {
    let quad = slot / BLOCK * quads(c) + channel / 4;
    (quad * BLOCK + slot % BLOCK) * 4 + channel % 4
}
