// A product of square matrices, as product.wgsl, for subgroups of exactly 8 and n a multiple of 32: a
// subgroup computes 32 x 32 values, 8 matrices of sums in a lane. What all lanes need is loaded by one of
// them and shared by shuffles, for loads are dear.

struct Params {
    n: u32,
    alpha: f32,
    beta: f32,
    gamma: f32,
}

const SYMMETRIC: bool = true;

// All n x n in panels: texel (i/32, k/4, i%32) has the values k .. k+3 of row i. What a subgroup loads at a time
// lies side by side.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var left: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var right: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var other: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<storage, read> x: array<vec4f>;  // n x n, row by row

alias Sums = mat4x4f;  // 4 x 4 values of y; each column is a part of a row of y

// include: texel_at
// include: shuffled_products

fn left_at(i: u32) -> vec4f { return textureLoad(left, texel_at(i)); }
fn right_at(i: u32) -> vec4f { return textureLoad(right, texel_at(i)); }
fn other_at(i: u32) -> vec4f { return textureLoad(other, texel_at(i)); }

// Four neighbours in a panel, from texel number i on, as rows. (Metal takes no texture as an argument.)
fn four_right(i: u32) -> Sums {
    return transpose(Sums(right_at(i), right_at(i + 1u), right_at(i + 2u), right_at(i + 3u)));
}
fn four_other(i: u32) -> Sums {
    return transpose(Sums(other_at(i), other_at(i + 1u), other_at(i + 2u), other_at(i + 3u)));
}

@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    // The tile of y. Of a symmetric y, a row of workgroups computes two rows of tiles up to the diagonal, a long
    // one and a short one; the other tiles are mirror images.
    let tiles = params.n / 32u;
    let is_long = group.x < tiles - group.y;
    let down = select(group.y, tiles - 1u - group.y, SYMMETRIC && is_long);
    let across = select(group.x, group.x - (tiles - group.y), SYMMETRIC && !is_long);
    // Of an odd number of rows, the middle one would be computed twice. Nothing returns early: lavapipe would
    // then load texels under a mask, which takes half as long again.
    let wanted = !(SYMMETRIC && !is_long && 2u * group.y + 1u == tiles);
    // The panels of 32 rows of y and of 32 columns, of which this lane has four.
    let size = params.n * 8u;
    let a = down * size;
    let b = across * size;
    let end = select(0u, size, wanted);
    var sum0 = Sums(); var sum1 = Sums(); var sum2 = Sums(); var sum3 = Sums();
    var sum4 = Sums(); var sum5 = Sums(); var sum6 = Sums(); var sum7 = Sums();
    for (var k = 0u; k < end; k += 64u) {
        let j = b + k + 4u * lane;
        let v0 = four_right(j);
        let v1 = four_right(j + 32u);
        let i = a + k + lane;
        let a0 = left_at(i); let a1 = left_at(i + 8u); let a2 = left_at(i + 16u); let a3 = left_at(i + 24u);
        let b0 = left_at(i + 32u); let b1 = left_at(i + 40u); let b2 = left_at(i + 48u); let b3 = left_at(i + 56u);
        sum0 = rows(sum0, v0, a0, 0u); sum1 = rows(sum1, v0, a0, 4u);
        sum2 = rows(sum2, v0, a1, 0u); sum3 = rows(sum3, v0, a1, 4u);
        sum4 = rows(sum4, v0, a2, 0u); sum5 = rows(sum5, v0, a2, 4u);
        sum6 = rows(sum6, v0, a3, 0u); sum7 = rows(sum7, v0, a3, 4u);
        sum0 = rows(sum0, v1, b0, 0u); sum1 = rows(sum1, v1, b0, 4u);
        sum2 = rows(sum2, v1, b1, 0u); sum3 = rows(sum3, v1, b1, 4u);
        sum4 = rows(sum4, v1, b2, 0u); sum5 = rows(sum5, v1, b2, 4u);
        sum6 = rows(sum6, v1, b3, 0u); sum7 = rows(sum7, v1, b3, 4u);
    }
    // Stores are slow to compile, so this is a loop which moves the next sums up; a count known at compile
    // time would have it unrolled.
    let own = across * 32u + 4u * lane;
    for (var row = down * 32u; wanted && row < down * 32u + 32u; row += 4u) {
        // Here, and where it is mirrored.
        let here = a + own / 4u * 32u + row % 32u;
        let there = b + row / 4u * 32u + 4u * lane;
        var d = params.alpha * sum0 + params.beta * four_other(there);
        let diagonal = select(0.0, params.gamma, row == own);
        d[0].x += diagonal; d[1].y += diagonal; d[2].z += diagonal; d[3].w += diagonal;
        let mirrored = transpose(d);
        if SYMMETRIC && row == own {
            // On the diagonal, too, what is left of it counts.
            d = Sums(
                vec4f(d[0].x, mirrored[0].yzw), vec4f(d[1].xy, mirrored[1].zw), vec4f(d[2].xyz, mirrored[2].w), d[3]);
        }
        if !SYMMETRIC || row >= own {
            y[here] = d[0]; y[here + 1u] = d[1]; y[here + 2u] = d[2]; y[here + 3u] = d[3];
        }
        if SYMMETRIC && row > own {
            y[there] = mirrored[0]; y[there + 1u] = mirrored[1]; y[there + 2u] = mirrored[2]; y[there + 3u] = mirrored[3];
        }
        sum0 = sum1; sum1 = sum2; sum2 = sum3; sum3 = sum4; sum4 = sum5; sum5 = sum6; sum6 = sum7;
    }
}

// Brings x into panels.
@compute @workgroup_size(64)
fn pack(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if i >= params.n * params.n / 4u { return; }
    let row = i / (params.n * 8u) * 32u + i % 32u;
    y[i] = x[row * params.n / 4u + i / 32u % (params.n / 4u)];
}
