use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A painting that counts too much, a mean that does not move.
    ("plain", "mixture", "(1.0 - params.share) * between", "between"),
    ("plain", "mixture", "params.share * (own[i] - before[i])", "own[i]"),
];
