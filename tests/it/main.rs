//! All integration tests in one program, so that wgpu and the network's weights are linked once.
//!
//! `cargo test --release --test it` runs all of them, `cargo test --release --test it recipe` those of one
//! module, and `cargo test --release --test it recipe::gradients` a single one. The first module below whose
//! line fits is where a new test belongs. A test of something private stands next to the code in `src/`
//! instead.
//!
//! The tests run on several threads of one process. A test must therefore leave the process unchanged: no
//! variables of the environment, no current folder, no signals. Whatever needs those runs the binary in a
//! [`support::studio::Studio`], which is a process and a folder of its own. A test may not count on being
//! alone on the device or on the processor either, so none demands a speed.
//!
//! One thing does hold for the whole process: the allocator of [`malformed_files`] bounds the memory that all
//! tests have together. A test that asks for more ends the process.
//!
//! `tests/mutants/` is a program of its own. Its shaders are wrong on purpose and run without checks of
//! their bounds, so that one of them may bring the driver down; no other test should fall with it. It also
//! uses all processors by itself.

// Arithmetic: does the device compute what the formulas say?

/// Adam's steps over many iterations.
mod adam;
/// Picture to loss to gradient through whole networks, against float64.
mod chain;
/// Each op in each form, against float64. A new op needs no new test here, only its table of cases.
mod gradients;
/// L-BFGS on a quadratic and in runs.
mod lbfgs;
/// The forms for matrix units, where a driver has these.
mod matrix_units;
/// The neighbours that the finish finds, over iterations.
mod nearest;
/// The painterly recipe at one size, against the figures that PyTorch computed.
mod painterly;
/// Each op in each form at random sizes and values.
mod properties;
/// The book's recipe, against the figures that PyTorch computed.
mod recipe;
/// Shaders as text: valid, translatable to every backend, inside every device's limits.
mod shaders;

// Choices and figures: what the program decides and reports about itself.

/// `impasto bench` adds up.
mod bench;
/// `impasto estimate` says what the run then needs.
mod estimate;
/// The measured choice of forms, and its cache.
mod tuning;

// Runs: what comes out is the same however it is asked for, and whatever happens on the way.

/// The same bits, whatever is displayed and however work is submitted.
mod determinism;
/// A device, a disk or a clock that fails while a run goes on. The faults are injected, for which Linux is
/// needed.
#[cfg(target_os = "linux")]
mod faults;
/// A margin that is painted and taken off.
mod margin;
/// Processes that share the tiles of a picture.
mod ranks;
/// What belongs together in photograph and painting.
mod regions;
/// Checkpoints, and runs that go on from them.
mod resume;
mod rooms;
/// The run loop and what its observer can do.
mod run;
/// Their state in files.
mod scratch;
/// Runs of several sizes, and the painterly default.
mod stages;
/// Runs in tiles, which give what runs of whole pictures give.
mod tiling;
/// What such runs may consist of, and their memory.
mod tiling_parts;
/// Weights and rates that change on the way.
mod weights;

// The command line, in the order in which a user meets it.

/// Photographs by the folder.
mod batch;
/// Arguments, exit codes, interrupts, and what does not belong to a module below.
mod cli;
/// The page of a run: who is let in, and what people change there.
mod live;
/// Strength, presets, weights: the controls of a look.
mod look;
/// Layers, pooling, edge, and which network a file of weights holds.
mod network;
/// What goes into the files of results: formats, profiles, EXIF, settings.
mod pictures;
/// What a run shows besides its result: grids, reports, frames, previews.
mod reports;
/// Completions, manual pages, colours, variables of the environment.
mod shell;
/// Pictures through standard input and output.
#[cfg(unix)]
mod streams;

// Everything else.

/// The documentation against the program.
mod docs;
/// Damaged files of every kind that the program reads.
mod malformed_files;

mod support;
