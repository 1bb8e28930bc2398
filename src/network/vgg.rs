//! A VGG network on a device, and its recording onto a tape.

use crate::architecture::{Edge, LayerSpec, Network, NetworkOptions, Pooling, Tap};
use crate::engine::gpu::Gpu;
use crate::engine::precision::Precision;
use crate::engine::tape::{Tape, Var};
use crate::network::tuning::Tuning;
use crate::network::weights::{ConvWeights, Weights};
use crate::ops::affine::{Affine, affine};
use crate::ops::conv3x3::{After, Filter, conv3x3};
use crate::ops::pool::pool;
use crate::ops::relu::relu;
use crate::{Error, Result};

/// A network on the device: its frozen filters and its input convention.
pub struct Vgg {
    network: Network,
    filters: Vec<Filter>,
    input: Affine,
    bytes: u64,
    tuning: Tuning,
    digest: String,
}

/// Refuses weights that are not those of a network's first convolutions.
fn check_weights(network: &Network, weights: &Weights) -> Result<()> {
    let mut expected = network.all_specs();
    for ConvWeights { name, c_in, c_out, .. } in &weights.layers {
        let given = LayerSpec::new(name, *c_in, *c_out);
        if expected.next().is_none_or(|spec| spec != given) {
            let why = format!(
                "{} has no convolution {name} of {c_in} to {c_out} channels there; load them for its own `specs`",
                network.name
            );
            return Err(Error::weights("that were given", why));
        }
    }
    Ok(())
}

impl Vgg {
    /// Uploads the weights of `network`, as many convolutions as `weights` has.
    ///
    /// # Errors
    /// [`Error::Weights`] if they are of another network, [`Error::Device`] if the device has no room for
    /// them.
    pub fn new(gpu: &Gpu, network: Network, weights: &Weights, tuning: &Tuning) -> Result<Self> {
        check_weights(&network, weights)?;
        let upload = |layer: &ConvWeights| {
            let variant = tuning.conv3x3(gpu, layer.c_in, layer.c_out);
            Filter::upload(gpu, &layer.name, variant, &layer.weight, &layer.bias)
        };
        let filters: Vec<_> = weights.layers.iter().map(upload).collect::<Result<_>>()?;
        let input = Affine::normalize(weights.input_mean.map(f64::from), weights.input_std.map(f64::from));
        let bytes = filters.iter().map(Filter::bytes).sum();
        let digest = weights.digest();
        Ok(Self { network, filters, input, bytes, tuning: tuning.clone(), digest })
    }

    /// From pictures in 0..1 to this network's input.
    pub fn input(&self) -> Affine {
        self.input
    }

    /// How variants are chosen for what is recorded with this network.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// SHA-256 of the weights and the input convention, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Device memory of the weights.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The most channels that a map of the picture's own size has.
    pub(crate) fn widest(&self) -> usize {
        self.network.blocks.first().map_or(1, |block| block.channels)
    }

    /// Smallest height and width of which something is left at `taps`.
    pub fn smallest(&self, taps: &[Tap]) -> usize {
        1 << taps.iter().map(|t| t.block - 1).max().unwrap_or(0).min(31)
    }

    /// Channels of the map at a tap that the network has.
    pub(crate) fn channels(&self, tap: Tap) -> usize {
        self.network.blocks[tap.block - 1].channels
    }

    /// How far apart the sites of the deepest of `taps` are, in pixels, and how many pixels beyond its own
    /// such a site sees on each side: a convolution adds one site of its own map.
    pub(crate) fn reach(&self, taps: &[Tap]) -> (usize, usize) {
        let deepest = taps.iter().map(|t| (t.block, t.convolution)).max().unwrap_or((1, 0));
        let all = self.network.convolutions().into_iter().map(|(block, i, ..)| (block, i));
        let sight = all.take_while(|place| *place <= deepest).map(|(block, _)| 1usize << (block - 1)).sum();
        (1 << (deepest.0 - 1), sight)
    }

