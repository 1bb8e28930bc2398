use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // A sign in the matrix that is handed on transposed.
    ("naive", "principal", "transposed[k * n + i] = value", "transposed[k * n + i] = -value"),
    // Half of the mean.
    ("cooperative", "gram_cooperative", "params.w]) - means[n]", "params.w]) - 0.5 * means[n]"),
    // Weights that do not count or are of another row, the mean of another channel.
    ("tiled", "masked", "f32(x[i]) - mean[id.x / params.w]", "f32(x[i]) - mean[id.x % params.w]"),
    ("subgroup", "masked", "params.scale * m * (mean", "params.scale * (mean"),
    ("naive", "masked", "mean[c] - target_mean[c]", "target_mean[c] - mean[c]"),
    ("naive", "moments", "sum += mask[m + k] * f32(", "sum += mask[m] * f32("),
    ("naive", "moments", "(params.top + row) * params.w", "row * params.w"),
    // A mean that is not one, or of another channel; zeros beyond the end that are not; a constant of another
    // channel.
    ("naive", "moments", "params.scale * sum", "sum"),
    ("naive", "moments", "k < params.w", "k + 1u < params.w"),
    ("naive", "gram", "f32(x[a + k]) - means.x", "2.0 * f32(x[a + k]) - means.x"),
    ("naive", "gram", "gradient(id, bias[", "gradient(id, -bias["),
    ("tiled", "gram_tiled", "select(0.0, mean, row", "select(mean, mean, row"),
    ("tiled", "gram_tiled", "bias_of(c + 5u), bias_of(c + 6u)", "bias_of(c + 6u), bias_of(c + 5u)"),
    ("subgroup", "gram_subgroup", "values(line + column) - mean", "values(line + column) + mean"),
    ("subgroup", "gram_subgroup", "started(start.y, 4u)", "started(start.y, 0u)"),
    // A matrix that is not transposed, a tile without its mirror image, a lane or a row too few, rows in another
    // order.
    ("naive", "product", "other[column * n + row]", "other[row * n + column]"),
    ("naive", "product", "k = 0u; k < n", "k = 1u; k < n"),
    ("tiled", "product_tiled", "SYMMETRIC { y[mirror] = d; }", "SYMMETRIC { y[mirror] = -d; }"),
    ("tiled", "product_tiled", "columns[at + half / 4u] = right1", "columns[at + half / 4u] = right0"),
    ("subgroup", "product_subgroup", "subgroupShuffle(w, lane + 2u)", "subgroupShuffle(w, lane + 1u)"),
    ("subgroup", "product_subgroup", "four_right(j + 32u)", "four_right(j)"),
    ("subgroup", "product_subgroup", "mirrored[1].zw", "d[1].zw"),
    ("subgroup", "product_subgroup", "y[there + 1u] = mirrored[1]", "y[there + 1u] = d[1]"),
    (
        "subgroup",
        "product_subgroup",
        "(params.n * 8u) * 32u + i % 32u",
        "(params.n * 8u) * 32u + (i + 1u) % 32u",
    ),
    // Not the norm; a diagonal without what is added to it; an identity that is forgotten; a sign; a mean
    // that counts once.
    ("naive", "wasserstein", " + params.epsilon * diagonal", ""),
    ("naive", "wasserstein", "0.5 * (diagonal - t)", "0.5 * (0.0 - t)"),
    ("subgroup", "wasserstein", "* 32u + row % 32u) * 4u", "* 32u + (row + 1u) % 32u) * 4u"),
    ("naive", "wasserstein", "traces[group.y] = moved.y", "traces[group.y] = 2.0 * moved.y"),
    ("naive", "wasserstein", "moved.x - target_mean[own]", "moved.x + target_mean[own]"),
    ("naive", "wasserstein", "d * d / params.energy", "d / params.energy"),
];
