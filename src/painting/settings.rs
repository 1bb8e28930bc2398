//! The settings of a run, with two recipes: painterly, the default, and the one of the book "Dive into Deep Learning".

use crate::architecture::{Edge, NetworkOptions, Pooling, Tap};
use crate::engine::precision::Precision;
use crate::painting::choices::{Colours, Optimizer, Recipe, StyleLoss, TileStatistics};
use crate::painting::objective::nearest_taps;
use crate::picture::MAX_REGIONS;
use crate::{Error, Result};

/// The powers of ten between the content weights of strengths 0 and 0.5, and of strengths 0.5 and 1, in the book's recipe.
/// They were chosen by eye: with more, the ends of the scale all look the same, like the photograph below and like
/// the painting above.
const DECADES_BELOW: f64 = 1.5;
const DECADES_ABOVE: f64 = 1.0;
/// The content weight of strength 0.5 in the painterly recipe, and the factor that half the scale multiplies or divides it by.
const PAINTERLY_CONTENT: f64 = 0.08;
const PAINTERLY_REACH: f64 = 6.0;

/// More pixels of a margin would be seen by no layer of the picture within.
const MAX_MARGIN: usize = 128;

/// The settings of a run. The default is the painterly recipe. A field that a file leaves out gets the book's value, because
/// that was the only recipe when the first files were written.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default = "Settings::book", deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The conventions of the run: the optimised variable, the units of losses, the form of total variation.
    pub recipe: Recipe,
    /// Steps of the optimiser at each size for which [`Self::first_iterations`] gives no number.
    pub iterations: usize,
    /// Steps at the first sizes, smallest first.
    pub first_iterations: Vec<usize>,
    /// The longest side of the first, smallest size in pixels; 0 for a single size.
    pub first_size: usize,
    /// Factor on the content loss: the mean squared difference of features, summed over layers; in the painterly recipe
    /// each layer's is divided by the mean square of the photograph's features.
    pub content_weight: f64,
    /// Factor on the style loss, summed over layers: the squared Wasserstein-2 distance between Gaussians of features, divided
    /// by the energy of the painting's, or the mean squared difference of Gram matrices.
    pub style_weight: f64,
    /// How style is compared.
    pub style_loss: StyleLoss,
    /// Factor on the total variation loss: the mean squared difference of neighbouring pixels, straight and diagonal; in the
    /// book's recipe half the mean absolute difference of vertical neighbours, and half that of horizontal ones.
    pub tv_weight: f64,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The initial learning rate. Adam's is in units of the optimised variable: rgb from 0 to 1 in the painterly recipe, standard
    /// deviations of ImageNet's pixels in the book's. L-BFGS's is a factor on its steps, usually 1.
    pub learning_rate: f64,
    /// Factor on the learning rate every [`Self::decay_every`] iterations.
    pub decay: f64,
    /// Iterations between decays.
    pub decay_every: usize,
    /// The share of the last size's iterations over which the learning rate falls to a tenth; 0 for none.
    pub settle: f64,
    /// The share of the last size's iterations that include the nearest-neighbour term; 0 for none.
    pub finish: f64,
    /// The share of itself that the average of the iterates keeps in each iteration; 0 for no average.
    pub average: f64,
    /// The layers at which content is compared.
    pub content_layers: Vec<Tap>,
    /// The layers at which style is compared.
    pub style_layers: Vec<Tap>,
    /// How feature maps are stored.
    pub precision: Precision,
    /// Factors on the style layers' parts of the style loss; empty for equal ones. The first layers hold colours and fine strokes,
    /// the last ones large shapes. In the painterly recipe only their ratios matter.
    pub style_layer_weights: Vec<f64>,
    /// The colours of the result.
    pub colours: Colours,
    /// How the network halves its maps.
    pub pooling: Pooling,
    /// What its first convolution sees beyond the picture's edge.
    pub edge: Edge,
    /// Width in pixels, at every size, of a margin that repeats the picture's edge. It is painted as well, and cropped off.
    pub margin: usize,
    /// Regions of the photograph that have style statistics of their own; 0 for none. A session sets it to what its
    /// [`Regions`](crate::picture::Regions) have.
    #[serde(skip_serializing_if = "is_none")]
    pub regions: usize,
    /// Which statistics the gradients of sizes that are painted in tiles are made of; of other sizes, it changes nothing.
    #[serde(skip_serializing_if = "TileStatistics::are_exact")]
    pub tile_statistics: TileStatistics,
}

