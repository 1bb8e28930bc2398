// Winograd F(4x4, 3x3), step 2 of 3: a matrix product for each of the 36 frequencies f. Forward m[f][o][t] =
// sum over i of u[f][o][i] v[f][i][t], backward m[f][i][t] = sum over o of u[f][o][i] v[f][o][t]. For
// subgroups of exactly 8, one per workgroup: it computes 32 channels of 8 TILES tiles, of which a lane has
// every eighth. Loads are dear, so each lane loads its own texels of weights, and the subgroup shares them by
// shuffles.

struct Params {
    c_in: u32,    // a multiple of 32
    c_out: u32,   // a multiple of 32
    stride: u32,  // tiles of a row of v and m, a multiple of 32
}

alias Weights = texture_storage_2d<rgba32float, read>;  // how weights are stored

const POINTS: u32 = 36u;

// Of a lane: 4 where there are more than 24 tiles, 3 or 2 where 24 or 16 hold them all.
const TILES: u32 = 4u;
alias Sums = mat4x4f;    // four channels (columns) of TILES tiles (rows): mat4x3f, mat4x2f
alias Texels = mat4x4f;  // the transpose

// The textures are linear memory in rows of 256 texels.
@group(0) @binding(0) var<uniform> params: Params;
// 36 x stride/32 x c_in/4 (backward c_out/4) x 32, four channels of a tile
@group(0) @binding(1) var v: texture_storage_2d<rgba32float, read>;
// c_out/32 x 36 x c_in/4 x 32: texel (o/32, f, i/4, o%32) has the weights from channels i .. i+3 to channel o
@group(0) @binding(2) var u: Weights;
// 36 x c_out/4 (backward c_in/4) x stride, four channels of a tile
@group(0) @binding(3) var<storage, read_write> m: array<vec4f>;

// include: texel_at
// include: shuffled_products

fn weights(i: u32) -> vec4f { return textureLoad(u, texel_at(i)); }

// This lane's tiles, four channels of each; 32 tiles never cross a row of the texture.
fn tiles(i: u32) -> Sums {
    let p = texel_at(i);
    var texels: Texels;
    for (var k = 0u; k < TILES; k++) { texels[k] = textureLoad(v, p + vec2u(8u * k, 0u)); }
    return transpose(texels);
}

fn store(i: u32, sum: Sums) {
    var texels = transpose(sum);
    for (var k = 0u; k < TILES; k++) { m[i + 8u * k] = texels[k]; }
}

// All sums are variables and all loads of a step stand before its arithmetic: lavapipe keeps an array of sums
// in memory, and spills its registers around each load.
@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let tile = group.x * 32u + lane;
    let quads = params.c_in / 4u;
    var sum0 = Sums(); var sum1 = Sums(); var sum2 = Sums(); var sum3 = Sums();
    var sum4 = Sums(); var sum5 = Sums(); var sum6 = Sums(); var sum7 = Sums();
    for (var q = 0u; q < quads; q += 2u) {
        let i = ((group.z * params.stride / 32u + group.x) * quads + q) * 32u + lane;
        let v0 = tiles(i);
        let v1 = tiles(i + 32u);
        let k = ((group.y * POINTS + group.z) * quads + q) * 32u + lane;
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
    let i = (group.z * params.c_out / 4u + group.y * 8u) * params.stride + tile;
    store(i, sum0);
    store(i + params.stride, sum1);
    store(i + 2u * params.stride, sum2);
    store(i + 3u * params.stride, sum3);
    store(i + 4u * params.stride, sum4);
    store(i + 5u * params.stride, sum5);
    store(i + 6u * params.stride, sum6);
    store(i + 7u * params.stride, sum7);
}

@compute @workgroup_size(8)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let tile = group.x * 32u + lane;
    var sum0 = Sums(); var sum1 = Sums(); var sum2 = Sums(); var sum3 = Sums();
    var sum4 = Sums(); var sum5 = Sums(); var sum6 = Sums(); var sum7 = Sums();
    for (var o = 0u; o < params.c_out; o += 8u) {
        let i = ((group.z * params.stride / 32u + group.x) * params.c_out + o) * 8u + lane;
        let v0 = tiles(i);
        let v1 = tiles(i + 32u);
        let k = ((o / 32u * POINTS + group.z) * params.c_in / 4u + group.y * 8u) * 32u + o % 32u + lane;
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
    let i = (group.z * params.c_in / 4u + group.y * 8u) * params.stride + tile;
    store(i, sum0);
    store(i + params.stride, sum1);
    store(i + 2u * params.stride, sum2);
    store(i + 3u * params.stride, sum3);
    store(i + 4u * params.stride, sum4);
    store(i + 5u * params.stride, sum5);
    store(i + 6u * params.stride, sum6);
    store(i + 7u * params.stride, sum7);
}
