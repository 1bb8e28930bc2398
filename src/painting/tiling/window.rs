//! One window on the device: the network on it, what is summed over the sites that its tile owns, and the
//! gradient of its pixels.

use crate::Result;
use crate::architecture::Tap;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::Knob;
use crate::engine::memory::Readback;
use crate::engine::plan::Plan;
use crate::engine::tape::{Shape, Tape, Tensor, Turn, Var};
use crate::ops::owned;
use crate::painting::tiling::layout::Tile;
use crate::picture::Mask;

/// Passes that a device has at a time: while it works on one, the next is brought to it.
pub(super) const AHEAD: usize = 2;

/// The sums at a style layer, or of a region there.
pub(crate) struct StyleOnTape {
    /// Slot of the term, and its number among the style terms.
    pub(crate) index: usize,
    pub(crate) number: usize,
    pub(crate) channels: usize,
    /// Sites of the whole picture's map; of a region, the sum of their weights.
    pub(crate) sites: f64,
    /// The same as a share of all sites of that map.
    pub(crate) share: f64,
    /// For each band of the window's rows.
    pub(super) bands: Vec<owned::Sums>,
    /// The gradient of a Gram matrix, which the processor finds.
    pub(super) gram_gradient: Option<Tensor>,
    /// How much each site counts in the region, if it is one.
    pub(crate) mask: Option<MaskOnTape>,
}

/// The part of a region's mask that the window sees.
#[derive(Clone, Copy)]
pub(crate) struct MaskOnTape {
    /// The sites that are summed: those that the tile owns.
    pub(super) own: Tensor,
    /// All of them, which have a gradient.
    pub(super) all: Tensor,
    /// The window's map.
    pub(super) shape: Shape,
    /// How often the picture was halved on its way to the map.
    pub(super) halvings: usize,
}

impl MaskOnTape {
    /// The weights that a pass over the window of a tile reads, from the mask of the whole picture's map.
    pub(crate) fn seen(&self, turn: Turn, mask: &Mask, tile: &Tile) -> Vec<(Tensor, Vec<f32>)> {
        let (height, width, k) = (self.shape.height, self.shape.width, self.halvings);
        let (top, left) = (tile.rows.begin >> k, tile.columns.begin >> k);
        let row = |y: usize| &mask.weights[(top + y) * mask.width + left..][..width];
        let all: Vec<f32> = (0..height).flat_map(row).copied().collect();
        let mut seen = Vec::new();
        if turn != Turn::Second {
            let mut own = vec![0.0; all.len()];
            let [first, behind, from, to] = tile.within().map(|n| n >> k);
            for y in first..behind {
                let line = y * width + from..y * width + to;
                own[line.clone()].copy_from_slice(&all[line]);
            }
            seen.push((self.own, own));
        }
        if turn != Turn::First {
            seen.push((self.all, all));
        }
        seen
    }
}

/// A content layer.
pub(crate) struct ContentOnTape {
    /// Slot of the term, and the number of the layer in the settings.
    pub(crate) index: usize,
    pub(crate) number: usize,
    /// The window's map.
    pub(crate) shape: Shape,
    /// Values of the whole picture's map.
    pub(crate) values: usize,
    pub(super) target: Tensor,
    /// Sums of squares of each band of the window's rows.
    pub(super) squares: Tensor,
    pub(super) bands: usize,
}

/// A layer of the nearest-neighbour term.
pub(crate) struct NearestOnTape {
    /// Slot of the term.
    pub(crate) index: usize,
    /// The loss of the tile's own sites.
    pub(super) loss: Tensor,
}

/// One window on a tape, for two passes.
pub(crate) struct Recorded<'g> {
    pub(crate) tape: Tape<'g>,
    pub(super) picture: Var,
    pub(super) rectangle: Tensor,
    /// Iterations of the stage so far, on the device.
    pub(super) count: Tensor,
    pub(super) styles: Vec<StyleOnTape>,
    pub(super) contents: Vec<ContentOnTape>,
    pub(super) nearest: Vec<NearestOnTape>,
    /// By slot: the weight of a term's gradient, and what the term's own weight is multiplied by to become
    /// it.
    pub(super) weights: Vec<Option<(Knob, f64)>>,
}

