use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A factor that is missing.
    ("f32", "average", "(1 - KEEP) * x[i]", "x[i]"),
    ("f64", "average", "KEEP * sum[i]", "sum[i]"),
];
