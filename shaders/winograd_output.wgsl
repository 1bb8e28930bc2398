// Winograd F(4x4, 3x3), step 3 of 3: 36 frequencies become the 4 x 4 pixels of a tile; bias and ReLU.
// Backward turns each tile by 180 degrees, as step 1 did. One channel of one tile per invocation.

struct Params {
    w: u32,
    h: u32,       // output rows of this band
    c: u32,       // a multiple of 4
    first: u32,   // the first tile, counted along the rows of tiles of the band
    tiles: u32,   // how many
    stride: u32,  // tiles of a row of m
}

const RELU: bool = true;
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;         // 36 x c/4 x stride x 4
@group(0) @binding(2) var<storage, read> bias: array<f32>;      // c
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // h x c x w
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;  // h x c x w

// The points of step 1.
const A: f32 = 0.703125;
const B: f32 = 1.40625;

// Four outputs from six products at the points 0, A, -A, B, -B and infinity.
fn transform(m: array<f32, 6>) -> array<f32, 4> {
    let p = m[1] + m[2];
    let q = m[1] - m[2];
    let r = m[3] + m[4];
    let s = m[3] - m[4];
    return array(m[0] + p + r, A * q + B * s, A * A * p + B * B * r, A * A * A * q + B * B * B * s + m[5]);
}

// The pixels of a tile, column by column.
fn pixels(id: vec3u) -> array<array<f32, 4>, 4> {
    let first = (id.y / 4u * params.stride + id.x) * 4u + id.y % 4u;
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

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.tiles { return; }
    let p = corner(params.first + id.x);
    let b = bias[id.y];
    let columns = pixels(id);
    for (var k = 0u; k < 4u; k++) {
        for (var r = 0u; r < 4u; r++) {
            var d = columns[k][r] + b;
            if RELU { d = max(d, 0.0); }
            if p.x + r < params.h && p.y + k < params.w {
                y[((p.x + r) * params.c + id.y) * params.w + p.y + k] = d;
            }
        }
    }
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.tiles { return; }
    let p = corner(params.first + id.x) + 3u;
    let columns = pixels(id);
    for (var k = 0u; k < 4u; k++) {
        for (var r = 0u; r < 4u; r++) {
            if p.x - r < params.h && p.y - k < params.w {
                let i = ((p.x - r) * params.c + id.y) * params.w + p.y - k;
                var d = columns[k][r];
                if ACCUMULATE { d += dx[i]; }
                dx[i] = d;
            }
        }
    }
}