impl Recorded<'_> {
    /// Device memory of what goes through the plan beside its tensors: what is brought to it for a pass, and
    /// what each of the two passes gives.
    pub(super) fn passing_bytes(&self) -> u64 {
        let contents = self.contents.iter().map(|content| content.target);
        let masks = self.styles.iter().filter_map(|style| style.mask.as_ref());
        let masks = masks.flat_map(|mask| [mask.own, mask.all]);
        let brought = contents.chain(masks).chain([self.picture.value]);
        let given = given_by(Turn::Every, &self.styles, &self.contents, &self.nearest, self.picture);
        let values: usize = brought.chain(given).map(|tensor| self.tape.len(tensor)).sum();
        4 * (AHEAD * values) as u64
    }
}

/// The tensors that a pass gives.
fn given_by(
    turn: Turn,
    styles: &[StyleOnTape],
    contents: &[ContentOnTape],
    nearest: &[NearestOnTape],
    picture: Var,
) -> Vec<Tensor> {
    let bands = styles.iter().flat_map(|style| &style.bands);
    let sums = bands.flat_map(|sums| [sums.sum, sums.products]);
    let squares = contents.iter().map(|content| content.squares);
    let nearest = nearest.iter().map(|nearest| nearest.loss);
    let found = squares.chain(nearest).chain(picture.grad);
    match turn {
        Turn::First => sums.collect(),
        Turn::Second => found.collect(),
        Turn::Every => sums.chain(found).collect(),
    }
}

/// The size of the map at a tap, of a picture or a window of `width x height`.
pub(crate) fn map_size((width, height): (usize, usize), tap: Tap) -> (usize, usize) {
    (width >> (tap.block - 1), height >> (tap.block - 1))
}

/// What a pass reads beside the network.
pub(crate) struct Brought {
    /// The window's pixels.
    pub(crate) picture: Vec<f32>,
    /// In the second pass, what contents are compared with.
    pub(crate) contents: Vec<Vec<f32>>,
    /// What the window sees of regions.
    pub(crate) masks: Vec<(Tensor, Vec<f32>)>,
}

/// A pass over a window that the device may still be working on.
pub(crate) struct Flight {
    readback: Readback,
    submission: wgpu::SubmissionIndex,
}

impl Flight {
    /// Whether the pass is done, without waiting for it.
    pub(crate) fn is_there(&self, gpu: &Gpu) -> Result<bool> {
        self.readback.is_there(gpu)
    }
}

/// The plan of a window, which serves all tiles of a picture one after the other.
pub(crate) struct Window<'g> {
    gpu: &'g Gpu,
    pub(crate) plan: Plan,
    picture: Var,
    rectangle: Tensor,
    /// In the order in which the network meets them.
    pub(crate) styles: Vec<StyleOnTape>,
    pub(crate) contents: Vec<ContentOnTape>,
    pub(crate) nearest: Vec<NearestOnTape>,
    count: Tensor,
    weights: Vec<Option<(Knob, f64)>>,
    /// Buffers for what the passes give, by their bytes.
    spare: Vec<Readback>,
}

impl<'g> Window<'g> {
    pub(crate) fn new(gpu: &'g Gpu, recorded: Recorded<'g>) -> Result<Self> {
        let Recorded { tape, picture, rectangle, count, styles, contents, nearest, weights } = recorded;
        let spare = Vec::new();
        let plan = tape.finish()?;
        Ok(Self { gpu, plan, picture, rectangle, count, styles, contents, nearest, weights, spare })
    }

    /// Gives the terms other weights.
    pub(crate) fn weigh(&self, weight: impl Fn(usize) -> f64) {
        for (slot, knob) in self.weights.iter().enumerate() {
            if let Some((knob, times)) = knob {
                self.plan.turn(self.gpu, *knob, weight(slot) * times);
            }
        }
    }

