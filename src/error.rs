//! Everything that can go wrong, in sentences a user can act on.

use std::path::{Path, PathBuf};

/// Result of the library's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, why, and what to try. Each text is one sentence without a full stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A picture could not be read or cannot be used.
    #[error("cannot use picture {}: {why}", .path.display())]
    Picture {
        /// The file as the caller named it.
        path: PathBuf,
        /// Reason and remedy.
        why: String,
    },
    /// A network could not be read or does not fit its table of layers.
    #[error("cannot use weights {name}: {why}")]
    Weights {
        /// The file as the caller named it, or `built-in`.
        name: String,
        /// Reason and remedy.
        why: String,
    },
    /// A file could not be written; whatever was there before is untouched.
    #[error("cannot write {}: {why}", .path.display())]
    Write {
        /// The target, not the temporary file beside it.
        path: PathBuf,
        /// Reason and remedy.
        why: String,
    },
    /// A checkpoint could not be read, or this run cannot continue from it.
    #[error("cannot resume from {name}: {why}")]
    Checkpoint {
        /// The file as the caller named it.
        name: String,
        /// Reason and remedy.
        why: String,
    },
    /// A setting or a combination of settings makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The optimisation has left the range of finite numbers.
    #[error("{0}")]
    NotFinite(String),
    /// No usable graphics adapter.
    #[error("{0}")]
    Adapter(String),
    /// The work does not fit the adapter.
    #[error("{0}")]
    TooLarge(String),
    /// The adapter stopped working or ran out of memory during the run.
    #[error("{0}")]
    Device(String),
    /// A shader and its caller disagree. This is a defect of the program, never of its input.
    #[error("internal error in shader {shader}: {why}")]
    Shader {
        /// The kernel, op or file in question.
        shader: String,
        /// The mismatch.
        why: String,
    },
}

impl Error {
    /// The [`Error::Adapter`] of a machine without an adapter.
    pub fn no_adapter() -> Self {
        Self::Adapter(
            "no graphics adapter found: install a Vulkan driver (on Debian or Ubuntu `apt install \
             mesa-vulkan-drivers libvulkan1`, which also brings a software driver for machines without a GPU)"
                .into(),
        )
    }

    /// The [`Error::Device`] for a lost device; `text` is what its driver says.
    pub(crate) fn lost_device(text: &str) -> Self {
        if text.to_lowercase().contains("out of memory") {
            return Self::full_device();
        }
        Self::Device(format!(
            "the graphics device was lost ({}); try again, try a smaller --size, or update the driver",
            text.trim()
        ))
    }

    /// The [`Error::Device`] for a device whose memory is full.
    pub(crate) fn full_device() -> Self {
        Self::Device(
            "the graphics device is out of memory; try a smaller --size, or close other programs".into(),
        )
    }

    /// A [`Error::Picture`] about `path`.
    pub fn picture(path: &Path, why: impl Into<String>) -> Self {
        Self::Picture { path: path.to_owned(), why: why.into() }
    }

    /// A [`Error::Weights`] about `name`.
    pub fn weights(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Weights { name: name.into(), why: why.into() }
    }

    /// A [`Error::Write`] about `path`.
    pub fn write(path: &Path, why: impl Into<String>) -> Self {
        Self::Write { path: path.to_owned(), why: why.into() }
    }

    /// A [`Error::Checkpoint`] about `name`.
    pub fn checkpoint(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Checkpoint { name: name.into(), why: why.into() }
    }

    /// A [`Error::Shader`] about the kernel, op or file `shader`.
    pub fn shader(shader: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Shader { shader: shader.into(), why: why.into() }
    }
}
