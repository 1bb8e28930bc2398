// 3x3 convolution as nine matrix products with shifted maps, step 2 of 2, for subgroups of exactly 8, one per
// workgroup: it computes 32 channels of 32 pixels, of which a lane has every eighth. Bias and ReLU follow.
// Forward y[o][p] = sum over taps t and i of w[o][i][t] v[i][p + t], backward dx[i][p] = sum of w[o][i][t]
// v[o][p + 8 - t], where p + t is the pixel that tap t sees. Rows of v follow each other, so that this is p
// plus a constant. Loads are dear, so each lane loads its own texels of weights, and the subgroup shares them
// by shuffles.

struct Params {
    w: u32,
    h: u32,      // output rows
    first: u32,  // the first of them among those of y or dx
    c_in: u32,   // a multiple of 32
    c_out: u32,  // a multiple of 32
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
alias Sums = mat4x4f;  // four channels (columns) of four pixels (rows)
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const ACCUMULATE: bool = false;

// The textures are linear memory in rows of 256 texels.
@group(0) @binding(0) var<uniform> params: Params;
// pixels/32 x c_in/4 (backward c_out/4) x 32, four channels of a pixel: see `shifted_input`
@group(0) @binding(1) var v: texture_storage_2d<rgba32float, read>;
// c_out/32 x c_in/32 x 9 x 8 x 32: texel (o/32, i/32, t, i/4%8, o%32) has the weights from channels i .. i+3
// to channel o
@group(0) @binding(2) var u: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;    // c_out
@group(0) @binding(4) var<storage, read_write> y: array<Y>;   // h x c_out x w
@group(0) @binding(5) var<storage, read_write> dx: array<X>;  // h x c_in x w

// include: finite
// include: texel_at
// include: shuffled_products

fn weights(i: u32) -> vec4f { return textureLoad(u, texel_at(i)); }

fn texel(i: u32) -> vec4f { return textureLoad(v, texel_at(i)); }

// A step of the sums is eight channels under a tap: the eights of 32 channels follow each other, then the
// taps, then the 32s.
fn tap(step: u32) -> u32 { return step / 4u % 9u; }
fn eight(step: u32) -> u32 { return step / 36u * 4u + step % 4u; }

// Where a tap sees this lane's four pixels in v, of which a pixel has so many `quads` of channels.
fn seen(group: vec3u, lane: u32, tap: u32, quads: u32) -> vec4u {
    let p = group.x * 32u + lane + tap / 3u * (params.w + 1u) + tap % 3u;
    let at = vec4u(p, p + 8u, p + 16u, p + 24u);
    return at / 32u * quads * 32u + at % 32u;
}

// This lane's four pixels (rows), four channels of each (columns).
fn pixels(i: vec4u) -> mat4x4f {
    let p0 = texel(i.x);
    let p1 = texel(i.y);
    let p2 = texel(i.z);
    let p3 = texel(i.w);
    return transpose(mat4x4f(p0, p1, p2, p3));
}

// This lane's four pixels of the map: where the first of the workgroup's channels is, and which are pixels at
// all, for there is a zero at the end of each row.
struct Outputs {
    at: vec4u,
    are: vec4<bool>,
}

fn outputs(group: vec3u, lane: u32, channels: u32) -> Outputs {
    let p = group.x * 32u + lane;
    let at = vec4u(p, p + 8u, p + 16u, p + 24u);
    let row = at / (params.w + 1u);
    let column = at - row * (params.w + 1u);
    let i = ((params.first + row) * channels + group.y * 32u) * params.w + column;
    return Outputs(i, (row < vec4u(params.h)) & (column < vec4u(params.w)));
}

fn put_y(i: u32, four: vec4f) {
    var d = four;
    if RELU { d = max(d, vec4f()); }
    y[i] = Y(finite(d.x));
    y[i + params.w] = Y(finite(d.y));
    y[i + 2u * params.w] = Y(finite(d.z));
    y[i + 3u * params.w] = Y(finite(d.w));
}

// The n-th four channels of the workgroup.
fn store_y(to: Outputs, n: u32, sum: mat4x4f, group: vec3u) {
    let pixels = transpose(sum);
    let c = group.y * 32u + 4u * n;
    let b = vec4f(bias[c], bias[c + 1u], bias[c + 2u], bias[c + 3u]);
    let i = to.at + 4u * n * params.w;
    if to.are.x { put_y(i.x, pixels[0] + b); }
    if to.are.y { put_y(i.y, pixels[1] + b); }
    if to.are.z { put_y(i.z, pixels[2] + b); }
    if to.are.w { put_y(i.w, pixels[3] + b); }
}

fn put_dx(i: u32, four: vec4f) {
    var d = four;
    if ACCUMULATE {
        let w = params.w;
        d += vec4f(f32(dx[i]), f32(dx[i + w]), f32(dx[i + 2u * w]), f32(dx[i + 3u * w]));
    }
    dx[i] = X(finite(d.x));
    dx[i + params.w] = X(finite(d.y));
    dx[i + 2u * params.w] = X(finite(d.z));
    dx[i + 3u * params.w] = X(finite(d.w));
}

fn store_dx(to: Outputs, n: u32, sum: mat4x4f) {
    let pixels = transpose(sum);
    let i = to.at + 4u * n * params.w;
    if to.are.x { put_dx(i.x, pixels[0]); }
    if to.are.y { put_dx(i.y, pixels[1]); }
    if to.are.z { put_dx(i.z, pixels[2]); }
    if to.are.w { put_dx(i.w, pixels[3]); }
}

// All sums are variables and all loads of a step stand before its arithmetic: lavapipe keeps an array of sums
// in memory, and spills its registers around each load.
@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let quads = params.c_in / 4u;
    var sum0 = mat4x4f(); var sum1 = mat4x4f(); var sum2 = mat4x4f(); var sum3 = mat4x4f();
    var sum4 = mat4x4f(); var sum5 = mat4x4f(); var sum6 = mat4x4f(); var sum7 = mat4x4f();
    for (var n = 0u; n < quads / 2u * 9u; n++) {
        let i = seen(group, lane, tap(n), quads) + 64u * eight(n);
        let v0 = pixels(i);
        let v1 = pixels(i + 32u);
        let k = (group.y * quads / 2u * 9u + n) * 64u + lane;
        let a0 = weights(k); let a1 = weights(k + 8u); let a2 = weights(k + 16u); let a3 = weights(k + 24u);
        let b0 = weights(k + 32u); let b1 = weights(k + 40u); let b2 = weights(k + 48u); let b3 = weights(k + 56u);
        sum0 = rows(sum0, v0, a0, 0u); sum1 = rows(sum1, v0, a0, 4u);
        sum2 = rows(sum2, v0, a1, 0u); sum3 = rows(sum3, v0, a1, 4u);
        sum4 = rows(sum4, v0, a2, 0u); sum5 = rows(sum5, v0, a2, 4u);
        sum6 = rows(sum6, v0, a3, 0u); sum7 = rows(sum7, v0, a3, 4u);
        sum0 = rows(sum0, v1, b0, 0u); sum1 = rows(sum1, v1, b0, 4u);
        sum2 = rows(sum2, v1, b1, 0u); sum3 = rows(sum3, v1, b1, 4u);
        sum4 = rows(sum4, v1, b2, 0u); sum5 = rows(sum5, v1, b2, 4u);
        sum6 = rows(sum6, v1, b3, 0u); sum7 = rows(sum7, v1, b3, 4u);
    }
    let to = outputs(group, lane, params.c_out);
    var sums = array(sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7);
    for (var n = 0u; n < 8u; n++) { store_y(to, n, sums[n], group); }
}

