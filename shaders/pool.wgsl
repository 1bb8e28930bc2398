// 2x2 pooling with stride 2: the maximum of a window, twice its mean, or 0.78 times its Euclidean norm. An
// odd last row or column is dropped and gets no gradient. Among equal values the first of the window, in
// reading order, is the maximum.

struct Params {
    c: u32,
    h: u32,  // rows of x in this band
    w: u32,
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

const MAX: u32 = 0u;
const AVERAGE: u32 = 1u;
const L2: u32 = 2u;
const POOLING: u32 = MAX;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;         // h x c x w
@group(0) @binding(2) var<storage, read_write> y: array<Map>;   // h/2 x c x w/2
@group(0) @binding(3) var<storage, read> dy: array<Map>;        // h/2 x c x w/2
@group(0) @binding(4) var<storage, read_write> dx: array<Map>;  // h x c x w

// include: finite

// The four values of the window of channel c whose first element is (row, column).
fn window(row: u32, c: u32, column: u32) -> vec4f {
    let top = (row * params.c + c) * params.w + column;
    let bottom = top + params.c * params.w;
    return vec4f(f32(x[top]), f32(x[top + 1u]), f32(x[bottom]), f32(x[bottom + 1u]));
}

// Added to a sum of squares so that the root has a finite slope for a window of zeros. It is too small to
// change any other window.
const FLOOR: f32 = 1e-30;

// The Euclidean norm of a window.
fn norm(v: vec4f) -> f32 { return sqrt(dot(v, v) + FLOOR); }

fn pooled(v: vec4f) -> f32 {
    switch POOLING {
        case AVERAGE: { return 0.5 * (v.x + v.y + v.z + v.w); }
        case L2: { return 0.78 * norm(v); }
        default: { return max(max(v.x, v.y), max(v.z, v.w)); }
    }
}

// The gradient of a window from that of its result.
fn spread(v: vec4f, dy: f32) -> vec4f {
    switch POOLING {
        case AVERAGE: { return vec4f(0.5 * dy); }
        case L2: { return 0.78 / norm(v) * dy * v; }
        default: {
            var d = vec4f();
            // v[k] is the maximum if no earlier value is at least as large and no later one is larger.
            var first = 3u;
            if v.z >= v.w { first = 2u; }
            if v.y >= max(v.z, v.w) { first = 1u; }
            if v.x >= max(v.y, max(v.z, v.w)) { first = 0u; }
            d[first] = dy;
            return d;
        }
    }
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let width = params.w / 2u;
    if id.x >= params.c * width { return; }
    let v = window(2u * id.y, id.x / width, 2u * (id.x % width));
    y[id.y * params.c * width + id.x] = Map(finite(pooled(v)));
}

fn write(row: u32, c: u32, column: u32, value: f32) {
    if row >= params.h || column >= params.w { return; }
    let i = (row * params.c + c) * params.w + column;
    var d = value;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = Map(finite(d));
}

// One window per invocation. Windows that the map's edge cuts off are included, because their gradient must
// be set to zero.
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let across = (params.w + 1u) / 2u;
    if id.x >= params.c * across { return; }
    let c = id.x / across;
    let row = 2u * id.y;
    let column = 2u * (id.x % across);
    var d = vec4f();
    if row + 1u < params.h && column + 1u < params.w {
        let v = window(row, c, column);
        d = spread(v, f32(dy[(id.y * params.c + c) * (params.w / 2u) + column / 2u]));
    }
    write(row, c, column, d.x);
    write(row, c, column + 1u, d.y);
    write(row + 1u, c, column, d.z);
    write(row + 1u, c, column + 1u, d.w);
}
