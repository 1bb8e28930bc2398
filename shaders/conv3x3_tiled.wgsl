// 3x3 convolution as an implicit matrix product for GPUs: a workgroup of 16 x 16 computes CHANNELS channels of PIXELS
// pixels, an invocation 4 or 8 of each in registers. Weights and pixels of 8 channels at a time go through workgroup
// memory; while they are multiplied, the next are on their way. Same bindings and meaning as `conv3x3`.

struct Params {
    w: u32,
    h: u32,      // output rows of this band
    h_in: u32,   // rows of the input that this band sees
    top: u32,    // how many of them stand above the first output row
    c_in: u32,
    c_out: u32,
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const ACCUMULATE: bool = false;

const CHANNELS: u32 = 64u;  // 64 or 128
const PIXELS: u32 = 128u;   // 64 or 128

const STEP: u32 = 8u;       // channels summed between two barriers
const LANES: u32 = 16u;
// Rows of workgroup memory in vec4f. One more of weights, so that those that are written together, backward eight rows of
// a column, lie in different banks.
const FILTERS_ROW: u32 = CHANNELS / 4u + 1u;
const PIXELS_ROW: u32 = PIXELS / 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;   // 3 x 3 x c_in x c_out
@group(0) @binding(2) var<storage, read> bias: array<f32>;      // c_out
@group(0) @binding(3) var<storage, read> x: array<X>;           // h_in x c_in x w
@group(0) @binding(4) var<storage, read_write> y: array<Y>;     // h x c_out x w
@group(0) @binding(5) var<storage, read> dy: array<Y>;          // h_in x c_out x w
@group(0) @binding(6) var<storage, read_write> dx: array<X>;    // h x c_in x w
@group(0) @binding(7) var<storage, read> kept: array<Y>;        // h_in x c_out x w, the y that forward wrote

var<workgroup> filters: array<vec4f, STEP * FILTERS_ROW>;  // STEP x CHANNELS
var<workgroup> pixels: array<vec4f, STEP * PIXELS_ROW>;    // STEP x PIXELS

// What an invocation sums: four pixels (a row) of four channels (a matrix), and of four more of either or both.
struct Sums {
    near: mat4x4f,
    more_pixels: mat4x4f,
    more_channels: mat4x4f,
    more_both: mat4x4f,
}

// Half precision stays finite.
fn to_x(d: f32) -> X { return X(select(d, clamp(d, -65504.0, 65504.0), HALF)); }
fn to_y(d: f32) -> Y { return Y(select(d, clamp(d, -65504.0, 65504.0), HALF)); }

// Four pixels as a tap sees them: where the map's first channel has each, and which of them are inside.
struct Seen {
    at: vec4u,
    inside: vec4<bool>,
}

// What tap `tap` of output pixels p .. p+3 sees of a map of `channels`.
fn see(p: u32, tap: u32, channels: u32) -> Seen {
    let four = p + vec4u(0u, 1u, 2u, 3u);
    // What stands above or left of the map has wrapped around.
    let row = four / params.w + params.top + tap / 3u - 1u;
    let column = four % params.w + tap % 3u - 1u;
    let inside = (four < vec4u(params.h * params.w)) & (row < vec4u(params.h_in)) & (column < vec4u(params.w));
    return Seen(row * channels * params.w + column, inside & vec4<bool>(tap < 9u));
}

fn outer(pixels: vec4f, channels: vec4f) -> mat4x4f {
    return mat4x4f(pixels * channels.x, pixels * channels.y, pixels * channels.z, pixels * channels.w);
}

// Adds the products of what is in workgroup memory.
fn multiply(start: Sums, local: vec3u) -> Sums {
    var sums = start;
    for (var k = 0u; k < STEP; k++) {
        let f = filters[k * FILTERS_ROW + local.y];
        let p = pixels[k * PIXELS_ROW + local.x];
        sums.near += outer(p, f);
        if PIXELS > 64u { sums.more_pixels += outer(pixels[k * PIXELS_ROW + local.x + LANES], f); }
        if CHANNELS > 64u {
            let more = filters[k * FILTERS_ROW + local.y + LANES];
            sums.more_channels += outer(p, more);
            if PIXELS > 64u { sums.more_both += outer(pixels[k * PIXELS_ROW + local.x + LANES], more); }
        }
    }
    return sums;
}

// An invocation stages four pixels of one channel, and four channels of one row of weights; with tiles of 64, half of
// them do.
fn pixels_forward(seen: Seen, first: u32, index: u32) -> vec4f {
    let c = first + index / PIXELS_ROW;
    var v = vec4f();
    if c < min(params.c_in, first + STEP) {
        let at = seen.at + c * params.w;
        if seen.inside.x { v.x = f32(x[at.x]); }
        if seen.inside.y { v.y = f32(x[at.y]); }
        if seen.inside.z { v.z = f32(x[at.z]); }
        if seen.inside.w { v.w = f32(x[at.w]); }
    }
    return v;
}

fn keep_pixels(index: u32, v: vec4f) {
    if index < STEP * PIXELS_ROW { pixels[index] = v; }
}

fn filters_forward(tap: u32, first: u32, channel: u32, index: u32) -> vec4f {
    let i = first + index / (CHANNELS / 4u);
    let o = channel + index % (CHANNELS / 4u) * 4u;
    var f = vec4f();
    if tap < 9u && i < min(params.c_in, first + STEP) {
        let at = (tap * params.c_in + i) * params.c_out + o;
        if o < params.c_out { f.x = weights[at]; }
        if o + 1u < params.c_out { f.y = weights[at + 1u]; }
        if o + 2u < params.c_out { f.z = weights[at + 2u]; }
        if o + 3u < params.c_out { f.w = weights[at + 3u]; }
    }
    return f;
}

fn keep_filters_forward(index: u32, f: vec4f) {
    let k = index / (CHANNELS / 4u);
    if k < STEP { filters[k * FILTERS_ROW + index % (CHANNELS / 4u)] = f; }
}

fn put_y(p: u32, c: u32, v: f32) {
    if c >= params.c_out || p >= params.h * params.w { return; }
    var d = v + bias[c];
    if RELU { d = max(d, 0.0); }
    y[(p / params.w * params.c_out + c) * params.w + p % params.w] = to_y(d);
}

fn put_row_forward(p: u32, c: u32, v: vec4f) {
    put_y(p, c, v.x);
    put_y(p + 1u, c, v.y);
    put_y(p + 2u, c, v.z);
    put_y(p + 3u, c, v.w);
}

fn put_forward(p: u32, c: u32, sum: mat4x4f) {
    put_row_forward(p, c, sum[0]);
    put_row_forward(p, c + 1u, sum[1]);
    put_row_forward(p, c + 2u, sum[2]);
    put_row_forward(p, c + 3u, sum[3]);
}

@compute @workgroup_size(LANES, LANES)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let staged = block.x * PIXELS + index % PIXELS_ROW * 4u;
    let channel = block.y * CHANNELS;
    var sums = Sums();
    var tap = 0u;
    var i = 0u;
    var seen = see(staged, tap, params.c_in);
    var next_pixels = pixels_forward(seen, i, index);
    var next_filters = filters_forward(tap, i, channel, index);
    while tap < 9u {
        workgroupBarrier();
        keep_pixels(index, next_pixels);
        keep_filters_forward(index, next_filters);
        workgroupBarrier();
        i += STEP;
        if i >= params.c_in {
            i = 0u;
            tap++;
            seen = see(staged, tap, params.c_in);
        }
        next_pixels = pixels_forward(seen, i, index);
        next_filters = filters_forward(tap, i, channel, index);
        sums = multiply(sums, local);
    }
    let p = block.x * PIXELS + 4u * local.x;
    let c = channel + 4u * local.y;
    put_forward(p, c, sums.near);
    if PIXELS > 64u { put_forward(p + 4u * LANES, c, sums.more_pixels); }
    if CHANNELS > 64u { put_forward(p, c + 4u * LANES, sums.more_channels); }
    if PIXELS > 64u && CHANNELS > 64u { put_forward(p + 4u * LANES, c + 4u * LANES, sums.more_both); }
}

