//! VGG networks as tables: blocks, layers by name, the convolutions that a run needs. Also the options of a
//! network besides its weights: how it pools, and what it sees beyond the picture's edge.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// One convolution wanted from a weights file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSpec {
    /// Tensor name without its ending, as torchvision spells it: `features.0`.
    pub name: String,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
}

impl LayerSpec {
    /// The convolution called `name`, from `c_in` to `c_out` channels.
    pub fn new(name: impl Into<String>, c_in: usize, c_out: usize) -> Self {
        Self { name: name.into(), c_in, c_out }
    }
}

/// A network of blocks: 3x3 convolutions, each followed by a ReLU, and 2x2 pooling between blocks.
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
    pub(crate) fn convolutions(&self) -> Vec<(usize, usize, usize, usize)> {
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

    /// The convolutions up to the deepest of `taps`, under torchvision's names `features.N`: N also counts
    /// the ReLUs and the poolings.
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
    pub(crate) fn all_specs(&self) -> impl Iterator<Item = LayerSpec> {
        let spec = |(n, (block, _, c_in, c_out))| {
            LayerSpec::new(format!("features.{}", 2 * n + block - 1), c_in, c_out)
        };
        self.convolutions().into_iter().enumerate().map(spec)
    }
}

/// A place in a network where pictures are compared: `relu4_1` after the ReLU, `conv4_1` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tap {
    pub(crate) block: usize,
    pub(crate) convolution: usize,
    pub(crate) after_relu: bool,
}

impl Tap {
    /// How often maps are halved before it.
    pub(crate) fn poolings(self) -> usize {
        self.block - 1
    }
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

/// How a network halves its maps. The average and the Euclidean norm have a factor that keeps the scale of
/// the features near that of the maximum, with which the weights were trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Pooling {
    /// The largest of each 2x2 window, as VGG was trained.
    #[default]
    Max,
    /// Twice the mean of each window (Gatys et al. 2015 found that the average gives smoother pictures).
    Average,
    /// 0.78 times the Euclidean norm of each window.
    L2,
}

impl Pooling {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Max, Self::Average, Self::L2];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Average => "average",
            Self::L2 => "l2",
        }
    }
}

/// What the first convolution sees beyond the picture's edge. All later ones see zeros there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Edge {
    /// Zeros, as VGG was trained.
    #[default]
    Zeros,
    /// The nearest pixel of the picture, so that no frame of zeros leaves a border in the result.
    Replicate,
}

impl Edge {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Zeros, Self::Replicate];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Replicate => "replicate",
        }
    }
}

/// How a network is recorded; the default is how VGG was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetworkOptions {
    /// Between its blocks.
    pub pooling: Pooling,
    /// Around the picture.
    pub edge: Edge,
}

/// Reads and prints a choice by its name.
macro_rules! named {
    ($type:ty, $what:literal, $names:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let found = Self::ALL.into_iter().find(|choice| choice.name() == text);
                found.ok_or_else(|| {
                    Error::Setting(format!("{text:?} is not a known {}; write {}", $what, $names))
                })
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(choice: $type) -> Self {
                choice.to_string()
            }
        }
    };
}

named!(Pooling, "pooling", "max, average or l2");
named!(Edge, "edge", "zeros or replicate");

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

    #[test]
    fn choices_read_as_they_print() {
        for pooling in Pooling::ALL {
            assert_eq!(pooling.to_string().parse::<Pooling>().unwrap(), pooling);
        }
        for edge in Edge::ALL {
            assert_eq!(edge.to_string().parse::<Edge>().unwrap(), edge);
        }
        let error = "mean".parse::<Pooling>().unwrap_err().to_string();
        assert_eq!(error, "\"mean\" is not a known pooling; write max, average or l2");
        let error = "mirror".parse::<Edge>().unwrap_err().to_string();
        assert_eq!(error, "\"mirror\" is not a known edge; write zeros or replicate");
    }
}
