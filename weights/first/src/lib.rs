//! The first half of the network that ships with `impasto`: VGG-19 up to conv5_1, a safetensors file. The other half is
//! in `impasto-network-second`, because a crate of the registry may have 10 MiB. `LICENSE` tells where the network comes from.
#![no_std]

/// The bytes of this half.
pub const BYTES: &[u8] = include_bytes!("../network");
