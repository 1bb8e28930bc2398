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
pub mod wasserstein;

use crate::testing::Table;

/// The tables of cases of every op. A new op adds its line here; tests, gradient checks, the microbenchmark and
/// `impasto check` pick it up.
pub(crate) fn tables() -> Vec<Table> {
    vec![
        affine::TABLE,
        relu::TABLE,
        conv3x3::TABLE,
        pool::TABLE,
        gram::TABLE,
        mse::TABLE,
        tv::TABLE,
        wasserstein::TABLE,
        adam::TABLE,
    ]
}