fn gradient(i: u32) -> f32 {
    if RELU && !(f32(kept[i]) > 0.0) { return 0.0; }
    return f32(dy[i]);
}

fn pixels_backward(seen: Seen, first: u32, index: u32) -> vec4f {
    let c = first + index / PIXELS_ROW;
    var v = vec4f();
    if c < min(params.c_out, first + STEP) {
        let at = seen.at + c * params.w;
        if seen.inside.x { v.x = gradient(at.x); }
        if seen.inside.y { v.y = gradient(at.y); }
        if seen.inside.z { v.z = gradient(at.z); }
        if seen.inside.w { v.w = gradient(at.w); }
    }
    return v;
}

// Neighbours in memory are neighbours in the sum here, so that the invocations are dealt out the other way round.
fn filters_backward(tap: u32, first: u32, channel: u32, index: u32) -> vec4f {
    let o = first + index % STEP;
    let i = channel + index / STEP * 4u;
    var f = vec4f();
    if tap < 9u && o < params.c_out && index < STEP * CHANNELS / 4u {
        let at = ((8u - tap) * params.c_in + i) * params.c_out + o;
        if i < params.c_in { f.x = weights[at]; }
        if i + 1u < params.c_in { f.y = weights[at + params.c_out]; }
        if i + 2u < params.c_in { f.z = weights[at + 2u * params.c_out]; }
        if i + 3u < params.c_in { f.w = weights[at + 3u * params.c_out]; }
    }
    return f;
}

