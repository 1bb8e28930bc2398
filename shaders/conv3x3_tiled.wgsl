// 3x3 convolution as an implicit matrix product for GPUs: a workgroup of 16 x 16 computes CHANNELS channels of PIXELS
// pixels, an invocation 4 or 8 of each in registers. Weights and pixels of 8 channels at a time go through workgroup
// memory; while they are multiplied, the next are on their way.
//
// Four pixels are a window of 2 x 2, the same that 2x2 max pooling looks at: what follows the sum, bias, ReLU and pooling,
// happens in registers. Of ReLU and pooling, one bit per pixel is kept for the way back: whether its value was let through.

struct Params {
    w: u32,
    h: u32,          // output rows of this band
    h_in: u32,       // rows of x or dy that this band sees
    top: u32,        // how many of them stand above the first output row, or above the first pooled one
    gate_rows: u32,  // rows of windows of gates that this band sees
    gate_top: u32,   // how many of them stand above the first window
    c_in: u32,
    c_out: u32,
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const POOL: bool = false;  // only with RELU
const REPLICATE: bool = false;  // beyond the map's edge: its nearest pixel instead of zeros
const ACCUMULATE: bool = false;

const CHANNELS: u32 = 64u;  // 64 or 128
const PIXELS: u32 = 128u;   // 64 or 128

const STEP: u32 = 8u;       // channels summed between two barriers
const LANES: u32 = 16u;
// Rows of workgroup memory in vec4f. One more of weights, so that those that are written together, backward eight rows of
// a column, lie in different banks.
const FILTERS_ROW: u32 = CHANNELS / 4u + 1u;
const WINDOWS: u32 = PIXELS / 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;   // 3 x 3 x c_in x c_out
@group(0) @binding(2) var<storage, read> bias: array<f32>;      // c_out
@group(0) @binding(3) var<storage, read> x: array<X>;           // h_in x c_in x w
@group(0) @binding(4) var<storage, read_write> y: array<Y>;     // h x c_out x w, pooled h/2 x c_out x w/2
@group(0) @binding(5) var<storage, read> dy: array<Y>;          // h_in x c_out x w, pooled h_in x c_out x w/2
@group(0) @binding(6) var<storage, read_write> dx: array<X>;    // h x c_in x w
// gate_rows x c_out/4 x w/2, both rounded up: bit 4 k + p belongs to pixel p of the window, in reading order, of channel k
@group(0) @binding(7) var<storage, read> gates: array<u32>;
@group(0) @binding(8) var<storage, read_write> own_gates: array<u32>;  // those of this band

var<workgroup> filters: array<vec4f, STEP * FILTERS_ROW>;  // STEP x CHANNELS
var<workgroup> pixels: array<vec4f, STEP * WINDOWS>;    // STEP x PIXELS

// What an invocation sums: a window (a column) of four channels (a matrix), and of four more of either or both.
struct Sums {
    near: mat4x4f,
    more_pixels: mat4x4f,
    more_channels: mat4x4f,
    more_both: mat4x4f,
}

// include: finite
// include: outer
// include: first_maximum
// include: windows

// The row and column of window n, counted from the band's first.
fn place(n: u32) -> vec2u {
    let across = (params.w + 1u) / 2u;
    return vec2u(n / across, n % across);
}

// The four pixels of a window, in reading order.
const ROWS: vec4u = vec4u(0u, 0u, 1u, 1u);
const COLUMNS: vec4u = vec4u(0u, 1u, 0u, 1u);

// The pixels that tap `tap` of window n sees, counted from the band's first. What stands above or left of it has wrapped
// around and is too large.
struct Seen {
    rows: vec4u,
    columns: vec4u,
}

fn see(n: u32, tap: u32) -> Seen {
    let corner = 2u * place(n) + vec2u(tap / 3u, tap % 3u) - 1u;
    return Seen(corner.x + ROWS, corner.y + COLUMNS);
}

// Adds the products of the values in workgroup memory.
fn multiply(start: Sums, local: vec3u) -> Sums {
    var sums = start;
    for (var k = 0u; k < STEP; k++) {
        let f = filters[k * FILTERS_ROW + local.y];
        let p = pixels[k * WINDOWS + local.x];
        sums.near += outer(p, f);
        if PIXELS > 64u { sums.more_pixels += outer(pixels[k * WINDOWS + local.x + LANES], f); }
        if CHANNELS > 64u {
            let more = filters[k * FILTERS_ROW + local.y + LANES];
            sums.more_channels += outer(p, more);
            if PIXELS > 64u { sums.more_both += outer(pixels[k * WINDOWS + local.x + LANES], more); }
        }
    }
    return sums;
}

// A value of x, or what stands for one outside the map.
fn value(row: u32, column: u32, c: u32) -> f32 {
    let r = row + params.top;
    if REPLICATE {
        let p = clamp(vec2i(vec2u(r, column)), vec2i(), vec2i(vec2u(params.h_in, params.w)) - 1);
        return f32(x[(u32(p.x) * params.c_in + c) * params.w + u32(p.y)]);
    }
    if r >= params.h_in || column >= params.w { return 0.0; }
    return f32(x[(r * params.c_in + c) * params.w + column]);
}

// An invocation stages a window of one channel, and four channels of one row of weights; with tiles of 64, half of them do.
fn pixels_forward(tap: u32, seen: Seen, first: u32, index: u32) -> vec4f {
    let c = first + index / WINDOWS;
    if tap >= 9u || c >= min(params.c_in, first + STEP) { return vec4f(); }
    return vec4f(
        value(seen.rows.x, seen.columns.x, c),
        value(seen.rows.y, seen.columns.y, c),
        value(seen.rows.z, seen.columns.z, c),
        value(seen.rows.w, seen.columns.w, c),
    );
}

fn keep_pixels(index: u32, v: vec4f) {
    if index < STEP * WINDOWS { pixels[index] = v; }
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

@compute @workgroup_size(LANES, LANES)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let staged = block.x * WINDOWS + index % WINDOWS;
    let channel = block.y * CHANNELS;
    var sums = Sums();
    var tap = 0u;
    var i = 0u;
    var seen = see(staged, tap);
    var next_pixels = pixels_forward(tap, seen, i, index);
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
            seen = see(staged, tap);
        }
        next_pixels = pixels_forward(tap, seen, i, index);
        next_filters = filters_forward(tap, i, channel, index);
        sums = multiply(sums, local);
    }
    let n = block.x * WINDOWS + local.x;
    let c = channel + 4u * local.y;
    put_forward(2u * place(n), c, sums.near);
    if PIXELS > 64u { put_forward(2u * place(n + LANES), c, sums.more_pixels); }
    if CHANNELS > 64u { put_forward(2u * place(n), c + 4u * LANES, sums.more_channels); }
    if PIXELS > 64u && CHANNELS > 64u { put_forward(2u * place(n + LANES), c + 4u * LANES, sums.more_both); }
}

