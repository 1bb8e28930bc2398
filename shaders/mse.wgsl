// Weighted mean of squared differences: scale * sum (x - target)^2, and its gradient slope * (x - target).
// Each invocation sums a strided share in a fixed order; `reduce` adds the shares.

struct Params {
    n: u32,
    shares: u32,
    scale: f32,  // weight / number of values of the whole map
    slope: f32,  // twice that, times the scale of all gradients
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;              // n
@group(0) @binding(2) var<storage, read> reference: array<f32>;      // n
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;  // shares
@group(0) @binding(4) var<storage, read_write> dx: array<Map>;       // n

// include: finite

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.shares { return; }
    var sum = 0.0;
    for (var i = id.x; i < params.n; i += params.shares) {
        let d = f32(x[i]) - reference[i];
        sum += d * d;
    }
    partial[id.x] = params.scale * sum;
}

// The same without a target.
@compute @workgroup_size(64)
fn squares(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.shares { return; }
    var sum = 0.0;
    for (var i = id.x; i < params.n; i += params.shares) {
        let d = f32(x[i]);
        sum += d * d;
    }
    partial[id.x] = params.scale * sum;
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.shares { return; }
    for (var i = id.x; i < params.n; i += params.shares) {
        var d = params.slope * (f32(x[i]) - reference[i]);
        if ACCUMULATE { d += f32(dx[i]); }
        dx[i] = Map(finite(d));
    }
}
