use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A gate that is open where it should be closed.
    ("plain", "relu", "f32(x[i]) > 0.0", "f32(x[i]) > -0.5"),
    // What a case adds to is itself something else.
    ("plain", "case_gradient", "select(x[i],", "select(-x[i],"),
    // Writing beyond the end, forgetting the last value.
    ("plain", "relu", "y[i] = max", "y[i + 1u] = max"),
    ("plain", "relu", "if id.x >= params.row { return; }", "if id.x + 1u >= params.row { return; }"),
];
