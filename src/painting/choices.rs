//! Choices by name: whose conventions a run follows, and how style is compared.

use std::fmt;
use std::str::FromStr;

use crate::picture::Filter;
use crate::{Error, Result};

/// The conventions that a run follows, where these are more than numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipe {
    /// Those of "Dive into Deep Learning": the optimised variable is the picture normalised by ImageNet's
    /// statistics, losses are plain means of squares, total variation is that of neighbours, Adam has the
    /// constants of its paper.
    Book,
    /// Those of the painterly recipe: the optimised variable is the picture itself, in red, green and blue
    /// from 0 to 1, and is kept there; losses are divided by the energy of what they compare with, so that
    /// weights mean the same for every network, painting and size; total variation looks at nine points; Adam
    /// forgets sooner and has a larger floor.
    Painterly,
}

/// Which statistics of the features are the style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StyleLoss {
    /// Squared differences of Gram matrices (Gatys, Ecker and Bethge 2016).
    Gram,
    /// The squared Wasserstein-2 distance between Gaussians that have the features' means and covariances.
    Wasserstein,
}

/// Whose colours a result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colours {
    /// Those of the painting.
    Painting,
    /// Those of the photograph, under the lightness of the result.
    Photo,
}

impl Colours {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Painting, Self::Photo];

    /// Its name, as options and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Painting => "painting",
            Self::Photo => "photo",
        }
    }
}

impl FromStr for Colours {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, "choice of colours", &Self::ALL, Self::name)
    }
}

impl Recipe {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Book, Self::Painterly];

    /// Its name, as options and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Painterly => "painterly",
        }
    }

    /// How photograph and paintings are brought to the sizes of a run. The book's recipe was tuned with
    /// torchvision's smooth filter. Crisp strokes need a painting that is crisp.
    pub fn filter(self) -> Filter {
        match self {
            Self::Book => Filter::Bilinear,
            Self::Painterly => Filter::Bicubic,
        }
    }
}

impl StyleLoss {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Gram, Self::Wasserstein];

    /// Its name, as options and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gram => "gram",
            Self::Wasserstein => "wasserstein",
        }
    }
}

/// Which statistics the gradients of a picture in tiles are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TileStatistics {
    /// Those of the picture itself, for which each iteration looks at it twice. The result is that of the
    /// whole picture.
    #[default]
    Exact,
    /// Those of the picture one iteration before, so that an iteration looks at it once.
    Quick,
}

impl TileStatistics {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Exact, Self::Quick];

    /// Its name, as options and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Quick => "quick",
        }
    }

    /// Whether these are the default.
    pub(crate) fn are_exact(&self) -> bool {
        *self == Self::Exact
    }
}

impl FromStr for TileStatistics {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, "kind of tiling", &Self::ALL, Self::name)
    }
}

/// What moves the picture along its gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// L-BFGS with ten pairs and without a line search (Nocedal 1980), as Gatys and others used it.
    Lbfgs,
}

impl Optimizer {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Adam, Self::Lbfgs];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Lbfgs => "lbfgs",
        }
    }
}

impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, "optimizer", &Self::ALL, Self::name)
    }
}

/// The choice that `text` names.
fn named<T: Copy>(text: &str, what: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T> {
    all.iter().copied().find(|choice| name(*choice) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|choice| name(*choice)).collect();
        Error::Setting(format!("{text:?} is not a known {what}; write {}", names.join(" or ")))
    })
}

impl FromStr for StyleLoss {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, "style loss", &Self::ALL, Self::name)
    }
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, "recipe", &Self::ALL, Self::name)
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for StyleLoss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
