// L-BFGS (Nocedal 1980) wholly on the device: the two-loop recursion of Nocedal and Wright, "Numerical
// Optimization", algorithm 7.4, over the last pairs of a step s and what the gradient changed by it, y. Each
// loop is a chain of kernels: one adds a multiple of a pair to the direction and sums the next product, and
// one workgroup makes the next multiple of that sum. All sums have a fixed order.
//
// The newest pair has number 0. Pairs with a number from `memory.count` on are not there: they count nothing,
// whatever they hold.

alias real = f32;  // of the picture: see adam.wgsl

struct Params {
    row: u32,     // values of a row of the picture: 3 * width
    h: u32,       // rows of this band
    shares: u32,  // partial sums of this band, each over every shares-th row
    share: u32,   // the first of them
    parts: u32,   // partial sums of all bands
    values: f32,  // values of the picture
    k: u32,       // number of a pair
    factor: f32,  // on the gradient
}

const PAIRS: u32 = 10u;
const LANES: u32 = 64u;
const CLAMP: bool = false;  // whether the picture is kept within 0 and 1
// How far the first step moves a value on average, and the most that later ones do as the root of the mean
// square. Both are multiplied by the learning rate.
const FIRST: f32 = 0.01;
const LONGEST: f32 = 0.1;

// All zero before the first iteration.
struct Memory {
    count: u32,                 // pairs that are there
    accepted: u32,              // whether this iteration brought one
    gamma: f32,                 // what stands for the inverse Hessian at the bottom: s.y / y.y of the newest pair
    rate: f32,                  // of this step
    rho: array<f32, PAIRS>,     // 1 / s.y
    alpha: array<f32, PAIRS>,   // how much of a y is taken off on the way down
    weight: array<f32, PAIRS>,  // how much of an s is put on, on the way up
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> memory: Memory;
@group(0) @binding(2) var<storage, read_write> partial: array<vec4f>;  // parts
@group(0) @binding(3) var<storage, read> dx: array<f32>;               // h x 3 x w
@group(0) @binding(4) var<storage, read_write> before: array<f32>;     // h x 3 x w, the gradient of the last iteration
@group(0) @binding(5) var<storage, read_write> q: array<f32>;          // h x 3 x w, the direction
@group(0) @binding(6) var<storage, read_write> s: array<f32>;          // h x 3 x w, a step
@group(0) @binding(7) var<storage, read_write> y: array<f32>;          // h x 3 x w, a change of the gradient
@group(0) @binding(8) var<storage, read> newer_s: array<f32>;          // h x 3 x w, of the next newer pair
@group(0) @binding(9) var<storage, read> newer_y: array<f32>;          // h x 3 x w
@group(0) @binding(10) var<storage, read> added: array<f32>;           // h x 3 x w, of which the direction gets a multiple
@group(0) @binding(11) var<storage, read> other: array<f32>;           // h x 3 x w, with which it is multiplied
@group(0) @binding(12) var<storage, read_write> exact: array<real>;    // h x 3 x w, the picture
@group(0) @binding(13) var<storage, read_write> x: array<f32>;         // h x 3 x w, the picture as the network sees it
@group(0) @binding(14) var<storage, read> schedule: State;

// include: schedule

var<workgroup> sums: array<vec4f, LANES>;

// The sum of what all lanes have; only lane 0 gets it.
fn together(own: vec4f, lane: u32) -> vec4f {
    sums[lane] = own;
    for (var span = LANES / 2u; span > 0u; span /= 2u) {
        workgroupBarrier();
        if lane < span { sums[lane] += sums[lane + span]; }
    }
    return sums[0];
}

// Adds what all lanes have of a share.
fn put(group: vec3u, lane: u32, own: vec4f) {
    let all = together(own, lane);
    if lane == 0u { partial[params.share + group.y] = all; }
}

// The sum of all partial sums; only lane 0 gets it.
fn total(lane: u32) -> vec4f {
    var own = vec4f();
    for (var i = lane; i < params.parts; i += LANES) { own += partial[i]; }
    return together(own, lane);
}

// What the last step, s, changed the gradient by. The direction begins as the gradient. Sums s.y, y.y and
// |gradient|.
@compute @workgroup_size(LANES)
fn change(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var own = vec4f();
    for (var row = group.y; row < params.h; row += params.shares) {
        for (var k = lane; k < params.row; k += LANES) {
            let i = row * params.row + k;
            let g = params.factor * dx[i];
            let d = g - before[i];
            y[i] = d;
            before[i] = g;
            q[i] = g;
            own += vec4f(s[i] * d, d * d, abs(g), 0.0);
        }
    }
    put(group, lane, own);
}

// Takes the pair if its curvature is positive. Without any pair, the direction is the gradient at the length
// of a first step.
@compute @workgroup_size(LANES)
fn accept(@builtin(local_invocation_index) lane: u32) {
    let all = total(lane);
    if lane != 0u { return; }
    memory.accepted = 0u;
    if all.x > 0.0 {
        for (var k = PAIRS - 1u; k > 0u; k--) { memory.rho[k] = memory.rho[k - 1u]; }
        memory.rho[0] = 1.0 / all.x;
        memory.gamma = all.x / all.y;
        memory.count = min(memory.count + 1u, PAIRS);
        memory.accepted = 1u;
    }
    if memory.count == 0u { memory.gamma = select(0.0, FIRST * params.values / all.z, all.z > 0.0); }
    memory.rate = f32(schedule.rate);
}

// Makes room for a new pair: each takes the place of the next older one.
@compute @workgroup_size(64)
fn shift(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row || memory.accepted == 0u { return; }
    let i = id.y * params.row + id.x;
    s[i] = newer_s[i];
    y[i] = newer_y[i];
}

// The direction less or more `weight` times `added`, and that times `scale`; and its product with `other`, if
// there is any, or else with itself.
fn turn(group: vec3u, lane: u32, weight: f32, scale: f32, product: bool, itself: bool) {
    var own = 0.0;
    for (var row = group.y; row < params.h; row += params.shares) {
        for (var k = lane; k < params.row; k += LANES) {
            let i = row * params.row + k;
            var d = q[i];
            if weight != 0.0 { d += weight * added[i]; }
            d *= scale;
            q[i] = d;
            if product { own += d * other[i]; }
            if itself { own += d * d; }
        }
    }
    put(group, lane, vec4f(own, 0.0, 0.0, 0.0));
}

// On the way down, from the newest pair to the oldest: takes off the pair before, and multiplies with the s
// of this one.
@compute @workgroup_size(LANES)
fn down(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var weight = 0.0;
    if params.k > 0u { weight = -memory.alpha[params.k - 1u]; }
    turn(group, lane, weight, 1.0, params.k < memory.count, false);
}

@compute @workgroup_size(LANES)
fn weigh_down(@builtin(local_invocation_index) lane: u32) {
    let all = total(lane);
    if lane == 0u { memory.alpha[params.k] = select(0.0, memory.rho[params.k] * all.x, params.k < memory.count); }
}

// At the bottom: takes off the last pair, and multiplies with its y.
@compute @workgroup_size(LANES)
fn bottom(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    turn(group, lane, -memory.alpha[PAIRS - 1u], memory.gamma, memory.count == PAIRS, false);
}

@compute @workgroup_size(LANES)
fn weigh_up(@builtin(local_invocation_index) lane: u32) {
    let all = total(lane);
    if lane == 0u {
        let weight = memory.alpha[params.k] - memory.rho[params.k] * all.x;
        memory.weight[params.k] = select(0.0, weight, params.k < memory.count);
    }
}

// On the way up, from the oldest pair to the newest: puts on the s of this pair, and multiplies with the y of
// the next newer one, at last with itself.
@compute @workgroup_size(LANES)
fn up(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let last = params.k == 0u;
    turn(group, lane, memory.weight[params.k], 1.0, !last && params.k <= memory.count, last);
}

// Keeps a step from being longer than the learning rate allows.
@compute @workgroup_size(LANES)
fn limit(@builtin(local_invocation_index) lane: u32) {
    let all = total(lane);
    if lane != 0u { return; }
    let length = sqrt(all.x / params.values);
    if length > LONGEST { memory.rate *= LONGEST / length; }
}

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    var next = exact[i] - real(memory.rate * q[i]);
    if CLAMP { next = clamp(next, real(0), real(1)); }
    s[i] = f32(next - exact[i]);
    exact[i] = next;
    x[i] = f32(next);
}
