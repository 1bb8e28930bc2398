//! The ops. Each is one page: formula and derivative, forward and backward recorded side by side, the float64
//! reference, and the cases that prove it.

pub mod adam;
pub mod affine;
pub mod average;
pub mod cholesky;
pub mod conv3x3;
pub mod gram;
pub mod lbfgs;
pub mod log;
pub mod masked;
pub mod mixture;
pub mod mse;
pub mod nearest;
pub mod owned;
pub mod pool;
pub mod products;
pub mod reduce;
pub mod relu;
pub mod tv;
pub mod wasserstein;
pub mod widened;

use crate::cases::{Case, Table};

/// The tables of cases of every op. A new op adds its line here; tests, gradient checks, the microbenchmark
/// and `impasto check` pick it up.
pub fn tables() -> Vec<Table> {
    vec![
        affine::TABLE,
        relu::TABLE,
        conv3x3::TABLE,
        pool::TABLE,
        gram::TABLE,
        mse::TABLE,
        mse::SQUARES,
        widened::TABLE,
        owned::TABLE,
        nearest::TABLE,
        mixture::TABLE,
        cholesky::TABLE,
        tv::TABLE,
        tv::NINE_POINT_TABLE,
        wasserstein::TABLE,
        adam::TABLE,
        average::TABLE,
        lbfgs::TABLE,
        log::TABLE,
    ]
}

/// The cases of all ops, op by op.
pub fn cases() -> Vec<Case> {
    tables().iter().flat_map(Table::cases).collect()
}

#[cfg(test)]
mod tests {
    use super::cases;
    use crate::engine::placement::GUARD;

    /// A write that is one row too far must hit a guard. (These two ops count in values.)
    #[test]
    fn no_row_leaps_over_a_guard() {
        for case in cases().iter().filter(|case| !["mse", "mean_square"].contains(&case.op)) {
            let values = case.size.c_in.max(case.size.c_out) * case.size.width;
            assert!(4 * (values as u64) < GUARD, "{} {}: {values} values", case.op, case.name);
        }
    }
}
