//! The values that a run depends on, as SHA-256. Two runs with the same digests, settings and device give the
//! same bits.

use sha2::{Digest, Sha256};

use crate::picture::Picture;
use crate::weights::Weights;

/// The digest of a picture's size and colours.
pub(crate) fn picture(picture: &Picture) -> String {
    let mut sum = Sha256::new();
    sum.update((picture.width as u64).to_le_bytes());
    sum.update((picture.height as u64).to_le_bytes());
    sum.update(bytemuck::cast_slice(&picture.rgb));
    text(sum)
}

/// The digest of all weights and of the input convention.
pub(crate) fn network(weights: &Weights) -> String {
    let mut sum = Sha256::new();
    sum.update(bytemuck::cast_slice(&weights.input_mean));
    sum.update(bytemuck::cast_slice(&weights.input_std));
    for layer in &weights.layers {
        sum.update(bytemuck::cast_slice(&layer.weight));
        sum.update(bytemuck::cast_slice(&layer.bias));
    }
    text(sum)
}

/// The digest of several arrays, one after the other.
pub(crate) fn arrays<const N: usize>(arrays: [&[f32]; N]) -> String {
    text(arrays.into_iter().fold(Sha256::new(), |sum, array| sum.chain_update(bytemuck::cast_slice(array))))
}

/// The digest of a text.
pub(crate) fn words(words: &str) -> String {
    bytes(words.as_bytes())
}

/// The digest of a file.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    text(Sha256::new().chain_update(bytes))
}

fn text(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