/// Whether a count says that there is nothing.
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Default for Settings {
    fn default() -> Self {
        Self::painterly()
    }
}

fn taps(names: &[&str]) -> Vec<Tap> {
    names.iter().map(|name| name.parse().expect("a layer's name")).collect()
}

impl Settings {
    /// The recipe of "Dive into Deep Learning", chapter "Neural Style Transfer".
    pub fn book() -> Self {
        Self {
            recipe: Recipe::Book,
            iterations: 500,
            first_iterations: Vec::new(),
            first_size: 0,
            content_weight: 1.0,
            style_weight: 1e4,
            style_loss: StyleLoss::Gram,
            tv_weight: 10.0,
            optimizer: Optimizer::Adam,
            learning_rate: 0.3,
            decay: 0.8,
            decay_every: 50,
            settle: 0.0,
            finish: 0.0,
            average: 0.0,
            // torchvision's ReLU works in place. So the recipe's "layers 0, 5, 10, 19" are the values after
            // the ReLU that follows them. Only layer 28, the last one, is taken before its ReLU.
            content_layers: taps(&["relu4_4"]),
            style_layers: taps(&["relu1_1", "relu2_1", "relu3_1", "relu4_1", "conv5_1"]),
            precision: Precision::Single,
            style_layer_weights: Vec::new(),
            colours: Colours::Painting,
            pooling: Pooling::Max,
            edge: Edge::Zeros,
            margin: 0,
            regions: 0,
            tile_statistics: TileStatistics::Exact,
        }
    }

