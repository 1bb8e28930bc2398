// Gram matrix of a feature map and its gradient, as gram.wgsl, for GPUs: operands go through workgroup memory, four channels
// at a time. Forward, a workgroup computes 64 x 64 products of channels, an invocation 4 x 4 of them, and while it multiplies,
// its next values are on their way. Backward, a workgroup computes 64 channels of 128 pixels, an invocation 8 of 4.

struct Params {
    c: u32,
    h: u32,       // rows of this band
    w: u32,
    scale: f32,
    shares: u32,  // partial matrices, each over every shares-th row
    share: u32,   // the first of them in this band
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

const TILE: u32 = 64u;     // channels
// Four channels each, and a row has one more, so that the pixels that are written together lie in different banks.
const QUADS: u32 = TILE / 4u + 1u;
const COLUMNS: u32 = 16u;  // pixels summed between two barriers, forward
const LINES: u32 = 16u;    // invocations beside and behind each other, forward
const STEP: u32 = 8u;      // channels summed between two barriers, backward
const PIXELS: u32 = 128u;
const LANES: u32 = 32u;    // invocations beside each other, backward; each has every 32nd pixel

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;              // h x c x w
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // shares x c x c
@group(0) @binding(3) var<storage, read> dg: array<f32>;             // c x c
@group(0) @binding(4) var<storage, read_write> dx: array<Map>;       // h x c x w
@group(0) @binding(7) var<storage, read> mean: array<f32>;           // c
@group(0) @binding(8) var<storage, read> bias: array<f32>;           // c

// Half precision stays finite.
fn to_map(d: f32) -> Map { return Map(select(d, clamp(d, -65504.0, 65504.0), HALF)); }

var<workgroup> left: array<vec4f, COLUMNS * QUADS>;   // forward COLUMNS x TILE, backward STEP x TILE
var<workgroup> right: array<vec4f, COLUMNS * QUADS>;  // forward COLUMNS x TILE
var<workgroup> pixels: array<f32, STEP * PIXELS>;     // backward

// A value of x; zero outside it. Without branches, of which each would be a hundred in what is compiled.
fn value(row: u32, c: u32, column: u32) -> f32 {
    let ok = row < params.h && c < params.c && column < params.w;
    return select(0.0, f32(x[select(0u, (row * params.c + c) * params.w + column, ok)]), ok);
}

fn outer(right: vec4f, left: vec4f) -> mat4x4f {
    return mat4x4f(right * left.x, right * left.y, right * left.z, right * left.w);
}

// A value of x less the mean of its channel; zero outside x.
fn centred(row: u32, c: u32, column: u32, mean: f32) -> f32 {
    return value(row, c, column) - select(0.0, mean, row < params.h && column < params.w);
}

// This invocation's share of COLUMNS pixels of TILE channels: four channels of a pixel, less their means.
fn load(row: u32, first: u32, column: u32, index: u32, means: vec4f) -> vec4f {
    let k = column + index % COLUMNS;
    let c = first + index / COLUMNS * 4u;
    return vec4f(
        centred(row, c, k, means.x),
        centred(row, c + 1u, k, means.y),
        centred(row, c + 2u, k, means.z),
        centred(row, c + 3u, k, means.w),
    );
}

// Zero for a channel that there is not.
fn mean_of(c: u32) -> f32 { return select(0.0, mean[min(c, params.c - 1u)], c < params.c); }

// The means of the channels that `load` gives of a tile.
fn means_of(tile: u32, index: u32) -> vec4f {
    let c = tile * TILE + index / COLUMNS * 4u;
    return vec4f(mean_of(c), mean_of(c + 1u), mean_of(c + 2u), mean_of(c + 3u));
}

// Products of the channels of two tiles, each less its mean.
fn products(block: vec3u, local: vec3u, index: u32, left_means: vec4f, right_means: vec4f) {
    let a = block.y * TILE;
    let b = block.x * TILE;
    let at = index % COLUMNS * QUADS + index / COLUMNS;
    var sums = mat4x4f();
    var row = block.z;
    var column = 0u;
    var next_left = load(row, a, column, index, left_means);
    var next_right = load(row, b, column, index, right_means);
    while row < params.h {
        workgroupBarrier();
        left[at] = next_left;
        right[at] = next_right;
        workgroupBarrier();
        column += COLUMNS;
        if column >= params.w {
            column = 0u;
            row += params.shares;
        }
        next_left = load(row, a, column, index, left_means);
        next_right = load(row, b, column, index, right_means);
        for (var p = 0u; p < COLUMNS; p++) {
            sums += outer(right[p * QUADS + local.x], left[p * QUADS + local.y]);
        }
    }
    let first = (params.share + block.z) * params.c * params.c;
    for (var r = 0u; r < 4u; r++) {
        for (var t = 0u; t < 4u; t++) {
            let i = a + 4u * local.y + r;
            let j = b + 4u * local.x + t;
            if i < params.c && j < params.c {
                let d = params.scale * sums[r][t];
                partial[first + i * params.c + j] = d;
                // A tile on the diagonal has its own mirror image.
                if a != b { partial[first + j * params.c + i] = d; }
            }
        }
    }
}

@compute @workgroup_size(LINES, LINES)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    // The other tiles are mirror images.
    if block.x > block.y { return; }
    products(block, local, index, vec4f(), vec4f());
}

