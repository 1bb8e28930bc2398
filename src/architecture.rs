//! What may be chosen about a network beside its weights: how it pools, and what it sees beyond the picture's edge.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// How a network halves its maps. The average and the root of the mean of squares come with a factor that keeps the
/// scale of the features near that of the maximum, with which the weights were trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Pooling {
    /// The largest of each 2x2 window, as VGG was trained.
    #[default]
    Max,
    /// Twice the mean of each window (Gatys et al. 2015 found the average to give smoother pictures).
    Average,
    /// 0.78 times the root of the mean of each window's squares.
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
    /// The nearest pixel of the picture, so that the frame of zeros leaves no border in the result.
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
                found.ok_or_else(|| Error::Setting(format!("{text:?} is no {}; write {}", $what, $names)))
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
    fn choices_read_as_they_print() {
        for pooling in Pooling::ALL {
            assert_eq!(pooling.to_string().parse::<Pooling>().unwrap(), pooling);
        }
        for edge in Edge::ALL {
            assert_eq!(edge.to_string().parse::<Edge>().unwrap(), edge);
        }
        let error = "mean".parse::<Pooling>().unwrap_err().to_string();
        assert_eq!(error, "\"mean\" is no pooling; write max, average or l2");
        let error = "mirror".parse::<Edge>().unwrap_err().to_string();
        assert_eq!(error, "\"mirror\" is no edge; write zeros or replicate");
    }
}
