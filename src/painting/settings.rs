//! The settings of a run. The default is the recipe of the book "Dive into Deep Learning".

use crate::architecture::{Edge, NetworkOptions, Pooling, Tap};
use crate::engine::precision::Precision;
use crate::{Error, Result};

/// The powers of ten between the content weights of strengths 0 and 0.5, and of strengths 0.5 and 1. They
/// were chosen by eye: with more, the ends of the scale all look the same, like the photograph below and like
/// the painting above.
const DECADES_BELOW: f64 = 1.5;
const DECADES_ABOVE: f64 = 1.0;

/// The settings of a run. The default is the recipe of "Dive into Deep Learning", chapter "Neural Style
/// Transfer".
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Steps of the optimiser.
    pub iterations: usize,
    /// Factor on the content loss, the mean of squared feature differences.
    pub content_weight: f64,
    /// Factor on the style loss, the sum over layers of the mean of squared Gram matrix differences.
    pub style_weight: f64,
    /// Factor on the total variation loss.
    pub tv_weight: f64,
    /// Adam's first learning rate, in units of the normalised picture (a standard deviation of ImageNet's
    /// pixels).
    pub learning_rate: f64,
    /// Factor on the learning rate every [`Self::decay_every`] iterations.
    pub decay: f64,
    /// Iterations between decays.
    pub decay_every: usize,
    /// The layers at which content is compared.
    pub content_layers: Vec<Tap>,
    /// The layers at which style is compared.
    pub style_layers: Vec<Tap>,
    /// How feature maps are stored.
    pub precision: Precision,
    /// Factors on the style layers' parts of the style loss; empty for 1 each. The first layers hold colours
    /// and fine strokes, the last ones large shapes.
    pub style_layer_weights: Vec<f64>,
    /// How the network halves its maps.
    pub pooling: Pooling,
    /// What its first convolution sees beyond the picture's edge.
    pub edge: Edge,
}

impl Default for Settings {
    fn default() -> Self {
        let taps = |names: &[&str]| names.iter().map(|n| n.parse().expect("a layer's name")).collect();
        Self {
            iterations: 500,
            content_weight: 1.0,
            style_weight: 1e4,
            tv_weight: 10.0,
            learning_rate: 0.3,
            decay: 0.8,
            decay_every: 50,
            // torchvision's ReLU works in place. So the recipe's "layers 0, 5, 10, 19" are the values after
            // the ReLU that follows them. Only layer 28, the last one, is taken before its ReLU.
            content_layers: taps(&["relu4_4"]),
            style_layers: taps(&["relu1_1", "relu2_1", "relu3_1", "relu4_1", "conv5_1"]),
            precision: Precision::Single,
            style_layer_weights: Vec::new(),
            pooling: Pooling::Max,
            edge: Edge::Zeros,
        }
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
        if u32::try_from(self.iterations).is_err() {
            return Err(Error::Setting(format!(
                "{} iterations are too many; the most are {}",
                self.iterations,
                u32::MAX
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
    /// It sets [`Self::content_weight`] on a logarithmic scale, from 32 over 1 to 0.1; total variation keeps
    /// its proportion to the style. It also sets [`Self::learning_rate`]: to the default from 0.5 on, and
    /// down to a tenth of it below. Adam's steps have the same size whatever the weights are, and large ones
    /// would leave marks where the photograph should stay.
    ///
    /// # Errors
    /// [`Error::Setting`] if `strength` is not from 0 to 1.
    pub fn set_strength(&mut self, strength: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&strength) {
            return Err(Error::Setting(format!(
                "the strength is {}; it must be from 0 (hardly) to 1 (wholly)",
                written(strength)
            )));
        }
        let from_middle = 2.0 * (strength - 0.5);
        let default = Self::default();
        let decades = if from_middle < 0.0 { DECADES_BELOW } else { DECADES_ABOVE };
        self.content_weight = default.content_weight * 10f64.powf(-decades * from_middle);
        self.learning_rate = default.learning_rate * 10f64.powf(from_middle.min(0.0));
        Ok(())
    }

    /// The factor on the style loss at the layer `index` of [`Self::style_layers`].
    pub(crate) fn style_weight_at(&self, index: usize) -> f64 {
        self.style_weight * self.style_layer_weights.get(index).copied().unwrap_or(1.0)
    }

    /// The number of losses of an iteration: one for each tapped layer, and total variation.
    pub(crate) fn losses(&self) -> usize {
        self.content_layers.len() + self.style_layers.len() + 1
    }

    /// All tapped layers.
    pub fn taps(&self) -> Vec<Tap> {
        self.content_layers.iter().chain(&self.style_layers).copied().collect()
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
                let heaviest = style.max(1e4 * self.content_weight).max(1e-30);
                (1e4 * pixels as f64 / heaviest).log2().floor().clamp(-60.0, 60.0).exp2()
            }
        }
    }

    /// How the network is recorded. It is the same for the picture, the photograph and the paintings.
    pub fn network_options(&self) -> NetworkOptions {
        NetworkOptions { pooling: self.pooling, edge: self.edge }
    }
}
