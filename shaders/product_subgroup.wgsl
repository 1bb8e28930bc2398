// A product of square matrices, as product.wgsl, for subgroups of exactly 8 and n a multiple of 32: a
// subgroup computes 32 x 32 values, 8 matrices of sums in a lane. What all lanes need is loaded by one of
// them and shared by shuffles, for loads are dear.

struct Params {
    n: u32,
    alpha: f32,
    beta: f32,
    gamma: f32,
    first: u32,  // iterations of which each computes the product
    every: u32,  // later, one iteration in this many does
}

const SYMMETRIC: bool = true;

// All n x n, as texels in rows of 256.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var left: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var right: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var other: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;  // n x n
@group(0) @binding(5) var<storage, read> clock: array<u32>;    // 1, the iterations before this one

// Whether this iteration needs the product.
fn is_due() -> bool { return clock[0] < params.first || clock[0] % params.every == 0u; }

fn left_at(i: u32) -> vec4f { return textureLoad(left, vec2u(i & 255u, i >> 8u)); }

fn right_at(i: u32) -> vec4f { return textureLoad(right, vec2u(i & 255u, i >> 8u)); }

fn other_at(i: u32) -> vec4f { return textureLoad(other, vec2u(i & 255u, i >> 8u)); }

// Four rows of products: v times the texels of four lanes.
fn rows(sum: mat4x4f, v: mat4x4f, w: vec4f, lane: u32) -> mat4x4f {
    return mat4x4f(
        sum[0] + v * subgroupShuffle(w, lane),
        sum[1] + v * subgroupShuffle(w, lane + 1u),
        sum[2] + v * subgroupShuffle(w, lane + 2u),
        sum[3] + v * subgroupShuffle(w, lane + 3u),
    );
}

@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let n = params.n;
    // Rows of tiles from both ends in turn, for a driver that gives each thread a range of workgroups: later
    // rows have more.
    let down = select(group.y / 2u, n / 32u - 1u - group.y / 2u, SYMMETRIC && group.y % 2u == 1u);
    let across = select(group.y, down, SYMMETRIC);
    // The other tiles are mirror images.
    if (SYMMETRIC && group.x > down) || !is_due() { return; }
    let a = across * 32u;
    let b = group.x * 32u;
    let line = n / 4u;
    let i = (a + lane) * line;
    let j = (b + lane) * line;
    var sum0 = mat4x4f(); var sum1 = mat4x4f(); var sum2 = mat4x4f(); var sum3 = mat4x4f();
    var sum4 = mat4x4f(); var sum5 = mat4x4f(); var sum6 = mat4x4f(); var sum7 = mat4x4f();
    for (var k = 0u; k < line; k++) {
        let b0 = right_at(j + k);
        let b1 = right_at(j + k + 8u * line);
        let b2 = right_at(j + k + 16u * line);
        let b3 = right_at(j + k + 24u * line);
        let a0 = left_at(i + k);
        let a1 = left_at(i + k + 8u * line);
        let a2 = left_at(i + k + 16u * line);
        let a3 = left_at(i + k + 24u * line);
        let v = transpose(mat4x4f(b0, b1, b2, b3));
        sum0 = rows(sum0, v, a0, 0u); sum1 = rows(sum1, v, a0, 4u);
        sum2 = rows(sum2, v, a1, 0u); sum3 = rows(sum3, v, a1, 4u);
        sum4 = rows(sum4, v, a2, 0u); sum5 = rows(sum5, v, a2, 4u);
        sum6 = rows(sum6, v, a3, 0u); sum7 = rows(sum7, v, a3, 4u);
    }
    // Stores are slow to compile, so this is a loop which moves the next sums up; a count known at compile
    // time would have it unrolled.
    for (var r = a; r < a + 32u; r += 4u) {
        for (var t = 0u; t < 4u; t++) {
            let column = b + lane + 8u * t;
            let more = params.beta * other_at(column * line + r / 4u);
            for (var k = 0u; k < 4u; k++) {
                let d = params.alpha * sum0[k][t] + more[k] + select(0.0, params.gamma, r + k == column);
                if !SYMMETRIC || column <= r + k {
                    y[(r + k) * n + column] = d;
                    if SYMMETRIC { y[column * n + r + k] = d; }
                }
            }
        }
        sum0 = sum1; sum1 = sum2; sum2 = sum3; sum3 = sum4; sum4 = sum5; sum5 = sum6; sum6 = sum7;
    }
}