    /// The painterly recipe: coarse to fine, style as the distance between Gaussians of features, averaged iterates, and a finish by
    /// nearest neighbours.
    pub fn painterly() -> Self {
        Self {
            recipe: Recipe::Painterly,
            iterations: 150,
            first_iterations: vec![500, 400, 300, 250, 200],
            first_size: 96,
            content_weight: PAINTERLY_CONTENT,
            style_weight: 1.0,
            style_loss: StyleLoss::Wasserstein,
            tv_weight: 0.5,
            optimizer: Optimizer::Adam,
            learning_rate: 0.02,
            decay: 1.0,
            decay_every: 50,
            settle: 0.4,
            finish: 2.0 / 3.0,
            average: 0.9,
            content_layers: taps(&["relu4_2"]),
            style_layers: taps(&["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]),
            precision: Precision::Single,
            style_layer_weights: vec![16.0, 8.0, 4.0, 2.0, 1.0],
            colours: Colours::Painting,
            pooling: Pooling::Max,
            edge: Edge::Replicate,
            margin: 0,
            regions: 0,
            tile_statistics: TileStatistics::Exact,
        }
    }

    /// Takes another optimiser, with its usual learning rate.
    pub fn set_optimizer(&mut self, optimizer: Optimizer) {
        if optimizer == self.optimizer {
            return;
        }
        self.optimizer = optimizer;
        self.learning_rate = match (optimizer, self.recipe) {
            (Optimizer::Lbfgs, _) => 1.0,
            (Optimizer::Adam, Recipe::Book) => Self::book().learning_rate,
            (Optimizer::Adam, Recipe::Painterly) => Self::painterly().learning_rate,
        };
    }

    /// The iterations at the size number `k`, counted from the smallest.
    pub fn iterations_at(&self, k: usize) -> usize {
        self.first_iterations.get(k).copied().unwrap_or(self.iterations)
    }
}

/// A number in readable form: 1e300 rather than three hundred zeros.
pub(crate) fn written(x: f64) -> String {
    if x == 0.0 || (1e-4..1e7).contains(&x.abs()) { x.to_string() } else { format!("{x:e}") }
}

impl Settings {
    /// Refuses settings that cannot lead to a picture.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the setting, its value and the allowed values.
    pub fn validate(&self) -> Result<()> {
        let weights =
            [("content", self.content_weight), ("style", self.style_weight), ("tv", self.tv_weight)];
        for (name, value) in weights {
            // The upper bound keeps gradients inside float32.
            if !(0.0..=1e15).contains(&value) {
                return Err(Error::Setting(format!(
                    "the {name} weight is {}; it must be from 0 to 1e15",
                    written(value)
                )));
            }
        }
        self.validate_layers()?;
        let content = self.content_weight > 0.0 && !self.content_layers.is_empty();
        let style = (0..self.style_layers.len()).any(|layer| self.style_weight_at(layer) > 0.0);
        if !content && !style && self.tv_weight == 0.0 {
            return Err(Error::Setting("all weights are 0, so there is nothing to do; raise one".into()));
        }
        let rate = self.learning_rate;
        if !(rate > 0.0 && rate <= 1000.0) {
            return Err(Error::Setting(format!(
                "the learning rate is {}; it must be above 0 and at most 1000",
                written(rate)
            )));
        }
        if !(self.decay > 0.0 && self.decay <= 1.0) || self.decay_every == 0 {
            return Err(Error::Setting(format!(
                "the learning rate cannot decay by {} every {} iterations; use a factor above 0 and at most 1, and at \
                 least 1 iteration",
                written(self.decay),
                self.decay_every
            )));
        }
        for iterations in self.first_iterations.iter().chain([&self.iterations]) {
            if u32::try_from(*iterations).is_err() {
                return Err(Error::Setting(format!(
                    "{iterations} iterations are too many; the most are {}",
                    u32::MAX
                )));
            }
        }
        self.validate_course()
    }

    /// Refuses what the course of a run cannot be.
    fn validate_course(&self) -> Result<()> {
        if self.margin > MAX_MARGIN {
            return Err(Error::Setting(format!(
                "the margin is {} pixels wide; the most is {MAX_MARGIN}, which is more than any layer sees",
                self.margin
            )));
        }
        if self.regions > MAX_REGIONS {
            return Err(Error::Setting(format!(
                "there are {} regions; at most {MAX_REGIONS} are possible",
                self.regions
            )));
        }
        for (name, share) in [("finish", self.finish), ("settle", self.settle)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::Setting(format!(
                    "{name} is {}; it is a share of the last size's iterations, from 0 (none) to 1 (all)",
                    written(share)
                )));
            }
        }
        if !(0.0..1.0).contains(&self.average) {
            return Err(Error::Setting(format!(
                "the average keeps {} of itself; that must be from 0 (no average) to below 1",
                written(self.average)
            )));
        }
        Ok(())
    }

    fn validate_layers(&self) -> Result<()> {
        for (name, taps) in [("content", &self.content_layers), ("style", &self.style_layers)] {
            if taps.iter().enumerate().any(|(i, tap)| taps[..i].contains(tap)) {
                return Err(Error::Setting(format!("a {name} layer is named twice")));
            }
        }
        let (weights, layers) = (&self.style_layer_weights, &self.style_layers);
        if !weights.is_empty() && weights.len() != layers.len() {
            let names: Vec<_> = layers.iter().map(ToString::to_string).collect();
            return Err(Error::Setting(format!(
                "{} layer weights were given, and there are {} style layers ({}); give one for each",
                weights.len(),
                layers.len(),
                names.join(", ")
            )));
        }
        // Multiplied by the style weight, they must stay inside float32 as the style weight alone does.
        if let Some(weight) = weights.iter().find(|w| !(0.0..=1e15).contains(&(*w * self.style_weight))) {
            return Err(Error::Setting(format!(
                "a layer weight is {}; it must be 0 or more, and at most 1e15 when multiplied by the style weight",
                written(*weight)
            )));
        }
        Ok(())
    }