// What comes under tap `tap` of a pixel of x. Beyond the edge stand copies of the edge's pixels, whose gradients return to
// these: as if a pixel's own row or column were once more where the tap leads away from the edge.
fn folded(row: u32, column: u32, c: u32, tap: u32) -> f32 {
    var d = gradient(row, column, c);
    if REPLICATE {
        let own = vec2u(row, column) + 1u - vec2u(tap / 3u, tap % 3u);
        // The map ends with this band if no window below it is seen.
        let ends = own.x + 1u == params.h && (params.h + 1u) / 2u + params.gate_top == params.gate_rows;
        let above = tap / 3u == 2u && own.x + 2u * params.gate_top == 0u;
        let below = tap / 3u == 0u && ends;
        let left = tap % 3u == 2u && own.y == 0u;
        let right = tap % 3u == 0u && own.y + 1u == params.w;
        if above || below { d += gradient(own.x, column, c); }
        if left || right { d += gradient(row, own.y, c); }
        if (above || below) && (left || right) { d += gradient(own.x, own.y, c); }
    }
    return d;
}

fn pixels_backward(tap: u32, seen: Seen, first: u32, index: u32) -> vec4f {
    let c = first + index / WINDOWS;
    if tap >= 9u || c >= min(params.c_out, first + STEP) { return vec4f(); }
    return vec4f(
        folded(seen.rows.x, seen.columns.x, c, tap),
        folded(seen.rows.y, seen.columns.y, c, tap),
        folded(seen.rows.z, seen.columns.z, c, tap),
        folded(seen.rows.w, seen.columns.w, c, tap),
    );
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

@compute @workgroup_size(LANES, LANES)
fn backward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let staged = block.x * WINDOWS + index % WINDOWS;
    let channel = block.y * CHANNELS;
    var sums = Sums();
    var tap = 0u;
    var o = 0u;
    var seen = see(staged, tap);
    var next_pixels = pixels_backward(tap, seen, o, index);
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
            seen = see(staged, tap);
        }
        next_pixels = pixels_backward(tap, seen, o, index);
        next_filters = filters_backward(tap, o, channel, index);
        sums = multiply(sums, local);
    }
    let n = block.x * WINDOWS + local.x;
    let c = channel + 4u * local.y;
    put_backward(2u * place(n), c, sums.near);
    if PIXELS > 64u { put_backward(2u * place(n + LANES), c, sums.more_pixels); }
    if CHANNELS > 64u { put_backward(2u * place(n), c + 4u * LANES, sums.more_channels); }
    if PIXELS > 64u && CHANNELS > 64u { put_backward(2u * place(n + LANES), c + 4u * LANES, sums.more_both); }
}
