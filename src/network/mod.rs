//! VGG on a device: its weights, its recording onto a tape, the variants of ops that suit the device.

pub mod tuning;
pub mod vgg;
pub mod weights;
