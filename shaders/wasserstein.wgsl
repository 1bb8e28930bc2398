// What the Wasserstein loss does between its matrix products: the matrix whose root is sought divided by its
// Frobenius norm, the matrix of the gradient, the loss and the constant of each channel.

struct Params {
    n: u32,          // channels
    epsilon: f32,    // what is added to the covariance's diagonal, in units of energy
    energy: f32,     // the painting's
    scale: f32,      // weight / channels
    constant: f32,   // trace of the painting's covariance / channels, in units of energy
    first: u32,      // iterations of which each computes the transport
    every: u32,      // later, one iteration in this many does
}

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
@group(0) @binding(13) var<storage, read> clock: array<u32>;            // 1, the iterations before this one

// Whether this iteration recomputes the transport, as the first ones do and then every few. The others
// keep it.
fn is_due() -> bool { return clock[0] < params.first || clock[0] % params.every == 0u; }

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
    if !is_due() { return; }
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
    if id.x >= params.n * params.n || !is_due() { return; }
    r[id.x] = m[id.x] / sqrt(norm[0]);
}

// The matrix of the gradient from the transport T.
@compute @workgroup_size(64)
fn renew(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.n * params.n || !is_due() { return; }
    let diagonal = select(0.0, 1.0, id.x / params.n == id.x % params.n);
    let t = transport[id.x] / sqrt(sqrt(norm[0]));
    gradient[id.x] = 0.5 * (diagonal - t);
}

// With the transport T of covariances, the gradient by a pixel x is x - target - T (x - mean): what T does to
// the mean is a constant, and so is the target's mean. The trace of the root of the product of both
// covariances is that of T times the covariance; a T that is kept from an earlier one gives half of its
// change, which is right to first order.
@compute @workgroup_size(LANES)
fn finish(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let own = group.y;
    let due = is_due();
    var moved = vec2f();
    for (var k = lane; k < params.n; k += LANES) {
        let i = own * params.n + k;
        let diagonal = select(0.0, 1.0, k == own);
        let t = diagonal - 2.0 * gradient[i];
        moved += t * vec2f(mean[k], covariance[i] / params.energy + params.epsilon * diagonal);
    }
    moved = together(moved, lane);
    if lane != 0u { return; }
    if due { traces[own] = moved.y; }
    bias[own] = moved.x - target_mean[own];
    let d = mean[own] - target_mean[own];
    let variance = covariance[own * params.n + own] / params.energy + params.epsilon;
    partial[own] = params.scale * (d * d / params.energy + variance + params.constant - traces[own] - moved.y);
}
