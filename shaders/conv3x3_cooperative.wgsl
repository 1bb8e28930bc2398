// 3x3 convolution as an implicit matrix product on a GPU's matrix units, which multiply tiles of float16 and
// add in float32. A workgroup computes DOWN x ACROSS units. A unit is CHANNEL_TILES tiles of channels of ROWS
// rows of TILE pixels, and one subgroup computes it. Its sums stay in registers.
//
// The pixels that a workgroup sees, a patch with one more on each side, stand in workgroup memory with STEP
// channels at a time, channels innermost. The nine taps are nine places to read from there. While the taps of
// some channels are multiplied, the next channels are on their way. Weights are read from where they are:
// each once in a unit, for all its rows.
//
// A matrix has no elements that a shader could look at. What follows the sum is done in workgroup memory, in
// windows of 2 x 2.
enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    w: u32,
    h: u32,          // output rows of this band
    h_in: u32,       // rows of x or dy that this band sees
    top: u32,        // how many of them stand above the first output row, or above the first pooled one
    gate_rows: u32,  // rows of windows of gates that this band sees
    gate_top: u32,   // how many of them stand above the first window
    c_in: u32,       // multiples of STEP and of a unit's channels
    c_out: u32,
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const POOL: bool = false;  // only with RELU
const ACCUMULATE: bool = false;

const TILE: u32 = 8u;  // what the device multiplies at once, 8 or 16; the types say it again
alias Filters = coop_mat8x8<f16, A>;  // channels of the sum x channels summed over
alias Pixels = coop_mat8x8<f16, B>;   // channels summed over x pixels
alias Sums = coop_mat8x8<f32, C>;     // channels of the sum x pixels

const CHANNEL_TILES: u32 = 2u;
const ROWS: u32 = 4u;  // even
const ACROSS: u32 = 2u;  // units beside each other, of other channels
const DOWN: u32 = 2u;    // units below each other, of other rows

const STEP: u32 = 16u;   // channels summed between two barriers, a multiple of TILE
const UNITS: u32 = ACROSS * DOWN;
const LANES: u32 = 32u * UNITS;  // a multiple of 64, for there are two units or more; few subgroups are wider
const TILES: u32 = CHANNEL_TILES * ROWS;
const SEEN_COLUMNS: u32 = TILE + 2u;
const SEEN: u32 = (DOWN * ROWS + 2u) * SEEN_COLUMNS;
const LOADS: u32 = (SEEN * STEP / 4u + LANES - 1u) / LANES;  // by an invocation, of four channels of a pixel
const WINDOWS: u32 = TILE * TILE / 8u;  // of four channels, in two tiles that stand above each other

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f16>;   // 3 x 3 x c_out x c_in
@group(0) @binding(2) var<storage, read> bias: array<f32>;      // c_out
@group(0) @binding(3) var<storage, read> x: array<X>;           // h_in x c_in x w
@group(0) @binding(4) var<storage, read_write> y: array<Y>;     // h x c_out x w, pooled h/2 x c_out x w/2
@group(0) @binding(5) var<storage, read> dy: array<Y>;          // h_in x c_out x w, pooled h_in x c_out x w/2
@group(0) @binding(6) var<storage, read_write> dx: array<X>;    // h x c_in x w
// gate_rows x c_out/4 x w/2, rounded up: bit 4 k + p belongs to pixel p of the window, in reading order, of
// channel k
@group(0) @binding(7) var<storage, read> gates: array<u32>;
@group(0) @binding(8) var<storage, read_write> own_gates: array<u32>;  // those of this band

// Offsets and strides of all matrices are multiples of 16 bytes, as Vulkan demands.
var<workgroup> pixels: array<f16, SEEN * STEP>;             // SEEN x STEP
var<workgroup> finished: array<f32, UNITS * TILE * 2u * TILE>;  // units x channels x two rows of pixels

// include: finite
// include: first_maximum
// include: windows

// The first row of a unit in the patch, and its first channel.
fn row_of(unit: u32) -> u32 { return unit / ACROSS * ROWS; }
fn channel_of(block: vec3u, unit: u32) -> u32 { return (ACROSS * block.z + unit % ACROSS) * CHANNEL_TILES * TILE; }

