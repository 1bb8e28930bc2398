// Values in float32, however a map is stored: y = x.

struct Params { row: u32 }  // values of a row: channels * width

alias Map = f32;  // how x is stored

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;        // h x row
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // h x row

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    y[i] = f32(x[i]);
}
