// Winograd F(4x4, 3x3), step 1 of 3: the 6 x 6 values around a tile of 4 x 4 pixels become 36 frequencies.
// Backward turns each tile by 180 degrees: the product with the same weights is then the gradient of the input.
// One channel of one tile per invocation.

struct Params {
    w: u32,
    h_in: u32,    // rows of the input that this band sees
    top: u32,     // how many of them stand above the first output row
    c: u32,       // a multiple of 4
    first: u32,   // the first tile, counted along the rows of tiles of the band
    tiles: u32,   // how many
    stride: u32,  // tiles of a row of v
}

const RELU: bool = true;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // h_in x c x w
@group(0) @binding(2) var<storage, read> dy: array<f32>;       // h_in x c x w
@group(0) @binding(3) var<storage, read> kept: array<f32>;     // h_in x c x w, the y that forward wrote
@group(0) @binding(4) var<storage, read_write> v: array<f32>;  // 36 x c/4 x stride x 4

// The points are 0, A, -A, B, -B and infinity, near sqrt(1/2) and sqrt(2). All products of them that are used are exact
// in float32: rounded ones would be off by the same in every layer.
const A: f32 = 0.703125;
const B: f32 = 1.40625;

// Six inputs at the points; the factors that belong to the points are in the weights.
fn transform(d: array<f32, 6>) -> array<f32, 6> {
    let p = d[4] - B * B * d[2];
    let q = A * d[3] - A * B * B * d[1];
    let r = d[4] - A * A * d[2];
    let s = B * d[3] - A * A * B * d[1];
    let zero = A * A * B * B * d[0] - (A * A + B * B) * d[2] + d[4];
    let infinity = A * A * B * B * d[1] - (A * A + B * B) * d[3] + d[5];
    return array(zero, p + q, p - q, r + s, r - s, infinity);
}

// The row and column of the tile's first input.
fn corner(tile: u32) -> vec2u {
    let across = (params.w + 3u) / 4u;
    return 4u * vec2u(tile / across, tile % across) + vec2u(params.top, 0u) - 1u;
}

// A row above the map or a column left of it has wrapped around and is too large.
fn inside(row: u32, column: u32) -> bool {
    return row < params.h_in && column < params.w;
}

// Transforms the columns of rows that are transformed, and writes them.
fn finish(id: vec3u, rows: array<array<f32, 6>, 6>) {
    let first = (id.y / 4u * params.stride + id.x) * 4u + id.y % 4u;
    for (var k = 0u; k < 6u; k++) {
        let f = transform(array(rows[0][k], rows[1][k], rows[2][k], rows[3][k], rows[4][k], rows[5][k]));
        for (var r = 0u; r < 6u; r++) { v[first + (6u * r + k) * params.c * params.stride] = f[r]; }
    }
}

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.tiles { return; }
    let p = corner(params.first + id.x);
    var rows: array<array<f32, 6>, 6>;
    for (var r = 0u; r < 6u; r++) {
        var d: array<f32, 6>;
        for (var k = 0u; k < 6u; k++) {
            let ok = inside(p.x + r, p.y + k);
            let i = select(0u, ((p.x + r) * params.c + id.y) * params.w + p.y + k, ok);
            d[k] = select(0.0, x[i], ok);
        }
        rows[r] = transform(d);
    }
    finish(id, rows);
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.tiles { return; }
    let p = corner(params.first + id.x) + 5u;
    var rows: array<array<f32, 6>, 6>;
    for (var r = 0u; r < 6u; r++) {
        var d: array<f32, 6>;
        for (var k = 0u; k < 6u; k++) {
            let ok = inside(p.x - r, p.y - k);
            let i = select(0u, ((p.x - r) * params.c + id.y) * params.w + p.y - k, ok);
            d[k] = select(0.0, dy[i], ok);
            if RELU { d[k] = select(0.0, d[k], kept[i] > 0.0); }
        }
        rows[r] = transform(d);
    }
    finish(id, rows);
}
