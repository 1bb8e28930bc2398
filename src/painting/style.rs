//! The style of one or several paintings, measured once for as many pictures as shall have it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::architecture::Tap;
use crate::engine::gpu::Gpu;
use crate::engine::real::Real;
use crate::engine::tape::{Shape, Tape, Tensor};
use crate::network::vgg::Vgg;
use crate::ops::nearest;
use crate::ops::wasserstein::{self, Moments, Statistics};
use crate::painting::choices::StyleLoss;
use crate::painting::objective::{Objective, nearest_taps};
use crate::painting::settings::Settings;
use crate::painting::tiling::Tiling;
use crate::painting::tiling::statistics::Sums;
use crate::picture::{Picture, Size};
use crate::{Error, Result};

/// The style of paintings: the weighted mean of their statistics, at the sizes of a run. Copies share what is measured.
#[derive(Clone)]
pub struct Style(Rc<Inner>);

struct Inner {
    /// At the size that serves the run's last one, each with its share; the shares add up to 1.
    paintings: Vec<(Picture, f64)>,
    settings: Settings,
    /// Digest of the network that measures.
    network: String,
    /// When they are measured in tiles.
    tiling: Tiling,
    /// What was measured so far, and at which scale.
    measured: RefCell<Vec<(f64, bool, Rc<Measured>)>>,
}

/// Statistics of the paintings at one size, on the device.
pub(crate) struct Measured {
    /// One per style layer.
    pub(crate) layers: Vec<LayerStyle>,
    /// One per layer of the nearest-neighbour term; none if it was not asked for.
    pub(crate) nearest: Vec<nearest::Resident>,
}

/// What the style loss of a layer compares with.
pub(crate) enum LayerStyle {
    /// A Gram matrix, and the mean square of its values.
    Gram { matrix: wgpu::Buffer, energy: f64 },
    /// Mean and covariance.
    Moments(wasserstein::Resident),
}

impl Measured {
    /// Device memory in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let layer = |layer: &LayerStyle| match layer {
            LayerStyle::Gram { matrix, .. } => matrix.size(),
            LayerStyle::Moments(resident) => resident.bytes(),
        };
        let nearest: u64 = self.nearest.iter().map(nearest::Resident::bytes).sum();
        self.layers.iter().map(layer).sum::<u64>() + nearest
    }
}

impl Style {
    /// Measures `paintings`, each with its weight in the mean, at the style layers of `settings`. What smaller sizes of a run need is
    /// measured when they begin.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no painting, or none with a weight above 0, or one too small for the network;
    /// [`Error::TooLarge`] if the device has no room, and [`Error::Device`] if it fails.
    pub fn measure(gpu: &Gpu, vgg: &Vgg, settings: &Settings, paintings: &[(&Picture, f64)]) -> Result<Self> {
        Self::measure_in(gpu, vgg, settings, paintings, Tiling::Off)
    }

