// Gram matrix of a feature map and its gradient, as in gram.wgsl, for subgroups of exactly 8 lanes and c a
// multiple of 32. A subgroup computes 32 x 32 products of channels (forward), or 32 channels of 32 pixels
// (backward); each lane has 8 matrices of sums. Loads are expensive, so a value that all lanes need is loaded
// by one of them and shared by shuffles. The map is read as texels, four pixels per load.

struct Params {
    c: u32,
    h: u32,       // rows of this band
    w: u32,
    scale: f32,
    shares: u32,  // partial matrices, each summed over every shares-th row
    share: u32,   // the first of them in this band
}

alias Map = f32;  // how dx is stored
alias MapTexels = texture_storage_2d<rgba32float, read>;  // how maps are read
alias Sums = mat4x4f;  // four channels (columns) of four channels or pixels (rows)
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;
const ALIGNED: bool = true;  // w is a multiple of 4, so that every row of a channel is whole texels

@group(0) @binding(0) var<uniform> params: Params;
// x, h x c x w, as texels in rows of 256, with one more texel at the end
@group(0) @binding(1) var texels: MapTexels;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // shares x c x c
@group(0) @binding(3) var<storage, read> dg: array<f32>;             // c x c
@group(0) @binding(4) var<storage, read_write> dx: array<Map>;       // h x c x w
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;     // c x c, scale * (dg + its transpose)
@group(0) @binding(6) var s: texture_storage_2d<rgba32float, read>;  // the same as texels in rows of 256
@group(0) @binding(7) var<storage, read> mean: array<f32>;           // c
@group(0) @binding(8) var<storage, read> bias: array<f32>;           // c

// include: finite
// include: texel_at
// include: shuffled_products

fn texel(i: u32) -> vec4f { return textureLoad(texels, texel_at(i)); }

// Four values, starting with number i.
fn values(i: u32) -> vec4f {
    let a = texel(i / 4u);
    if ALIGNED { return a; }
    let b = texel(i / 4u + 1u);
    let two = (i & 2u) != 0u;
    let near = select(a, vec4f(a.zw, b.xy), two);
    let next = select(b.x, b.z, two);
    return select(near, vec4f(near.yzw, next), (i & 1u) != 0u);
}

// Four pixels of a row of a channel, less its mean, and zero past the row's end.
fn pixels(line: u32, column: u32, mean: f32) -> vec4f {
    let v = values(line + column) - mean;
    if ALIGNED { return v; }
    return select(vec4f(), v, vec4u(column) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.w));
}

// The row of tiles of a workgroup. They come from both ends in turn, for a driver that gives each thread a
// range of workgroups: later rows have more.
fn tile_row(group: vec3u) -> u32 {
    return select(group.y / 2u, params.c / 32u - 1u - group.y / 2u, group.y % 2u == 1u);
}

// Products of 32 channels from `a` and 32 from `b` on. Of this lane's, `left` and `right` are the means.
fn products(group: vec3u, lane: u32, a: u32, b: u32, left: vec4f, right: vec4f) {
    let c = params.c;
    let w = params.w;
    var sum0 = mat4x4f(); var sum1 = mat4x4f(); var sum2 = mat4x4f(); var sum3 = mat4x4f();
    var sum4 = mat4x4f(); var sum5 = mat4x4f(); var sum6 = mat4x4f(); var sum7 = mat4x4f();
    for (var row = group.z; row < params.h; row += params.shares) {
        let i = (row * c + a + lane) * w;
        let j = (row * c + b + lane) * w;
        for (var k = 0u; k < w; k += 4u) {
            let b0 = pixels(j, k, right[0]);
            let b1 = pixels(j + 8u * w, k, right[1]);
            let b2 = pixels(j + 16u * w, k, right[2]);
            let b3 = pixels(j + 24u * w, k, right[3]);
            let a0 = pixels(i, k, left[0]);
            let a1 = pixels(i + 8u * w, k, left[1]);
            let a2 = pixels(i + 16u * w, k, left[2]);
            let a3 = pixels(i + 24u * w, k, left[3]);
            let v = transpose(mat4x4f(b0, b1, b2, b3));
            sum0 = rows(sum0, v, a0, 0u); sum1 = rows(sum1, v, a0, 4u);
            sum2 = rows(sum2, v, a1, 0u); sum3 = rows(sum3, v, a1, 4u);
            sum4 = rows(sum4, v, a2, 0u); sum5 = rows(sum5, v, a2, 4u);
            sum6 = rows(sum6, v, a3, 0u); sum7 = rows(sum7, v, a3, 4u);
        }
    }
    let first = (params.share + group.z) * c * c;
    // Stores are slow to compile, so this loop shifts the next sums up instead of being unrolled. Its bounds
    // must not be known at compile time, or the compiler would unroll it.
    for (var r = a; r < a + 32u; r += 4u) {
        for (var k = 0u; k < 4u; k++) {
            for (var t = 0u; t < 4u; t++) {
                let d = params.scale * sum0[k][t];
                let column = b + lane + 8u * t;
                partial[first + (r + k) * c + column] = d;
                // A tile on the diagonal contains its own mirror image.
                if a != b { partial[first + column * c + r + k] = d; }
            }
        }
        sum0 = sum1; sum1 = sum2; sum2 = sum3; sum3 = sum4; sum4 = sum5; sum5 = sum6; sum6 = sum7;
    }
}

