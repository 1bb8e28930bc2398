// What the Wasserstein loss does between its matrix products: the matrix whose root is sought divided by its
// Frobenius norm, the matrix of the gradient, the loss and the constant of each channel.

struct Params {
    n: u32,          // channels
    epsilon: f32,    // what is added to the covariance's diagonal, in units of energy
    energy: f32,     // the painting's
    scale: f32,      // weight / channels
    constant: f32,   // trace of the painting's covariance / channels, in units of energy
}

const PANELS: bool = false;  // whether the transport lies in panels, see product_subgroup.wgsl
const LANES: u32 = 64u;  // invocations that sum a row together

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;                 // n x n
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;     // n
@group(0) @binding(3) var<storage, read> norm: array<f32>;              // 1, the sum of the squares of m
@group(0) @binding(4) var<storage, read_write> r: array<f32>;           // n x n
@group(0) @binding(5) var<storage, read> transport: array<f32>;         // n x n, times the root of the norm
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;    // n x n, half of I - T
@group(0) @binding(7) var<storage, read> covariance: array<f32>;        // n x n
@group(0) @binding(8) var<storage, read> mean: array<f32>;              // n
@group(0) @binding(9) var<storage, read> target_mean: array<f32>;       // n
@group(0) @binding(10) var<storage, read_write> bias: array<f32>;       // n
@group(0) @binding(11) var<storage, read_write> partial: array<f32>;    // n
@group(0) @binding(12) var<storage, read_write> traces: array<f32>;     // n, of T times the covariance, when T was computed

var<workgroup> sums: array<vec2f, LANES>;

// The sum over all lanes, in a fixed order; only lane 0 gets it.
fn together(own: vec2f, lane: u32) -> vec2f {
    sums[lane] = own;
    for (var span = LANES / 2u; span > 0u; span /= 2u) {
        workgroupBarrier();
        if lane < span { sums[lane] += sums[lane + span]; }
    }
    return sums[0];
}

@compute @workgroup_size(LANES)
fn square(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var k = lane; k < params.n; k += LANES) {
        let d = m[group.y * params.n + k];
        sum += d * d;
    }
    let all = together(vec2f(sum, 0.0), lane);
    if lane == 0u { squares[group.y] = all.x; }
}

@compute @workgroup_size(64)
fn normalize(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.n * params.n { return; }
    r[id.x] = m[id.x] / sqrt(norm[0]);
}

// The matrix of the gradient from the transport T.
@compute @workgroup_size(64)
fn renew(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.n * params.n { return; }
    let row = id.x / params.n;
    let column = id.x % params.n;
    let diagonal = select(0.0, 1.0, row == column);
    let panel = ((row / 32u * params.n / 4u + column / 4u) * 32u + row % 32u) * 4u + column % 4u;
    let t = transport[select(id.x, panel, PANELS)] / sqrt(sqrt(norm[0]));
    gradient[id.x] = 0.5 * (diagonal - t);
}

// A row of T times the mean, and the diagonal of T times the covariance in it; only lane 0 gets them.
fn transported(own: u32, lane: u32) -> vec2f {
    var moved = vec2f();
    for (var k = lane; k < params.n; k += LANES) {
        let i = own * params.n + k;
        let diagonal = select(0.0, 1.0, k == own);
        let t = diagonal - 2.0 * gradient[i];
        moved += t * vec2f(mean[k], covariance[i] / params.energy + params.epsilon * diagonal);
    }
    return together(moved, lane);
}

// When T is new: the trace of the root of the product of both covariances is that of T times the covariance.
@compute @workgroup_size(LANES)
fn trace(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let moved = transported(group.y, lane);
    if lane == 0u { traces[group.y] = moved.y; }
}

// With the transport T of covariances, the gradient by a pixel x is x - target - T (x - mean): what T does to
// the mean is a constant, and so is the target's mean. A T that is kept from an earlier covariance gives half
// of the change of that trace, which is right to first order.
@compute @workgroup_size(LANES)
fn finish(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let own = group.y;
    let moved = transported(own, lane);
    if lane != 0u { return; }
    bias[own] = moved.x - target_mean[own];
    let d = mean[own] - target_mean[own];
    let variance = covariance[own * params.n + own] / params.energy + params.epsilon;
    partial[own] = params.scale * (d * d / params.energy + variance + params.constant - traces[own] - moved.y);
}
