// 3x3 convolution as an implicit matrix product for GPUs: a workgroup computes 64 channels of 128 pixels, an
// invocation 8 channels of 4 pixels. Weights and pixels of 8 channels at a time go through workgroup memory.
// Same bindings and meaning as `conv3x3`.

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

const STEP: u32 = 8u;      // channels summed between two barriers
const CHANNELS: u32 = 64u;
const PIXELS: u32 = 128u;
const LANES: u32 = 32u;    // invocations beside each other, each with every 32nd pixel

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;   // 3 x 3 x c_in x c_out
@group(0) @binding(2) var<storage, read> bias: array<f32>;      // c_out
@group(0) @binding(3) var<storage, read> x: array<X>;           // h_in x c_in x w
@group(0) @binding(4) var<storage, read_write> y: array<Y>;     // h x c_out x w
@group(0) @binding(5) var<storage, read> dy: array<Y>;          // h_in x c_out x w
@group(0) @binding(6) var<storage, read_write> dx: array<X>;    // h x c_in x w
@group(0) @binding(7) var<storage, read> kept: array<Y>;        // h_in x c_out x w, the y that forward wrote

var<workgroup> filters: array<vec4f, STEP * CHANNELS / 4u>;  // STEP x CHANNELS
var<workgroup> pixels: array<f32, STEP * PIXELS>;            // STEP x PIXELS

// Half precision stays finite.
fn to_x(d: f32) -> X { return X(select(d, clamp(d, -65504.0, 65504.0), HALF)); }
fn to_y(d: f32) -> Y { return Y(select(d, clamp(d, -65504.0, 65504.0), HALF)); }

// Row and column of the map that tap `tap` of output pixel p sees; the third number is 1 if they are inside.
fn at(p: u32, tap: u32) -> vec3u {
    let row = i32(p / params.w + params.top + tap / 3u) - 1;
    let column = i32(p % params.w + tap % 3u) - 1;
    let inside = p < params.h * params.w && row >= 0 && row < i32(params.h_in) && column >= 0 && column < i32(params.w);
    return vec3u(u32(row), u32(column), u32(inside));
}

// Adds what is in workgroup memory to 8 channels (from 8 * group) of 4 pixels (lane, lane + 32, ...).
fn multiply(start: array<vec4f, 8>, group: u32, lane: u32) -> array<vec4f, 8> {
    var sums = start;
    for (var k = 0u; k < STEP; k++) {
        let p = k * PIXELS + lane;
        let v = vec4f(pixels[p], pixels[p + LANES], pixels[p + 2u * LANES], pixels[p + 3u * LANES]);
        let f = filters[k * CHANNELS / 4u + 2u * group];
        let g = filters[k * CHANNELS / 4u + 2u * group + 1u];
        sums[0] += f.x * v;
        sums[1] += f.y * v;
        sums[2] += f.z * v;
        sums[3] += f.w * v;
        sums[4] += g.x * v;
        sums[5] += g.y * v;
        sums[6] += g.z * v;
        sums[7] += g.w * v;
    }
    return sums;
}

@compute @workgroup_size(LANES, 8)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let first = block.y * CHANNELS;
    let staged = block.x * PIXELS + index % PIXELS;
    var sums = array<vec4f, 8>();
    for (var tap = 0u; tap < 9u; tap++) {
        let seen = at(staged, tap);
        for (var c = 0u; c < params.c_in; c += STEP) {
            if index < STEP * CHANNELS / 4u {
                let i = c + index / (CHANNELS / 4u);
                var f = vec4f();
                for (var j = 0u; j < 4u; j++) {
                    let o = first + index % (CHANNELS / 4u) * 4u + j;
                    if i < params.c_in && o < params.c_out { f[j] = weights[(tap * params.c_in + i) * params.c_out + o]; }
                }
                filters[index] = f;
            }
            for (var k = index / PIXELS; k < STEP; k += 2u) {
                var v = 0.0;
                if seen.z == 1u && c + k < params.c_in { v = f32(x[(seen.x * params.c_in + c + k) * params.w + seen.y]); }
                pixels[k * PIXELS + index % PIXELS] = v;
            }
            workgroupBarrier();
            sums = multiply(sums, local.y, local.x);
            workgroupBarrier();
        }
    }
    for (var r = 0u; r < 8u; r++) {
        let c = first + local.y * 8u + r;
        for (var j = 0u; j < 4u; j++) {
            let p = block.x * PIXELS + local.x + j * LANES;
            if c < params.c_out && p < params.h * params.w {
                var v = sums[r][j] + bias[c];
                if RELU { v = max(v, 0.0); }
                y[(p / params.w * params.c_out + c) * params.w + p % params.w] = to_y(v);
            }
        }
    }
}

@compute @workgroup_size(LANES, 8)
fn backward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let first = block.y * CHANNELS;
    let staged = block.x * PIXELS + index % PIXELS;
    var sums = array<vec4f, 8>();
    for (var tap = 0u; tap < 9u; tap++) {
        let seen = at(staged, tap);
        for (var c = 0u; c < params.c_out; c += STEP) {
            if index < STEP * CHANNELS / 4u {
                // Neighbours in memory are neighbours in the sum here, so that the invocations are dealt out the
                // other way round.
                let o = c + index % STEP;
                var f = vec4f();
                for (var j = 0u; j < 4u; j++) {
                    let i = first + index / STEP * 4u + j;
                    if i < params.c_in && o < params.c_out {
                        f[j] = weights[((8u - tap) * params.c_in + i) * params.c_out + o];
                    }
                }
                filters[index % STEP * (CHANNELS / 4u) + index / STEP] = f;
            }
            for (var k = index / PIXELS; k < STEP; k += 2u) {
                let i = (seen.x * params.c_out + c + k) * params.w + seen.y;
                var v = 0.0;
                if seen.z == 1u && c + k < params.c_out {
                    if !RELU || f32(kept[i]) > 0.0 { v = f32(dy[i]); }
                }
                pixels[k * PIXELS + index % PIXELS] = v;
            }
            workgroupBarrier();
            sums = multiply(sums, local.y, local.x);
            workgroupBarrier();
        }
    }
    for (var r = 0u; r < 8u; r++) {
        let c = first + local.y * 8u + r;
        for (var j = 0u; j < 4u; j++) {
            let p = block.x * PIXELS + local.x + j * LANES;
            if c < params.c_in && p < params.h * params.w {
                let i = (p / params.w * params.c_in + c) * params.w + p % params.w;
                var d = sums[r][j];
                if ACCUMULATE { d += f32(dx[i]); }
                dx[i] = to_x(d);
            }
        }
    }
}
