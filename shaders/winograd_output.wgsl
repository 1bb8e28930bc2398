// Winograd F(4x4, 3x3), step 3 of 3: 36 frequencies become the 4 x 4 pixels of a tile; bias, ReLU and 2x2 max
// pooling. Of ReLU and pooling, one bit per pixel is kept for the way back: whether its value was let
// through. Backward turns each tile by 180 degrees, as step 1 did. Some channels of one tile per invocation.

struct Params {
    w: u32,
    h: u32,       // output rows of this band
    c: u32,       // a multiple of 4 and of CHANNELS
    first: u32,   // the first tile, counted along the rows of tiles of the band
    tiles: u32,   // how many
    stride: u32,  // tiles of a row of m
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const LINES: u32 = 1u;      // invocations of a workgroup along the channels: many on GPUs
const CHANNELS: u32 = 16u;  // channels of an invocation: many on processors, where each workgroup costs an allocation

const RELU: bool = true;
const POOL: bool = false;  // only with RELU
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;         // 36 x c/4 x stride x 4
@group(0) @binding(2) var<storage, read> bias: array<f32>;      // c
@group(0) @binding(3) var<storage, read_write> y: array<Y>;     // h x c x w, pooled h/2 x c x w/2
@group(0) @binding(4) var<storage, read_write> dx: array<X>;    // h x c x w
// h/4 x c x w/4, both rounded up: bit 4 r + k belongs to pixel (r, k) of the tile
@group(0) @binding(5) var<storage, read_write> gates: array<u32>;

// The points of step 1.
const A: f32 = 0.703125;
const B: f32 = 1.40625;

// include: finite
// include: first_maximum

// Four outputs from six products at the points 0, A, -A, B, -B and infinity.
fn transform(m: array<f32, 6>) -> array<f32, 4> {
    let p = m[1] + m[2];
    let q = m[1] - m[2];
    let r = m[3] + m[4];
    let s = m[3] - m[4];
    return array(m[0] + p + r, A * q + B * s, A * A * p + B * B * r, A * A * A * q + B * B * B * s + m[5]);
}

// The pixels of tile t of this pass, column by column.
fn pixels(t: u32, c: u32) -> array<array<f32, 4>, 4> {
    let first = (c / 4u * params.stride + t) * 4u + c % 4u;
    var rows: array<array<f32, 4>, 6>;
    for (var r = 0u; r < 6u; r++) {
        var f: array<f32, 6>;
        for (var k = 0u; k < 6u; k++) { f[k] = m[first + (6u * r + k) * params.c * params.stride]; }
        rows[r] = transform(f);
    }
    var columns: array<array<f32, 4>, 4>;
    for (var k = 0u; k < 4u; k++) {
        columns[k] = transform(array(rows[0][k], rows[1][k], rows[2][k], rows[3][k], rows[4][k], rows[5][k]));
    }
    return columns;
}

// The tile's first row and column.
fn corner(tile: u32) -> vec2u {
    let across = (params.w + 3u) / 4u;
    return 4u * vec2u(tile / across, tile % across);
}

// Writes the four windows of a tile whose first pixel is p, and returns its gates. An odd last row or column
// is dropped.
fn pool(p: vec2u, c: u32, columns: array<array<f32, 4>, 4>) -> u32 {
    var open = 0u;
    for (var r = 0u; r < 4u; r += 2u) {
        for (var k = 0u; k < 4u; k += 2u) {
            let v = vec4f(columns[k][r], columns[k + 1u][r], columns[k][r + 1u], columns[k + 1u][r + 1u]);
            if p.x + r + 1u < params.h && p.y + k + 1u < params.w {
                let bits = first_maximum(v);
                open |= ((bits & 3u) | ((bits & 12u) << 2u)) << (4u * r + k);
                let i = ((p.x + r) / 2u * params.c + c) * (params.w / 2u) + (p.y + k) / 2u;
                y[i] = Y(finite(max(max(max(v.x, v.y), max(v.z, v.w)), 0.0)));
            }
        }
    }
    return open;
}

fn forward_channel(t: u32, c: u32) {
    let tile = params.first + t;
    let p = corner(tile);
    let b = bias[c];
    var columns = pixels(t, c);
    for (var k = 0u; k < 4u; k++) {
        for (var r = 0u; r < 4u; r++) { columns[k][r] += b; }
    }
    var open = 0u;
    if POOL {
        open = pool(p, c, columns);
    } else {
        for (var k = 0u; k < 4u; k++) {
            for (var r = 0u; r < 4u; r++) {
                var d = columns[k][r];
                if RELU { d = max(d, 0.0); }
                if p.x + r < params.h && p.y + k < params.w {
                    y[((p.x + r) * params.c + c) * params.w + p.y + k] = Y(finite(d));
                    open |= select(0u, 1u, d > 0.0) << (4u * r + k);
                }
            }
        }
    }
    if RELU {
        let across = (params.w + 3u) / 4u;
        gates[(tile / across * params.c + c) * across + tile % across] = open;
    }
}

@compute @workgroup_size(8, LINES)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.tiles { return; }
    for (var c = 0u; c < CHANNELS; c++) { forward_channel(id.x, CHANNELS * id.y + c); }
}

fn backward_channel(t: u32, c: u32) {
    let p = corner(params.first + t) + 3u;
    let columns = pixels(t, c);
    for (var k = 0u; k < 4u; k++) {
        for (var r = 0u; r < 4u; r++) {
            if p.x - r < params.h && p.y - k < params.w {
                let i = ((p.x - r) * params.c + c) * params.w + p.y - k;
                var d = columns[k][r];
                if ACCUMULATE { d += f32(dx[i]); }
                dx[i] = X(finite(d));
            }
        }
    }
}

@compute @workgroup_size(8, LINES)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.tiles { return; }
    for (var c = 0u; c < CHANNELS; c++) { backward_channel(id.x, CHANNELS * id.y + c); }
}