@compute @workgroup_size(8)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let quads = params.c_out / 4u;
    var sum0 = mat4x4f(); var sum1 = mat4x4f(); var sum2 = mat4x4f(); var sum3 = mat4x4f();
    var sum4 = mat4x4f(); var sum5 = mat4x4f(); var sum6 = mat4x4f(); var sum7 = mat4x4f();
    for (var n = 0u; n < quads / 2u * 9u; n++) {
        let i = seen(group, lane, 8u - tap(n), quads) + 64u * eight(n);
        let v0 = pixels(i);
        let v1 = pixels(i + 32u);
        let k = ((n / 36u * params.c_in / 32u + group.y) * 9u + tap(n)) * 256u + n % 4u * 8u + lane;
        let a0 = weights(k); let a1 = weights(k + 32u); let a2 = weights(k + 64u); let a3 = weights(k + 96u);
        let a4 = weights(k + 128u); let a5 = weights(k + 160u); let a6 = weights(k + 192u); let a7 = weights(k + 224u);
        sum0 = columns(sum0, v0, a0, 0u); sum1 = columns(sum1, v0, a1, 0u);
        sum2 = columns(sum2, v0, a2, 0u); sum3 = columns(sum3, v0, a3, 0u);
        sum4 = columns(sum4, v0, a4, 0u); sum5 = columns(sum5, v0, a5, 0u);
        sum6 = columns(sum6, v0, a6, 0u); sum7 = columns(sum7, v0, a7, 0u);
        sum0 = columns(sum0, v1, a0, 4u); sum1 = columns(sum1, v1, a1, 4u);
        sum2 = columns(sum2, v1, a2, 4u); sum3 = columns(sum3, v1, a3, 4u);
        sum4 = columns(sum4, v1, a4, 4u); sum5 = columns(sum5, v1, a5, 4u);
        sum6 = columns(sum6, v1, a6, 4u); sum7 = columns(sum7, v1, a7, 4u);
    }
    let to = outputs(group, lane, params.c_in);
    var sums = array(sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7);
    for (var n = 0u; n < 8u; n++) { store_dx(to, n, sums[n]); }
}
