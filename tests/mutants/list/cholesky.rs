use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A channel that is taken twice, a column that is forgotten, a pivot or a mean that is wrong.
    ("plain", "cholesky", "order[place] = order[k];", ""),
    ("plain", "cholesky", "j < line; j += n", "j + n < line; j += n"),
    ("plain", "cholesky", "params.epsilon, t == k", "0.0, t == k"),
    ("plain", "cholesky", " + mean[id.x] * mean[id.x]", " - mean[id.x] * mean[id.x]"),
];
