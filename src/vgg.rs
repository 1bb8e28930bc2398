//! VGG networks as tables, and their recording onto a tape.

use std::fmt;
use std::str::FromStr;

use crate::architecture::{Edge, NetworkOptions, Pooling};
use crate::digest;
use crate::gpu::Gpu;
use crate::ops::affine::{Affine, affine};
use crate::ops::conv3x3::{After, Filter, conv3x3};
use crate::ops::pool::pool;
use crate::ops::relu::relu;
use crate::tape::{Tape, Var};
use crate::tune::Tuning;
use crate::weights::{ConvWeights, LayerSpec, Weights};
use crate::{Error, Result};

/// A network of blocks: 3x3 convolutions, each followed by a ReLU, and 2x2 max pooling between blocks.
/// Convolution `i` of block `b`, both counted from 1, is called `conv{b}_{i}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Name for messages.
    pub name: &'static str,
    /// Convolutions and channels of each block.
    pub blocks: Vec<Block>,
}

/// Convolutions of one resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Number of convolutions.
    pub convolutions: usize,
    /// Output channels of each.
    pub channels: usize,
}

impl Network {
    /// A network whose block `b` has `convolutions[b]` convolutions of `channels[b]` channels.
    pub fn new<const N: usize>(name: &'static str, convolutions: [usize; N], channels: [usize; N]) -> Self {
        let blocks = std::iter::zip(convolutions, channels);
        Self {
            name,
            blocks: blocks.map(|(convolutions, channels)| Block { convolutions, channels }).collect(),
        }
    }

    /// VGG-19 (Simonyan and Zisserman 2014, configuration E).
    pub fn vgg19() -> Self {
        Self::new("VGG-19", [2, 2, 4, 4, 4], [64, 128, 256, 512, 512])
    }

    /// VGG-16 (configuration D of the same paper).
    pub fn vgg16() -> Self {
        Self::new("VGG-16", [2, 2, 3, 3, 3], [64, 128, 256, 512, 512])
    }

    /// All convolutions in order: block and number, counted from 1, and channels in and out.
    fn convolutions(&self) -> Vec<(usize, usize, usize, usize)> {
        let mut all = Vec::new();
        let mut c_in = 3;
        for (b, block) in self.blocks.iter().enumerate() {
            for i in 1..=block.convolutions {
                all.push((b + 1, i, c_in, block.channels));
                c_in = block.channels;
            }
        }
        all
    }

    /// The convolutions up to the deepest of `taps`, under torchvision's names `features.N`: N also counts the
    /// ReLUs and the poolings.
    ///
    /// # Errors
    /// [`Error::Setting`] if the network lacks a tap's convolution, or if there is no tap.
    pub fn specs(&self, taps: &[Tap]) -> Result<Vec<LayerSpec>> {
        let all = self.convolutions();
        let mut depth = 0;
        for tap in taps {
            let found = all.iter().position(|(b, i, ..)| (*b, *i) == (tap.block, tap.convolution));
            let found = found.ok_or_else(|| {
                let (b, i, ..) = all[all.len() - 1];
                let end = match self.blocks.get(tap.block - 1) {
                    Some(block) => {
                        format!("its block {} ends at conv{}_{}", tap.block, tap.block, block.convolutions)
                    }
                    None => format!("its last is conv{b}_{i}"),
                };
                Error::Setting(format!("{} has no layer {tap}; {end}", self.name))
            })?;
            depth = depth.max(found + 1);
        }
        if depth == 0 {
            return Err(Error::Setting("no layer to compare pictures at".into()));
        }
        Ok(self.all_specs().take(depth).collect())
    }

    /// All convolutions in order, as [`Self::specs`] describes them.
    fn all_specs(&self) -> impl Iterator<Item = LayerSpec> {
        let spec = |(n, (block, _, c_in, c_out))| {
            LayerSpec::new(format!("features.{}", 2 * n + block - 1), c_in, c_out)
        };
        self.convolutions().into_iter().enumerate().map(spec)
    }

    /// Refuses weights that are not those of this network's first convolutions.
    fn check(&self, weights: &Weights) -> Result<()> {
        let mut expected = self.all_specs();
        for ConvWeights { name, c_in, c_out, .. } in &weights.layers {
            let given = LayerSpec::new(name, *c_in, *c_out);
            if expected.next().is_none_or(|spec| spec != given) {
                let why = format!(
                    "{} has no convolution {name} of {c_in} to {c_out} channels there; load them for its own `specs`",
                    self.name
                );
                return Err(Error::weights("that were given", why));
            }
        }
        Ok(())
    }
}

/// A place in a network where pictures are compared: `relu4_1` behind the ReLU, `conv4_1` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tap {
    block: usize,
    convolution: usize,
    after_relu: bool,
}

