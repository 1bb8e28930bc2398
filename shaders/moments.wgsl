// Means of the channels of a feature map: partial sums in a fixed order, then their sum. Weighed, each pixel
// counts as often as the mask says.

struct Params {
    c: u32,
    h: u32,       // rows of this band
    w: u32,
    scale: f32,   // one over the pixels of the whole map, or over the sum of their weights
    shares: u32,  // partial sums of a channel, each over every shares-th row
    share: u32,   // the first of them in this band
    parts: u32,   // partial sums of a channel in all bands
    top: u32,     // the first row of this band in the map
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const LANES: u32 = 64u;  // invocations that sum a share together

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;              // h x c x w
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // parts x c
@group(0) @binding(3) var<storage, read_write> mean: array<f32>;     // c
@group(0) @binding(4) var<storage, read> mask: array<f32>;           // of the whole map, height x w

var<workgroup> sums: array<f32, LANES>;

// Adds what all lanes have of a share.
fn put(group: vec3u, lane: u32, own: f32) {
    sums[lane] = own;
    for (var span = LANES / 2u; span > 0u; span /= 2u) {
        workgroupBarrier();
        if lane < span { sums[lane] += sums[lane + span]; }
    }
    if lane == 0u { partial[(params.share + group.z) * params.c + group.y] = sums[0]; }
}

@compute @workgroup_size(LANES)
fn sum(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var row = group.z; row < params.h; row += params.shares) {
        let i = (row * params.c + group.y) * params.w;
        for (var k = lane; k < params.w; k += LANES) { sum += f32(x[i + k]); }
    }
    put(group, lane, sum);
}

@compute @workgroup_size(LANES)
fn sum_weighed(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var row = group.z; row < params.h; row += params.shares) {
        let i = (row * params.c + group.y) * params.w;
        let m = (params.top + row) * params.w;
        for (var k = lane; k < params.w; k += LANES) { sum += mask[m + k] * f32(x[i + k]); }
    }
    put(group, lane, sum);
}

@compute @workgroup_size(64)
fn finish(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c { return; }
    var sum = 0.0;
    for (var part = 0u; part < params.parts; part++) { sum += partial[part * params.c + id.x]; }
    mean[id.x] = params.scale * sum;
}
