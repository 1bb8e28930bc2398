// 3x3 convolution with stride 1, bias and ReLU. This is the readable form, with one output per invocation.
// Backward masks dy where the ReLU was closed, and applies the mirrored taps.

struct Params {
    w: u32,
    h: u32,      // output rows of this band
    h_in: u32,   // rows of the input that this band reads
    top: u32,    // how many of them lie above the first output row
    c_in: u32,
    c_out: u32,
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const REPLICATE: bool = false;  // beyond the map's edge: its nearest pixel instead of zeros
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;   // 3 x 3 x c_in x c_out
@group(0) @binding(2) var<storage, read> bias: array<f32>;      // c_out
@group(0) @binding(3) var<storage, read> x: array<X>;           // h_in x c_in x w
@group(0) @binding(4) var<storage, read_write> y: array<Y>;     // h x c_out x w
@group(0) @binding(5) var<storage, read> dy: array<Y>;          // h_in x c_out x w
@group(0) @binding(6) var<storage, read_write> dx: array<X>;    // h x c_in x w
@group(0) @binding(7) var<storage, read> kept: array<Y>;        // h_in x c_out x w, the y that forward wrote

// include: finite

// The input row and column under a tap of output pixel (row, column), and whether it is inside the map.
fn at(row: u32, column: u32, tap: u32) -> vec3u {
    let r = i32(row + params.top + tap / 3u) - 1;
    let k = i32(column + tap % 3u) - 1;
    let inside = r >= 0 && r < i32(params.h_in) && k >= 0 && k < i32(params.w);
    return vec3u(u32(r), u32(k), u32(inside));
}

// The pixel of the map that is nearest to the one under a tap of pixel (row, column).
fn nearest(row: u32, column: u32, tap: u32) -> vec2u {
    let p = vec2i(at(row, column, tap).xy);
    return vec2u(clamp(p, vec2i(), vec2i(vec2u(params.h_in, params.w)) - 1));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.h * params.w { return; }
    let row = id.x / params.w;
    let column = id.x % params.w;
    var sum = bias[id.y];
    for (var c = 0u; c < params.c_in; c++) {
        for (var tap = 0u; tap < 9u; tap++) {
            var p = at(row, column, tap);
            if REPLICATE { p = vec3u(nearest(row, column, tap), 1u); }
            if p.z == 1u {
                sum += weights[(tap * params.c_in + c) * params.c_out + id.y] * f32(x[(p.x * params.c_in + c) * params.w + p.y]);
            }
        }
    }
    if RELU { sum = max(sum, 0.0); }
    y[(row * params.c_out + id.y) * params.w + column] = Y(finite(sum));
}

// The gradient of channel `own` of a pixel, which may lie beyond the edge.
fn gradient(row: u32, column: u32, own: u32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < params.c_out; c++) {
        for (var tap = 0u; tap < 9u; tap++) {
            let p = at(row, column, tap);
            let i = (p.x * params.c_out + c) * params.w + p.y;
            if p.z == 1u && (!RELU || f32(kept[i]) > 0.0) {
                sum += weights[((8u - tap) * params.c_in + own) * params.c_out + c] * f32(dy[i]);
            }
        }
    }
    return sum;
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.h * params.w { return; }
    let row = id.x / params.w;
    let column = id.x % params.w;
    var sum = gradient(row, column, id.y);
    if REPLICATE {
        // What stands beyond the edge is a copy of this pixel where it is the nearest.
        for (var n = 0u; n < 9u; n++) {
            let copied = all(nearest(row, column, n) == vec2u(row + params.top, column));
            if at(row, column, n).z == 0u && copied {
                sum += gradient(row + n / 3u - 1u, column + n % 3u - 1u, id.y);
            }
        }
    }
    let i = (row * params.c_in + id.y) * params.w + column;
    if ACCUMULATE { sum += f32(dx[i]); }
    dx[i] = X(finite(sum));
}
