// Brings a picture to the network's input convention: y = scale * x + offset, for each of its three channels.

struct Params {
    w: u32,
    scale_r: f32, scale_g: f32, scale_b: f32,
    offset_r: f32, offset_g: f32, offset_b: f32,
    unscale: f32,  // factor on the gradient that undoes the scale of the network's gradients
}

const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // h x 3 x w
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // h x 3 x w
@group(0) @binding(3) var<storage, read> dy: array<f32>;        // h x 3 x w
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;  // h x 3 x w

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= 3u * params.w { return; }
    let channel = id.x / params.w;
    let scale = array<f32, 3>(params.scale_r, params.scale_g, params.scale_b);
    let offset = array<f32, 3>(params.offset_r, params.offset_g, params.offset_b);
    let i = id.y * 3u * params.w + id.x;
    y[i] = scale[channel] * x[i] + offset[channel];
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= 3u * params.w { return; }
    let channel = id.x / params.w;
    let scale = array<f32, 3>(params.scale_r, params.scale_g, params.scale_b);
    let i = id.y * 3u * params.w + id.x;
    var d = params.unscale * scale[channel] * dy[i];
    if ACCUMULATE { d += dx[i]; }
    dx[i] = d;
}
