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

use crate::testing::Table;

/// The tables of cases of all ops. A new op adds its line here. The gradient tests, the microbenchmark and
/// `impasto check` then run it; its mutants are listed in `tests/mutants.rs`.
pub(crate) fn tables() -> Vec<Table> {
    vec![
        affine::TABLE,
        relu::TABLE,
        conv3x3::TABLE,
        pool::TABLE,
        gram::TABLE,
        mse::TABLE,
        tv::TABLE,
        adam::TABLE,
    ]
}
