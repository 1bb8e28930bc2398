// Rectified linear unit: y = max(x, 0). Only used where a tap asks for the values before it; otherwise the
// convolution does it.

struct Params { row: u32 }  // values of a row: channels * width

const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // h x row
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // h x row
@group(0) @binding(3) var<storage, read> dy: array<f32>;        // h x row
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;  // h x row

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    y[i] = max(x[i], 0.0);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    var d = select(0.0, dy[i], x[i] > 0.0);
    if ACCUMULATE { d += dx[i]; }
    dx[i] = d;
}
