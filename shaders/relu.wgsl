// Rectified linear unit: y = max(x, 0). It is used only where a tap asks for the values before the ReLU;
// everywhere else the convolution applies it.

struct Params { row: u32 }  // values of a row: channels * width

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;         // h x row
@group(0) @binding(2) var<storage, read_write> y: array<Map>;   // h x row
@group(0) @binding(3) var<storage, read> dy: array<Map>;        // h x row
@group(0) @binding(4) var<storage, read_write> dx: array<Map>;  // h x row

// include: finite

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    y[i] = max(x[i], Map(0.0));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    var d = select(0.0, f32(dy[i]), f32(x[i]) > 0.0);
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = Map(finite(d));
}
