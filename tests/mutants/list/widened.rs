use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A sign.
    ("plain", "widened", "y[i] = f32(x[i]);", "y[i] = -f32(x[i]);"),
];
