use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // Vectors, columns and rows next to those that are meant, and a reflection that is none.
    ("plain", "principal", "let k = i * params.n + at;", "let k = i + params.n * at;"),
    ("plain", "principal", "first + 128u, first + 192u", "first + 192u, first + 192u"),
    ("plain", "principal", "min(first + 3u, last)", "min(first + 2u, last)"),
    ("plain", "principal", "length + abs(first)", "length - abs(first)"),
    ("plain", "principal", "q = j + 1u; q < params.m", "q = j + 2u; q < params.m"),
    ("plain", "principal", "p = 0u; p < j; p++", "p = 1u; p < j; p++"),
    ("plain", "principal", "var q = 0u; q < params.m; q++", "var q = 1u; q < params.m; q++"),
    ("plain", "principal", "let first = 4u * group.y;", "let first = 2u * group.y;"),
];
