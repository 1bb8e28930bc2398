use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A factor that is missing in the gradient.
    ("plain", "affine", "scale[channel] * dy[i]", "dy[i]"),
];
