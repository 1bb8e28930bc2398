//! The one place that chooses between variants of an op: the one asked for, or else the one measured to be
//! fastest on this machine, or else the one known to be fastest on this kind of device.

#[cfg(feature = "native")]
mod cache;
#[cfg(feature = "native")]
mod measure;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::engine::gpu::Gpu;
use crate::engine::precision::Precision;
use crate::ops::{conv3x3, products};
use crate::{Error, Result};
#[cfg(feature = "native")]
pub use measure::When;

/// Which variant was the fastest of each class, by name.
type Choices = BTreeMap<String, String>;

/// How variants are chosen. The default uses what is known about the kind of device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    conv3x3: Option<conv3x3::Variant>,
    gram: Option<products::Variant>,
    /// How the maps are stored that the variants are for.
    precision: Precision,
    /// The fastest measured variant of each class.
    chosen: Choices,
}

/// The class of a convolution.
fn convolution(c_in: usize, c_out: usize, precision: Precision) -> String {
    in_precision(format!("conv3x3 {c_in}->{c_out}"), precision)
}

/// The class of a Gram matrix.
fn matrix(c: usize, precision: Precision) -> String {
    in_precision(format!("gram {c}"), precision)
}

/// The class for maps that are stored in some precision.
fn in_precision(class: String, precision: Precision) -> String {
    match precision {
        Precision::Single => class,
        Precision::Half => format!("{class} half"),
    }
}

/// Multiply-adds of a convolution that is measured on a GPU.
const GPU_WORK: f64 = 3e9;
/// The same on the processor.
const PROCESSOR_WORK: f64 = 1e8;

/// The side of the square map on which a class of convolutions is measured.
fn measured_side(gpu: &Gpu, c_in: usize, c_out: usize) -> usize {
    let work = if gpu.is_software() { PROCESSOR_WORK } else { GPU_WORK };
    let side = (work / (9 * c_in * c_out) as f64).sqrt() as usize;
    side.clamp(16, 512).next_multiple_of(4)
}

/// Whether a class has a variant of this name.
fn exists(class: &str, name: &str) -> bool {
    match class.split(' ').next() {
        Some("conv3x3") => conv3x3::Variant::named(name).is_some(),
        Some("gram") => products::Variant::named(name).is_some(),
        _ => false,
    }
}

/// Whether a variant of a class is measured on a device. The specification is no competitor.
fn competes(gpu: &Gpu, class: &str, name: &str) -> bool {
    match conv3x3::Variant::named(name).filter(|_| class.starts_with("conv3x3 ")) {
        Some(variant) => variant.competes(gpu),
        None => exists(class, name) && products::Variant::named(name).is_some_and(|v| v.competes(gpu)),
    }
}

impl Tuning {
    /// The variant of a class that was measured to be the fastest.
    fn chosen<V: Copy>(&self, class: &str, all: &[V], name: fn(V) -> &'static str) -> Option<V> {
        let chosen = self.chosen.get(class)?;
        all.iter().copied().find(|variant| name(*variant) == chosen)
    }

    /// The same for maps in another precision. Forms that multiply in half precision are taken in half
    /// precision only.
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The precision of the maps that it is for.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The convolution for `c_in -> c_out` channels: the variant asked for, if it can compute that; on
    /// processors the one measured to be the fastest there (see `docs/design/kernels.md`); elsewhere the
    /// forms made for GPUs.
    pub fn conv3x3(&self, gpu: &Gpu, c_in: usize, c_out: usize) -> conv3x3::Variant {
        let class = convolution(c_in, c_out, self.precision);
        let measured = self.chosen(&class, &conv3x3::Variant::ALL, conv3x3::Variant::name);
        let mut wanted = self.conv3x3.into_iter().chain(measured).chain(conv3x3::Variant::defaults(gpu));
        // The specification can do everything.
        let precise = |variant: &conv3x3::Variant| self.precision == Precision::Half || !variant.is_half();
        let serves = |variant: &conv3x3::Variant| precise(variant) && variant.supports(gpu, c_in, c_out);
        wanted.find(serves).unwrap_or(conv3x3::Variant::Naive)
    }

