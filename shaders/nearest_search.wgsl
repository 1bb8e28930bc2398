// For each site of a map the painting's feature whose product with it is largest, the first of these:
// scores[p] = max over j of u[p] . features[j]. A chunk of the painting's features each; `nearest` takes the
// best of all. The plain form: a site of a chunk per invocation.

struct Params {
    quads: u32,   // fours of channels, an even number
    slots: u32,   // sites, a multiple of 32
    blocks: u32,  // of 32 features
    apart: u32,   // blocks of a chunk
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> u: array<vec4f>;         // slots/32 x quads x 32, four channels of a site
@group(0) @binding(2) var<storage, read> features: array<vec4f>;  // blocks x quads x 32, four channels of a feature
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;      // chunks x slots
@group(0) @binding(4) var<storage, read_write> candidates: array<u32>;  // chunks x slots

@compute @workgroup_size(64)
fn search(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    let own = id.x / 32u * params.quads * 32u + id.x % 32u;
    let end = min((id.y + 1u) * params.apart, params.blocks) * 32u;
    // Products are finite, or nothing is nearest.
    var best = -3.4e38;
    var nearest = id.y * params.apart * 32u;
    for (var j = nearest; j < end; j++) {
        let other = j / 32u * params.quads * 32u + j % 32u;
        var sum = 0.0;
        for (var q = 0u; q < params.quads * 32u; q += 32u) { sum += dot(u[own + q], features[other + q]); }
        if sum > best {
            best = sum;
            nearest = j;
        }
    }
    scores[id.y * params.slots + id.x] = best;
    candidates[id.y * params.slots + id.x] = nearest;
}
