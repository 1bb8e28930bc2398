//! Tests of the tests: shaders with deliberate mistakes, each of which some case must notice.
//!
//! They are a program of their own. Shaders run without checks of their bounds, so that a wrong one may bring the driver
//! down, and no other test with it. They also use all processors by themselves.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use impasto::cases::{Candidate, Case, Size, Truth};
use impasto::engine::gpu::Gpu;
use impasto::ops::{cases, tables};

/// Op, form, shader, original text, mistaken text.
type Mutant = (&'static str, &'static str, &'static str, &'static str, &'static str);

const MUTANTS: &[Mutant] = &[
    // In each form of the convolution: a sign.
    ("conv3x3", "naive", "conv3x3", "params.c_out + c] * f32(dy[i])", "params.c_out + c] * -f32(dy[i])"),
    ("conv3x3", "tiled", "conv3x3_tiled", "return f32(dy[(r *", "return -f32(dy[(r *"),
    ("conv3x3", "few", "conv3x3_few", "return f32(dy[", "return -f32(dy["),
    ("conv3x3", "tiled_large", "conv3x3_tiled", "more_both += outer", "more_both -= outer"),
    ("conv3x3", "first", "conv3x3_first", "sum[1] + z[3] * a", "sum[1] - z[3] * a"),
    ("conv3x3", "winograd", "winograd_output", "let s = m[3] - m[4]", "let s = m[3] + m[4]"),
    ("conv3x3", "uniform", "conv3x3_uniform", "far2 += f * w2", "far2 -= f * w2"),
    ("conv3x3", "shifted", "shifted_gemm", "pixels[2] + b)", "pixels[2] - b)"),
    // A missing tap, frequency or channel.
    ("conv3x3", "naive", "conv3x3", "tap < 9u", "tap < 8u"),
    ("conv3x3", "tiled", "conv3x3_tiled", "tap < 9u", "tap < 8u"),
    ("conv3x3", "few", "conv3x3_few", " + dot(weights[w + 6u], v6)", ""),
    ("conv3x3", "first", "conv3x3_first", " + z[0] * c,", ","),
    ("conv3x3", "winograd", "winograd_output", "B * B * B * s + m[5]", "B * B * B * s"),
    ("conv3x3", "shifted", "shifted_gemm", "n < quads / 2u * 9u", "n < quads / 2u * 9u - 1u"),
    ("conv3x3", "winograd", "winograd_gemm", "o < params.c_out; o += 8u", "o + 8u < params.c_out; o += 8u"),
    (
        "conv3x3",
        "winograd_tiled",
        "winograd_gemm_tiled",
        "o < params.c_out; o += STEP",
        "o + STEP < params.c_out; o += STEP",
    ),
    ("conv3x3", "uniform", "conv3x3_uniform", "o < 32u; o++", "o < 31u; o++"),
    ("conv3x3", "uniform", "conv3x3_uniform", "if params.begins == 0u { d += sums[at]; }", ""),
    // Transposed weights, taps that are not mirrored.
    (
        "conv3x3",
        "naive",
        "conv3x3",
        "((8u - tap) * params.c_in + own) * params.c_out + c",
        "((8u - tap) * params.c_out + c) * params.c_in + own",
    ),
    ("conv3x3", "naive", "conv3x3", "8u - tap", "tap"),
    (
        "conv3x3",
        "tiled",
        "conv3x3_tiled",
        "((8u - tap) * params.c_in + i) * params.c_out + o",
        "((8u - tap) * params.c_out + o) * params.c_in + i",
    ),
    ("conv3x3", "tiled", "conv3x3_tiled", "(8u - tap)", "(tap)"),
    ("conv3x3", "few", "conv3x3_few", "d[8] * vec3f(w0.x", "d[0] * vec3f(w0.x"),
    ("conv3x3", "few", "conv3x3_few", "vec3f(w1.x, w3.y, w5.z)", "vec3f(w1.x, w5.z, w3.y)"),
    (
        "conv3x3",
        "winograd_tiled",
        "winograd_gemm_tiled",
        "return transpose(mat4x4f(weights[i],",
        "return (mat4x4f(weights[i],",
    ),
    ("conv3x3", "winograd_tiled", "winograd_gemm_tiled", "quad * STEP + 4u * row", "quad * STEP"),
    ("conv3x3", "first", "conv3x3_first", "spread(green, z, w, 9u)", "spread(green, z, w, 18u)"),
    (
        "conv3x3",
        "first",
        "conv3x3_first",
        "var z = mat3x4f(d[2], d[3], d[4], d[5], d[1], d[2], d[3], d[4], d[0], d[1], d[2], d[3])",
        "var z = mat3x4f(d[0], d[1], d[2], d[3], d[1], d[2], d[3], d[4], d[2], d[3], d[4], d[5])",
    ),
    ("conv3x3", "winograd", "winograd_gemm", "columns(sum2, v0, a2, 0u)", "rows(sum2, v0, a2, 0u)"),
    ("conv3x3", "winograd", "winograd_gemm", "m[i + 8u * k]", "m[i + 4u * k]"),
    ("conv3x3", "winograd", "winograd_output", "p.x - r", "p.x - (3u - r)"),
    ("conv3x3", "uniform", "conv3x3_uniform", "8u - 3u * r - t", "3u * r + t"),
    (
        "conv3x3",
        "uniform",
        "conv3x3_uniform",
        "(tap * 8u + quad) * 32u + o",
        "(tap * 8u + quad) * 32u + o / 2u",
    ),
    ("conv3x3", "shifted", "shifted_gemm", "8u - tap(n)", "tap(n)"),
    ("conv3x3", "shifted", "shifted_gemm", "columns(sum2, v0, a2, 0u)", "rows(sum2, v0, a2, 0u)"),
    // A filter at the wrong point, a byte of another weight.
    ("conv3x3", "winograd", "winograd_weights", "over(A * w[1]", "over(B * w[1]"),
    ("conv3x3", "winograd", "winograd_weights", "(b >> skipped) |", "(a >> skipped) |"),
    // A halo that is off by one, in bands and at the edge.
    ("conv3x3", "naive", "conv3x3", "k < i32(params.w)", "k <= i32(params.w)"),
    ("conv3x3", "naive", "conv3x3", "row + params.top", "row"),
    (
        "conv3x3",
        "tiled",
        "conv3x3_tiled",
        "column >= params.w { return 0.0; }\n    return f32(x",
        "column > params.w { return 0.0; }\n    return f32(x",
    ),
    (
        "conv3x3",
        "tiled",
        "conv3x3_tiled",
        "let r = row + params.top;\n    if REPLICATE",
        "let r = row;\n    if REPLICATE",
    ),
    ("conv3x3", "tiled_small", "conv3x3_tiled", "index < STEP * WINDOWS", "index + 1u < STEP * WINDOWS"),
    ("conv3x3", "few", "conv3x3_few", "k >= params.w { return 0.0", "k > params.w { return 0.0"),
    ("conv3x3", "few", "conv3x3_few", "row + params.top + tap", "row + tap"),
    ("conv3x3", "first", "conv3x3_first", "column < params.w;", "column <= params.w;"),
    ("conv3x3", "first", "conv3x3_first", "row + params.top - 1u", "row - 1u"),
    ("conv3x3", "winograd", "winograd_input", "row < params.h_in", "row + 1u < params.h_in"),
    (
        "conv3x3",
        "winograd",
        "winograd_input",
        "params.top, 0u) - 1u;\n        for (var r = 0u; r < 6u",
        "params.top, 0u);\n        for (var r = 0u; r < 6u",
    ),
    ("conv3x3", "uniform", "conv3x3_uniform", "column < params.w;", "column <= params.w;"),
    ("conv3x3", "uniform", "conv3x3_uniform", "params.top + r - 1u", "r - 1u"),
    ("conv3x3", "shifted", "shifted_input", "column >= params.w", "column > params.w"),
    ("conv3x3", "shifted", "shifted_input", "id.y + params.top - 1u", "id.y - 1u"),
    (
        "conv3x3",
        "shifted",
        "shifted_input",
        "select(params.w, params.w + 1u, id.y",
        "select(params.w, params.w, id.y",
    ),
    ("conv3x3", "shifted", "shifted_gemm", "(params.first + row) *", "row *"),
    // A mask that lets everything through.
    ("conv3x3", "shifted", "shifted_input", "f32(kept[at]) > 0.0", "f32(kept[at]) >= 0.0"),
    ("conv3x3", "naive", "conv3x3", "f32(kept[i]) > 0.0", "f32(kept[i]) >= 0.0"),
    ("conv3x3", "tiled", "conv3x3_tiled", "vec4u(v > vec4f())", "vec4u(v >= vec4f())"),
    ("conv3x3", "few", "conv3x3_few", "sum > 0.0)", "sum >= 0.0)"),
    ("conv3x3", "first", "conv3x3_first", "sum > vec4f()", "sum >= vec4f()"),
    ("conv3x3", "winograd", "winograd_output", "select(0u, 1u, d > 0.0)", "1u"),
    ("conv3x3", "uniform", "conv3x3_uniform", "f32(kept[i]) > 0.0", "f32(kept[i]) >= 0.0"),
    // The gate of another channel, of another word, of another row, of a pixel outside the map.
    ("conv3x3", "few", "conv3x3_few", "(open >> (o % 32u))", "(open >> (o % 16u))"),
    ("conv3x3", "first", "conv3x3_first", "31u - o % 32u", "31u - o % 16u"),
    ("conv3x3", "few", "conv3x3_few", " + first / 32u) * params.w", ") * params.w"),
    ("conv3x3", "first", "conv3x3_first", " + first / 32u) * params.w", ") * params.w"),
    ("conv3x3", "few", "conv3x3_few", "row + params.gate_top + tap", "row + tap"),
    ("conv3x3", "first", "conv3x3_first", "row + params.gate_top - 1u", "row - 1u"),
    ("conv3x3", "few", "conv3x3_few", "k >= params.w { return 0u", "k > params.w { return 0u"),
    ("conv3x3", "first", "conv3x3_first", "column + k < params.w;", "column + k <= params.w;"),
    // A gate of the wrong neighbour, a window's gradient in the wrong pixel, a closed window that is open.
    ("conv3x3", "winograd", "winograd_input", "row_of_gates(t - vec2u(1u, 0u), c)", "row_of_gates(t, c)"),
    ("conv3x3", "winograd", "winograd_input", "array(q[0], q[1], q[1]", "array(q[0], q[0], q[1]"),
    ("conv3x3", "winograd", "winograd_output", "(bits & 12u) << 2u", "(bits & 12u) << 1u"),
    ("conv3x3", "winograd", "winograd_output", "max(v.z, v.w)) > 0.0", "max(v.z, v.w)) > -0.1"),
    ("conv3x3", "tiled", "conv3x3_tiled", "row + 2u * params.gate_top", "row"),
    ("conv3x3", "tiled", "conv3x3_tiled", "(row + 2u * params.top) / 2u", "row / 2u"),
    ("conv3x3", "tiled", "conv3x3_tiled", "2u * (row % 2u) + column % 2u", "2u * (column % 2u) + row % 2u"),
    ("conv3x3", "tiled", "conv3x3_tiled", "c + 2u, sum[2]) << 8u", "c + 2u, sum[2]) << 4u"),
    ("conv3x3", "tiled_large", "conv3x3_tiled", "v.y >= max(v.z, v.w)", "v.y >= v.z"),
    (
        "conv3x3",
        "tiled_small",
        "conv3x3_tiled",
        "let below = p.x + 1u < params.h;\n    if POOL",
        "let below = true;\n    if POOL",
    ),
    ("relu", "plain", "relu", "f32(x[i]) > 0.0", "f32(x[i]) > -0.5"),
    // Beyond the edge: zeros, the wrong pixel, a gradient that returns to no pixel, to two, or to the wrong one.
    ("conv3x3", "naive", "conv3x3", "if REPLICATE { p =", "if false { p ="),
    ("conv3x3", "naive", "conv3x3", "n).z == 0u && copied", "n).z == 0u"),
    ("conv3x3", "naive", "conv3x3", "== vec2u(row + params.top, column)", "== vec2u(row, column)"),
    ("conv3x3", "tiled", "conv3x3_tiled", "vec2u(r, column)), vec2i(),", "vec2u(r, column)), vec2i(1),"),
    ("conv3x3", "tiled", "conv3x3_tiled", "if above || below { d", "if above { d"),
    ("conv3x3", "tiled", "conv3x3_tiled", "(above || below) && (left || right)", "false"),
    ("conv3x3", "tiled_large", "conv3x3_tiled", "own.x + 2u * params.gate_top == 0u", "own.x == 0u"),
    (
        "conv3x3",
        "tiled_small",
        "conv3x3_tiled",
        " && (params.h + 1u) / 2u + params.gate_top == params.gate_rows",
        "",
    ),
    ("conv3x3", "few", "conv3x3_few", "u32(p.x) * 3u + n / 9u", "r * 3u + n / 9u"),
    ("conv3x3", "few", "conv3x3_few", "d[r] += right * d[r + 1u]", "d[r] += left * d[r + 1u]"),
    ("conv3x3", "few", "conv3x3_few", "1.0, row + params.top == 0u", "1.0, row == 0u"),
    ("conv3x3", "few", "conv3x3_few", "d[k] += bottom * d[k + 3u];", ""),
    ("conv3x3", "first", "conv3x3_first", "u32(p.x) * 3u + c", "row * 3u + c"),
    ("conv3x3", "first", "conv3x3_first", "z[0] += select(vec4f(), z[1]", "z[0] += select(vec4f(), z[2]"),
    ("conv3x3", "first", "conv3x3_first", "own == vec4u(params.w - 1u)", "own == vec4u(params.w)"),
    ("conv3x3", "first", "conv3x3_first", "(c * below.z)", "(c * below.y)"),
    ("conv3x3", "first", "conv3x3_first", "1.0, own.x == 0u", "1.0, row == 0u"),
    // A transform at the wrong point, a lane too few.
    ("conv3x3", "winograd", "winograd_output", "A * A * A * q", "A * A * B * q"),
    ("conv3x3", "winograd", "winograd_gemm", "lane + 3u", "lane + 2u"),
    (
        "conv3x3",
        "winograd_tiled",
        "winograd_gemm_tiled",
        "tile + 3u * LANES, sum[3]",
        "tile + 3u * LANES, sum[2]",
    ),
    // The halo of a band, mistaken for the band.
    ("tv", "f64", "tv", "params.top + id.y", "id.y"),
    ("tv", "f32", "tv", "params.top * row + k", "k"),
    ("tv9", "f64", "tv9", "params.top + id.y", "id.y"),
    ("tv9", "f32", "tv9", "params.top + k / row", "k / row"),
    // The frame around the picture, left out in the loss or in its gradient.
    ("tv9", "f32", "tv9", "if p.y == 0 { diagonal", "if false { diagonal"),
    ("tv9", "f32", "tv9", "if any(nearest(copy) != p)", "if n != 4"),
    ("tv9", "f64", "tv9", "if all(abs(q - nearest(q)) < vec2i(2))", "if true"),
    // A sign, a factor.
    ("tv9", "f32", "tv9", "straight += here - value(p - vec2i(0", "straight -= here - value(p - vec2i(0"),
    ("tv9", "f64", "tv9", "var d = 2.0 *", "var d ="),
    ("tv", "f32", "tv", "below += sign(here - x[i + row])", "below -= sign(here - x[i + row])"),
    ("tv", "f64", "tv", "beside += sign(here - x[i - 1u])", "beside -= sign(here - x[i - 1u])"),
    (
        "mse",
        "plain",
        "mse",
        "f32(x[i]) - reference[i];\n        sum",
        "f32(x[i]) + reference[i];\n        sum",
    ),
    ("mse", "plain", "mse", "params.slope *", "2.0 * params.slope *"),
    ("mse", "plain", "reduce", "span > 0u", "span > 1u"),
    ("affine", "plain", "affine", "scale[channel] * dy[i]", "dy[i]"),
    ("adam", "f32", "adam", "t % u32(params.decay_every) == 0u", "t % u32(params.decay_every) == 1u"),
    ("adam", "f32", "adam", "state.correction2 += (1 - BETA2)", "state.correction2 += (1 - BETA1)"),
    ("adam", "f64", "adam", "(1 - BETA2) * g * g", "(1 - BETA2) * g"),
    ("adam", "f64", "adam", "if CLAMP { next = clamp", "if false { next = clamp"),
    ("adam", "f32", "adam", "real(0.1 + 0.45 *", "real(0.1 + 0.4 *"),
    ("adam", "f64", "adam", "behind / params.settle_over, 1.0)", "behind / params.settle_over, 2.0)"),
    ("average", "f32", "average", "(1 - KEEP) * x[i]", "x[i]"),
    ("average", "f64", "average", "KEEP * sum[i]", "sum[i]"),
    ("log", "plain", "log", "count % params.history", "count"),
    ("mean_square", "plain", "mse", "let d = f32(x[i]);", "let d = 1.1 * f32(x[i]);"),
    ("widened", "plain", "widened", "y[i] = f32(x[i]);", "y[i] = -f32(x[i]);"),
    // What belongs to a tile: its edges, its sites at a lower resolution, the reference of each channel.
    ("owned", "plain", "owned", "row < (own[1] >> k)", "row <= (own[1] >> k)"),
    ("owned", "plain", "owned", "column >= (own[2] >> k)", "column > (own[2] >> k)"),
    ("owned", "plain", "owned", "let k = params.halvings;", "let k = params.halvings + 1u;"),
    ("owned", "plain", "owned", "shift[id.x / params.w]", "shift[id.x % params.c]"),
    // One side of a symmetric gradient only, a neighbouring channel.
    ("gram", "naive", "gram", " + dg[d * c + own]", " + dg[own * c + d] * 0.5"),
    ("gram", "subgroup", "gram_subgroup", "lane + 1u", "lane"),
    ("gram", "subgroup", "gram_subgroup", "vec4f(a.zw, b.xy)", "vec4f(a.zw, a.xy)"),
    ("gram", "subgroup", "gram_subgroup", "select(vec4f(), v, ", "select(v, v, "),
    ("gram", "tiled", "gram_tiled", "2u * local.y + 1u]", "2u * local.y]"),
    ("gram", "tiled", "gram_tiled", "j * params.c + i] = d", "j * params.c + i] = 2.0 * d"),
    ("gram", "naive", "gram_sum", "share = 0u", "share = 1u"),
    // A mean that is not one, or of another channel; zeros beyond the end that are not; a constant of another channel.
    ("wasserstein", "naive", "moments", "params.scale * sum", "sum"),
    ("wasserstein", "naive", "moments", "k < params.w", "k + 1u < params.w"),
    ("wasserstein", "naive", "gram", "f32(x[a + k]) - means.x", "2.0 * f32(x[a + k]) - means.x"),
    ("wasserstein", "naive", "gram", "gradient(id, bias[", "gradient(id, -bias["),
    ("wasserstein", "tiled", "gram_tiled", "select(0.0, mean, row", "select(mean, mean, row"),
    (
        "wasserstein",
        "tiled",
        "gram_tiled",
        "bias_of(c + 5u), bias_of(c + 6u)",
        "bias_of(c + 6u), bias_of(c + 5u)",
    ),
    (
        "wasserstein",
        "subgroup",
        "gram_subgroup",
        "values(line + column) - mean",
        "values(line + column) + mean",
    ),
    ("wasserstein", "subgroup", "gram_subgroup", "started(start.y, 4u)", "started(start.y, 0u)"),
    // A matrix that is not transposed, a tile without its mirror image, a lane or a row too few.
    ("wasserstein", "naive", "product", "other[column * n + row]", "other[row * n + column]"),
    ("wasserstein", "naive", "product", "k = 0u; k < n", "k = 1u; k < n"),
    (
        "wasserstein",
        "tiled",
        "product_tiled",
        "SYMMETRIC { y[mirror] = d; }",
        "SYMMETRIC { y[mirror] = -d; }",
    ),
    (
        "wasserstein",
        "tiled",
        "product_tiled",
        "columns[at + half / 4u] = right1",
        "columns[at + half / 4u] = right0",
    ),
    (
        "wasserstein",
        "subgroup",
        "product_subgroup",
        "subgroupShuffle(w, lane + 2u)",
        "subgroupShuffle(w, lane + 1u)",
    ),
    (
        "wasserstein",
        "subgroup",
        "product_subgroup",
        "right_at(j + k + 16u * line)",
        "right_at(j + k + 8u * line)",
    ),
    ("wasserstein", "subgroup", "product_subgroup", "more[k]", "more[0]"),
    // Not the norm; a diagonal without what is added to it; an identity that is forgotten; a sign; a mean that counts once.
    ("wasserstein", "naive", "wasserstein", " + params.epsilon * diagonal", ""),
    ("wasserstein", "naive", "wasserstein", "0.5 * (diagonal - t)", "0.5 * (0.0 - t)"),
    ("wasserstein", "naive", "wasserstein", "moved.x - target_mean[own]", "moved.x + target_mean[own]"),
    ("wasserstein", "naive", "wasserstein", "d * d / params.energy", "d / params.energy"),
    // The wrong element of a pooling window; the dropped row gets a gradient.
    ("pool", "plain", "pool", "write(row, c, column + 1u, d.y)", "write(row, c, column + 1u, d.z)"),
    ("pool", "plain", "pool", "v.y >= max(v.z, v.w)", "v.y >= v.z"),
    ("pool", "average", "pool", "vec4f(0.5 * dy)", "vec4f(0.25 * dy)"),
    ("pool", "l2", "pool", "return 0.78 * norm(v)", "return 0.39 * norm(v)"),
    ("pool", "l2", "pool", "0.78 / norm(v) * dy * v", "vec4f(0.78 * norm(v) * dy)"),
    // Erasing what another op added to the gradient, adding to values that nobody wrote, adding twice at the
    // end.
    ("pool", "plain", "pool", "if ACCUMULATE { d += f32(dx[i]); }", ""),
    ("conv3x3", "naive", "conv3x3", "if ACCUMULATE { sum += f32(dx[i]); }", ""),
    ("conv3x3", "tiled", "conv3x3_tiled", "if ACCUMULATE { d += f32(dx[i]); }", "d += f32(dx[i]);"),
    ("conv3x3", "uniform", "conv3x3_uniform", "if ACCUMULATE { d += f32(dx[at]); }", ""),
    ("conv3x3", "shifted", "shifted_gemm", "if ACCUMULATE", "if !ACCUMULATE"),
    ("conv3x3", "few", "conv3x3_few", "if ACCUMULATE { d += f32(dx[i]); }", ""),
    ("conv3x3", "first", "conv3x3_first", "if ACCUMULATE { d += f32(dx[i]); }", ""),
    ("conv3x3", "winograd", "winograd_output", "if ACCUMULATE", "if !ACCUMULATE"),
    // What a case adds to is itself something else.
    ("relu", "plain", "case_gradient", "select(x[i],", "select(-x[i],"),
    // Neighbours: the last of equals or none, another block's feature, a lane or a quad too few, an end that is one too early.
    ("nearest", "naive", "nearest_search", "if sum > best", "if sum < best"),
    ("nearest", "naive", "nearest_search", "params.blocks) * 32u;", "params.blocks) * 32u - 1u;"),
    ("nearest", "naive", "nearest_search", "q < params.quads * 32u", "q + 32u < params.quads * 32u"),
    ("nearest", "tiled", "nearest_search_tiled", "far[3] += right[j + 7u", "far[3] += right[j + 6u"),
    (
        "nearest",
        "tiled",
        "nearest_search_tiled",
        "best = larger(best, far[3], ",
        "best = larger(best, far[2], ",
    ),
    ("nearest", "tiled", "nearest_search_tiled", "select(q + STEP, 0u, last)", "0u"),
    ("nearest", "tiled", "nearest_search_tiled", "select(feature, feature + FEATURES, last)", "feature"),
    ("nearest", "tiled", "nearest_search_tiled", "lane < LANES; lane++", "lane + 1u < LANES; lane++"),
    ("nearest", "subgroup", "nearest_search_subgroup", "lane + 3u", "lane + 2u"),
    (
        "nearest",
        "subgroup",
        "nearest_search_subgroup",
        "let start = group.y * params.apart;",
        "let start = 0u;",
    ),
    ("nearest", "subgroup", "nearest_search_subgroup", "vec4u(feature)", "vec4u(feature + 1u)"),
    ("nearest", "subgroup", "nearest_search_subgroup", "sum[3], first + 3u)", "sum[3], first + 2u)"),
    ("nearest", "subgroup", "nearest_search_subgroup", "sum7, first + 28u", "sum7, first + 24u"),
    ("nearest", "subgroup", "nearest_search_subgroup", "rows(sum5, v1, b2, 4u)", "rows(sum5, v1, b2, 0u)"),
    // The mean of all but a row, its origin left out; a lattice that stands still or has the wrong sites.
    ("nearest", "naive", "nearest", "row < params.height; row++", "row + 1u < params.height; row++"),
    (
        "nearest",
        "naive",
        "nearest",
        "return f32(first[c * params.w])",
        "return 0.9 * f32(first[c * params.w])",
    ),
    ("nearest", "naive", "nearest", "at(slot, quad)] = v;", "at(slot, quad)] = v.xyzx;"),
    ("nearest", "naive", "nearest", "k % count * params.leap % count", "k % count"),
    ("nearest", "naive", "nearest", "at % params.columns_apart);", "0u);"),
    ("nearest", "naive", "nearest", "params.height - begin.x + params.rows_apart - 1u", "params.height"),
    ("nearest", "naive", "nearest", "p.x < params.top + params.h &&", "p.x + 1u < params.top + params.h &&"),
    ("nearest", "naive", "nearest", "select(0.0, params.scale", "select(params.scale, params.scale"),
    // Another chunk's neighbour, the gradient of another angle, of another site, of another length.
    ("nearest", "naive", "nearest", "nearest = candidates[chunk *", "nearest = candidates[0u *"),
    ("nearest", "naive", "nearest", "vec2f(best * r, r)", "vec2f(best, r)"),
    ("nearest", "naive", "nearest", "cosine * r * u[", "r * u["),
    ("nearest", "naive", "nearest", "place.x * params.across + place.y", "place.y * params.across + place.x"),
    ("nearest", "naive", "nearest", "all(p % apart == begin)", "any(p % apart == begin)"),
    ("nearest", "naive", "nearest", "select(1.0 / sqrt(length), 0.0,", "select(1.0 / length, 0.0,"),
    ("nearest", "naive", "nearest", "if ACCUMULATE { d[k] += f32(dx[i]); }", ""),
    // Writing beyond the end, forgetting the last value.
    ("relu", "plain", "relu", "y[i] = max", "y[i + 1u] = max"),
    ("relu", "plain", "relu", "if id.x >= params.row { return; }", "if id.x + 1u >= params.row { return; }"),
];

/// A new op, form or shader is not tested before a mistake in it was seen to fail.
#[test]
fn every_form_and_every_shader_has_a_mistake() {
    let gpu = Gpu::new(None).expect("an adapter");
    let forms: BTreeSet<_> = MUTANTS.iter().map(|(op, form, ..)| (*op, *form)).collect();
    let shaders: BTreeSet<_> = MUTANTS.iter().map(|(_, _, shader, ..)| *shader).collect();
    let mut missing = BTreeSet::new();
    for table in tables() {
        // The network's sizes have no further forms.
        for case in table.edges.iter().flat_map(|size| (table.at)(*size)) {
            for candidate in &case.candidates {
                if !forms.contains(&(case.op, candidate.name)) {
                    missing.insert(format!("the form {} of {}", candidate.name, case.op));
                }
                // Recording is what names the shaders, and needs the device that the form needs.
                if candidate.runs_on(&gpu) {
                    let kernels = case.kernels(&gpu, candidate).unwrap();
                    let without =
                        kernels.iter().map(|kernel| kernel.file).filter(|file| !shaders.contains(file));
                    missing.extend(without.map(|file| format!("the shader {file}")));
                }
            }
        }
    }
    assert!(missing.is_empty(), "MUTANTS has no mistake in {}", Vec::from_iter(missing).join(", "));
}

#[test]
fn guards_notice_a_write_beyond_the_end() {
    // Rows of 576 values.
    let size = Size::new(64, 2, 9);
    let case = cases().into_iter().find(|case| case.op == "relu" && case.size == size).unwrap();
    // Beyond by one value; and beyond by a row, at its end only, so that nothing is written directly behind
    // the tensor.
    for beyond in ["y[i + 1u] = max", "y[i + select(0u, params.row, id.x + 1u == params.row)] = max"] {
        let gpu = Gpu::new(None).expect("an adapter").with_mutation("relu", "y[i] = max", beyond);
        let outcome = case.run(&gpu, &case.candidates[0], &case.truth(1)).unwrap();
        assert_eq!(outcome.overrun, ["relu.y"], "{beyond}");
    }
}

/// Runs several at once: most of the time goes into compiling, and a mutant compiles on one core.
#[test]
fn every_mistake_is_noticed() {
    let cases = cases();
    // The truth does not depend on the form that is tested.
    let truths: Vec<OnceLock<Truth>> = cases.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                while let Some(mutant) = MUTANTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    notice(mutant, &cases, &truths);
                }
            });
        }
    });
}

