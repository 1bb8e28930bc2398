// A root of a covariance by Cholesky's algorithm with pivots: B with B B^T = covariance / energy + epsilon I.
// One workgroup computes all columns, one after the other. Each takes the channel of which the columns
// before it leave most, so that they become shorter.

struct Params {
    n: u32,        // channels
    slot: u32,     // where the energy is among the sums
    epsilon: f32,  // what is added to the diagonal, in units of energy
    least: f32,    // the least energy
}

const LANES: u32 = 256u;  // invocations that compute a column together

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mean: array<f32>;              // n
@group(0) @binding(2) var<storage, read> covariance: array<f32>;        // n x n
@group(0) @binding(3) var<storage, read_write> squares: array<f32>;     // n, parts of the energy
@group(0) @binding(4) var<storage, read_write> variances: array<f32>;   // n
@group(0) @binding(5) var<storage, read> sums: array<f32>;              // the energy, at the slot
@group(0) @binding(6) var<storage, read_write> root: array<f32>;        // n x n, B
@group(0) @binding(7) var<storage, read_write> transposed: array<f32>;  // n x n, a column of B in each row
@group(0) @binding(8) var<storage, read_write> left: array<f32>;        // n, variances less the columns
@group(0) @binding(9) var<storage, read_write> order: array<u32>;       // n, channels with a column first

@compute @workgroup_size(64)
fn energy(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.n { return; }
    let variance = covariance[id.x * params.n + id.x];
    squares[id.x] = (variance + mean[id.x] * mean[id.x]) / f32(params.n);
    variances[id.x] = variance;
}

var<workgroup> most: array<f32, LANES>;
var<workgroup> places: array<u32, LANES>;

// Where the channel of which most is left stands in the order, after the first `taken`. Of equal ones it is
// always the same.
fn longest(taken: u32, lane: u32) -> u32 {
    var own = -1.0;
    var place = taken;
    for (var t = taken + lane; t < params.n; t += LANES) {
        let rest = left[order[t]];
        if rest > own {
            own = rest;
            place = t;
        }
    }
    most[lane] = own;
    places[lane] = place;
    for (var span = LANES / 2u; span > 0u; span /= 2u) {
        workgroupBarrier();
        if lane < span && most[lane + span] > most[lane] {
            most[lane] = most[lane + span];
            places[lane] = places[lane + span];
        }
    }
    workgroupBarrier();
    return places[0];
}

@compute @workgroup_size(LANES)
fn factor(@builtin(local_invocation_index) lane: u32) {
    let n = params.n;
    let energy = max(sums[params.slot], params.least);
    for (var i = lane; i < n; i += LANES) {
        left[i] = covariance[i * n + i] / energy + params.epsilon;
        order[i] = i;
    }
    storageBarrier();
    for (var k = 0u; k < n; k++) {
        let place = longest(k, lane);
        if lane == 0u {
            let next = order[place];
            order[place] = order[k];
            order[k] = next;
        }
        storageBarrier();
        let pivot = order[k];
        let line = k * n;
        for (var t = lane; t < k; t += LANES) {
            let i = order[t];
            transposed[line + i] = 0.0;
            root[i * n + k] = 0.0;
        }
        for (var t = k + lane; t < n; t += LANES) {
            let i = order[t];
            var rest = covariance[pivot * n + i] / energy + select(0.0, params.epsilon, t == k);
            for (var j = 0u; j < line; j += n) { rest -= transposed[j + i] * transposed[j + pivot]; }
            transposed[line + i] = rest;
        }
        storageBarrier();
        // What is left of a variance is at least epsilon, but for rounding.
        let length = sqrt(max(transposed[line + pivot], params.epsilon));
        storageBarrier();
        for (var t = k + lane; t < n; t += LANES) {
            let i = order[t];
            let value = select(transposed[line + i] / length, length, t == k);
            transposed[line + i] = value;
            root[i * n + k] = value;
            left[i] = max(left[i] - value * value, 0.0);
        }
        storageBarrier();
    }
}
