use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // Pairs and sums of L-BFGS.
    ("f32", "lbfgs", "let d = g - before[i];", "let d = g + before[i];"),
    ("f32", "lbfgs", "if all.x > 0.0 {", "{"),
    ("f32", "lbfgs", "memory.rho[k] = memory.rho[k - 1u];", "memory.rho[k] = memory.rho[0];"),
    ("f64", "lbfgs", "memory.gamma = all.x / all.y;", "memory.gamma = 1.0;"),
    ("f32", "lbfgs", "min(memory.count + 1u, PAIRS)", "min(memory.count + 1u, PAIRS - 1u)"),
    ("f32", "lbfgs", "FIRST * params.values / all.z", "FIRST / all.z"),
    ("f32", "lbfgs", "s[i] = newer_s[i];", "s[i] = 2.0 * newer_s[i];"),
    ("f32", "lbfgs", "weight = -memory.alpha", "weight = memory.alpha"),
    ("f32", "lbfgs", "-memory.alpha[PAIRS - 1u]", "0.0"),
    ("f32", "lbfgs", "memory.alpha[params.k] - memory.rho", "memory.rho"),
    ("f32", "lbfgs", "params.k <= memory.count, last", "params.k < memory.count, last"),
    ("f32", "lbfgs", "row += params.shares", "row += 2u * params.shares"),
    ("f32", "lbfgs", "partial[params.share + group.y] = all", "partial[group.y] = all"),
    ("f32", "lbfgs", "LONGEST / length", "LONGEST * length"),
    ("f64", "lbfgs", "if CLAMP {", "if false {"),
];
