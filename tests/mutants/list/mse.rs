use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A sign, a factor, a sum that misses a value.
    ("plain", "mse", "f32(x[i]) - reference[i];\n        sum", "f32(x[i]) + reference[i];\n        sum"),
    ("plain", "mse", "params.slope *", "2.0 * params.slope *"),
    ("plain", "reduce", "span > 0u", "span > 1u"),
];
