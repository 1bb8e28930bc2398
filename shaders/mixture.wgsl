// Statistics of several paintings together. One painting after the other is taken in: what has the weight W
// so far takes in what has the weight w, with a share of w / (W + w).

struct Params {
    n: u32,      // values of a mean or of a Gram matrix; channels
    share: f32,  // of what is taken in
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> before: array<f32>;       // n, or n x n: what is known so far
@group(0) @binding(2) var<storage, read> own: array<f32>;          // the same of the next painting
@group(0) @binding(3) var<storage, read_write> y: array<f32>;      // the same of all of them
@group(0) @binding(4) var<storage, read> mean_before: array<f32>;  // n
@group(0) @binding(5) var<storage, read> mean_own: array<f32>;     // n

fn together(i: u32) -> f32 { return before[i] + params.share * (own[i] - before[i]); }

@compute @workgroup_size(64)
fn mean(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.n { return; }
    y[id.x] = together(id.x);
}

// Sites vary within their paintings, and from one painting's mean to the other's.
@compute @workgroup_size(64)
fn covariance(@builtin(global_invocation_id) id: vec3u) {
    let row = id.x / params.n;
    let column = id.x % params.n;
    if row >= params.n { return; }
    let between = (mean_own[row] - mean_before[row]) * (mean_own[column] - mean_before[column]);
    y[id.x] = together(id.x) + params.share * (1.0 - params.share) * between;
}