// The row and column of pixel n of the patch, counted from the band's first. What stands above or left of it
// has wrapped around and is too large.
fn seen(block: vec3u, n: u32) -> vec2u {
    return vec2u(block.y * DOWN * ROWS + n / SEEN_COLUMNS, block.x * TILE + n % SEEN_COLUMNS) - 1u;
}

fn value(p: vec2u, c: u32) -> f16 {
    let r = p.x + params.top;
    if r >= params.h_in || p.y >= params.w { return 0.0h; }
    return f16(x[(r * params.c_in + c) * params.w + p.y]);
}

// What an invocation stages of the channels from `first` on. Its neighbours stage the pixels beside.
fn next_forward(block: vec3u, first: u32, index: u32) -> array<vec4<f16>, LOADS> {
    var next: array<vec4<f16>, LOADS>;
    for (var n = 0u; n < LOADS; n++) {
        let p = seen(block, (index + n * LANES) % SEEN);
        let c = first + (index + n * LANES) / SEEN * 4u;
        if c < min(params.c_in, first + STEP) {
            next[n] = vec4<f16>(value(p, c), value(p, c + 1u), value(p, c + 2u), value(p, c + 3u));
        }
    }
    return next;
}

fn next_backward(block: vec3u, first: u32, index: u32) -> array<vec4<f16>, LOADS> {
    var next: array<vec4<f16>, LOADS>;
    for (var n = 0u; n < LOADS; n++) {
        let p = seen(block, (index + n * LANES) % SEEN);
        let c = first + (index + n * LANES) / SEEN * 4u;
        if c < min(params.c_out, first + STEP) {
            let d = vec4f(gradient(p.x, p.y, c), gradient(p.x, p.y, c + 1u), gradient(p.x, p.y, c + 2u), gradient(p.x, p.y, c + 3u));
            next[n] = vec4<f16>(d);
        }
    }
    return next;
}

fn keep(next: array<vec4<f16>, LOADS>, index: u32) {
    for (var n = 0u; n < LOADS; n++) {
        let c = (index + n * LANES) / SEEN * 4u;
        let at = (index + n * LANES) % SEEN * STEP + c;
        if c < STEP {
            pixels[at] = next[n].x;
            pixels[at + 1u] = next[n].y;
            pixels[at + 2u] = next[n].z;
            pixels[at + 3u] = next[n].w;
        }
    }
}

// Adds the products with STEP channels from `first` on to the sums of a unit's channels and
// rows, or nothing if there are no `taps`.
fn multiply_forward(sums: ptr<function, array<Sums, TILES>>, channel: u32, row: u32, first: u32, taps: u32) {
    for (var tap = 0u; tap < taps; tap++) {
        for (var k = 0u; k < STEP; k += TILE) {
            var filters: array<Filters, CHANNEL_TILES>;
            for (var m = 0u; m < CHANNEL_TILES; m++) {
                let at = (tap * params.c_out + channel + m * TILE) * params.c_in + first + k;
                filters[m] = coopLoadT<Filters>(&weights[at], params.c_in);
            }
            for (var r = 0u; r < ROWS; r++) {
                let at = ((row + r + tap / 3u) * SEEN_COLUMNS + tap % 3u) * STEP + k;
                let beside = coopLoad<Pixels>(&pixels[at], STEP);
                for (var m = 0u; m < CHANNEL_TILES; m++) {
                    let n = r * CHANNEL_TILES + m;
                    sums[n] = coopMultiplyAdd(filters[m], beside, sums[n]);
                }
            }
        }
    }
}

// The same with mirrored taps and transposed weights.
fn multiply_backward(sums: ptr<function, array<Sums, TILES>>, channel: u32, row: u32, first: u32, taps: u32) {
    for (var tap = 0u; tap < taps; tap++) {
        for (var k = 0u; k < STEP; k += TILE) {
            var filters: array<Filters, CHANNEL_TILES>;
            for (var m = 0u; m < CHANNEL_TILES; m++) {
                let at = ((8u - tap) * params.c_out + first + k) * params.c_in + channel + m * TILE;
                filters[m] = coopLoad<Filters>(&weights[at], params.c_in);
            }
            for (var r = 0u; r < ROWS; r++) {
                let at = ((row + r + tap / 3u) * SEEN_COLUMNS + tap % 3u) * STEP + k;
                let beside = coopLoad<Pixels>(&pixels[at], STEP);
                for (var m = 0u; m < CHANNEL_TILES; m++) {
                    let n = r * CHANNEL_TILES + m;
                    sums[n] = coopMultiplyAdd(filters[m], beside, sums[n]);
                }
            }
        }
    }
}