    /// Says how many iterations the stage has had.
    pub(crate) fn set_count(&self, iterations: usize) {
        self.plan.write(self.gpu, self.count, &[f32::from_bits(iterations as u32)]);
    }

    /// Sets the gradient of the Gram matrix of the style layer with this number in the settings.
    pub(crate) fn set_gram_gradient(&self, number: usize, gradient: &[f32]) {
        let style = self.styles.iter().find(|style| style.number == number);
        if let Some(tensor) = style.and_then(|style| style.gram_gradient) {
            self.plan.write(self.gpu, tensor, gradient);
        }
    }

    /// Gives the device's memory back.
    pub(crate) fn release(&mut self) {
        self.plan.release();
        self.spare.clear();
    }

    /// Bytes of the buffers through which the processor reads.
    pub(crate) fn readback_bytes(&self) -> u64 {
        self.spare.iter().map(|readback| readback.buffer.size()).sum()
    }

    /// Starts a pass over the window of a tile.
    pub(crate) fn submit(&mut self, turn: Turn, tile: &Tile, brought: &Brought) -> Flight {
        let (gpu, plan) = (self.gpu, &self.plan);
        plan.write(gpu, self.picture.value, &brought.picture);
        plan.write(gpu, self.rectangle, &tile.words());
        for (content, target) in self.contents.iter().zip(&brought.contents) {
            plan.write(gpu, content.target, target);
        }
        for (mask, weights) in &brought.masks {
            plan.write(gpu, *mask, weights);
        }
        let given = given_by(turn, &self.styles, &self.contents, &self.nearest, self.picture);
        let bytes = |tensor: &Tensor| 4 * plan.len(*tensor) as u64;
        let all: u64 = given.iter().map(bytes).sum();
        if turn == Turn::Every {
            // The other passes do not come again soon.
            self.spare.retain(|readback| readback.buffer.size() == all);
        }
        let fitting = self.spare.iter().position(|readback| readback.buffer.size() == all);
        let readback = match fitting {
            Some(index) => self.spare.swap_remove(index),
            None => Readback::new(gpu, all),
        };
        let submission = plan.submit_pass(gpu, turn, gpu.unknown_pieces(), |encoder| {
            let mut at = 0;
            for tensor in &given {
                plan.copy(encoder, *tensor, &readback.buffer, at);
                at += bytes(tensor);
            }
        });
        readback.request();
        Flight { readback, submission }
    }

    /// Waits for a pass; returns what it gave: the words that [`Self::each_band`] or [`Self::found`] reads.
    pub(crate) async fn land(&mut self, flight: Flight) -> Result<Vec<f32>> {
        flight.readback.arrives(self.gpu, &flight.submission).await?;
        let words = bytemuck::pod_collect_to_vec(&flight.readback.take(self.gpu)?);
        self.spare.push(flight.readback);
        Ok(words)
    }

    /// Of a first pass, or of both in one: calls `add` with the index of a style layer, sums and products, for
    /// each of its bands. Returns how many words these were.
    pub(crate) fn each_band(&self, words: &[f32], mut add: impl FnMut(usize, &[f32], &[f32])) -> usize {
        let mut rest = words;
        for (index, style) in self.styles.iter().enumerate() {
            for _ in &style.bands {
                let (sum, more) = rest.split_at(style.channels);
                let (products, more) = more.split_at(style.channels * style.channels);
                add(index, sum, products);
                rest = more;
            }
        }
        words.len() - rest.len()
    }

    /// Of a second pass: the sum of squared differences of each content layer's own sites, then the loss of
    /// those of each layer of the nearest-neighbour term, and the gradient of all pixels.
    pub(crate) fn found(&self, mut words: Vec<f32>) -> (Vec<f64>, Vec<f32>) {
        let mut at = 0;
        let mut squares = Vec::new();
        for content in &self.contents {
            squares.push(words[at..at + content.bands].iter().map(|v| f64::from(*v)).sum());
            at += content.bands;
        }
        squares.extend(words[at..at + self.nearest.len()].iter().map(|v| f64::from(*v)));
        at += self.nearest.len();
        words.drain(..at);
        (squares, words)
    }
}
