// A map whose sites are weighed: y = sqrt(mask) x, so that a sum of products of channels of y is one of x
// weighed by the mask; and the gradient by x. Centred, x is less the mean of its channel, and all of a
// channel also move with the way from a target to the mean.

struct Params {
    c: u32,
    w: u32,
    top: u32,    // the first of these rows in the map
    scale: f32,  // of the way from target to mean
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;             // h x c x w
@group(0) @binding(2) var<storage, read> mask: array<f32>;          // of the whole map, height x w
@group(0) @binding(3) var<storage, read_write> y: array<f32>;       // h x c x w
@group(0) @binding(4) var<storage, read> dy: array<f32>;            // h x c x w
@group(0) @binding(5) var<storage, read_write> dx: array<Map>;      // h x c x w
@group(0) @binding(6) var<storage, read> mean: array<f32>;          // c
@group(0) @binding(7) var<storage, read> target_mean: array<f32>;   // c

// include: finite

fn weight(id: vec3u) -> f32 { return mask[(params.top + id.y) * params.w + id.x % params.w]; }

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    let i = id.y * params.c * params.w + id.x;
    y[i] = sqrt(weight(id)) * f32(x[i]);
}

@compute @workgroup_size(64)
fn forward_centred(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    let i = id.y * params.c * params.w + id.x;
    y[i] = sqrt(weight(id)) * (f32(x[i]) - mean[id.x / params.w]);
}

fn add(i: u32, gradient: f32) {
    var d = gradient;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = Map(finite(d));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    let i = id.y * params.c * params.w + id.x;
    add(i, sqrt(weight(id)) * dy[i]);
}

@compute @workgroup_size(64)
fn backward_centred(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    let i = id.y * params.c * params.w + id.x;
    let c = id.x / params.w;
    let m = weight(id);
    add(i, sqrt(m) * dy[i] + params.scale * m * (mean[c] - target_mean[c]));
}
