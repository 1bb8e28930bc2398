//! The ops. Each is one page: formula and derivative, forward and backward recorded side by side, the float64
//! reference, and the cases that prove it.

pub mod adam;
pub mod affine;
pub mod conv3x3;
pub mod gram;
pub mod mse;
pub mod pool;
pub mod reduce;
pub mod relu;
pub mod tv;
pub(crate) mod winograd;

use crate::testing::Case;

/// The cases of every op. A new op adds its line here; tests, gradient checks and `impasto check` pick it up.
pub fn cases() -> Vec<Case> {
    [
        affine::cases(),
        relu::cases(),
        conv3x3::cases(),
        pool::cases(),
        gram::cases(),
        mse::cases(),
        tv::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
