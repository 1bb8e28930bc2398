// A product of square matrices: y = alpha left right^T + beta other^T + gamma I. The plain form: one output
// per invocation.

struct Params {
    n: u32,
    alpha: f32,
    beta: f32,
    gamma: f32,
}

// Whether y is symmetric: what is right of the diagonal then mirrors what is left of it.
const SYMMETRIC: bool = true;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> left: array<f32>;     // n x n
@group(0) @binding(2) var<storage, read> right: array<f32>;    // n x n
@group(0) @binding(3) var<storage, read> other: array<f32>;    // n x n
@group(0) @binding(4) var<storage, read_write> y: array<f32>;  // n x n

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let n = params.n;
    let row = id.x / n;
    let column = id.x % n;
    if row >= n || (SYMMETRIC && column > row) { return; }
    var sum = 0.0;
    for (var k = 0u; k < n; k++) { sum += left[row * n + k] * right[column * n + k]; }
    let d = params.alpha * sum + params.beta * other[column * n + row] + select(0.0, params.gamma, row == column);
    y[id.x] = d;
    if SYMMETRIC { y[column * n + row] = d; }
}
