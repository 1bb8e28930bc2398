// Products with numbers that other lanes of the subgroup have. Sums are four columns, one for each channel.

// A lane's texel is a row of the matrix. The four rows from `lane` on give four channels.
fn rows(sum: Sums, v: Sums, w: vec4f, lane: u32) -> Sums {
    return Sums(
        sum[0] + v * subgroupShuffle(w, lane),
        sum[1] + v * subgroupShuffle(w, lane + 1u),
        sum[2] + v * subgroupShuffle(w, lane + 2u),
        sum[3] + v * subgroupShuffle(w, lane + 3u),
    );
}

// It is a column. The four columns from `lane` on have four terms for each of four channels.
fn columns(sum: Sums, v: Sums, w: vec4f, lane: u32) -> Sums {
    return Sums(
        sum[0] + v * spread(w.x, lane),
        sum[1] + v * spread(w.y, lane),
        sum[2] + v * spread(w.z, lane),
        sum[3] + v * spread(w.w, lane),
    );
}

fn spread(w: f32, lane: u32) -> vec4f {
    return vec4f(
        subgroupShuffle(w, lane),
        subgroupShuffle(w, lane + 1u),
        subgroupShuffle(w, lane + 2u),
        subgroupShuffle(w, lane + 3u),
    );
}