    /// As [`Self::measure`], in tiles where the whole would need too much memory.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub fn measure_in(
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        paintings: &[(&Picture, f64)],
        tiling: Tiling,
    ) -> Result<Self> {
        let sum: f64 = paintings.iter().map(|(_, weight)| weight).sum();
        if paintings.iter().any(|(_, weight)| weight.is_nan() || *weight < 0.0)
            || sum <= 0.0
            || !sum.is_finite()
        {
            return Err(Error::Setting("no style picture with a weight above 0".into()));
        }
        let sizes: Vec<_> = paintings.iter().map(|(p, _)| Shape::new(3, p.height, p.width)).collect();
        Objective { gpu, vgg, settings }.fits_styles(&sizes, tiling)?;
        let style = Self(Rc::new(Inner {
            paintings: paintings.iter().map(|(p, weight)| (p.bare(), weight / sum)).collect(),
            settings: settings.clone(),
            network: vgg.digest().to_owned(),
            tiling,
            measured: RefCell::default(),
        }));
        if settings.first_size == 0 {
            style.at(gpu, vgg, 1.0, false)?;
        }
        Ok(style)
    }

    /// The digest and the share of each painting.
    pub(crate) fn paintings(&self) -> Vec<(String, f64)> {
        self.0.paintings.iter().map(|(painting, share)| (painting.digest(), *share)).collect()
    }

    /// The digest of the network that measured.
    pub(crate) fn network(&self) -> &str {
        &self.0.network
    }

    /// Whether a run of `settings` can use what is measured here.
    pub(crate) fn serves(&self, settings: &Settings) -> bool {
        let what = |s: &Settings| {
            (s.style_layers.clone(), s.style_loss, s.recipe, s.network_options(), s.precision, s.finish > 0.0)
        };
        what(&self.0.settings) == what(settings)
    }

    /// The paintings' statistics where a run's picture has `scale` times its last size, and what the finish needs of them.
    pub(crate) fn at(&self, gpu: &Gpu, vgg: &Vgg, scale: f64, finish: bool) -> Result<Rc<Measured>> {
        let known = |(s, f, _): &&(f64, bool, Rc<Measured>)| *s == scale && *f == finish;
        if let Some((_, _, measured)) = self.0.measured.borrow().iter().find(known) {
            return Ok(measured.clone());
        }
        let least = vgg.smallest(&self.0.settings.taps());
        let resized = |(painting, share): &(Picture, f64)| {
            let side = |n: usize| ((n as f64 * scale).round() as usize).max(least.min(n));
            let size = Size::Exact { width: side(painting.width), height: side(painting.height) };
            let picture = if scale == 1.0 {
                painting.clone()
            } else {
                painting.resampled(size, true, self.0.settings.recipe.filter())
            };
            (picture, *share)
        };
        let paintings: Vec<_> = self.0.paintings.iter().map(resized).collect();
        let measuring =
            Measuring { objective: Objective { gpu, vgg, settings: &self.0.settings }, paintings, tiling: self.0.tiling };
        let measured = Rc::new(Measured {
            layers: match self.0.settings.style_loss {
                StyleLoss::Gram => measuring.grams()?,
                StyleLoss::Wasserstein => measuring.moments()?,
            },
            nearest: if finish { measuring.nearest()? } else { Vec::new() },
        });
        self.0.measured.borrow_mut().push((scale, finish, measured.clone()));
        Ok(measured)
    }

    /// The palette that a run may start with: the photograph with the colours of the paintings.
    pub fn colour(&self, photograph: &Picture) -> Picture {
        let paintings: Vec<_> = self.0.paintings.iter().map(|(painting, share)| (painting, *share)).collect();
        photograph.with_colours_of(&paintings, 1.0)
    }
}

/// Paintings that are being measured.
struct Measuring<'a> {
    objective: Objective<'a, 'a>,
    paintings: Vec<(Picture, f64)>,
    tiling: Tiling,
}

