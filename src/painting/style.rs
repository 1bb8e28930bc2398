//! The style of one or several paintings, measured once for any number of pictures.

use crate::architecture::{NetworkOptions, Tap};
use crate::engine::gpu::Gpu;
use crate::engine::tape::Shape;
use crate::network::vgg::Vgg;
use crate::painting::objective::Recipe;
use crate::painting::settings::Settings;
use crate::picture::Picture;
use crate::{Error, Result};

/// Gram matrices on the device: the weighted mean of those of some paintings, at the paintings' sizes.
pub struct Style {
    /// One matrix per layer of `taps`.
    pub(crate) grams: Vec<wgpu::Buffer>,
    pub(crate) taps: Vec<Tap>,
    /// The digest and the share of each painting; the shares add up to 1.
    pub(crate) paintings: Vec<(String, f64)>,
    /// The digest of the network that measured them.
    pub(crate) network: String,
    /// How that network was recorded.
    pub(crate) options: NetworkOptions,
}

impl Style {
    /// Measures `paintings`, each with its weight in the mean, at the style layers of `settings`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no painting, none with a weight above 0, or one too small for the
    /// network; [`Error::TooLarge`] if the device has no room; [`Error::Device`] if it fails.
    pub fn measure(gpu: &Gpu, vgg: &Vgg, settings: &Settings, paintings: &[(&Picture, f64)]) -> Result<Self> {
        let sum: f64 = paintings.iter().map(|(_, weight)| weight).sum();
        if paintings.iter().any(|(_, weight)| weight.is_nan() || *weight < 0.0)
            || sum <= 0.0
            || !sum.is_finite()
        {
            return Err(Error::Setting("no style picture with a weight above 0".into()));
        }
        let recipe = Recipe { gpu, vgg, settings };
        let sizes: Vec<_> = paintings.iter().map(|(p, _)| Shape::new(3, p.height, p.width)).collect();
        recipe.fits_styles(&sizes)?;
        let taps = settings.style_layers.clone();
        let mut grams = vec![Vec::new(); taps.len()];
        for (picture, weight) in paintings {
            let measured = recipe.measure(picture, &taps, |tape, x| recipe.gram(tape, x))?;
            for (sum_of, gram) in grams.iter_mut().zip(measured) {
                sum_of.resize(gram.len(), 0.0);
                sum_of.iter_mut().zip(gram).for_each(|(s, g)| *s += weight / sum * f64::from(g));
            }
        }
        let upload = |values: &Vec<f64>| {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            gpu.upload("target", &values)
        };
        Ok(Self {
            grams: grams.iter().map(upload).collect::<Result<_>>()?,
            taps,
            paintings: paintings.iter().map(|(p, weight)| (p.digest(), weight / sum)).collect(),
            network: vgg.digest().to_owned(),
            options: settings.network_options(),
        })
    }
}