@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let down = tile_row(group);
    // The other tiles are mirror images.
    if group.x > down { return; }
    products(group, lane, down * 32u, group.x * 32u, vec4f(), vec4f());
}

@compute @workgroup_size(8)
fn forward_centred(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let down = tile_row(group);
    if group.x > down { return; }
    let i = down * 32u + lane;
    let j = group.x * 32u + lane;
    let left = vec4f(mean[i], mean[i + 8u], mean[i + 16u], mean[i + 24u]);
    let right = vec4f(mean[j], mean[j + 8u], mean[j + 16u], mean[j + 24u]);
    products(group, lane, down * 32u, group.x * 32u, left, right);
}

@compute @workgroup_size(8, 8)
fn symmetrize(@builtin(global_invocation_id) id: vec3u) {
    let c = params.c;  // a multiple of 8
    sums[id.y * c + id.x] = params.scale * (dg[id.y * c + id.x] + dg[id.x * c + id.y]);
}

fn weights(i: u32) -> vec4f { return textureLoad(s, texel_at(i)); }

// Four pixels (rows) of four channels (columns), starting with the first pixel of the first channel.
fn channels(i: u32) -> mat4x4f {
    let w = params.w;
    return mat4x4f(values(i), values(i + w), values(i + 2u * w), values(i + 3u * w));
}

// Four channels of four pixels, each channel beginning with what the lanes from `lane` on have of it.
fn started(start: f32, lane: u32) -> mat4x4f {
    return mat4x4f(
        vec4f(subgroupShuffle(start, lane)),
        vec4f(subgroupShuffle(start, lane + 1u)),
        vec4f(subgroupShuffle(start, lane + 2u)),
        vec4f(subgroupShuffle(start, lane + 3u)),
    );
}

// The gradient of 32 channels, whose sums start at `start`, a constant of each channel: this lane has every
// eighth.
fn gradients(group: vec3u, lane: u32, start: vec4f) {
    let first = group.x * 32u;
    // A lane has four adjacent pixels.
    let across = (params.w + 3u) / 4u;
    let row = (group.y * 8u + lane) / across;
    let column = (group.y * 8u + lane) % across * 4u;
    let own = min(row, params.h - 1u) * params.c * params.w + column;
    let size = 2u * params.c;  // texels of eight rows
    var sum0 = started(start.x, 0u); var sum1 = started(start.x, 4u);
    var sum2 = started(start.y, 0u); var sum3 = started(start.y, 4u);
    var sum4 = started(start.z, 0u); var sum5 = started(start.z, 4u);
    var sum6 = started(start.w, 0u); var sum7 = started(start.w, 4u);
    for (var c = 0u; c < params.c; c += 8u) {
        let x0 = channels(own + c * params.w);
        let x1 = channels(own + (c + 4u) * params.w);
        let k = ((first + lane) * params.c + c) / 4u;
        let a0 = weights(k); let a1 = weights(k + size); let a2 = weights(k + 2u * size); let a3 = weights(k + 3u * size);
        let b0 = weights(k + 1u); let b1 = weights(k + size + 1u);
        let b2 = weights(k + 2u * size + 1u); let b3 = weights(k + 3u * size + 1u);
        sum0 = rows(sum0, x0, a0, 0u); sum1 = rows(sum1, x0, a0, 4u);
        sum2 = rows(sum2, x0, a1, 0u); sum3 = rows(sum3, x0, a1, 4u);
        sum4 = rows(sum4, x0, a2, 0u); sum5 = rows(sum5, x0, a2, 4u);
        sum6 = rows(sum6, x0, a3, 0u); sum7 = rows(sum7, x0, a3, 4u);
        sum0 = rows(sum0, x1, b0, 0u); sum1 = rows(sum1, x1, b0, 4u);
        sum2 = rows(sum2, x1, b1, 0u); sum3 = rows(sum3, x1, b1, 4u);
        sum4 = rows(sum4, x1, b2, 0u); sum5 = rows(sum5, x1, b2, 4u);
        sum6 = rows(sum6, x1, b3, 0u); sum7 = rows(sum7, x1, b3, 4u);
    }
    for (var r = first; r < first + 32u; r += 4u) {
        for (var k = 0u; k < 4u; k++) {
            for (var t = 0u; t < 4u; t++) {
                if row < params.h && (ALIGNED || column + t < params.w) {
                    let i = own + (r + k) * params.w + t;
                    var d = sum0[k][t];
                    if ACCUMULATE { d += f32(dx[i]); }
                    dx[i] = Map(finite(d));
                }
            }
        }
        sum0 = sum1; sum1 = sum2; sum2 = sum3; sum3 = sum4; sum4 = sum5; sum5 = sum6; sum6 = sum7;
    }
}

@compute @workgroup_size(8)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    gradients(group, lane, vec4f());
}

@compute @workgroup_size(8)
fn backward_biased(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let c = group.x * 32u + lane;
    gradients(group, lane, params.scale * vec4f(bias[c], bias[c + 8u], bias[c + 16u], bias[c + 24u]));
}
