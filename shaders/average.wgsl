// An exponential average of the iterates: sum = keep * sum + (1 - keep) * x. Readers divide it by 1 - keep^n.

struct Params { row: u32 }  // values of a row of the picture: 3 * width

alias real = f32;  // f64 where the device has it: see adam.wgsl

const KEEP: real = 0.98;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<real>;         // h x 3 x w, the picture
@group(0) @binding(2) var<storage, read_write> sum: array<real>;  // h x 3 x w

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    sum[i] = KEEP * sum[i] + (1 - KEEP) * x[i];
}

@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // h x 3 x w

// What cases compare: the sum in float32.
@compute @workgroup_size(64)
fn rounded(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    y[i] = f32(sum[i]);
}
