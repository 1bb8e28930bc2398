//! What is found between both passes over the tiles: how the statistics of the whole picture differ from the
//! paintings', and what the gradients of all tiles are made of.

use crate::Result;
use crate::architecture::Tap;
use crate::engine::gpu::Gpu;
use crate::engine::kernel::Knob;
use crate::engine::plan::Plan;
use crate::engine::tape::{Slot, Tape, Tensor};
use crate::ops::wasserstein::{self, Kept};
use crate::painting::choices::StyleLoss;
use crate::painting::objective::{Kind, Objective, terms};
use crate::painting::stages::Stage;
use crate::painting::style::{LayerStyle, Measured, StyleStatistics};
use crate::painting::tiling::window::map_size;

/// One style layer.
struct Layer {
    /// Slot of the term, and its number among the style terms.
    index: usize,
    number: usize,
    tap: Tap,
    channels: usize,
    mean: Tensor,
    covariance: Tensor,
    kept: Kept,
    bias: Tensor,
    weight: Knob,
    /// What the term's own weight is multiplied by: the region's share of the sites.
    share: f64,
}

/// The comparison on a tape.
pub(crate) struct Recorded<'g> {
    pub(crate) tape: Tape<'g>,
    layers: Vec<Layer>,
    losses: Tensor,
}

impl<'g> Objective<'g, '_> {
    /// Records the comparison of Gaussians at all style layers. Without a style, the tape serves only to be
    /// measured.
    pub(crate) fn record_compare(&self, stage: &Stage, style: Option<&Measured>) -> Recorded<'g> {
        let mut tape = self.in_precision(Tape::forward_only(self.gpu));
        let terms = terms(self.settings);
        let losses = tape.state("losses", terms.len());
        let mut layers = Vec::new();
        let styles = terms.iter().enumerate().filter_map(|(index, term)| match term.kind {
            Kind::Style(tap, _) if self.settings.style_loss == StyleLoss::Wasserstein => {
                Some((index, tap, term.weight))
            }
            _ => None,
        });
        for (number, (index, tap, weight)) in styles.enumerate() {
            let channels = self.vgg.channels(tap);
            let (width, height) = map_size((stage.width, stage.height), tap);
            // A region that is too small for the layer has no term.
            let Some((layer, share)) = self.part(style, number, width * height) else { continue };
            tape.op(format!("{tap}.style"));
            let target = match layer {
                Some(LayerStyle { statistics: StyleStatistics::Moments(resident), .. }) => {
                    resident.target(&mut tape)
                }
                _ => wasserstein::Target::blank(&mut tape, channels),
            };
            let mean = tape.state("mean", channels);
            let covariance = tape.state("covariance", channels * channels);
            let weight = tape.knob(weight * share);
            let variant = self.vgg.tuning().gram(self.gpu, channels);
            let renewal = stage.renewal();
            let slot = Slot { losses, index };
            let (kept, bias) = wasserstein::compare(
                &mut tape,
                [mean, covariance],
                &target,
                weight,
                slot,
                variant,
                Some(renewal),
            );
            tape.keep(bias);
            layers.push(Layer { index, number, tap, channels, mean, covariance, kept, bias, weight, share });
        }
        Recorded { tape, layers, losses }
    }
}

/// The comparison on a device.
pub(crate) struct Compare<'g> {
    gpu: &'g Gpu,
    pub(crate) plan: Plan,
    layers: Vec<Layer>,
    losses: Tensor,
}

impl<'g> Compare<'g> {
    pub(crate) fn new(gpu: &'g Gpu, recorded: Recorded<'g>) -> Result<Self> {
        let Recorded { tape, layers, losses } = recorded;
        Ok(Self { gpu, plan: tape.finish()?, layers, losses })
    }

    /// What the gradients of the style term with this number are made of: the matrix, the mean and the
    /// constants of the channels, by name.
    pub(crate) fn found(&self, number: usize) -> [(&'static str, &wgpu::Buffer); 3] {
        let layer = self.layers.iter().find(|layer| layer.number == number);
        let Layer { kept, mean, bias, .. } = layer.expect("a term of the window");
        [("gradient", kept.gradient), ("mean", *mean), ("bias", *bias)]
            .map(|(name, tensor)| (name, self.plan.buffer(tensor)))
    }

    /// Gives the terms other weights.
    pub(crate) fn weigh(&self, weight: impl Fn(usize) -> f64) {
        for layer in &self.layers {
            self.plan.turn(self.gpu, layer.weight, weight(layer.index) * layer.share);
        }
    }

    /// Starts the comparison of the means and covariances of all style terms, each with its number, after so
    /// many iterations of the stage.
    pub(crate) fn submit(&self, moments: &[(usize, &[Vec<f32>; 2])], iterations: usize) {
        for (number, [mean, covariance]) in moments {
            let layer = self.layers.iter().find(|layer| layer.number == *number);
            let layer = layer.expect("a term of the comparison");
            self.plan.write(self.gpu, layer.mean, mean);
            self.plan.write(self.gpu, layer.covariance, covariance);
        }
        self.plan.run_numbered(self.gpu, iterations);
    }

    /// Waits for the comparison: the losses by slot, of which those of styles are set.
    pub(crate) async fn losses(&self) -> Result<Vec<f32>> {
        self.plan.read_async(self.gpu, self.losses).await
    }

    /// In the order in which the network meets them.
    fn met(&self) -> Vec<&Layer> {
        let mut layers: Vec<&Layer> = self.layers.iter().collect();
        layers.sort_by_key(|layer| (layer.tap.block, layer.tap.convolution, layer.tap.after_relu));
        layers
    }

    /// The values that are kept from one iteration to the next, in the order of a stage without tiles.
    pub(crate) async fn transports(&self) -> Result<Vec<f32>> {
        let mut transports = Vec::new();
        for layer in self.met() {
            transports.append(&mut self.plan.read_async(self.gpu, layer.kept.gradient).await?);
            transports.append(&mut self.plan.read_async(self.gpu, layer.kept.traces).await?);
        }
        Ok(transports)
    }

    /// Sets [`Self::transports`], if there are any. Returns what is behind them.
    pub(crate) fn set_transports<'w>(&self, mut rest: &'w [f32]) -> &'w [f32] {
        for layer in self.met() {
            for (tensor, len) in
                [(layer.kept.gradient, layer.channels * layer.channels), (layer.kept.traces, layer.channels)]
            {
                if let Some((own, others)) = rest.split_at_checked(len) {
                    self.plan.write(self.gpu, tensor, own);
                    rest = others;
                }
            }
        }
        rest
    }
}
