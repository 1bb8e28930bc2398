//! The mistakes, a page for each op. Each of its forms, and each shader, needs one.

mod adam;
mod affine;
mod average;
mod cholesky;
mod conv3x3;
mod gram;
mod lbfgs;
mod log;
mod mean_square;
mod mixture;
mod mse;
mod nearest;
mod owned;
mod pool;
mod relu;
mod tv;
mod tv9;
mod wasserstein;
mod widened;

/// Form, shader, original text, mistaken text.
pub type Mutant = (&'static str, &'static str, &'static str, &'static str);

/// The mistakes by op.
pub const MUTANTS: &[(&str, &[Mutant])] = &[
    ("adam", adam::MUTANTS),
    ("affine", affine::MUTANTS),
    ("average", average::MUTANTS),
    ("cholesky", cholesky::MUTANTS),
    ("conv3x3", conv3x3::MUTANTS),
    ("gram", gram::MUTANTS),
    ("lbfgs", lbfgs::MUTANTS),
    ("log", log::MUTANTS),
    ("mean_square", mean_square::MUTANTS),
    ("mixture", mixture::MUTANTS),
    ("mse", mse::MUTANTS),
    ("nearest", nearest::MUTANTS),
    ("owned", owned::MUTANTS),
    ("pool", pool::MUTANTS),
    ("relu", relu::MUTANTS),
    ("tv", tv::MUTANTS),
    ("tv9", tv9::MUTANTS),
    ("wasserstein", wasserstein::MUTANTS),
    ("widened", widened::MUTANTS),
];
