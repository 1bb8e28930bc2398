// Weighted mean of squared differences: scale * sum (x - target)^2, and its gradient 2 * scale * (x - target).
// Each invocation sums a strided share in a fixed order; `reduce` adds the shares.

struct Params {
    n: u32,
    shares: u32,
    scale: f32,  // weight / number of values of the whole map
}

const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;              // n
@group(0) @binding(2) var<storage, read> reference: array<f32>;      // n
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;  // shares
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;       // n

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.shares { return; }
    var sum = 0.0;
    for (var i = id.x; i < params.n; i += params.shares) {
        let d = x[i] - reference[i];
        sum += d * d;
    }
    partial[id.x] = params.scale * sum;
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.shares { return; }
    for (var i = id.x; i < params.n; i += params.shares) {
        var d = 2.0 * params.scale * (x[i] - reference[i]);
        if ACCUMULATE { d += dx[i]; }
        dx[i] = d;
    }
}
