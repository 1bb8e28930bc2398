use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // The halo of a band, mistaken for the band.
    ("f64", "tv9", "params.top + id.y", "id.y"),
    ("f32", "tv9", "params.top + k / row", "k / row"),
    // The frame around the picture, left out in the loss or in its gradient.
    ("f32", "tv9", "if p.y == 0 { diagonal", "if false { diagonal"),
    ("f32", "tv9", "if any(nearest(copy) != p)", "if n != 4"),
    ("f64", "tv9", "if all(abs(q - nearest(q)) < vec2i(2))", "if true"),
    // A sign, a factor.
    ("f32", "tv9", "straight += here - value(p - vec2i(0", "straight -= here - value(p - vec2i(0"),
    ("f64", "tv9", "var d = 2.0 *", "var d ="),
];
