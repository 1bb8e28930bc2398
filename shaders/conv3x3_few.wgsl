// 3x3 convolution of three input channels for GPUs, one pixel per invocation: what a picture's few values give is bound by
// memory, and backward the tiles of `conv3x3_tiled` would be nearly empty. Same meaning as `conv3x3`; biases stand among
// the weights.

struct Params {
    w: u32,
    h: u32,      // output rows of this band
    h_in: u32,   // rows of the input that this band sees
    top: u32,    // how many of them stand above the first output row
    c_out: u32,
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const ACCUMULATE: bool = false;

const CHANNELS: u32 = 16u;  // output channels of an invocation, forward

@group(0) @binding(0) var<uniform> params: Params;
// c_out x 8: the 27 weights of an output channel (input channel, then tap), its bias, nothing up to 32 values
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<X>;           // h_in x 3 x w
@group(0) @binding(3) var<storage, read_write> y: array<Y>;     // h x c_out x w
@group(0) @binding(4) var<storage, read> dy: array<Y>;          // h_in x c_out x w
@group(0) @binding(5) var<storage, read_write> dx: array<X>;    // h x 3 x w
@group(0) @binding(6) var<storage, read> kept: array<Y>;        // h_in x c_out x w, the y that forward wrote

// Half precision stays finite.
fn to_x(d: f32) -> X { return X(select(d, clamp(d, -65504.0, 65504.0), HALF)); }
fn to_y(d: f32) -> Y { return Y(select(d, clamp(d, -65504.0, 65504.0), HALF)); }

// Where channel c of `channels` has what tap `tap` of a pixel sees; outside the map, too large an index.
fn at(row: u32, column: u32, tap: u32, c: u32, channels: u32) -> u32 {
    let r = row + params.top + tap / 3u - 1u;
    let k = column + tap % 3u - 1u;
    // What stands above or left of the map has wrapped around.
    return select(0xffffffffu, (r * channels + c) * params.w + k, r < params.h_in && k < params.w);
}

// Value n of the 27 that a pixel depends on.
fn see(row: u32, column: u32, n: u32) -> f32 {
    let i = at(row, column, n % 9u, n / 9u, 3u);
    if i == 0xffffffffu { return 0.0; }
    return f32(x[i]);
}

fn four(row: u32, column: u32, n: u32) -> vec4f {
    return vec4f(see(row, column, n), see(row, column, n + 1u), see(row, column, n + 2u), see(row, column, n + 3u));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.h * params.w { return; }
    let row = id.x / params.w;
    let column = id.x % params.w;
    let v0 = four(row, column, 0u);
    let v1 = four(row, column, 4u);
    let v2 = four(row, column, 8u);
    let v3 = four(row, column, 12u);
    let v4 = four(row, column, 16u);
    let v5 = four(row, column, 20u);
    // The bias is the weight of a one.
    let v6 = vec4f(see(row, column, 24u), see(row, column, 25u), see(row, column, 26u), 1.0);
    for (var o = id.y * CHANNELS; o < min((id.y + 1u) * CHANNELS, params.c_out); o++) {
        let w = 8u * o;
        var sum = dot(weights[w], v0) + dot(weights[w + 1u], v1) + dot(weights[w + 2u], v2) + dot(weights[w + 3u], v3)
            + dot(weights[w + 4u], v4) + dot(weights[w + 5u], v5) + dot(weights[w + 6u], v6);
        if RELU { sum = max(sum, 0.0); }
        y[(row * params.c_out + o) * params.w + column] = to_y(sum);
    }
}

// The gradient of channel o where tap `tap` of a pixel sees it, if the ReLU let the value through.
fn dz(row: u32, column: u32, tap: u32, o: u32) -> f32 {
    let i = at(row, column, tap, o, params.c_out);
    if i == 0xffffffffu { return 0.0; }
    if RELU && !(f32(kept[i]) > 0.0) { return 0.0; }
    return f32(dy[i]);
}

fn put(row: u32, column: u32, c: u32, sum: f32) {
    let i = (row * 3u + c) * params.w + column;
    var d = sum;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = to_x(d);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.h * params.w { return; }
    let row = id.x / params.w;
    let column = id.x % params.w;
    var sum = vec3f();
    for (var o = 0u; o < params.c_out; o++) {
        let w0 = weights[8u * o];
        let w1 = weights[8u * o + 1u];
        let w2 = weights[8u * o + 2u];
        let w3 = weights[8u * o + 3u];
        let w4 = weights[8u * o + 4u];
        let w5 = weights[8u * o + 5u];
        let w6 = weights[8u * o + 6u];
        // Backward the taps are mirrored: the first weight of a channel belongs to the last tap.
        sum += dz(row, column, 8u, o) * vec3f(w0.x, w2.y, w4.z);
        sum += dz(row, column, 7u, o) * vec3f(w0.y, w2.z, w4.w);
        sum += dz(row, column, 6u, o) * vec3f(w0.z, w2.w, w5.x);
        sum += dz(row, column, 5u, o) * vec3f(w0.w, w3.x, w5.y);
        sum += dz(row, column, 4u, o) * vec3f(w1.x, w3.y, w5.z);
        sum += dz(row, column, 3u, o) * vec3f(w1.y, w3.z, w5.w);
        sum += dz(row, column, 2u, o) * vec3f(w1.z, w3.w, w6.x);
        sum += dz(row, column, 1u, o) * vec3f(w1.w, w4.x, w6.y);
        sum += dz(row, column, 0u, o) * vec3f(w2.x, w4.y, w6.z);
    }
    put(row, column, 0u, sum.x);
    put(row, column, 1u, sum.y);
    put(row, column, 2u, sum.z);
}
