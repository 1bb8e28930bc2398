// Winograd F(4x4, 3x3), step 1 of 3: the 6 x 6 values around a tile of 4 x 4 pixels become 36 frequencies.
// Backward turns each tile by 180 degrees: the product with the same weights is then the gradient of the
// input. The gradients of the ReLU, and of the pooling after it, are applied on load from the one bit per
// pixel that was kept. An invocation transforms CHANNELS channels of one tile.

struct Params {
    w: u32,
    h_in: u32,       // rows of x or dy that this band reads
    top: u32,        // how many of them lie above the first output row, or above the first pooled one
    gate_rows: u32,  // rows of tiles of gates that this band reads
    gate_top: u32,   // how many of them lie above the first tile
    c: u32,          // a multiple of 4 and of CHANNELS
    first: u32,      // the first tile, counted along the rows of tiles of the band
    stride: u32,     // tiles of a row of v
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const LINES: u32 = 1u;      // invocations of a workgroup along the channels: many on GPUs
const CHANNELS: u32 = 16u;  // per invocation: many on processors, where each workgroup costs an allocation

const RELU: bool = true;   // whether a ReLU follows the convolution
const POOL: bool = false;  // whether 2x2 max pooling follows the ReLU

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;          // h_in x c x w
@group(0) @binding(2) var<storage, read> dy: array<Y>;         // h_in x c x w, pooled h_in x c x w/2
// gate_rows x c x w/4 (rounded up): bit 4 r + k is set where pixel (r, k) of the tile was let through
@group(0) @binding(3) var<storage, read> gates: array<u32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;  // 36 x stride/32 x c/4 x 32 x 4

// The points are 0, A, -A, B, -B and infinity, with A and B near sqrt(1/2) and sqrt(2). All products of them
// that are used are exact in float32. Rounded ones would be off by the same in every layer.
const A: f32 = 0.703125;
const B: f32 = 1.40625;

// Six inputs at the points. Factors that belong to the points are in the weights.
fn transform(d: array<f32, 6>) -> array<f32, 6> {
    let p = d[4] - B * B * d[2];
    let q = A * d[3] - A * B * B * d[1];
    let r = d[4] - A * A * d[2];
    let s = B * d[3] - A * A * B * d[1];
    let zero = A * A * B * B * d[0] - (A * A + B * B) * d[2] + d[4];
    let infinity = A * A * B * B * d[1] - (A * A + B * B) * d[3] + d[5];
    return array(zero, p + q, p - q, r + s, r - s, infinity);
}

// The row and column of a tile, counted in tiles from the band's first.
fn place(tile: u32) -> vec2u {
    let across = (params.w + 3u) / 4u;
    return vec2u(tile / across, tile % across);
}

// Rows above the map and columns left of it have wrapped around and are too large.
fn inside(row: u32, column: u32, width: u32) -> bool {
    return row < params.h_in && column < width;
}

// Transforms the columns, whose rows are transformed already, and writes them for tile t of this pass.
fn finish(t: u32, c: u32, rows: array<array<f32, 6>, 6>) {
    let first = ((t / 32u * params.c / 4u + c / 4u) * 32u + t % 32u) * 4u + c % 4u;
    for (var k = 0u; k < 6u; k++) {
        let f = transform(array(rows[0][k], rows[1][k], rows[2][k], rows[3][k], rows[4][k], rows[5][k]));
        for (var r = 0u; r < 6u; r++) { v[first + (6u * r + k) * params.c * params.stride] = f[r]; }
    }
}

fn forward_channel(t: u32, c: u32) {
    let p = 4u * place(params.first + t) + vec2u(params.top, 0u) - 1u;
    var rows: array<array<f32, 6>, 6>;
    for (var r = 0u; r < 6u; r++) {
        var d: array<f32, 6>;
        for (var k = 0u; k < 6u; k++) {
            let ok = inside(p.x + r, p.y + k, params.w);
            let i = select(0u, ((p.x + r) * params.c + c) * params.w + p.y + k, ok);
            d[k] = select(0.0, f32(x[i]), ok);
        }
        rows[r] = transform(d);
    }
    finish(t, c, rows);
}

// A workgroup's last tiles may lie beyond the band. They are written as well, because the products read them:
// whatever the memory held before could be subnormal numbers, which slow a processor down.
@compute @workgroup_size(8, LINES)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    for (var c = 0u; c < CHANNELS; c++) { forward_channel(id.x, CHANNELS * id.y + c); }
}

