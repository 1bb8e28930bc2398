// 3x3 convolution as one matrix product, step 1 of 3: the columns of the matrix. A column has what a pixel depends on: the
// values of all channels under each of the nine taps. Backward these are gradients where the ReLU let a value through, and
// taps are mirrored. Step 2 is `winograd_gemm` with a single point.
// An invocation has four pixels of a row, four channels and three taps.

struct Params {
    w: u32,
    h: u32,       // output rows of this band
    h_in: u32,    // rows of x or dy that this band sees
    top: u32,     // how many of them stand above the first output row
    c: u32,       // a multiple of 32
    first: u32,   // the first four pixels, counted along the rows of the band
    fours: u32,   // how many of them
    stride: u32,  // pixels of a row of v
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;     // h_in x c x w
@group(0) @binding(2) var<storage, read> dy: array<Y>;    // h_in x c x w
@group(0) @binding(3) var<storage, read> kept: array<Y>;  // h_in x c x w, the y that forward wrote
// 9 c/4 x stride, four channels of a pixel: tap by tap, backward for 32 channels after the other
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;

// The pixel that the first of the taps sees of the first of four. A row above the map or a column left of it has wrapped
// around and is too large.
fn corner(id: vec3u) -> vec2u {
    let across = (params.w + 3u) / 4u;
    let n = params.first + id.x;
    return vec2u(n / across + params.top + id.y % 3u - 1u, n % across * 4u - 1u);
}

// Where channel c of a pixel is, and whether it is inside the map.
struct Place {
    at: u32,
    inside: bool,
}

fn place(p: vec2u, k: u32, c: u32) -> Place {
    let ok = p.x < params.h_in && p.y + k < params.w;
    return Place(select(0u, (p.x * params.c + c) * params.w + p.y + k, ok), ok);
}

fn value(p: vec2u, k: u32, c: u32) -> f32 {
    let i = place(p, k, c);
    return select(0.0, f32(x[i.at]), i.inside);
}

fn gradient(p: vec2u, k: u32, c: u32) -> f32 {
    let i = place(p, k, c);
    var open = i.inside;
    if RELU { open = open && f32(kept[i.at]) > 0.0; }
    return select(0.0, f32(dy[i.at]), open);
}

// Four channels of a pixel.
fn values(p: vec2u, k: u32, c: u32) -> vec4f {
    return vec4f(value(p, k, c), value(p, k, c + 1u), value(p, k, c + 2u), value(p, k, c + 3u));
}

fn gradients(p: vec2u, k: u32, c: u32) -> vec4f {
    return vec4f(gradient(p, k, c), gradient(p, k, c + 1u), gradient(p, k, c + 2u), gradient(p, k, c + 3u));
}

// Four pixels under a tap.
fn put(row: u32, id: vec3u, a: vec4f, b: vec4f, c: vec4f, d: vec4f) {
    let i = row * params.stride + 4u * id.x;
    v[i] = a;
    v[i + 1u] = b;
    v[i + 2u] = c;
    v[i + 3u] = d;
}

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.fours { return; }
    let p = corner(id);
    let c = id.y / 3u * 4u;
    let a = values(p, 0u, c);
    let b = values(p, 1u, c);
    let d = values(p, 2u, c);
    let e = values(p, 3u, c);
    let f = values(p, 4u, c);
    let g = values(p, 5u, c);
    let tap = id.y % 3u * 3u;
    let quads = params.c / 4u;
    put(tap * quads + c / 4u, id, a, b, d, e);
    put((tap + 1u) * quads + c / 4u, id, b, d, e, f);
    put((tap + 2u) * quads + c / 4u, id, d, e, f, g);
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.fours { return; }
    let p = corner(id);
    let c = id.y / 3u * 4u;
    let a = gradients(p, 0u, c);
    let b = gradients(p, 1u, c);
    let d = gradients(p, 2u, c);
    let e = gradients(p, 3u, c);
    let f = gradients(p, 4u, c);
    let g = gradients(p, 5u, c);
    let tap = 8u - id.y % 3u * 3u;
    let row = (c / 32u * 9u + tap) * 8u + c % 32u / 4u;
    put(row, id, a, b, d, e);
    put(row - 8u, id, b, d, e, f);
    put(row - 16u, id, d, e, f, g);
}
