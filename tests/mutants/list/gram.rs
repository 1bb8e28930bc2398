use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // One side of a symmetric gradient only, a neighbouring channel.
    ("naive", "gram", " + dg[d * c + own]", " + dg[own * c + d] * 0.5"),
    ("subgroup", "gram_subgroup", "lane + 1u", "lane"),
    ("subgroup", "gram_subgroup", "vec4f(a.zw, b.xy)", "vec4f(a.zw, a.xy)"),
    ("subgroup", "gram_subgroup", "select(vec4f(), v, ", "select(v, v, "),
    ("tiled", "gram_tiled", "2u * local.y + 1u]", "2u * local.y]"),
    ("tiled", "gram_tiled", "j * params.c + i] = d", "j * params.c + i] = 2.0 * d"),
    // A side that is not transposed, half of the pixels, no mirror image, one that is transposed twice.
    ("cooperative", "gram_cooperative", "= coopLoad<Right>", "= coopLoadT<Right>"),
    ("cooperative", "gram_cooperative", "= coopLoadT<Left>", "= coopLoad<Left>"),
    ("cooperative", "gram_cooperative", "select(0u, STEP, works)", "select(0u, STEP / 2u, works)"),
    ("cooperative", "gram_cooperative", "select(0u, 1u, a != b)", "0u"),
    (
        "cooperative",
        "gram_cooperative",
        "coopStore(sum, &partial[mirror]",
        "coopStoreT(sum, &partial[mirror]",
    ),
    ("naive", "gram_sum", "share = 0u", "share = 1u"),
    // Weights that count twice or not at all, of another row; a gradient that is erased.
    ("naive", "masked", "sqrt(weight(id)) * f32(x[i])", "weight(id) * f32(x[i])"),
    ("tiled", "masked", "sqrt(weight(id)) * dy[i]", "weight(id) * dy[i]"),
    ("subgroup", "masked", "(params.top + id.y) * params.w", "id.y * params.w"),
    ("naive", "masked", "if ACCUMULATE { d += f32(dx[i]); }", ""),
    ("naive", "masked", "id.x % params.w", "id.x / params.w"),
];
