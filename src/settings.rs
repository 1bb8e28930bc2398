//! What a run does, with the seed's recipe as the default.

use crate::ops::adam::Schedule;
use crate::precision::Precision;
use crate::vgg::Tap;
use crate::{Error, Result};

/// Settings of a run. The default is the recipe of "Dive into Deep Learning", chapter "Neural Style Transfer".
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
    /// Adam's first learning rate, in units of the normalised picture (a standard deviation of ImageNet's pixels).
    pub learning_rate: f64,
    /// Factor on the learning rate every [`Self::decay_every`] iterations.
    pub decay: f64,
    /// Iterations between decays.
    pub decay_every: usize,
    /// Where content is compared.
    pub content_layers: Vec<Tap>,
    /// Where style is compared.
    pub style_layers: Vec<Tap>,
    /// How feature maps are stored.
    pub precision: Precision,
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
            // torchvision's ReLU works in place, so the recipe's "layers 0, 5, 10, 19" are seen after the ReLU that
            // follows them; only layer 28, the last, stays raw.
            content_layers: taps(&["relu4_4"]),
            style_layers: taps(&["relu1_1", "relu2_1", "relu3_1", "relu4_1", "conv5_1"]),
            precision: Precision::Single,
        }
    }
}

impl Settings {
    /// Refuses what cannot lead to a picture.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the setting, its value and what it may be.
    pub fn validate(&self) -> Result<()> {
        let weights =
            [("content", self.content_weight), ("style", self.style_weight), ("tv", self.tv_weight)];
        for (name, value) in weights {
            // The upper bound keeps gradients inside float32.
            if !(0.0..=1e15).contains(&value) {
                return Err(Error::Setting(format!(
                    "the {name} weight is {value}; it must be from 0 to 1e15"
                )));
            }
        }
        if weights.iter().all(|(_, value)| *value == 0.0) {
            return Err(Error::Setting("all weights are 0, so there is nothing to do; raise one".into()));
        }
        let rate = self.learning_rate;
        if !(rate > 0.0 && rate <= 1000.0) {
            return Err(Error::Setting(format!(
                "the learning rate is {rate}; it must be above 0 and at most 1000"
            )));
        }
        if !(self.decay > 0.0 && self.decay <= 1.0) || self.decay_every == 0 {
            return Err(Error::Setting(format!(
                "the learning rate cannot decay by {} every {} iterations; use a factor above 0 and at most 1, and at \
                 least 1 iteration",
                self.decay, self.decay_every
            )));
        }
        if u32::try_from(self.iterations).is_err() {
            return Err(Error::Setting(format!(
                "{} iterations are too many; the most are {}",
                self.iterations,
                u32::MAX
            )));
        }
        for (name, taps) in [("content", &self.content_layers), ("style", &self.style_layers)] {
            if taps.iter().enumerate().any(|(i, tap)| taps[..i].contains(tap)) {
                return Err(Error::Setting(format!("a {name} layer is named twice")));
            }
        }
        Ok(())
    }

    /// All layers that are looked at.
    pub fn taps(&self) -> Vec<Tap> {
        self.content_layers.iter().chain(&self.style_layers).copied().collect()
    }

    /// By which the network's gradients are multiplied, for a picture of so many pixels: in half precision, values from
    /// 6e-8 to 65504 are all there are. A power of two that brings the gradients of the heaviest loss, which are as much
    /// smaller as the picture is larger, to about 1.
    pub(crate) fn gradient_scale(&self, pixels: usize) -> f64 {
        match self.precision {
            Precision::Single => 1.0,
            Precision::Half => {
                let heaviest = self.style_weight.max(1e4 * self.content_weight).max(1e-30);
                (1e4 * pixels as f64 / heaviest).log2().floor().clamp(-60.0, 60.0).exp2()
            }
        }
    }

    pub(crate) fn schedule(&self) -> Schedule {
        Schedule { learning_rate: self.learning_rate, decay: self.decay, decay_every: self.decay_every }
    }
}
