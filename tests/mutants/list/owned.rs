use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // What belongs to a tile: its edges, its sites at a lower resolution, the reference of each channel.
    ("plain", "owned", "row < (own[1] >> k)", "row <= (own[1] >> k)"),
    ("plain", "owned", "column >= (own[2] >> k)", "column > (own[2] >> k)"),
    ("plain", "owned", "let k = params.halvings;", "let k = params.halvings + 1u;"),
    ("plain", "owned", "shift[id.x / params.w]", "shift[id.x % params.c]"),
];