    /// Refuses taps after the last convolution whose weights were loaded.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub(crate) fn check(&self, taps: &[Tap]) -> Result<()> {
        let needed = self.network.specs(taps)?.len();
        if needed > self.filters.len() {
            let why = "a layer comes after the convolutions whose weights were loaded; load the weights of all layers";
            return Err(Error::Setting(why.into()));
        }
        Ok(())
    }

    /// Refuses to compute more coarsely than maps are stored.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub(crate) fn check_precision(&self, precision: Precision) -> Result<()> {
        if precision == Precision::Single && self.filters.iter().any(Filter::is_half) {
            let why = "the network was uploaded to multiply in half precision; upload it with a tuning for single \
                       precision, or choose half precision for the run";
            return Err(Error::Setting(why.into()));
        }
        Ok(())
    }

    /// Records the network with `options` on `picture`, up to the deepest of `taps`, and calls `visit` at
    /// each of them as soon as its features are there. `to_network` brings the picture's values to the network's
    /// input.
    pub fn record(
        &self,
        tape: &mut Tape,
        picture: Var,
        to_network: &Affine,
        options: NetworkOptions,
        taps: &[Tap],
        mut visit: impl FnMut(&mut Tape, Tap, Var),
    ) {
        tape.op("input");
        let mut x = affine(tape, picture, to_network);
        let wanted = |block, convolution, after_relu| {
            taps.iter().copied().find(|t| *t == Tap { block, convolution, after_relu })
        };
        let deepest = taps.iter().map(|t| (t.block, t.convolution)).max();
        let mut pooled = true;
        for ((block, i, ..), filter) in self.network.convolutions().into_iter().zip(&self.filters) {
            if i == 1 && !pooled {
                tape.op(format!("pool{}", block - 1));
                x = pool(tape, x, options.pooling);
            }
            tape.op(format!("conv{block}_{i}"));
            let filter = self.tuning.for_map(tape.gpu(), filter, x.shape.height, x.shape.width);
            let (before, after) = (wanted(block, i, false), wanted(block, i, true));
            let last = deepest == Some((block, i));
            // ReLU and pooling belong to the convolution unless somebody looks between them.
            pooled = options.pooling == Pooling::Max
                && filter.pools()
                && before.or(after).is_none()
                && i == self.network.blocks[block - 1].convolutions;
            x = conv3x3(
                tape,
                x,
                &filter,
                if (block, i) == (1, 1) { options.edge } else { Edge::Zeros },
                match (before, pooled) {
                    (Some(_), _) => After::Nothing,
                    (None, false) => After::Relu,
                    (None, true) => After::ReluPool,
                },
            );
            if let Some(tap) = before {
                visit(tape, tap, x);
                if after.is_some() || !last {
                    tape.op(format!("relu{block}_{i}"));
                    x = relu(tape, x);
                }
            }
            if let Some(tap) = after {
                visit(tape, tap, x);
            }
            if last {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VGG-16's would fit by their channels, in the wrong places.
    #[test]
    fn weights_of_another_network_are_refused() {
        let gpu = Gpu::new(None).unwrap();
        let load = |network: &Network, tap: &str| {
            let specs = network.specs(&[tap.parse().unwrap()]).unwrap().into_iter();
            let layers = specs.map(|spec| {
                let (weights, bias) = (vec![0.0; 9 * spec.c_in * spec.c_out], vec![0.0; spec.c_out]);
                ConvWeights::new(spec, weights, bias).unwrap()
            });
            Weights::new(layers.collect(), [0.0; 3], [1.0; 3]).unwrap()
        };
        let small = |convolutions| Network::new("small", convolutions, [4, 4]);
        let upload =
            |network: Network, weights: &Weights| Vgg::new(&gpu, network, weights, &Tuning::default());
        let two_and_one = load(&small([2, 1]), "conv2_1");
        assert!(upload(small([2, 1]), &two_and_one).is_ok());
        assert!(upload(small([2, 2]), &two_and_one).is_ok());
        // Another order, and more than there are.
        for network in [small([1, 2]), small([2, 0])] {
            let error = upload(network, &two_and_one).err().unwrap().to_string();
            assert!(error.contains("small has no convolution features."), "{error}");
        }
    }
}