impl Measuring<'_> {
    /// What is summed over a painting in tiles, if it is measured in tiles.
    fn in_tiles(&self, painting: &Picture) -> Result<Option<Vec<(Sums, usize)>>> {
        let layout = self.objective.painting_layout((painting.width, painting.height), self.tiling)?;
        layout.map(|layout| self.objective.painting_in_tiles(painting, &layout)).transpose()
    }

    /// Reads of one painting what `look` records at each style layer.
    fn read(
        &self,
        painting: &Picture,
        look: impl Fn(&mut Tape, crate::engine::tape::Var) -> Vec<Tensor>,
    ) -> Result<Vec<Vec<Vec<f32>>>> {
        let Objective { gpu, settings, .. } = self.objective;
        let taps = &settings.style_layers;
        if taps.is_empty() {
            return Ok(Vec::new());
        }
        let mut seen: Vec<Vec<Tensor>> = vec![Vec::new(); taps.len()];
        let shape = Shape::new(3, painting.height, painting.width);
        let (tape, leaf) = self.objective.record_look(shape, taps, |tape, index, x| {
            seen[index] = look(tape, x);
            seen[index].iter().for_each(|tensor| tape.keep(*tensor));
        });
        let plan = tape.finish()?;
        plan.write(gpu, leaf.value, &Real::F32.encode(&self.objective.variable().encode(painting)));
        plan.run(gpu);
        let read = |tensors: &Vec<Tensor>| tensors.iter().map(|tensor| plan.read(gpu, *tensor)).collect();
        seen.iter().map(read).collect()
    }

    /// The weighted mean of the paintings' Gram matrices.
    fn grams(&self) -> Result<Vec<LayerStyle>> {
        let mut grams = vec![Vec::new(); self.objective.settings.style_layers.len()];
        for (painting, share) in &self.paintings {
            let measured = match self.in_tiles(painting)? {
                None => self.read(painting, |tape, x| vec![self.objective.gram(tape, x).value])?,
                Some(layers) => {
                    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
                    layers.into_iter().map(|(sums, sites)| vec![narrow(sums.gram(sites))]).collect()
                }
            };
            for (sum, gram) in grams.iter_mut().zip(measured) {
                sum.resize(gram[0].len(), 0.0);
                sum.iter_mut().zip(&gram[0]).for_each(|(s, g)| *s += share * f64::from(*g));
            }
        }
        let upload = |values: &Vec<f64>| {
            let energy = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            let matrix = self.objective.gpu.upload("target", &values)?;
            // A black painting has no energy.
            Ok(LayerStyle::Gram { matrix, energy: energy.max(1e-12) })
        };
        grams.iter().map(upload).collect()
    }

    /// Mean and covariance of the paintings together.
    fn moments(&self) -> Result<Vec<LayerStyle>> {
        let gpu = self.objective.gpu;
        let mut layers: Vec<Vec<(Moments, f64)>> = Vec::new();
        for (painting, share) in &self.paintings {
            let measured = match self.in_tiles(painting)? {
                None => self.read(painting, |tape, x| {
                    let variant = self.objective.vgg.tuning().gram(gpu, x.shape.channels);
                    let (mean, covariance) = wasserstein::moments(tape, x, variant);
                    vec![mean, covariance]
                })?,
                Some(layers) => {
                    layers.into_iter().map(|(sums, sites)| sums.raw_moments(sites).into()).collect()
                }
            };
            layers.resize_with(measured.len(), Vec::new);
            for (layer, values) in layers.iter_mut().zip(measured) {
                let [mean, covariance] = values.try_into().expect("two tensors were asked for");
                layer.push((Moments { mean, covariance }, *share));
            }
        }
        let upload =
            |layer: &Vec<(Moments, f64)>| Statistics::new(layer).upload(gpu).map(LayerStyle::Moments);
        layers.iter().map(upload).collect()
    }

    /// The features of the painting that counts most, as the nearest-neighbour term wants them.
    fn nearest(&self) -> Result<Vec<nearest::Resident>> {
        let Objective { gpu, settings, .. } = self.objective;
        let taps: Vec<Tap> = nearest_taps(settings);
        let first = &self.paintings[0];
        let (painting, _) =
            self.paintings.iter().fold(first, |most, next| if next.1 > most.1 { next } else { most });
        let mut seen: Vec<Option<nearest::Target>> = taps.iter().map(|_| None).collect();
        let shape = Shape::new(3, painting.height, painting.width);
        let (tape, leaf) = self.objective.record_look(shape, &taps, |tape, index, y| {
            let target = nearest::prepare(tape, y);
            [target.features, target.mean].into_iter().for_each(|tensor| tape.keep(tensor));
            seen[index] = Some(target);
        });
        let plan = tape.finish()?;
        plan.write(gpu, leaf.value, &Real::F32.encode(&self.objective.variable().encode(painting)));
        plan.run(gpu);
        Ok(seen.into_iter().flatten().map(|target| nearest::Resident::new(&plan, &target)).collect())
    }
}