// Puts two rows of tile m of a unit's channels where all invocations can read them, or nothing if `rows` is
// 0.
fn finish(sums: ptr<function, array<Sums, TILES>>, unit: u32, row: u32, m: u32, rows: u32) {
    for (var r = 0u; r < rows; r++) {
        let at = (unit * TILE * 2u + r) * TILE;
        let stride = 2u * TILE;
        let sum = sums[(row + r) * CHANNEL_TILES + m];
        coopStoreT(sum, &finished[at], stride);
    }
}

// The four pixels of window n, counted over all units, in channel k of its four.
fn window(n: u32, k: u32) -> vec4f {
    let channel = n / (TILE / 2u) * 4u + k;
    let at = channel * 2u * TILE + 2u * (n % (TILE / 2u));
    return vec4f(finished[at], finished[at + 1u], finished[at + TILE], finished[at + TILE + 1u]);
}

// The same in four channels.
fn windows(n: u32) -> mat4x4f {
    return mat4x4f(window(n, 0u), window(n, 1u), window(n, 2u), window(n, 3u));
}

// The first pixel and channel of window n, where two rows from `row` on of tile m are finished.
fn corner(block: vec3u, n: u32, row: u32, m: u32) -> vec3u {
    let unit = n / WINDOWS;
    let inside = n % WINDOWS;
    let down = block.y * DOWN * ROWS + row_of(unit) + row;
    let across = block.x * TILE + 2u * (inside % (TILE / 2u));
    return vec3u(down, across, channel_of(block, unit) + m * TILE + inside / (TILE / 2u) * 4u);
}

// Subgroups take units in turn, for a workgroup may have more or fewer subgroups than units. All go through
// the same barriers.
@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    for (var turn = 0u; turn < UNITS; turn += subgroups) {
        let unit = turn + subgroup;
        let channel = channel_of(block, unit);
        let works = unit < UNITS && channel < params.c_out;
        var sums = array<Sums, TILES>();
        var next = next_forward(block, 0u, index);
        for (var i = 0u; i < params.c_in; i += STEP) {
            workgroupBarrier();
            keep(next, index);
            workgroupBarrier();
            next = next_forward(block, i + STEP, index);
            multiply_forward(&sums, channel, row_of(unit), i, select(0u, 9u, works));
        }
        for (var m = 0u; m < CHANNEL_TILES; m++) {
            for (var row = 0u; row < ROWS; row += 2u) {
                workgroupBarrier();
                finish(&sums, unit, row, m, select(0u, 2u, works));
                workgroupBarrier();
                let end = min(turn + subgroups, UNITS) * WINDOWS;
                for (var n = turn * WINDOWS + index; n < end; n += LANES) {
                    let at = corner(block, n, row, m);
                    put_forward(at.xy, at.z, windows(n));
                }
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    for (var turn = 0u; turn < UNITS; turn += subgroups) {
        let unit = turn + subgroup;
        let channel = channel_of(block, unit);
        let works = unit < UNITS && channel < params.c_in;
        var sums = array<Sums, TILES>();
        var next = next_backward(block, 0u, index);
        for (var o = 0u; o < params.c_out; o += STEP) {
            workgroupBarrier();
            keep(next, index);
            workgroupBarrier();
            next = next_backward(block, o + STEP, index);
            multiply_backward(&sums, channel, row_of(unit), o, select(0u, 9u, works));
        }
        for (var m = 0u; m < CHANNEL_TILES; m++) {
            for (var row = 0u; row < ROWS; row += 2u) {
                workgroupBarrier();
                finish(&sums, unit, row, m, select(0u, 2u, works));
                workgroupBarrier();
                let end = min(turn + subgroups, UNITS) * WINDOWS;
                for (var n = turn * WINDOWS + index; n < end; n += LANES) {
                    let at = corner(block, n, row, m);
                    put_backward(at.xy, at.z, windows(n));
                }
            }
        }
    }
}
