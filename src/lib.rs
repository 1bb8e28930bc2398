//! Neural style transfer by optimising the picture itself, in hand-written compute shaders.
//!
//! A [`Session`] repaints one picture: it is built from a device ([`Gpu`]), a network ([`Vgg`]), pictures
//! ([`Picture`]) and [`Settings`], whose default is the painterly recipe, and then run, watched and steered
//! by an [`Observer`]. The library never prints and never reads the environment.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use impasto::{Gpu, Losses, Picture, SaveOptions, Session, Settings, Size, Vgg};
//!
//! fn main() -> impasto::Result<()> {
//!     let mut settings = Settings::default();
//!     settings.first_iterations.clear();
//!     settings.iterations = 300; // at each size
//!
//!     let gpu = Gpu::new(None)?;
//!     let vgg = Vgg::builtin(&gpu, &settings)?;
//!
//!     let photo = Picture::open(Path::new("photo.jpg"))?.resized(Size::Longest(512), false);
//!     let painting = Picture::open(Path::new("painting.jpg"))?.resized(Size::Longest(512), true);
//!     let mut session = Session::builder(&gpu, &vgg)
//!         .content(&photo)
//!         .style(&painting, 1.0)
//!         .settings(settings)
//!         .build()?;
//!     session.run(&mut |losses: &Losses| println!("{:4}  {:.3}", losses.iteration, losses.total))?;
//!     session.picture()?.save(Path::new("result.png"), &SaveOptions::default())
//! }
//! ```
//!
//! # What is where
//! Applications need what stands here, [`painting`] (settings, runs, and what is kept of them), [`picture`]
//! (files and pixels) and [`measuring::estimate`]. These follow Semantic Versioning.
//!
//! The feature `unstable`, which the command line switches on, shows the rest, for those who add ops or
//! measure them. It may change in any version:
//! - An op is one page in [`ops`] and its shaders: formula, derivative, both directions recorded side by side, float64
//!   reference, test cases ([`cases`]).
//! - Ops are recorded on a [`Tape`](engine::tape::Tape), which becomes a [`Plan`](engine::plan::Plan): a flat list of
//!   dispatches over buffers shared by lifetime, replayed without allocation.
//! - The WGSL file is the only declaration of a kernel; [`kernel`](mod@engine::kernel) reads bindings and parameters from it,
//!   and a name that does not fit is an error when the op is recorded.
//! - [`network::tuning`] is the one place that chooses between variants of an op.
#![deny(missing_docs)]
// What measuring and proving need is next to what they measure and prove, and nothing else calls it.
#![cfg_attr(not(all(feature = "native", feature = "unstable")), allow(dead_code, unused_imports))]
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

mod architecture;
mod disk;
mod error;
#[cfg(feature = "native")]
pub mod measuring;
pub mod painting;
pub mod picture;

#[cfg(not(feature = "unstable"))]
mod cases;
#[cfg(feature = "unstable")]
pub mod cases;
#[cfg(not(feature = "unstable"))]
mod engine;
#[cfg(feature = "unstable")]
pub mod engine;
#[cfg(not(feature = "unstable"))]
mod network;
#[cfg(feature = "unstable")]
pub mod network;
#[cfg(not(feature = "unstable"))]
mod ops;
#[cfg(feature = "unstable")]
pub mod ops;

pub use architecture::{Block, Edge, LayerSpec, Network, NetworkOptions, Pooling, Tap};
pub use disk::Store;
#[cfg(feature = "native")]
pub use disk::{abandon_files, check_replaceable, replace_file, same_file};
#[cfg(feature = "native")]
pub use engine::gpu::Adapter;
pub use engine::gpu::Gpu;
pub use engine::precision::Precision;
pub use error::{Error, Result};
pub use network::tuning::Tuning;
#[cfg(feature = "native")]
pub use network::tuning::When;
pub use network::vgg::Vgg;
pub use network::weights::{ConvWeights, Weights};
pub use painting::checkpoint::Checkpoint;
pub use painting::preset::Preset;
pub use painting::run::{Ending, Observer, Run};
pub use painting::session::{Losses, Session};
pub use painting::settings::Settings;
pub use painting::style::Style;
pub use picture::{Format, Picture, SaveOptions, Size};
/// The release of wgpu whose types [`Gpu::from_device`] takes.
pub use wgpu;