fn keep_filters_backward(index: u32, f: vec4f) {
    if index < STEP * CHANNELS / 4u { filters[index % STEP * FILTERS_ROW + index / STEP] = f; }
}

fn put_dx(p: u32, c: u32, v: f32) {
    if c >= params.c_in || p >= params.h * params.w { return; }
    let i = (p / params.w * params.c_in + c) * params.w + p % params.w;
    var d = v;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = to_x(d);
}

fn put_row_backward(p: u32, c: u32, v: vec4f) {
    put_dx(p, c, v.x);
    put_dx(p + 1u, c, v.y);
    put_dx(p + 2u, c, v.z);
    put_dx(p + 3u, c, v.w);
}

fn put_backward(p: u32, c: u32, sum: mat4x4f) {
    put_row_backward(p, c, sum[0]);
    put_row_backward(p, c + 1u, sum[1]);
    put_row_backward(p, c + 2u, sum[2]);
    put_row_backward(p, c + 3u, sum[3]);
}

@compute @workgroup_size(LANES, LANES)
fn backward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let staged = block.x * PIXELS + index % PIXELS_ROW * 4u;
    let channel = block.y * CHANNELS;
    var sums = Sums();
    var tap = 0u;
    var o = 0u;
    var seen = see(staged, tap, params.c_out);
    var next_pixels = pixels_backward(seen, o, index);
    var next_filters = filters_backward(tap, o, channel, index);
    while tap < 9u {
        workgroupBarrier();
        keep_pixels(index, next_pixels);
        keep_filters_backward(index, next_filters);
        workgroupBarrier();
        o += STEP;
        if o >= params.c_out {
            o = 0u;
            tap++;
            seen = see(staged, tap, params.c_out);
        }
        next_pixels = pixels_backward(seen, o, index);
        next_filters = filters_backward(tap, o, channel, index);
        sums = multiply(sums, local);
    }
    let p = block.x * PIXELS + 4u * local.x;
    let c = channel + 4u * local.y;
    put_backward(p, c, sums.near);
    if PIXELS > 64u { put_backward(p + 4u * LANES, c, sums.more_pixels); }
    if CHANNELS > 64u { put_backward(p, c + 4u * LANES, sums.more_channels); }
    if PIXELS > 64u && CHANNELS > 64u { put_backward(p + 4u * LANES, c + 4u * LANES, sums.more_both); }
}
