// 3x3 convolution as one matrix product, step 3 of 3: sums become pixels of the map, with bias and ReLU, or of the gradient.
// An invocation has four channels of a pixel.

struct Params {
    w: u32,
    h: u32,       // output rows of this band
    c: u32,       // a multiple of 32
    first: u32,   // the first four pixels, counted along the rows of the band
    fours: u32,   // how many of them
    stride: u32,  // pixels of a row of m
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> m: array<vec4f>;     // c/4 x stride, four channels of a pixel
@group(0) @binding(2) var<storage, read> bias: array<f32>;    // c
@group(0) @binding(3) var<storage, read_write> y: array<Y>;   // h x c x w
@group(0) @binding(4) var<storage, read_write> dx: array<X>;  // h x c x w

// Half precision stays finite.
fn to_x(d: f32) -> X { return X(select(d, clamp(d, -65504.0, 65504.0), HALF)); }
fn to_y(d: f32) -> Y { return Y(select(d, clamp(d, -65504.0, 65504.0), HALF)); }

// The row and column of a pixel. Rows are filled up to whole fours.
fn place(id: vec3u) -> vec2u {
    let across = (params.w + 3u) / 4u;
    let n = params.first + id.x / 4u;
    return vec2u(n / across, n % across * 4u + id.x % 4u);
}

fn put_y(i: u32, c: u32, sum: f32) {
    var d = sum + bias[c];
    if RELU { d = max(d, 0.0); }
    y[i] = to_y(d);
}

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let p = place(id);
    if id.x >= 4u * params.fours || p.y >= params.w { return; }
    let sum = m[id.y * params.stride + id.x];
    let c = 4u * id.y;
    let i = (p.x * params.c + c) * params.w + p.y;
    put_y(i, c, sum.x);
    put_y(i + params.w, c + 1u, sum.y);
    put_y(i + 2u * params.w, c + 2u, sum.z);
    put_y(i + 3u * params.w, c + 3u, sum.w);
}

fn put_dx(i: u32, sum: f32) {
    var d = sum;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = to_x(d);
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let p = place(id);
    if id.x >= 4u * params.fours || p.y >= params.w { return; }
    let sum = m[id.y * params.stride + id.x];
    let i = (p.x * params.c + 4u * id.y) * params.w + p.y;
    put_dx(i, sum.x);
    put_dx(i + params.w, sum.y);
    put_dx(i + 2u * params.w, sum.z);
    put_dx(i + 3u * params.w, sum.w);
}
