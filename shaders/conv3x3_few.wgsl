// 3x3 convolution of three input channels for GPUs, one pixel per invocation: what a picture's few values give is bound by
// memory, and backward the tiles of `conv3x3_tiled` would be nearly empty. Same meaning as `conv3x3`; biases stand among
// the weights.

struct Params {
    w: u32,
    h: u32,          // output rows of this band
    h_in: u32,       // rows of the input that this band sees
    top: u32,        // how many of them stand above the first output row
    gate_rows: u32,  // rows of gates that this band sees
    gate_top: u32,   // how many of them stand above the first output row
    c_out: u32,
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const REPLICATE: bool = false;  // beyond the map's edge: its nearest pixel instead of zeros
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
// c_out x 8: the 27 weights of an output channel (input channel, then tap), its bias, nothing up to 32 values
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<X>;           // h_in x 3 x w
@group(0) @binding(3) var<storage, read_write> y: array<Y>;     // h x c_out x w
@group(0) @binding(4) var<storage, read> dy: array<Y>;          // h_in x c_out x w
@group(0) @binding(5) var<storage, read_write> dx: array<X>;    // h x 3 x w
// gate_rows x c_out/32 rounded up x w: of each of 32 channels of a pixel a bit, set where the ReLU let its value through
@group(0) @binding(6) var<storage, read> gates: array<u32>;
@group(0) @binding(7) var<storage, read_write> own_gates: array<u32>;  // those of this band

// include: finite
// include: gate_word

// Value n of the 27 that a pixel depends on: input channel n / 9 where tap n % 9 sees it.
fn see(row: u32, column: u32, n: u32) -> f32 {
    let r = row + params.top + n % 9u / 3u - 1u;
    let k = column + n % 3u - 1u;
    if REPLICATE {
        let p = clamp(vec2i(vec2u(r, k)), vec2i(), vec2i(vec2u(params.h_in, params.w)) - 1);
        return f32(x[(u32(p.x) * 3u + n / 9u) * params.w + u32(p.y)]);
    }
    // What stands above or left of the map has wrapped around.
    if r >= params.h_in || k >= params.w { return 0.0; }
    return f32(x[(r * 3u + n / 9u) * params.w + k]);
}

fn four(row: u32, column: u32, n: u32) -> vec4f {
    return vec4f(see(row, column, n), see(row, column, n + 1u), see(row, column, n + 2u), see(row, column, n + 3u));
}

// An invocation has the 32 channels that share a word of gates.
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
    let first = 32u * id.y;
    var open = 0u;
    for (var o = first; o < min(first + 32u, params.c_out); o++) {
        let w = 8u * o;
        var sum = dot(weights[w], v0) + dot(weights[w + 1u], v1) + dot(weights[w + 2u], v2) + dot(weights[w + 3u], v3)
            + dot(weights[w + 4u], v4) + dot(weights[w + 5u], v5) + dot(weights[w + 6u], v6);
        if RELU {
            sum = max(sum, 0.0);
            open |= select(0u, 1u << (o % 32u), sum > 0.0);
        }
        y[(row * params.c_out + o) * params.w + column] = Y(finite(sum));
    }
    if RELU { own_gates[gate_word(row, first, column)] = open; }
}

// The gates of 32 channels, from `first` on, where tap `tap` of a pixel sees them: closed outside the map, open where there
// is no ReLU.
fn gates_at(row: u32, column: u32, tap: u32, first: u32) -> u32 {
    let r = row + params.gate_top + tap / 3u - 1u;
    let k = column + tap % 3u - 1u;
    if r >= params.gate_rows || k >= params.w { return 0u; }
    if !RELU { return 0xffffffffu; }
    return gates[gate_word(r, first, k)];
}

// What the gates let through of the gradient of channel o where tap `tap` of a pixel sees it.
fn dz(row: u32, column: u32, tap: u32, o: u32, open: u32) -> f32 {
    if ((open >> (o % 32u)) & 1u) == 0u { return 0.0; }
    return f32(dy[((row + params.top + tap / 3u - 1u) * params.c_out + o) * params.w + column + tap % 3u - 1u]);
}

// The same of all taps. Beyond the edge stand copies of the edge's pixels, whose gradients return to these: as if a pixel's
// own row or column were once more where the tap leads away from the edge.
fn all_dz(row: u32, column: u32, o: u32, open: array<u32, 9>) -> array<f32, 9> {
    var d: array<f32, 9>;
    for (var tap = 0u; tap < 9u; tap++) { d[tap] = dz(row, column, tap, o, open[tap]); }
    if REPLICATE {
        let left = select(0.0, 1.0, column == 0u);
        let right = select(0.0, 1.0, column + 1u == params.w);
        for (var r = 0u; r < 9u; r += 3u) {
            d[r] += right * d[r + 1u];
            d[r + 2u] += left * d[r + 1u];
        }
        let top = select(0.0, 1.0, row + params.top == 0u);
        let bottom = select(0.0, 1.0, row + params.top + 1u == params.h_in);
        for (var k = 0u; k < 3u; k++) {
            d[k] += bottom * d[k + 3u];
            d[k + 6u] += top * d[k + 3u];
        }
    }
    return d;
}

fn put(row: u32, column: u32, c: u32, sum: f32) {
    let i = (row * 3u + c) * params.w + column;
    var d = sum;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = X(finite(d));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.h * params.w { return; }
    let row = id.x / params.w;
    let column = id.x % params.w;
    var sum = vec3f();
    for (var first = 0u; first < params.c_out; first += 32u) {
        var g: array<u32, 9>;
        for (var tap = 0u; tap < 9u; tap++) { g[tap] = gates_at(row, column, tap, first); }
        for (var o = first; o < min(first + 32u, params.c_out); o++) {
            let d = all_dz(row, column, o, g);
            let w0 = weights[8u * o];
            let w1 = weights[8u * o + 1u];
            let w2 = weights[8u * o + 2u];
            let w3 = weights[8u * o + 3u];
            let w4 = weights[8u * o + 4u];
            let w5 = weights[8u * o + 5u];
            let w6 = weights[8u * o + 6u];
            // Backward the taps are mirrored: the first weight of a channel belongs to the last tap.
            sum += d[8] * vec3f(w0.x, w2.y, w4.z);
            sum += d[7] * vec3f(w0.y, w2.z, w4.w);
            sum += d[6] * vec3f(w0.z, w2.w, w5.x);
            sum += d[5] * vec3f(w0.w, w3.x, w5.y);
            sum += d[4] * vec3f(w1.x, w3.y, w5.z);
            sum += d[3] * vec3f(w1.y, w3.z, w5.w);
            sum += d[2] * vec3f(w1.z, w3.w, w6.x);
            sum += d[1] * vec3f(w1.w, w4.x, w6.y);
            sum += d[0] * vec3f(w2.x, w4.y, w6.z);
        }
    }
    put(row, column, 0u, sum.x);
    put(row, column, 1u, sum.y);
    put(row, column, 2u, sum.z);
}
