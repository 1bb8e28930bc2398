use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A channel that is taken twice, a column or zeros that are forgotten, a pivot or a mean that is wrong.
    ("plain", "cholesky", "order[place] = order[k];", ""),
    ("plain", "cholesky", "j < line; j += n", "j + n < line; j += n"),
    ("plain", "cholesky", "params.epsilon, i[s] == pivot", "0.0, i[s] == pivot"),
    ("plain", "cholesky", "root[i * n + k] = 0.0;", ""),
    ("plain", "cholesky", " + mean[id.x] * mean[id.x]", " - mean[id.x] * mean[id.x]"),
];
