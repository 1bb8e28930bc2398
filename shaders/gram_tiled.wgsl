// Gram matrix of a feature map and its gradient, as gram.wgsl, for GPUs: operands go through workgroup memory.
// Forward, a workgroup computes 64 x 64 products of channels, an invocation 4 x 4 of them. Backward, it computes 64
// channels of 128 pixels, an invocation 8 channels of 4 pixels.

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

const TILE: u32 = 64u;    // channels
const COLUMNS: u32 = 16u; // pixels summed between two barriers, forward
const STEP: u32 = 8u;     // channels summed between two barriers, backward
const PIXELS: u32 = 128u;
const LANES: u32 = 32u;   // invocations beside each other, backward; each has every 32nd pixel

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;              // h x c x w
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // shares x c x c
@group(0) @binding(3) var<storage, read> dg: array<f32>;             // c x c
@group(0) @binding(4) var<storage, read_write> dx: array<Map>;       // h x c x w

// Half precision stays finite.
fn to_map(d: f32) -> Map { return Map(select(d, clamp(d, -65504.0, 65504.0), HALF)); }

var<workgroup> left: array<f32, COLUMNS * TILE>;   // forward COLUMNS x TILE, backward STEP x TILE
var<workgroup> right: array<f32, COLUMNS * TILE>;  // forward COLUMNS x TILE, backward STEP x PIXELS

fn value(row: u32, c: u32, column: u32) -> f32 {
    if c >= params.c || column >= params.w { return 0.0; }
    return f32(x[(row * params.c + c) * params.w + column]);
}

@compute @workgroup_size(16, 16)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    // The other tiles are mirror images.
    if block.x > block.y { return; }
    let a = block.y * TILE;
    let b = block.x * TILE;
    let k = index % COLUMNS;
    var sums = array<vec4f, 4>();
    for (var row = block.z; row < params.h; row += params.shares) {
        for (var column = 0u; column < params.w; column += COLUMNS) {
            for (var c = index / COLUMNS; c < TILE; c += 256u / COLUMNS) {
                left[k * TILE + c] = value(row, a + c, column + k);
                right[k * TILE + c] = value(row, b + c, column + k);
            }
            workgroupBarrier();
            for (var p = 0u; p < COLUMNS; p++) {
                let i = p * TILE + local.y;
                let j = p * TILE + local.x;
                let r = vec4f(right[j], right[j + 16u], right[j + 32u], right[j + 48u]);
                sums[0] += left[i] * r;
                sums[1] += left[i + 16u] * r;
                sums[2] += left[i + 32u] * r;
                sums[3] += left[i + 48u] * r;
            }
            workgroupBarrier();
        }
    }
    let first = (params.share + block.z) * params.c * params.c;
    for (var r = 0u; r < 4u; r++) {
        for (var t = 0u; t < 4u; t++) {
            let i = a + local.y + 16u * r;
            let j = b + local.x + 16u * t;
            if i < params.c && j < params.c {
                let d = params.scale * sums[r][t];
                partial[first + i * params.c + j] = d;
                // A tile on the diagonal has its own mirror image.
                if a != b { partial[first + j * params.c + i] = d; }
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
    let first = block.y * TILE;
    let staged = block.x * PIXELS + index % PIXELS;
    let pixels = params.h * params.w;
    var sums = array<vec4f, 8>();
    for (var c = 0u; c < params.c; c += STEP) {
        for (var i = index; i < STEP * TILE; i += 256u) {
            let d = c + i / TILE;
            let own = first + i % TILE;
            var s = 0.0;
            if d < params.c && own < params.c { s = dg[own * params.c + d] + dg[d * params.c + own]; }
            left[i] = s;
        }
        for (var k = index / PIXELS; k < STEP; k += 256u / PIXELS) {
            var v = 0.0;
            if staged < pixels { v = value(staged / params.w, c + k, staged % params.w); }
            right[k * PIXELS + index % PIXELS] = v;
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let p = k * PIXELS + local.x;
            let v = vec4f(right[p], right[p + LANES], right[p + 2u * LANES], right[p + 3u * LANES]);
            for (var r = 0u; r < 8u; r++) { sums[r] += left[k * TILE + local.y * 8u + r] * v; }
        }
        workgroupBarrier();
    }
    for (var r = 0u; r < 8u; r++) {
        let c = first + local.y * 8u + r;
        for (var j = 0u; j < 4u; j++) {
            let p = block.x * PIXELS + local.x + j * LANES;
            if c < params.c && p < pixels {
                let i = (p / params.w * params.c + c) * params.w + p % params.w;
                var d = params.scale * sums[r][j];
                if ACCUMULATE { d += f32(dx[i]); }
                dx[i] = to_map(d);
            }
        }
    }
}
