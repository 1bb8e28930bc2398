// The sites of a map that a tile owns, less a reference, and zeros at all others: what is summed over tiles.

struct Params {
    c: u32,
    w: u32,
    top: u32,       // rows of the map above this band
    halvings: u32,  // how often the picture was halved on its way to this map
}

alias Map = f32;  // how x is stored

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;          // h x c x w
// 4, in pixels: the first row that the tile owns, one past the last, the first column, one past
// the last
@group(0) @binding(2) var<storage, read> own: array<u32>;
@group(0) @binding(3) var<storage, read> shift: array<f32>;      // c
@group(0) @binding(4) var<storage, read> reference: array<f32>;  // h x c x w
@group(0) @binding(5) var<storage, read_write> y: array<f32>;    // h x c x w

fn is_own(row: u32, column: u32) -> bool {
    let k = params.halvings;
    return row >= (own[0] >> k) && row < (own[1] >> k) && column >= (own[2] >> k) && column < (own[3] >> k);
}

fn put(id: vec3u, i: u32, reference: f32) {
    y[i] = select(0.0, f32(x[i]) - reference, is_own(params.top + id.y, id.x % params.w));
}

@compute @workgroup_size(64)
fn less_shift(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    put(id, id.y * params.c * params.w + id.x, shift[id.x / params.w]);
}

@compute @workgroup_size(64)
fn less_map(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    let i = id.y * params.c * params.w + id.x;
    put(id, i, reference[i]);
}
