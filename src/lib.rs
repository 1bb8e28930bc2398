//! Neural style transfer by optimising the picture itself, in hand-written compute shaders.
//!
//! A [`Session`] repaints one picture: it is built from a device ([`Gpu`]), a network ([`Vgg`]),
//! pictures ([`Picture`]) and [`Settings`], whose default is the painterly recipe,
//! and then run, watched and steered by an [`Observer`]. The library never prints and never reads the environment.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use impasto::picture::{SaveOptions, Size};
//! use impasto::{Gpu, Losses, Network, Picture, Session, Settings, Tuning, Vgg, Weights};
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
//!     session.run(&mut |losses: &Losses| println!("{:4}  {:.3}", losses.iteration, losses.total))?;
//!     session.picture()?.save(Path::new("result.png"), &SaveOptions::default())
//! }
//! ```
//!
//! # How it is built
//! - An op is one page in [`ops`] and its shaders: formula, derivative, both directions recorded side by side, float64
//!   reference, test cases ([`cases`]).
//! - Ops are recorded on a [`Tape`](engine::tape::Tape), which becomes a [`Plan`](engine::plan::Plan): a flat list of dispatches over buffers shared
//!   by lifetime, replayed without allocation.
//! - The WGSL file is the only declaration of a kernel; [`kernel`](mod@engine::kernel) reads bindings and parameters from it, and a name that
//!   does not fit is an error when the op is recorded.
//! - [`network::tuning`] is the one place that chooses between variants of an op.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

mod architecture;
pub mod cases;
mod disk;
pub mod engine;
mod error;
pub mod measuring;
pub mod network;
pub mod ops;
pub mod painting;
pub mod picture;

pub use architecture::{Block, Edge, LayerSpec, Network, NetworkOptions, Pooling, Tap};
pub use disk::{abandon_files, check_replaceable, replace_file, same_file};
pub use engine::gpu::Gpu;
pub use error::{Error, Result};
pub use network::tuning::Tuning;
pub use network::vgg::Vgg;
pub use network::weights::Weights;
pub use painting::run::{Ending, Observer, Run};
pub use painting::session::{Losses, Session};
pub use painting::settings::Settings;
pub use painting::style::Style;
pub use picture::Picture;
/// The release of wgpu whose types [`Gpu::from_device`] takes.
pub use wgpu;
