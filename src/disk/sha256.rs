//! SHA-256 of whatever a run was made of: two runs of the same digests, settings and device give the same
//! bits.

use sha2::{Digest, Sha256};

/// The digest of numbers that are added one after the other.
#[derive(Default)]
pub(crate) struct Sum(Sha256);

impl Sum {
    pub(crate) fn add(&mut self, numbers: &[f32]) {
        self.0.update(bytemuck::cast_slice(numbers));
    }

    pub(crate) fn text(self) -> String {
        text(self.0)
    }
}

/// The digest of several arrays, one after the other.
pub(crate) fn arrays<'a>(arrays: impl IntoIterator<Item = &'a [f32]>) -> String {
    let mut sum = Sum::default();
    arrays.into_iter().for_each(|array| sum.add(array));
    sum.text()
}

/// The digest of a text.
pub(crate) fn words(words: &str) -> String {
    bytes(words.as_bytes())
}

/// The digest of a file's content.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    text(Sha256::new().chain_update(bytes))
}

/// The digest of two numbers followed by an array, such as a picture's sides and its values.
pub(crate) fn sized(sides: [usize; 2], values: &[f32]) -> String {
    let sum =
        sides.into_iter().fold(Sha256::new(), |sum, side| sum.chain_update((side as u64).to_le_bytes()));
    text(sum.chain_update(bytemuck::cast_slice(values)))
}

fn text(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
