use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // Neighbours: the last of equals or none, another block's feature, a lane or a quad too few, an end that
    // is one too early.
    ("naive", "nearest_search", "if sum > best", "if sum < best"),
    ("naive", "nearest_search", "params.blocks) * 32u;", "params.blocks) * 32u - 1u;"),
    ("naive", "nearest_search", "q < params.quads * 32u", "q + 32u < params.quads * 32u"),
    ("tiled", "nearest_search_tiled", "far[3] += right[j + 7u", "far[3] += right[j + 6u"),
    ("tiled", "nearest_search_tiled", "best = larger(best, far[3], ", "best = larger(best, far[2], "),
    ("tiled", "nearest_search_tiled", "select(q + STEP, 0u, last)", "0u"),
    ("tiled", "nearest_search_tiled", "select(feature, feature + FEATURES, last)", "feature"),
    ("tiled", "nearest_search_tiled", "lane < LANES; lane++", "lane + 1u < LANES; lane++"),
    ("subgroup", "nearest_search_subgroup", "lane + 3u", "lane + 2u"),
    ("subgroup", "nearest_search_subgroup", "let start = group.y * params.apart;", "let start = 0u;"),
    ("subgroup", "nearest_search_subgroup", "vec4u(feature)", "vec4u(feature + 1u)"),
    ("subgroup", "nearest_search_subgroup", "sum[3], first + 3u)", "sum[3], first + 2u)"),
    ("subgroup", "nearest_search_subgroup", "sum7, first + 28u", "sum7, first + 24u"),
    ("subgroup", "nearest_search_subgroup", "rows(sum5, v1, b2, 4u)", "rows(sum5, v1, b2, 0u)"),
    // The mean of all but a row, its origin left out; a lattice that stands still or has the wrong sites. In
    // a window: whose sites are. Where the lattice of a large map begins in a window is tested by whole
    // tiles, in `tests/it/tiling.rs`.
    ("naive", "nearest", "(tile[1] >> k)", "(tile[1] >> (k + 1u))"),
    ("naive", "nearest", "row < params.height; row++", "row + 1u < params.height; row++"),
    ("naive", "nearest", "return f32(first[c * params.w])", "return 0.9 * f32(first[c * params.w])"),
    ("naive", "nearest", "at(slot, quad)] = v;", "at(slot, quad)] = v.xyzx;"),
    ("naive", "nearest", "k % count * params.leap % count", "k % count"),
    ("naive", "nearest", "at % params.columns_apart);", "0u);"),
    ("naive", "nearest", "params.whole_height - begin.x + params.rows_apart - 1u", "params.whole_height"),
    ("naive", "nearest", "p.x < params.top + params.h &&", "p.x + 1u < params.top + params.h &&"),
    ("naive", "nearest", "select(0.0, params.scale", "select(params.scale, params.scale"),
    // Another chunk's neighbour, the gradient of another angle, of another site, of another length.
    ("naive", "nearest", "nearest = candidates[chunk *", "nearest = candidates[0u *"),
    ("naive", "nearest", "vec2f(best * r, r)", "vec2f(best, r)"),
    ("naive", "nearest", "cosine * r * u[", "r * u["),
    ("naive", "nearest", "place.x * params.across + place.y", "place.y * params.across + place.x"),
    ("naive", "nearest", "all(p % apart == begin)", "any(p % apart == begin)"),
    ("naive", "nearest", "select(1.0 / sqrt(length), 0.0,", "select(1.0 / length, 0.0,"),
    ("naive", "nearest", "if ACCUMULATE { d[k] += f32(dx[i]); }", ""),
];
