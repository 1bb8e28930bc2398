use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // The decay, the moments and their corrections, the clamp, the settling of the steps.
    ("f32", "adam", "t % u32(params.decay_every) == 0u", "t % u32(params.decay_every) == 1u"),
    ("f32", "adam", "state.correction2 += (1 - BETA2)", "state.correction2 += (1 - BETA1)"),
    ("f64", "adam", "(1 - BETA2) * g * g", "(1 - BETA2) * g"),
    ("f64", "adam", "if CLAMP { next = clamp", "if false { next = clamp"),
    ("f32", "adam", "real(0.1 + 0.45 *", "real(0.1 + 0.4 *"),
    ("f64", "adam", "behind / params.settle_over, 1.0)", "behind / params.settle_over, 2.0)"),
];
