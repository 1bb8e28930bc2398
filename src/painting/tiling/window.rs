//! One window on the device: the network on it, what is summed over the sites that its tile owns, and the
//! gradient of its pixels.

use crate::Result;
use crate::architecture::Tap;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::Knob;
use crate::engine::memory::Readback;
use crate::engine::plan::Plan;
use crate::engine::tape::{Shape, Slot, Tape, Tensor, Turn, Var};
use crate::ops::owned::{self, Less, Own};
use crate::ops::wasserstein::Found;
use crate::ops::{gram, mse, nearest, wasserstein};
use crate::painting::choices::StyleLoss;
use crate::painting::objective::{Kind, Objective, SPARE_FROM, Term, terms};
use crate::painting::stages::Stage;
use crate::painting::style::{Measured, StyleStatistics};
use crate::painting::tiling::compare::Compare;
use crate::painting::tiling::layout::{Layout, Tile};

/// The sums at a style layer.
pub(crate) struct StyleOnTape {
    /// Slot of the term, and the number of the layer in the settings.
    pub(crate) index: usize,
    pub(crate) number: usize,
    pub(crate) channels: usize,
    /// Sites of the whole picture's map.
    pub(crate) sites: usize,
    /// For each band of the window's rows.
    bands: Vec<owned::Sums>,
    /// The gradient of a Gram matrix, which the processor finds.
    gram_gradient: Option<Tensor>,
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
    target: Tensor,
    /// Sums of squares of each band of the window's rows.
    squares: Tensor,
    bands: usize,
}

/// A layer of the nearest-neighbour term.
pub(crate) struct NearestOnTape {
    /// Slot of the term.
    pub(crate) index: usize,
    /// The loss of the tile's own sites.
    loss: Tensor,
}

/// One window on a tape, for two passes.
pub(crate) struct Recorded<'g> {
    pub(crate) tape: Tape<'g>,
    picture: Var,
    rectangle: Tensor,
    /// Iterations of the stage so far, on the device.
    count: Tensor,
    styles: Vec<StyleOnTape>,
    contents: Vec<ContentOnTape>,
    nearest: Vec<NearestOnTape>,
    /// By slot: the weight of a term's gradient, and what the term's own weight is multiplied by to become
    /// it.
    weights: Vec<Option<(Knob, f64)>>,
}

/// The size of the map at a tap, of a picture or a window of `width x height`.
pub(crate) fn map_size((width, height): (usize, usize), tap: Tap) -> (usize, usize) {
    (width >> (tap.block - 1), height >> (tap.block - 1))
}

/// The terms of a stage at a window, while they are being recorded.
struct TermsAtWindow<'o, 'g, 'a> {
    objective: &'o Objective<'g, 'a>,
    stage: &'o Stage,
    targets: Option<(&'o [f64], &'o Measured)>,
    compare: Option<&'o Compare<'g>>,
    terms: &'o [Term],
    rectangle: Tensor,
    count: Tensor,
    styles: Vec<StyleOnTape>,
    contents: Vec<ContentOnTape>,
    nearest: Vec<NearestOnTape>,
    weights: Vec<Option<(Knob, f64)>>,
}

impl<'g> Objective<'g, '_> {
    /// Records the network and the terms of a stage at a window. `targets` are the energies of the
    /// photograph's features and the paintings' statistics, and `compare` has the results of the comparison
    /// between both passes. Without them, the tape serves only to be measured.
    pub(crate) fn record_window(
        &self,
        stage: &Stage,
        layout: &Layout,
        targets: Option<(&[f64], &Measured)>,
        compare: Option<&Compare<'g>>,
    ) -> Recorded<'g> {
        let shape = Shape::new(3, layout.window.1, layout.window.0);
        let terms = terms(self.settings);
        let mut tape = self.in_precision(Tape::new(self.gpu));
        tape.spend_memory(shape.pixels() < SPARE_FROM);
        tape.scale_gradients(self.settings.gradient_scale(stage.width * stage.height));
        let picture = tape.leaf("picture", shape);
        picture.grad.into_iter().for_each(|grad| tape.keep(grad));
        // The tile's own rectangle, and where its window begins.
        let rectangle = tape.state("rectangle", 6);
        let count = tape.state("count", 1);
        let mut at = TermsAtWindow {
            objective: self,
            stage,
            targets,
            compare,
            terms: &terms,
            rectangle,
            count,
            styles: Vec::new(),
            contents: Vec::new(),
            nearest: Vec::new(),
            weights: vec![None; terms.len()],
        };
        let (to_network, options) = (self.to_network(), self.settings.network_options());
        let taps = self.taps(stage, None);
        self.vgg
            .record(&mut tape, picture, &to_network, options, &taps, |tape, tap, x| at.look(tape, tap, x));
        let TermsAtWindow { styles, contents, nearest, weights, .. } = at;
        Recorded { tape, picture, rectangle, count, styles, contents, nearest, weights }
    }
}

