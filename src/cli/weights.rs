//! `impasto weights`: the contents of a network file, and whether this program can use it.

use std::path::PathBuf;

use impasto::Network;
use impasto::network::weights::Weights;
use impasto::painting::settings::Settings;

use super::print;

/// Show the network: the built-in one, or that of a safetensors file
#[derive(clap::Args)]
pub struct Options {
    /// A safetensors file with torchvision's tensor names; without it, the built-in network
    file: Option<PathBuf>,
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    let network = Network::vgg19();
    let specs = network.specs(&Settings::default().taps())?;
    let weights = match &options.file {
        None => Weights::embedded(&specs)?,
        Some(file) => Weights::from_file(file, &specs)?,
    };
    print(&format!("{}, input (rgb - {:?}) / {:?}", network.name, weights.input_mean, weights.input_std))?;
    for layer in &weights.layers {
        let size = layer.weight.len() as f32;
        let rms = (layer.weight.iter().map(|w| w * w).sum::<f32>() / size).sqrt();
        print(&format!(
            "{:12} {:3} -> {:3} channels, weights rms {rms:.5}",
            layer.name, layer.c_in, layer.c_out
        ))?;
    }
    Ok(0)
}
