// Total variation: vertical * sum |x[r+1] - x[r]| + horizontal * sum |x[., k+1] - x[., k]|. The derivative of
// |d| at 0 is taken as 0.

struct Params {
    c: u32,
    h: u32,       // rows of this band
    w: u32,
    h_in: u32,    // rows of x that this band reads
    top: u32,     // how many of them lie above the first of the band
    shares: u32,
    vertical: f32,    // weight / 2 / number of vertical differences
    horizontal: f32,  // weight / 2 / number of horizontal differences
}

const ACCUMULATE: bool = false;

alias real = f32;  // f64 where the device has it: see adam.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<real>;             // h_in x c x w
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // shares
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;       // h x c x w

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.shares { return; }
    let row = params.c * params.w;
    var below = real(0);
    var beside = real(0);
    for (var k = id.x; k < params.h * row; k += params.shares) {
        let i = params.top * row + k;
        if i + row < params.h_in * row { below += abs(x[i + row] - x[i]); }
        if i % params.w + 1u < params.w { beside += abs(x[i + 1u] - x[i]); }
    }
    partial[id.x] = params.vertical * f32(below) + params.horizontal * f32(beside);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let row = params.c * params.w;
    if id.x >= row { return; }
    let line = params.top + id.y;
    let i = line * row + id.x;
    let column = id.x % params.w;
    let here = x[i];
    var below = real(0);
    var beside = real(0);
    if line > 0u { below += sign(here - x[i - row]); }
    if line + 1u < params.h_in { below += sign(here - x[i + row]); }
    if column > 0u { beside += sign(here - x[i - 1u]); }
    if column + 1u < params.w { beside += sign(here - x[i + 1u]); }
    var d = params.vertical * f32(below) + params.horizontal * f32(beside);
    let own = id.y * row + id.x;
    if ACCUMULATE { d += dx[own]; }
    dx[own] = d;
}