    /// A filter in the form for a map of `height` rows and `width` columns: see [`conv3x3::Filter::for_map`]. A form
    /// that was asked for stays. So does one that was measured, on maps at least as large as the one that it was
    /// measured on.
    pub(crate) fn for_map(
        &self,
        gpu: &Gpu,
        filter: &conv3x3::Filter,
        height: usize,
        width: usize,
    ) -> conv3x3::Filter {
        let [c_in, c_out] = filter.channels();
        let asked = self.conv3x3 == Some(filter.variant());
        let measured = self.chosen.contains_key(&convolution(c_in, c_out, self.precision));
        if asked || (measured && height * width >= measured_side(gpu, c_in, c_out).pow(2)) {
            return filter.clone();
        }
        filter.for_map(gpu, height, width)
    }

    /// The variant for the Gram matrix of `c` channels, chosen in the same way.
    pub fn gram(&self, gpu: &Gpu, c: usize) -> products::Variant {
        let measured =
            self.chosen(&matrix(c, self.precision), &products::Variant::OF_MAPS, products::Variant::name);
        let precise = |variant: &products::Variant| self.precision == Precision::Half || !variant.is_half();
        let mut wanted = self.gram.into_iter().chain(measured);
        if let Some(variant) = wanted.find(|variant| precise(variant) && variant.supports(gpu, c)) {
            return variant;
        }
        let subgroup = products::Variant::Subgroup;
        if gpu.is_software() && subgroup.supports(gpu, c) { subgroup } else { products::Variant::Tiled }
    }
}

impl fmt::Display for Tuning {
    /// In the form that [`Tuning::from_str`] reads; empty if nothing is asked for.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let conv3x3 = self.conv3x3.map(|variant| format!("conv3x3={}", variant.name()));
        let gram = self.gram.map(|variant| format!("gram={}", variant.name()));
        f.write_str(&conv3x3.into_iter().chain(gram).collect::<Vec<String>>().join(","))
    }
}

impl FromStr for Tuning {
    type Err = Error;

    /// `conv3x3=NAME`, `gram=NAME`, or both with a comma between them.
    fn from_str(text: &str) -> Result<Self> {
        let mut tuning = Self::default();
        for part in text.split(',') {
            let known = match part.split_once('=') {
                Some(("conv3x3", name)) => {
                    tuning.conv3x3 = conv3x3::Variant::named(name);
                    tuning.conv3x3.is_some()
                }
                Some(("gram", name)) => {
                    tuning.gram = products::Variant::named(name);
                    tuning.gram.is_some()
                }
                _ => false,
            };
            if !known {
                let convolutions = conv3x3::Variant::ALL.map(conv3x3::Variant::name).join(", ");
                let matrices = products::Variant::OF_MAPS.map(products::Variant::name).join(", ");
                return Err(Error::Setting(format!(
                    "{part:?} is no variant; write conv3x3=NAME with one of {convolutions}, or gram=NAME with one of {matrices}"
                )));
            }
        }
        Ok(tuning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A measured form serves the map that it was measured on, and larger ones; a form that was asked for serves all.
    #[test]
    fn only_smaller_maps_than_the_measured_one_get_another_form() {
        let gpu = Gpu::new(None).unwrap();
        let (c_in, c_out) = (64, 128);
        let (weights, bias) = (vec![0.0; 9 * c_in * c_out], vec![0.0; c_out]);
        let variant = conv3x3::Variant::Tiled;
        let filter = conv3x3::Filter::upload(&gpu, "filter", variant, &weights, &bias).unwrap();
        let form = |tuning: &Tuning, side: usize| tuning.for_map(&gpu, &filter, side, side).variant();
        let side = measured_side(&gpu, c_in, c_out);
        let measured = Tuning {
            chosen: [(convolution(c_in, c_out, Precision::Single), "tiled".to_owned())].into(),
            ..Tuning::default()
        };
        assert_eq!(form(&measured, side), variant);
        assert_eq!(form(&measured, side - 2), conv3x3::Variant::TiledSmall);
        // Nothing was measured: 264 workgroups are 264 x 128 pixels of 64 channels.
        assert_eq!(form(&Tuning::default(), 184), variant);
        assert_eq!(form(&Tuning::default(), 182), conv3x3::Variant::TiledSmall);
        assert_eq!(form(&"conv3x3=tiled".parse().unwrap(), 16), variant);
        assert_eq!(form(&"conv3x3=few".parse().unwrap(), 16), conv3x3::Variant::TiledSmall);
    }
}
