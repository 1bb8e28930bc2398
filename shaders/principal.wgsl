// Turns a root B of a covariance so that its first columns come near the principal axes: B Q, with an
// orthogonal Q that leaves the product B B^T as it is. Q = I - y_1 v_1^T - .. - y_m v_m^T is the product of m
// reflections I - v v^T, which take the first columns of (B^T B)^2 to a triangle.

struct Params {
    n: u32,  // channels
    m: u32,  // columns that are turned, at most n and SLOTS
}

const SLOTS: u32 = 32u;
const LANES: u32 = 256u;  // invocations that find the reflections together
const COLUMNS: u32 = 4u;  // that an invocation computes together, each at four places

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> factor: array<f32>;            // n x n, B
@group(0) @binding(2) var<storage, read> columns: array<f32>;           // n x n, a column of B in each row
@group(0) @binding(3) var<storage, read> given: array<f32>;             // m x n, a vector in each row
@group(0) @binding(4) var<storage, read_write> product: array<f32>;     // m x n
@group(0) @binding(5) var<storage, read_write> v: array<f32>;           // m x n
@group(0) @binding(6) var<storage, read_write> y: array<f32>;           // m x n
@group(0) @binding(7) var<storage, read_write> root: array<f32>;        // n x n, B Q
@group(0) @binding(8) var<storage, read_write> transposed: array<f32>;  // n x n, a column of it in each row

// Value i of four of the given vectors. There may be fewer; the last one is repeated.
fn four(first: u32, i: u32) -> vec4f {
    let last = params.m - 1u;
    let n = params.n;
    return vec4f(
        given[first * n + i],
        given[min(first + 1u, last) * n + i],
        given[min(first + 2u, last) * n + i],
        given[min(first + 3u, last) * n + i],
    );
}

// Four places of a workgroup's 256 that an invocation computes, or the last one instead of those beyond.
fn places(group: u32, lane: u32) -> vec4u {
    let first = 256u * group + lane;
    return min(vec4u(first, first + 64u, first + 128u, first + 192u), vec4u(params.n - 1u));
}

fn put(first: u32, at: vec4u, sums: mat4x4f) {
    let count = min(COLUMNS, params.m - first);
    for (var q = 0u; q < count; q++) {
        for (var s = 0u; s < 4u; s++) { product[(first + q) * params.n + at[s]] = sums[s][q]; }
    }
}

fn outer(vectors: vec4f, values: vec4f) -> mat4x4f {
    return mat4x4f(vectors * values.x, vectors * values.y, vectors * values.z, vectors * values.w);
}

// The given vectors times B^T.
@compute @workgroup_size(64)
fn inward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let at = places(group.x, lane);
    let first = COLUMNS * group.y;
    var sums = mat4x4f();
    for (var i = 0u; i < params.n; i++) {
        let k = i * params.n + at;
        sums += outer(four(first, i), vec4f(factor[k.x], factor[k.y], factor[k.z], factor[k.w]));
    }
    put(first, at, sums);
}

// The given vectors times B.
@compute @workgroup_size(64)
fn outward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let at = places(group.x, lane);
    let first = COLUMNS * group.y;
    var sums = mat4x4f();
    for (var k = 0u; k < params.n; k++) {
        let i = k * params.n + at;
        sums += outer(four(first, k), vec4f(columns[i.x], columns[i.y], columns[i.z], columns[i.w]));
    }
    put(first, at, sums);
}

var<workgroup> sums: array<f32, LANES>;
var<workgroup> dots: array<f32, SLOTS>;

// The reflections, one after the other. v begins as the columns that are to become a triangle.
@compute @workgroup_size(LANES)
fn reflect(@builtin(local_invocation_index) lane: u32) {
    let n = params.n;
    for (var j = 0u; j < params.m; j++) {
        let own = j * n;
        var squares = 0.0;
        for (var k = j + lane; k < n; k += LANES) { squares += v[own + k] * v[own + k]; }
        sums[lane] = squares;
        for (var span = LANES / 2u; span > 0u; span /= 2u) {
            workgroupBarrier();
            if lane < span { sums[lane] += sums[lane + span]; }
        }
        workgroupBarrier();
        // By the sign nothing cancels. Half of the square of v's length, before it is divided, is at least
        // what keeps a column of zeros from becoming anything else.
        let length = sqrt(sums[0]);
        let first = v[own + j];
        let divisor = sqrt(max(length * (length + abs(first)), 1e-30));
        storageBarrier();
        for (var k = lane; k < n; k += LANES) {
            let value = v[own + k] + select(0.0, select(-length, length, first >= 0.0), k == j);
            v[own + k] = select(0.0, value / divisor, k >= j);
        }
        storageBarrier();
        // With the vectors of earlier reflections, and with the columns that are still to come.
        for (var q = lane; q < params.m; q += LANES) {
            var sum = 0.0;
            for (var k = j; k < n; k++) { sum += v[q * n + k] * v[own + k]; }
            dots[q] = sum;
        }
        workgroupBarrier();
        for (var k = lane; k < n; k += LANES) {
            var value = v[own + k];
            for (var q = j + 1u; q < params.m; q++) { v[q * n + k] -= dots[q] * value; }
            for (var p = 0u; p < j; p++) { value -= dots[p] * y[p * n + k]; }
            y[own + k] = value;
        }
        storageBarrier();
    }
}

// B less what the vectors y, times B, have along v: a column of four rows.
@compute @workgroup_size(64)
fn turn(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
    let n = params.n;
    let k = id.x;
    let first = 4u * group.y;
    if k >= n { return; }
    let rows = min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(n - 1u));
    var less = vec4f();
    for (var q = 0u; q < params.m; q++) {
        let line = q * n;
        let i = line + rows;
        less += v[line + k] * vec4f(given[i.x], given[i.y], given[i.z], given[i.w]);
    }
    for (var r = 0u; r < min(4u, n - first); r++) {
        let i = first + r;
        let value = factor[i * n + k] - less[r];
        root[i * n + k] = value;
        transposed[k * n + i] = value;
    }
}
