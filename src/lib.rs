//! Neural style transfer by optimising the picture itself, in hand-written compute shaders.
//!
//! A [`session::Session`] repaints one picture: it is built from a device ([`gpu::Gpu`]), a network ([`vgg::Vgg`]),
//! pictures ([`picture::Picture`]) and [`settings::Settings`], whose default is the recipe of "Dive into Deep Learning",
//! and then stepped by whoever owns the loop. The library never prints and never reads the environment.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use impasto::gpu::Gpu;
//! use impasto::picture::{Picture, SaveOptions, Size};
//! use impasto::session::Session;
//! use impasto::settings::Settings;
//! use impasto::tune::Tuning;
//! use impasto::vgg::{Network, Vgg};
//! use impasto::weights::Weights;
//!
//! fn main() -> impasto::Result<()> {
//!     let mut settings = Settings::default();
//!     settings.iterations = 300;
//!
//!     let gpu = Gpu::new(None)?;
//!     let network = Network::vgg19();
//!     let weights = Weights::embedded(&network.specs(&settings.taps())?)?;
//!     let vgg = Vgg::new(&gpu, network, &weights, &Tuning::default())?;
//!
//!     let photo = Picture::open(Path::new("photo.jpg"))?.resized(Size::Longest(512), false);
//!     let painting = Picture::open(Path::new("painting.jpg"))?.resized(Size::Longest(512), true);
//!     let mut session = Session::builder(&gpu, &vgg)
//!         .content(&photo)
//!         .style(&painting, 1.0)
//!         .settings(settings)
//!         .build()?;
//!     while let Some(losses) = session.step()? {
//!         println!("{:4}  {:.3}", losses.iteration, losses.total);
//!     }
//!     session.picture()?.save(Path::new("result.png"), &SaveOptions::default())
//! }
//! ```
//!
//! # How it is built
//! - An op is one page in [`ops`] and its shaders: formula, derivative, both directions recorded side by side, float64
//!   reference, test cases ([`testing`]).
//! - Ops are recorded on a [`tape::Tape`], which becomes a [`plan::Plan`]: a flat list of dispatches over buffers shared
//!   by lifetime, replayed without allocation.
//! - The WGSL file is the only declaration of a kernel; [`mod@kernel`] reads bindings and parameters from it, and a name that
//!   does not fit is an error when the op is recorded.
//! - [`tune`] is the one place that chooses between variants of an op.
#![deny(missing_docs)]

pub mod architecture;
pub mod bench;
mod digest;
pub mod error;
pub mod estimate;
pub mod fit;
pub mod gpu;
pub mod kernel;
mod memory;
pub mod ops;
pub mod picture;
mod place;
pub mod plan;
pub mod precision;
pub mod preset;
pub mod real;
mod recipe;
pub mod record;
pub mod session;
pub mod settings;
pub mod shape;
pub mod snapshot;
pub mod style;
pub mod tape;
pub mod testing;
pub mod tune;
pub mod vgg;
pub mod weights;

pub use error::{Error, Result};
/// The release of wgpu whose types [`gpu::Gpu::from_device`] takes.
pub use wgpu;