    /// One number instead of several that are hard to guess: 0 is hardly anything of the painting, 0.5 the
    /// balance of the default, and 1 all of the painting.
    ///
    /// In the painterly recipe it sets [`Self::content_weight`] and nothing else, to `0.08 * 6^(1 - 2 strength)`.
    ///
    /// In the book's recipe it sets [`Self::content_weight`] on a logarithmic scale, from 32 over 1 to 0.1; total variation keeps
    /// its proportion to the style. There it also sets [`Self::learning_rate`]: to the default from 0.5 on, and
    /// down to a tenth of it below. Adam's steps have the same size whatever the weights are, and large ones
    /// would leave marks where the photograph should stay.
    ///
    /// # Errors
    /// [`Error::Setting`] if `strength` is not from 0 to 1.
    pub fn set_strength(&mut self, strength: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&strength) {
            return Err(Error::Setting(format!(
                "the strength is {}; it must be from 0 (hardly any) to 1 (all)",
                written(strength)
            )));
        }
        let from_middle = 2.0 * (strength - 0.5);
        match self.recipe {
            Recipe::Painterly => {
                self.content_weight = PAINTERLY_CONTENT * PAINTERLY_REACH.powf(-from_middle);
            }
            Recipe::Book => {
                let default = Self::book();
                let decades = if from_middle < 0.0 { DECADES_BELOW } else { DECADES_ABOVE };
                self.content_weight = default.content_weight * 10f64.powf(-decades * from_middle);
                if self.optimizer == Optimizer::Adam {
                    self.learning_rate = default.learning_rate * 10f64.powf(from_middle.min(0.0));
                }
            }
        }
        Ok(())
    }

    /// The strength from which [`Self::set_strength`] makes the content weight, or `None` if there is none.
    pub fn strength(&self) -> Option<f64> {
        let from_middle = match self.recipe {
            Recipe::Painterly => -(self.content_weight / PAINTERLY_CONTENT).ln() / PAINTERLY_REACH.ln(),
            Recipe::Book => {
                let decades = -(self.content_weight / Self::book().content_weight).log10();
                decades / if decades < 0.0 { DECADES_BELOW } else { DECADES_ABOVE }
            }
        };
        let strength = 0.5 + from_middle / 2.0;
        // The ends of the scale are reached but for rounding.
        (-1e-9..=1.0 + 1e-9).contains(&strength).then(|| strength.clamp(0.0, 1.0))
    }

    /// The factor on the style loss at the layer `index` of [`Self::style_layers`].
    pub(crate) fn style_weight_at(&self, index: usize) -> f64 {
        let own = self.style_layer_weights.get(index).copied();
        match self.recipe {
            Recipe::Book => self.style_weight * own.unwrap_or(1.0),
            Recipe::Painterly => {
                let sum: f64 = self.style_layer_weights.iter().sum();
                let share =
                    own.filter(|_| sum > 0.0).map_or(1.0 / self.style_layers.len() as f64, |own| own / sum);
                self.style_weight * share
            }
        }
    }

    /// All layers that some stage looks at.
    pub fn taps(&self) -> Vec<Tap> {
        let near = nearest_taps(self);
        self.content_layers.iter().chain(&self.style_layers).chain(&near).copied().collect()
    }

    /// Loss scale: keeps gradients inside float16's range (6e-8 to 65504) for a picture of `pixels` pixels.
    /// It is a power of two that brings the gradients of the heaviest loss to about 1. Gradients are
    /// inversely proportional to the number of pixels.
    pub(crate) fn gradient_scale(&self, pixels: usize) -> f64 {
        match self.precision {
            Precision::Single => 1.0,
            Precision::Half => {
                let layers = (0..self.style_layers.len()).map(|index| self.style_weight_at(index));
                let style = layers.fold(0.0, f64::max);
                // Losses divided by the energy of features have gradients as if their weights were these.
                let heaviest = match self.recipe {
                    Recipe::Book => style.max(1e4 * self.content_weight).max(1e-30),
                    Recipe::Painterly => style.max(self.content_weight).clamp(1e-30, 1.0),
                };
                (1e4 * pixels as f64 / heaviest).log2().floor().clamp(-60.0, 60.0).exp2()
            }
        }
    }

    /// How the network is recorded. It is the same for the picture, the photograph and the paintings.
    pub fn network_options(&self) -> NetworkOptions {
        NetworkOptions { pooling: self.pooling, edge: self.edge }
    }
}
