//! `impasto weights`: the contents of a network file, and whether this program can use it.

use std::path::PathBuf;

use impasto::Network;
use impasto::painting::settings::Settings;

use super::console;
use super::stylize::{load, network};

/// Show the network: the built-in one, or that of a safetensors file
#[derive(clap::Args)]
pub struct Options {
    /// A safetensors file with torchvision's tensor names; without it, the built-in network
    file: Option<PathBuf>,

    /// Which network the file holds [default: vgg19]
    #[arg(long, value_name = "vgg16|vgg19", value_parser = network())]
    network: Option<Network>,
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    let taps = Settings::default().style_layers;
    let (network, weights) = load(options.network.as_ref(), options.file.as_deref(), &taps)?;
    console::data_line(&format!(
        "{}, input (rgb - {:?}) / {:?}",
        network.name, weights.input_mean, weights.input_std
    ))?;
    for layer in &weights.layers {
        let size = layer.weight.len() as f32;
        let rms = (layer.weight.iter().map(|w| w * w).sum::<f32>() / size).sqrt();
        console::data_line(&format!(
            "{:12} {:3} -> {:3} channels, weights rms {rms:.5}",
            layer.name, layer.c_in, layer.c_out
        ))?;
    }
    Ok(0)
}