impl TermsAtWindow<'_, '_, '_> {
    /// Records the terms that look at the features `x` of a layer.
    fn look(&mut self, tape: &mut Tape, tap: Tap, x: Var) {
        let (mut content, mut style, mut near) = (0, 0, 0);
        for index in 0..self.terms.len() {
            match self.terms[index].kind {
                Kind::Content(at) => {
                    if at == tap {
                        self.content(tape, tap, index, content, x);
                    }
                    content += 1;
                }
                Kind::Style(at, _) => {
                    if at == tap {
                        self.style(tape, tap, index, style, x);
                    }
                    style += 1;
                }
                Kind::Nearest(at) => {
                    if at == tap && self.stage.finish {
                        self.nearest(tape, tap, index, near, x);
                    }
                    near += 1;
                }
                Kind::Variation => {}
            }
        }
    }

    /// What the tile owns of a map at `tap`, and the sites of the whole picture's map.
    fn own(&self, tap: Tap) -> (Own, usize) {
        let (width, height) = map_size((self.stage.width, self.stage.height), tap);
        (Own { rectangle: self.rectangle, halvings: tap.block - 1 }, width * height)
    }

    fn content(&mut self, tape: &mut Tape, tap: Tap, index: usize, number: usize, x: Var) {
        let (own, sites) = self.own(tap);
        let values = sites * x.shape.channels;
        let target = tape.state("target", x.shape.len());
        let energy = self.targets.map_or(1.0, |(energies, _)| energies[number]);
        let times = self.objective.content_times(self.stage, energy);
        let weight = tape.knob(self.terms[index].weight * times);
        self.weights[index] = Some((weight, times));
        tape.op_in(Turn::Second, format!("{tap}.content"));
        let parts = owned::owned(tape, x, own, Less::Map(target));
        let squares = tape.state("squares", parts.len());
        for (band, part) in parts.iter().enumerate() {
            mse::squares(tape, *part, 1.0, Slot { losses: squares, index: band });
        }
        mse::pull(tape, x, values, target, weight);
        let bands = parts.len();
        self.contents.push(ContentOnTape { index, number, shape: x.shape, values, target, squares, bands });
    }

    fn style(&mut self, tape: &mut Tape, tap: Tap, index: usize, number: usize, x: Var) {
        let (own, sites) = self.own(tap);
        let c = x.shape.channels;
        let variant = self.objective.vgg.tuning().gram(self.objective.gpu, c);
        let measured = self.targets.and_then(|(_, style)| style.layers[number].as_ref());
        let measured = measured.map(|layer| &layer.statistics);
        tape.op_in(Turn::First, format!("{tap}.sums"));
        // For covariances, sums are relative to the painting's mean; for Gram matrices, to zero.
        let target = match (self.objective.settings.style_loss, measured) {
            (StyleLoss::Gram, _) => None,
            (StyleLoss::Wasserstein, Some(StyleStatistics::Moments(resident))) => Some(resident.target(tape)),
            (StyleLoss::Wasserstein, _) => Some(wasserstein::Target::blank(tape, c)),
        };
        let shift = target.map_or_else(|| tape.state("zeros", c), |target| target.mean);
        let bands = owned::sums(tape, x, own, shift, variant);
        for sums in &bands {
            tape.keep(sums.sum);
            tape.keep(sums.products);
        }
        tape.op(format!("{tap}.style"));
        let mut gram_gradient = None;
        match target {
            None => {
                let dg = tape.state("dg", c * c);
                gram_gradient = Some(dg);
                gram::pull(tape, x, sites * c, dg, variant);
            }
            Some(target) => {
                let [gradient, mean, bias] = match self.compare {
                    Some(compare) => compare.found(number).map(|(name, buffer)| tape.given(name, buffer)),
                    None => [tape.state("gradient", c * c), tape.state("mean", c), tape.state("bias", c)],
                };
                let found = Found { gradient, mean, bias };
                let weight = tape.knob(self.terms[index].weight);
                self.weights[index] = Some((weight, 1.0));
                wasserstein::pull(tape, x, sites * c, &target, weight, found, variant);
            }
        }
        self.styles.push(StyleOnTape { index, number, channels: c, sites, bands, gram_gradient });
    }

    fn nearest(&mut self, tape: &mut Tape, tap: Tap, index: usize, number: usize, x: Var) {
        let (width, height) = map_size((self.stage.width, self.stage.height), tap);
        let own = self.own(tap).0;
        tape.op_in(Turn::Second, format!("{tap}.nearest"));
        let target = match self.targets.map(|(_, style)| &style.nearest[number]) {
            Some(resident) => resident.target(tape),
            None => nearest::Target::blank(tape, x.shape),
        };
        let weight = tape.knob(self.terms[index].weight);
        self.weights[index] = Some((weight, 1.0));
        let loss = tape.state("loss", 1);
        let slot = Slot { losses: loss, index: 0 };
        let variant = nearest::variant(self.objective.gpu);
        let term = nearest::Term { weight, step: self.count, slot, variant };
        let whole = Shape::new(x.shape.channels, height, width);
        nearest::nearest_in_window(tape, x, &target, term, nearest::Window { whole, own });
        self.nearest.push(NearestOnTape { index, loss });
    }
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
    /// Buffers for what either pass gives.
    spare: [Vec<Readback>; 2],
}

