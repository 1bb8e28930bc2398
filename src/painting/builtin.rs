//! The network that comes with the library.

use crate::Result;
use crate::architecture::Network;
use crate::engine::gpu::Gpu;
use crate::network::tuning::Tuning;
use crate::network::vgg::Vgg;
use crate::network::weights::Weights;
use crate::painting::settings::Settings;

impl Vgg {
    /// The built-in VGG-19 on a device, as deep as `settings` look into it, with the forms that are known to
    /// be fast on this kind of device. One network serves any number of runs whose settings look no deeper.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a layer comes after conv5_1, where the built-in network
    /// ends, and [`Error::TooLarge`](crate::Error::TooLarge) if the device has no room for it.
    pub fn builtin(gpu: &Gpu, settings: &Settings) -> Result<Self> {
        let network = Network::vgg19();
        let weights = Weights::embedded(&network.specs(&settings.taps())?)?;
        Self::new(gpu, network, &weights, &Tuning::default())
    }
}