@compute @workgroup_size(LINES, LINES)
fn forward_centred(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    if block.x > block.y { return; }
    products(block, local, index, means_of(block.y, index), means_of(block.x, index));
}

// What channel d adds to channel c.
fn weight(c: u32, d: u32) -> f32 {
    let ok = c < params.c && d < params.c;
    return select(0.0, dg[select(0u, c * params.c + d, ok)] + dg[select(0u, d * params.c + c, ok)], ok);
}

// Four pixels (a row) of each of four channels, from channel c and pixel p on.
fn put_dx(c: u32, p: u32, sums: mat4x4f) {
    for (var j = 0u; j < 4u; j++) {
        let pixel = p + j * LANES;
        for (var r = 0u; r < 4u; r++) {
            if c + r < params.c && pixel < params.h * params.w {
                let i = (pixel / params.w * params.c + c + r) * params.w + pixel % params.w;
                var d = params.scale * sums[r][j];
                if ACCUMULATE { d += f32(dx[i]); }
                dx[i] = to_map(d);
            }
        }
    }
}

// The gradient of 8 channels of 4 pixels, whose sums start at `start`, a constant of each channel.
fn gradients(block: vec3u, local: vec3u, index: u32, start: array<vec4f, 2>) {
    let first = block.y * TILE;
    let staged = block.x * PIXELS + index % PIXELS;
    let row = staged / params.w;
    let column = staged % params.w;
    var near = outer(vec4f(1.0), start[0]);
    var far = outer(vec4f(1.0), start[1]);
    for (var c = 0u; c < params.c; c += STEP) {
        // Half of the invocations stage weights.
        if index < STEP * TILE / 4u {
            let d = c + index % STEP;
            let own = first + index / STEP * 4u;
            left[index % STEP * QUADS + index / STEP] =
                vec4f(weight(own, d), weight(own + 1u, d), weight(own + 2u, d), weight(own + 3u, d));
        }
        for (var k = index / PIXELS; k < STEP; k += LANES * 8u / PIXELS) {
            pixels[k * PIXELS + index % PIXELS] = value(row, c + k, column);
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let p = k * PIXELS + local.x;
            let v = vec4f(pixels[p], pixels[p + LANES], pixels[p + 2u * LANES], pixels[p + 3u * LANES]);
            near += outer(v, left[k * QUADS + 2u * local.y]);
            far += outer(v, left[k * QUADS + 2u * local.y + 1u]);
        }
        workgroupBarrier();
    }
    let own = first + 8u * local.y;
    let p = block.x * PIXELS + local.x;
    put_dx(own, p, near);
    put_dx(own + 4u, p, far);
}

@compute @workgroup_size(LANES, 8)
fn backward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    gradients(block, local, index, array<vec4f, 2>());
}

// Anything for a channel that there is not.
fn bias_of(c: u32) -> f32 { return bias[min(c, params.c - 1u)]; }

@compute @workgroup_size(LANES, 8)
fn backward_biased(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let c = block.y * TILE + 8u * local.y;
    let near = vec4f(bias_of(c), bias_of(c + 1u), bias_of(c + 2u), bias_of(c + 3u));
    let far = vec4f(bias_of(c + 4u), bias_of(c + 5u), bias_of(c + 6u), bias_of(c + 7u));
    gradients(block, local, index, array(near, far));
}
