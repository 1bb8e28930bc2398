use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A log that does not start again when it is full.
    ("plain", "log", "count % params.history", "count"),
];
