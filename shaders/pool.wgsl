// 2x2 max pooling with stride 2. An odd last row or column is dropped and gets no gradient. Among equal values the
// first of the window, in reading order, is the maximum.

struct Params {
    c: u32,
    h: u32,  // rows of x in this band
    w: u32,
}

const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // h x c x w
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // h/2 x c x w/2
@group(0) @binding(3) var<storage, read> dy: array<f32>;        // h/2 x c x w/2
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;  // h x c x w

// The four values of the window whose first element is (row, column) of channel c.
fn window(row: u32, c: u32, column: u32) -> vec4f {
    let top = (row * params.c + c) * params.w + column;
    let bottom = top + params.c * params.w;
    return vec4f(x[top], x[top + 1u], x[bottom], x[bottom + 1u]);
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let width = params.w / 2u;
    if id.x >= params.c * width { return; }
    let v = window(2u * id.y, id.x / width, 2u * (id.x % width));
    y[id.y * params.c * width + id.x] = max(max(v.x, v.y), max(v.z, v.w));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    let c = id.x / params.w;
    let column = id.x % params.w;
    let width = params.w / 2u;
    var d = 0.0;
    if id.y / 2u < params.h / 2u && column / 2u < width {
        let v = window(id.y & ~1u, c, column & ~1u);
        // v[k] is the maximum if no earlier value is as large and no later one larger.
        var first = 3u;
        if v.z >= v.w { first = 2u; }
        if v.y >= max(v.z, v.w) { first = 1u; }
        if v.x >= max(v.y, max(v.z, v.w)) { first = 0u; }
        if first == 2u * (id.y & 1u) + (column & 1u) {
            d = dy[((id.y / 2u) * params.c + c) * width + column / 2u];
        }
    }
    let i = id.y * params.c * params.w + id.x;
    if ACCUMULATE { d += dx[i]; }
    dx[i] = d;
}
