// Gram matrix of a feature map: g = scale * sum over pixels of x[c] x[d]; its gradient dx[c] = scale * sum
// over d of (dg[c][d] + dg[d][c]) x[d]. The plain form: one output per invocation. Centred, x is less the
// mean of its channel: a covariance. Biased, a constant of each channel joins the gradient's sum.

struct Params {
    c: u32,
    h: u32,       // rows of this band
    w: u32,
    scale: f32,
    shares: u32,  // partial matrices, each summed over every shares-th row
    share: u32,   // the first of them in this band
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;              // h x c x w
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // shares x c x c
@group(0) @binding(3) var<storage, read> dg: array<f32>;             // c x c
@group(0) @binding(4) var<storage, read_write> dx: array<Map>;       // h x c x w
@group(0) @binding(7) var<storage, read> mean: array<f32>;           // c
@group(0) @binding(8) var<storage, read> bias: array<f32>;           // c

// include: finite

// A product of two channels, each less its mean.
fn product(id: vec3u, means: vec2f) {
    let c = params.c;
    var sum = 0.0;
    for (var row = id.y; row < params.h; row += params.shares) {
        let a = (row * c + id.x / c) * params.w;
        let b = (row * c + id.x % c) * params.w;
        for (var k = 0u; k < params.w; k++) { sum += (f32(x[a + k]) - means.x) * (f32(x[b + k]) - means.y); }
    }
    partial[(params.share + id.y) * c * c + id.x] = params.scale * sum;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.c { return; }
    product(id, vec2f());
}

@compute @workgroup_size(64)
fn forward_centred(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.c { return; }
    product(id, vec2f(mean[id.x / params.c], mean[id.x % params.c]));
}

// A value of the gradient, whose sum starts at `start`.
fn gradient(id: vec3u, start: f32) {
    let c = params.c;
    let i = id.y * c * params.w + id.x;
    let own = id.x / params.w;
    var sum = start;
    for (var d = 0u; d < c; d++) {
        sum += (dg[own * c + d] + dg[d * c + own]) * f32(x[(id.y * c + d) * params.w + id.x % params.w]);
    }
    var d = params.scale * sum;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = Map(finite(d));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    gradient(id, 0.0);
}

@compute @workgroup_size(64)
fn backward_biased(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c * params.w { return; }
    gradient(id, bias[id.x / params.w]);
}
