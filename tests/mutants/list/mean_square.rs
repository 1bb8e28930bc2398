use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A factor.
    ("plain", "mse", "let d = f32(x[i]);", "let d = 1.1 * f32(x[i]);"),
];