impl fmt::Display for Tap {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.after_relu { "relu" } else { "conv" };
        write!(f, "{kind}{}_{}", self.block, self.convolution)
    }
}

impl FromStr for Tap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (after_relu, rest) = match text.strip_prefix("relu") {
                Some(rest) => (true, rest),
                None => (false, text.strip_prefix("conv")?),
            };
            let (block, convolution) = rest.split_once('_')?;
            let number = |digits: &str| digits.parse().ok().filter(|n| *n > 0);
            Some(Self { block: number(block)?, convolution: number(convolution)?, after_relu })
        };
        parse().ok_or_else(|| {
            Error::Setting(format!("{text:?} is no layer; write for example relu4_1 or conv4_1"))
        })
    }
}

impl TryFrom<String> for Tap {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Tap> for String {
    fn from(tap: Tap) -> Self {
        tap.to_string()
    }
}

/// A network on the device: its frozen filters and its input convention.
pub struct Vgg {
    network: Network,
    filters: Vec<Filter>,
    input: Affine,
    bytes: u64,
    tuning: Tuning,
    digest: String,
}

impl Vgg {
    /// Uploads the weights of `network`, as many convolutions as `weights` has.
    ///
    /// # Errors
    /// [`Error::Weights`] if they are of another network, [`Error::Device`] if the device has no room for them.
    pub fn new(gpu: &Gpu, network: Network, weights: &Weights, tuning: &Tuning) -> Result<Self> {
        network.check(weights)?;
        let upload = |layer: &ConvWeights| {
            let variant = tuning.conv3x3(gpu, layer.c_in, layer.c_out);
            Filter::upload(gpu, &layer.name, variant, &layer.weight, &layer.bias)
        };
        let filters: Vec<_> = weights.layers.iter().map(upload).collect::<Result<_>>()?;
        let input = Affine::normalize(weights.input_mean.map(f64::from), weights.input_std.map(f64::from));
        let bytes = filters.iter().map(Filter::bytes).sum();
        let digest = digest::network(weights);
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

    /// Refuses taps that lie behind the last convolution whose weights were loaded.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub(crate) fn check(&self, taps: &[Tap]) -> Result<()> {
        let needed = self.network.specs(taps)?.len();
        if needed > self.filters.len() {
            let why =
                "a layer lies behind the convolutions whose weights were loaded; load those of all layers";
            return Err(Error::Setting(why.into()));
        }
        Ok(())
    }

    /// Records the network with `options` on `picture`, up to the deepest of `taps`, and calls `visit` at each of them as soon
    /// as its features are there. `line` brings the picture's values to the network's input.
    pub fn record(
        &self,
        tape: &mut Tape,
        picture: Var,
        line: &Affine,
        options: NetworkOptions,
        taps: &[Tap],
        mut visit: impl FnMut(&mut Tape, Tap, Var),
    ) {
        tape.op("input");
        let mut x = affine(tape, picture, line);
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
                filter,
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

    #[test]
    fn names_are_torchvisions() {
        let taps = ["conv5_1".parse().unwrap()];
        let names = |network: Network| -> Vec<String> {
            network.specs(&taps).unwrap().into_iter().map(|s| s.name).collect()
        };
        let expect = |ns: &[usize]| -> Vec<String> { ns.iter().map(|n| format!("features.{n}")).collect() };
        assert_eq!(names(Network::vgg19()), expect(&[0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]));
        assert_eq!(names(Network::vgg16()), expect(&[0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24]));
    }

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

    #[test]
    fn channels_follow_each_other() {
        let specs = Network::vgg19().specs(&["relu2_2".parse().unwrap()]).unwrap();
        let channels: Vec<_> = specs.iter().map(|s| (s.c_in, s.c_out)).collect();
        assert_eq!(channels, [(3, 64), (64, 64), (64, 128), (128, 128)]);
    }

    #[test]
    fn taps_read_as_they_print() {
        for text in ["relu1_1", "conv5_1"] {
            assert_eq!(text.parse::<Tap>().unwrap().to_string(), text);
        }
        for text in ["", "relu", "conv1", "relu0_1", "pool1_1", "relu1_x", "conv_1", "relu1_-1"] {
            assert!(text.parse::<Tap>().is_err(), "{text}");
        }
        let missing = Network::vgg19().specs(&["relu3_9".parse().unwrap()]).unwrap_err();
        assert_eq!(missing.to_string(), "VGG-19 has no layer relu3_9; its block 3 ends at conv3_4");
        let missing = Network::vgg16().specs(&["relu6_1".parse().unwrap()]).unwrap_err();
        assert_eq!(missing.to_string(), "VGG-16 has no layer relu6_1; its last is conv5_3");
    }
}
