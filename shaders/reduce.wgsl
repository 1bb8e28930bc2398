// Adds partial sums in a fixed order: losses[slot] = sum of partial.

struct Params {
    n: u32,
    slot: u32,
}

const LANES: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;       // n
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;  // slots

var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn forward(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < params.n; i += LANES) { sum += partial[i]; }
    sums[lane] = sum;
    for (var span = LANES / 2u; span > 0u; span /= 2u) {
        workgroupBarrier();
        if lane < span { sums[lane] += sums[lane + span]; }
    }
    if lane == 0u { losses[params.slot] = sums[0]; }
}
