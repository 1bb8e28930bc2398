// As nearest_search.wgsl, for subgroups of exactly 8, one per workgroup: it has 32 sites, of which a lane has
// every eighth, and multiplies them with 32 features at a time, as winograd_gemm.wgsl does. What is largest
// of them stays in the lane.

struct Params {
    quads: u32,   // fours of channels, an even number
    slots: u32,   // sites, a multiple of 32
    blocks: u32,  // of 32 features
    apart: u32,   // blocks of a chunk
}

// The textures are linear memory in rows of 256 texels.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var sites: texture_storage_2d<rgba32float, read>;     // slots/32 x quads x 32, four channels of a site
@group(0) @binding(2) var painting: texture_storage_2d<rgba32float, read>;  // blocks x quads x 32, four channels of a feature
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;      // chunks x slots
@group(0) @binding(4) var<storage, read_write> candidates: array<u32>;  // chunks x slots

fn feature(i: u32) -> vec4f { return textureLoad(painting, vec2u(i & 255u, i >> 8u)); }

// This lane's sites (rows), four channels of each; 32 sites never cross a row of the texture.
fn own(i: u32) -> mat4x4f {
    let p = vec2u(i & 255u, i >> 8u);
    return transpose(mat4x4f(
        textureLoad(sites, p),
        textureLoad(sites, p + vec2u(8u, 0u)),
        textureLoad(sites, p + vec2u(16u, 0u)),
        textureLoad(sites, p + vec2u(24u, 0u)),
    ));
}

// Products with the features (columns) of the four lanes from `lane` on.
fn rows(sum: mat4x4f, v: mat4x4f, w: vec4f, lane: u32) -> mat4x4f {
    return mat4x4f(
        sum[0] + v * subgroupShuffle(w, lane),
        sum[1] + v * subgroupShuffle(w, lane + 1u),
        sum[2] + v * subgroupShuffle(w, lane + 2u),
        sum[3] + v * subgroupShuffle(w, lane + 3u),
    );
}

// The largest products so far of a lane's four sites, and which features these are with.
struct Best {
    score: vec4f,
    feature: vec4u,
}

fn larger(best: Best, score: vec4f, feature: u32) -> Best {
    let better = score > best.score;
    return Best(select(best.score, score, better), select(best.feature, vec4u(feature), better));
}

fn largest(best: Best, sum: mat4x4f, first: u32) -> Best {
    return larger(larger(larger(larger(best, sum[0], first), sum[1], first + 1u), sum[2], first + 2u), sum[3], first + 3u);
}

// All sums are variables and all loads of a step stand before its arithmetic: see winograd_gemm.wgsl.
@compute @workgroup_size(8)
fn search(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let block = group.x * params.quads * 32u + lane;
    let start = group.y * params.apart;
    let end = min(start + params.apart, params.blocks);
    // Products are finite, or nothing is nearest.
    var best = Best(vec4f(-3.4e38), vec4u(start * 32u));
    for (var b = start; b < end; b++) {
        var sum0 = mat4x4f(); var sum1 = mat4x4f(); var sum2 = mat4x4f(); var sum3 = mat4x4f();
        var sum4 = mat4x4f(); var sum5 = mat4x4f(); var sum6 = mat4x4f(); var sum7 = mat4x4f();
        for (var q = 0u; q < params.quads; q += 2u) {
            let i = block + q * 32u;
            let v0 = own(i);
            let v1 = own(i + 32u);
            let k = (b * params.quads + q) * 32u + lane;
            let a0 = feature(k); let a1 = feature(k + 8u); let a2 = feature(k + 16u); let a3 = feature(k + 24u);
            let b0 = feature(k + 32u); let b1 = feature(k + 40u); let b2 = feature(k + 48u); let b3 = feature(k + 56u);
            sum0 = rows(sum0, v0, a0, 0u); sum1 = rows(sum1, v0, a0, 4u);
            sum2 = rows(sum2, v0, a1, 0u); sum3 = rows(sum3, v0, a1, 4u);
            sum4 = rows(sum4, v0, a2, 0u); sum5 = rows(sum5, v0, a2, 4u);
            sum6 = rows(sum6, v0, a3, 0u); sum7 = rows(sum7, v0, a3, 4u);
            sum0 = rows(sum0, v1, b0, 0u); sum1 = rows(sum1, v1, b0, 4u);
            sum2 = rows(sum2, v1, b1, 0u); sum3 = rows(sum3, v1, b1, 4u);
            sum4 = rows(sum4, v1, b2, 0u); sum5 = rows(sum5, v1, b2, 4u);
            sum6 = rows(sum6, v1, b3, 0u); sum7 = rows(sum7, v1, b3, 4u);
        }
        let first = b * 32u;
        best = largest(best, sum0, first);
        best = largest(best, sum1, first + 4u);
        best = largest(best, sum2, first + 8u);
        best = largest(best, sum3, first + 12u);
        best = largest(best, sum4, first + 16u);
        best = largest(best, sum5, first + 20u);
        best = largest(best, sum6, first + 24u);
        best = largest(best, sum7, first + 28u);
    }
    let to = group.y * params.slots + group.x * 32u + lane;
    for (var k = 0u; k < 4u; k++) {
        scores[to + 8u * k] = best.score[k];
        candidates[to + 8u * k] = best.feature[k];
    }
}