fn gate(tile: vec2u, c: u32) -> u32 {
    let across = (params.w + 3u) / 4u;
    let ok = tile.x < params.gate_rows && tile.y < across;
    return select(0u, gates[select(0u, (tile.x * params.c + c) * across + tile.y, ok)], ok);
}

// The gates of a row of tiles: all of a tile's, and those of its neighbours that touch it.
fn row_of_gates(tile: vec2u, c: u32) -> vec3u {
    return vec3u(gate(tile - vec2u(0u, 1u), c), gate(tile, c), gate(tile + vec2u(0u, 1u), c));
}

// The six gates of row r in a row of tiles, starting with the last one of the left neighbour.
fn six(g: vec3u, r: u32) -> u32 {
    return ((g.x >> (4u * r + 3u)) & 1u) | (((g.y >> (4u * r)) & 15u) << 1u) | (((g.z >> (4u * r)) & 1u) << 5u);
}

// The 6 x 6 gates around a tile, row by row.
fn gates_around(tile: vec2u, c: u32) -> array<u32, 6> {
    let t = tile + vec2u(params.gate_top, 0u);
    let above = row_of_gates(t - vec2u(1u, 0u), c);
    let here = row_of_gates(t, c);
    let below = row_of_gates(t + vec2u(1u, 0u), c);
    return array(six(above, 3u), six(here, 0u), six(here, 1u), six(here, 2u), six(here, 3u), six(below, 0u));
}

// A value of dy, which is `width` wide.
fn upstream(row: u32, column: u32, c: u32, width: u32) -> f32 {
    let ok = inside(row, column, width);
    return select(0.0, f32(dy[select(0u, (row * params.c + c) * width + column, ok)]), ok);
}

// The 6 x 6 values of the gradient around a tile, before the gates are applied. With pooling, a value stands
// for a window.
fn gradients_around(tile: vec2u, c: u32) -> array<array<f32, 6>, 6> {
    var d: array<array<f32, 6>, 6>;
    if POOL {
        let p = 2u * tile + vec2u(params.top, 0u) - 1u;
        for (var r = 0u; r < 4u; r++) {
            var q: array<f32, 4>;
            for (var k = 0u; k < 4u; k++) { q[k] = upstream(p.x + r, p.y + k, c, params.w / 2u); }
            let row = array(q[0], q[1], q[1], q[2], q[2], q[3]);
            if r > 0u { d[2u * r - 1u] = row; }
            if r < 3u { d[2u * r] = row; }
        }
    } else {
        let p = 4u * tile + vec2u(params.top, 0u) - 1u;
        for (var r = 0u; r < 6u; r++) {
            for (var k = 0u; k < 6u; k++) { d[r][k] = upstream(p.x + r, p.y + k, c, params.w); }
        }
    }
    return d;
}

fn backward_channel(t: u32, c: u32) {
    let tile = place(params.first + t);
    var d = gradients_around(tile, c);
    if RELU {
        let open = gates_around(tile, c);
        for (var r = 0u; r < 6u; r++) {
            for (var k = 0u; k < 6u; k++) { d[r][k] = select(0.0, d[r][k], ((open[r] >> k) & 1u) == 1u); }
        }
    }
    var rows: array<array<f32, 6>, 6>;
    for (var r = 0u; r < 6u; r++) {
        let e = d[5u - r];
        rows[r] = transform(array(e[5], e[4], e[3], e[2], e[1], e[0]));
    }
    finish(t, c, rows);
}

@compute @workgroup_size(8, LINES)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    for (var c = 0u; c < CHANNELS; c++) { backward_channel(id.x, CHANNELS * id.y + c); }
}
