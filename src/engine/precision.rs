//! The precision in which feature maps are stored.

use std::fmt;
use std::str::FromStr;

use crate::engine::gpu::Gpu;
use crate::{Error, Result};

/// How feature maps and their gradients are stored, and the weights that Winograd transforms or matrix units
/// multiply. Everything else is float32 in both cases: sums, Gram matrices, losses, all other weights, and the
/// picture as the network reads it. (The picture that the optimiser moves is float64 with single precision, if the device has it.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// 16 bits: half the memory, and values rounded to 11 bits. The device needs `SHADER_F16`.
    Half,
}

impl Precision {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Single, Self::Half];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Half => "half",
        }
    }

    /// Refuses a precision that the device cannot store.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(self, gpu: &Gpu) -> Result<()> {
        if self == Self::Half && !gpu.has_half() {
            return Err(Error::Setting(format!(
                "{} cannot store half precision; leave it at single, or use another adapter",
                gpu.info().name
            )));
        }
        Ok(())
    }

    /// Bytes of a value.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Single => 4,
            Self::Half => 2,
        }
    }

    /// The bytes of `values`, padded to a multiple of four.
    pub(crate) fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::Single => bytemuck::cast_slice(values).to_vec(),
            Self::Half => {
                let halves = values.iter().map(|v| half::f16::from_f32(*v));
                let mut bytes: Vec<u8> = halves.flat_map(half::f16::to_ne_bytes).collect();
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes
            }
        }
    }

    /// The inverse of [`Self::encode`].
    pub(crate) fn decode(self, bytes: &[u8], len: usize) -> Vec<f32> {
        let mut values: Vec<f32> = match self {
            Self::Single => bytemuck::pod_collect_to_vec(bytes),
            Self::Half => {
                bytes.chunks_exact(2).map(|b| half::f16::from_ne_bytes([b[0], b[1]]).to_f32()).collect()
            }
        };
        values.truncate(len);
        values
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| Error::Setting(format!("{text:?} is no precision; write single or half")))
    }
}

impl TryFrom<String> for Precision {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Precision> for String {
    fn from(precision: Precision) -> Self {
        precision.to_string()
    }
}