impl<'g> Window<'g> {
    pub(crate) fn new(gpu: &'g Gpu, recorded: Recorded<'g>) -> Result<Self> {
        let Recorded { tape, picture, rectangle, count, styles, contents, nearest, weights } = recorded;
        let spare = [Vec::new(), Vec::new()];
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

    /// Bytes of the buffers through which the processor reads.
    pub(crate) fn readback_bytes(&self) -> u64 {
        self.spare.iter().flatten().map(|readback| readback.buffer.size()).sum()
    }

    /// The tensors that a pass gives.
    fn given_by(&self, turn: Turn) -> Vec<Tensor> {
        match turn {
            Turn::First => {
                let bands = self.styles.iter().flat_map(|style| &style.bands);
                bands.flat_map(|sums| [sums.sum, sums.products]).collect()
            }
            _ => {
                let squares = self.contents.iter().map(|content| content.squares);
                let nearest = self.nearest.iter().map(|nearest| nearest.loss);
                squares.chain(nearest).chain(self.picture.grad).collect()
            }
        }
    }

    /// Starts a pass over the window of a tile with the pixels `picture` and, in the second pass, what
    /// contents are compared with.
    pub(crate) fn submit(
        &mut self,
        turn: Turn,
        tile: &Tile,
        picture: &[f32],
        contents: &[Vec<f32>],
    ) -> Flight {
        let (gpu, plan) = (self.gpu, &self.plan);
        plan.write(gpu, self.picture.value, picture);
        let [top, bottom, left, right] = tile.within();
        let rectangle = [top, bottom, left, right, tile.rows.begin, tile.columns.begin];
        plan.write(gpu, self.rectangle, &rectangle.map(|n| f32::from_bits(n as u32)));
        for (content, target) in self.contents.iter().zip(contents) {
            plan.write(gpu, content.target, target);
        }
        let given = self.given_by(turn);
        let bytes = |tensor: &Tensor| 4 * plan.len(*tensor) as u64;
        let spare = &mut self.spare[usize::from(turn == Turn::Second)];
        let readback =
            spare.pop().unwrap_or_else(|| Readback::new(gpu, given.iter().map(bytes).sum::<u64>()));
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
    pub(crate) async fn land(&mut self, turn: Turn, flight: Flight) -> Result<Vec<f32>> {
        flight.readback.arrives(self.gpu, &flight.submission).await?;
        let words = bytemuck::pod_collect_to_vec(&flight.readback.take(self.gpu)?);
        self.spare[usize::from(turn == Turn::Second)].push(flight.readback);
        Ok(words)
    }

    /// Of a first pass: calls `add` with the index of a style layer, sums and products, for each of its
    /// bands.
    pub(crate) fn each_band(&self, words: &[f32], mut add: impl FnMut(usize, &[f32], &[f32])) {
        let mut rest = words;
        for (index, style) in self.styles.iter().enumerate() {
            for _ in &style.bands {
                let (sum, more) = rest.split_at(style.channels);
                let (products, more) = more.split_at(style.channels * style.channels);
                add(index, sum, products);
                rest = more;
            }
        }
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
