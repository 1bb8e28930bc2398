// Adds partial Gram matrices in a fixed order: g = sum of the shares.

struct Params {
    n: u32,  // values of a matrix
    shares: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;  // shares x n
@group(0) @binding(2) var<storage, read_write> g: array<f32>;  // n

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.n { return; }
    var sum = 0.0;
    for (var share = 0u; share < params.shares; share++) { sum += partial[share * params.n + id.x]; }
    g[id.x] = sum;
}
