use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // The wrong element of a pooling window; the dropped row gets a gradient.
    ("plain", "pool", "write(row, c, column + 1u, d.y)", "write(row, c, column + 1u, d.z)"),
    ("plain", "pool", "v.y >= max(v.z, v.w)", "v.y >= v.z"),
    ("average", "pool", "vec4f(0.5 * dy)", "vec4f(0.25 * dy)"),
    ("l2", "pool", "return 0.78 * norm(v)", "return 0.39 * norm(v)"),
    ("l2", "pool", "0.78 / norm(v) * dy * v", "vec4f(0.78 * norm(v) * dy)"),
    // Erasing what another op added to the gradient.
    ("plain", "pool", "if ACCUMULATE { d += f32(dx[i]); }", ""),
];
