// The gradient of sum x^2 / 2, which is x: what a case puts where the op under test has to add its own
// gradient.

struct Params { row: u32 }  // values of a row: channels * width

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;         // h x row
@group(0) @binding(2) var<storage, read_write> dx: array<Map>;  // h x row

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    dx[i] = select(x[i], x[i] + dx[i], ACCUMULATE);
}
