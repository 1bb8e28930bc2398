//! Tests of the tests: shaders with deliberate mistakes, each of which some case must notice.

use impasto::gpu::Gpu;
use impasto::testing::{Truth, cases};

/// Op, shader, what stands there, the mistake.
const MUTANTS: &[(&str, &str, &str, &str)] = &[
    // A sign.
    ("tv", "tv", "below += sign(here - x[i + row])", "below -= sign(here - x[i + row])"),
    ("mse", "mse", "x[i] - reference[i];\n        sum", "x[i] + reference[i];\n        sum"),
    // A factor.
    ("mse", "mse", "params.slope *", "2.0 * params.slope *"),
    ("affine", "affine", "scale[channel] * dy[i]", "dy[i]"),
    // A missing tap.
    ("conv3x3", "conv3x3", "tap < 9u", "tap < 8u"),
    ("conv3x3", "conv3x3_tiled", "tap < 9u", "tap < 8u"),
    // Taps that are not mirrored, transposed weights.
    ("conv3x3", "conv3x3", "8u - tap", "tap"),
    (
        "conv3x3",
        "conv3x3",
        "(tap * params.c_in + c) * params.c_out + id.y",
        "(tap * params.c_out + id.y) * params.c_in + c",
    ),
    ("conv3x3", "conv3x3_tiled", "(8u - tap)", "(tap)"),
    // A halo that is off by one.
    ("conv3x3", "conv3x3", "k < i32(params.w)", "k <= i32(params.w)"),
    ("conv3x3", "conv3x3_tiled", "row >= 0", "row > 0"),
    ("conv3x3", "winograd_input", "row < params.h_in", "row + 1u < params.h_in"),
    ("conv3x3", "conv3x3_first", "column < params.w", "column <= params.w"),
    // A mask that lets all through.
    ("conv3x3", "conv3x3", "kept[i] > 0.0", "kept[i] >= 0.0"),
    ("conv3x3", "winograd_output", "select(0u, 1u, d > 0.0)", "1u"),
    // A gate of the wrong neighbour, a window's gradient in the wrong pixel, a closed window that is open.
    ("conv3x3", "winograd_input", "row_of_gates(t - vec2u(1u, 0u), c)", "row_of_gates(t, c)"),
    ("conv3x3", "winograd_input", "array(q[0], q[1], q[1]", "array(q[0], q[0], q[1]"),
    ("conv3x3", "winograd_output", "(bits & 12u) << 2u", "(bits & 12u) << 1u"),
    ("conv3x3", "winograd_output", "max(v.z, v.w)) > 0.0", "max(v.z, v.w)) > -0.1"),
    ("relu", "relu", "x[i] > 0.0", "x[i] > -0.5"),
    // A transform at the wrong point, a lane too few.
    ("conv3x3", "winograd_output", "A * A * A * q", "A * A * B * q"),
    ("conv3x3", "winograd_gemm", "lane + 3u", "lane + 2u"),
    // One side of a symmetric gradient, a neighbouring channel.
    ("gram", "gram", " + dg[d * c + own]", " + dg[own * c + d] * 0.5"),
    ("gram", "gram_subgroup", "lane + 1u", "lane"),
    ("gram", "gram_subgroup", "vec4f(a.zw, b.xy)", "vec4f(a.zw, a.xy)"),
    ("gram", "gram_subgroup", "select(vec4f(), v, ", "select(v, v, "),
    ("gram", "gram_tiled", "local.y * 8u + r] * v", "local.y * 8u] * v"),
    ("gram", "gram_tiled", "i * params.c + j] = d", "j * params.c + i] = 2.0 * d"),
    ("gram", "gram_sum", "share = 0u", "share = 1u"),
    // The wrong element of a pooling window; the dropped row gets a gradient.
    ("pool", "pool", "write(row, c, column + 1u, d.y)", "write(row, c, column + 1u, d.z)"),
    ("pool", "pool", "v.y >= max(v.z, v.w)", "v.y >= v.z"),
    // Erasing what another op added to the gradient, adding to what nobody wrote, adding twice at the end.
    ("pool", "pool", "if ACCUMULATE { d += dx[i]; }", ""),
    ("conv3x3", "winograd_output", "if ACCUMULATE", "if !ACCUMULATE"),
    // Writing beyond the end, forgetting the last value.
    ("relu", "relu", "y[i] = max", "y[i + 1u] = max"),
    ("relu", "relu", "if id.x >= params.row { return; }", "if id.x + 1u >= params.row { return; }"),
];

#[test]
fn guards_notice_a_write_beyond_the_end() {
    let gpu = Gpu::new(None).expect("an adapter").with_mutation("relu", "y[i] = max", "y[i + 1u] = max");
    let case = cases().into_iter().find(|case| case.op == "relu").unwrap();
    let outcome = case.run(&gpu, &case.candidates[0], &case.truth(1)).unwrap();
    assert_eq!(outcome.overrun, ["relu.y"]);
}

#[test]
fn every_mistake_is_noticed() {
    let cases = cases();
    let mut truths: Vec<Option<Truth>> = cases.iter().map(|_| None).collect();
    for (op, file, from, to) in MUTANTS {
        let gpu = Gpu::new(None).expect("an adapter").with_mutation(file, from, to);
        let mut touched = false;
        let noticed =
            cases.iter().zip(&mut truths).filter(|(case, _)| case.op == *op && case.runs_on(&gpu)).any(
                |(case, truth)| {
                    touched = true;
                    let truth = truth.get_or_insert_with(|| case.truth(1));
                    let candidates = case.candidates.iter().filter(|candidate| candidate.runs_on(&gpu));
                    // A mutant that does not even compile would prove nothing.
                    candidates.filter_map(|candidate| case.prove(&gpu, candidate, truth).err()).any(|fault| {
                        let fault = fault.to_string();
                        fault.contains("off by") || fault.contains("wrote beyond")
                    })
                },
            );
        assert!(touched && noticed, "{file}: `{to}` for `{from}` goes unnoticed");
    }
}
