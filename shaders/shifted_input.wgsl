// 3x3 convolution as nine matrix products with shifted maps, step 1 of 2: writes the map with channels
// innermost and zeros around it. What a tap sees of all pixels is then the same map, shifted by a constant.
// Backward, the map is the gradient where the ReLU was open. An invocation writes four channels of a pixel.

struct Params {
    w: u32,
    h_in: u32,  // rows of x or dy that this band reads
    top: u32,   // how many of them lie above the first output row
    c: u32,     // a multiple of 32
    rows: u32,  // of v: the output rows, one above them and one below
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;     // h_in x c x w
@group(0) @binding(2) var<storage, read> dy: array<Y>;    // h_in x c x w
@group(0) @binding(3) var<storage, read> kept: array<Y>;  // h_in x c x w, the y that forward wrote
// pixels/32 x c/4 x 32, four channels of a pixel. A row is one zero and w pixels; the zero of the next row
// closes it.
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;

// The position of the first of four channels of a pixel, the distance to the next channel, and whether the
// pixel is inside the map. Rows above the map and columns left of it have wrapped around and are too large.
struct Place {
    at: u32,
    next: u32,
    inside: bool,
}

fn place(id: vec3u) -> Place {
    let row = id.y + params.top - 1u;
    let column = id.x - 1u;
    if row >= params.h_in || column >= params.w { return Place(0u, 0u, false); }
    return Place((row * params.c + 4u * id.z) * params.w + column, params.w, true);
}

// Whether an invocation has a pixel. Only the last row needs a closing zero of its own.
fn is_pixel(id: vec3u) -> bool { return id.x <= select(params.w, params.w + 1u, id.y + 1u == params.rows); }

fn put(id: vec3u, four: vec4f) {
    let p = id.y * (params.w + 1u) + id.x;
    v[(p / 32u * params.c / 4u + id.z) * 32u + p % 32u] = four;
}

fn value(at: u32, inside: bool) -> f32 { return select(0.0, f32(x[at]), inside); }

fn gradient(at: u32, inside: bool) -> f32 {
    var open = inside;
    if RELU { open = open && f32(kept[at]) > 0.0; }
    return select(0.0, f32(dy[at]), open);
}

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if !is_pixel(id) { return; }
    let p = place(id);
    let a = value(p.at, p.inside);
    let b = value(p.at + p.next, p.inside);
    let c = value(p.at + 2u * p.next, p.inside);
    let d = value(p.at + 3u * p.next, p.inside);
    put(id, vec4f(a, b, c, d));
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if !is_pixel(id) { return; }
    let p = place(id);
    let a = gradient(p.at, p.inside);
    let b = gradient(p.at + p.next, p.inside);
    let c = gradient(p.at + 2u * p.next, p.inside);
    let d = gradient(p.at + 3u * p.next, p.inside);
    put(id, vec4f(a, b, c, d));
}
