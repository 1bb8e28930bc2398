// A product of square matrices, as product.wgsl, for GPUs: operands go through workgroup memory, 16 of a row
// at a time. A workgroup computes 32 x 32 values, an invocation 4 x 4 of them, and while it multiplies, its
// next values are on their way.

struct Params {
    n: u32,
    alpha: f32,
    beta: f32,
    gamma: f32,
}

const SYMMETRIC: bool = true;

const TILE: u32 = 32u;
// Four rows each, and one more, so that what is written together lies in different banks.
const QUADS: u32 = TILE / 4u + 1u;
const STEP: u32 = 16u;   // values of a row between two barriers
const LINES: u32 = 8u;   // invocations beside and behind each other

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> left: array<f32>;     // n x n
@group(0) @binding(2) var<storage, read> right: array<f32>;    // n x n
@group(0) @binding(3) var<storage, read> other: array<f32>;    // n x n
@group(0) @binding(4) var<storage, read_write> y: array<f32>;  // n x n

var<workgroup> rows: array<vec4f, STEP * QUADS>;
var<workgroup> columns: array<vec4f, STEP * QUADS>;

// Where a value is, and whether there is one: without branches.
fn place(row: u32, k: u32) -> u32 { return select(0u, row * params.n + k, row < params.n && k < params.n); }

fn left_at(row: u32, k: u32) -> f32 { return select(0.0, left[place(row, k)], row < params.n && k < params.n); }

fn right_at(row: u32, k: u32) -> f32 { return select(0.0, right[place(row, k)], row < params.n && k < params.n); }

// Value k of four rows.
fn load_left(row: u32, k: u32) -> vec4f {
    return vec4f(left_at(row, k), left_at(row + 1u, k), left_at(row + 2u, k), left_at(row + 3u, k));
}

fn load_right(row: u32, k: u32) -> vec4f {
    return vec4f(right_at(row, k), right_at(row + 1u, k), right_at(row + 2u, k), right_at(row + 3u, k));
}

fn outer(right: vec4f, left: vec4f) -> mat4x4f {
    return mat4x4f(right * left.x, right * left.y, right * left.z, right * left.w);
}

@compute @workgroup_size(LINES, LINES)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    // The other tiles are mirror images.
    if (SYMMETRIC && block.x > block.y) { return; }
    let n = params.n;
    let a = block.y * TILE;
    let b = block.x * TILE;
    // This invocation stages four rows and the four that are half a tile further.
    let k = index % STEP;
    let quad = index / STEP;
    let at = k * QUADS + quad;
    let half = TILE / 2u;
    var sums = mat4x4f();
    var left0 = load_left(a + 4u * quad, k);
    var left1 = load_left(a + 4u * quad + half, k);
    var right0 = load_right(b + 4u * quad, k);
    var right1 = load_right(b + 4u * quad + half, k);
    for (var first = 0u; first < n; first += STEP) {
        workgroupBarrier();
        rows[at] = left0;
        rows[at + half / 4u] = left1;
        columns[at] = right0;
        columns[at + half / 4u] = right1;
        workgroupBarrier();
        let next = first + STEP + k;
        left0 = load_left(a + 4u * quad, next);
        left1 = load_left(a + 4u * quad + half, next);
        right0 = load_right(b + 4u * quad, next);
        right1 = load_right(b + 4u * quad + half, next);
        for (var p = 0u; p < STEP; p++) {
            sums += outer(columns[p * QUADS + local.x], rows[p * QUADS + local.y]);
        }
    }
    for (var r = 0u; r < 4u; r++) {
        for (var t = 0u; t < 4u; t++) {
            let row = a + 4u * local.y + r;
            let column = b + 4u * local.x + t;
            if row < n && column < n && !(SYMMETRIC && column > row) {
                let mirror = column * n + row;
                let d = params.alpha * sums[r][t] + params.beta * other[mirror]
                    + select(0.0, params.gamma, row == column);
                y[row * n + column] = d;
                if SYMMETRIC { y[mirror] = d; }
            }
        }
    }
}