/// Fails unless some case notices a mistake.
fn notice(mutant: &Mutant, cases: &[Case], truths: &[OnceLock<Truth>]) {
    let (op, variant, file, from, to) = mutant;
    let gpu = Gpu::new(None).expect("an adapter").with_mutation(file, from, to);
    let mut touched = 0;
    let noticed = cases.iter().zip(truths).filter(|(case, _)| case.op == *op).any(|(case, truth)| {
        let named = |candidate: &&Candidate| candidate.name == *variant && candidate.runs_on(&gpu);
        case.candidates.iter().filter(named).any(|candidate| {
            touched += 1;
            let truth = truth.get_or_init(|| case.truth(1));
            // A mutant that does not even compile would prove nothing.
            let fault = case.prove(&gpu, candidate, truth).err().map(|fault| fault.to_string());
            fault.is_some_and(|fault| fault.contains("off by") || fault.contains("wrote beyond"))
        })
    });
    if touched == 0 {
        // Some forms are for some devices only. The forms that every device can run must have run.
        assert!(
            ["first", "shifted", "winograd", "uniform", "subgroup", "f64"].contains(variant),
            "{variant} did not run"
        );
        println!("{op} {variant} does not run on this adapter");
        return;
    }
    println!("{op} {variant} {file}: case {touched} notices {to:?}");
    assert!(noticed, "{op} {variant}: `{to}` for `{from}` goes unnoticed in {touched} cases");
}
