// As nearest_search.wgsl, for GPUs: operands go through workgroup memory, eight channels at a time. A
// workgroup has SITES sites and multiplies them with FEATURES features at a time, an invocation four with
// eight; while it multiplies, its next values are on their way. Each invocation remembers its largest, of
// which the largest is taken at the end.

struct Params {
    quads: u32,   // fours of channels, an even number
    slots: u32,   // sites, a multiple of 32
    blocks: u32,  // of 32 features
    apart: u32,   // blocks of a chunk, a multiple of 4
}

const SITES: u32 = 64u;
const FEATURES: u32 = 128u;
const STEP: u32 = 2u;    // quads summed between two barriers
const LANES: u32 = 16u;  // invocations beside and behind each other; each has every 16th site and feature

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> u: array<vec4f>;         // slots/32 x quads x 32, four channels of a site
@group(0) @binding(2) var<storage, read> features: array<vec4f>;  // blocks x quads x 32, four channels of a feature
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;      // chunks x slots
@group(0) @binding(4) var<storage, read_write> candidates: array<u32>;  // chunks x slots

var<workgroup> left: array<vec4f, STEP * SITES>;
var<workgroup> right: array<vec4f, STEP * FEATURES>;
// What each invocation has found.
var<workgroup> largest: array<Best, LANES * LANES>;

// The largest products so far of an invocation's four sites, and which features these are with.
struct Best {
    score: vec4f,
    feature: vec4u,
}

fn larger(best: Best, score: vec4f, feature: u32, end: u32) -> Best {
    let better = (score > best.score) & vec4<bool>(feature < end);
    return Best(select(best.score, score, better), select(best.feature, vec4u(feature), better));
}

fn at(site: u32, quad: u32) -> u32 { return (site / 32u * params.quads + quad) * 32u + site % 32u; }

// This invocation's share of the next values, of which half of the invocations have one of a site.
fn load_site(first: u32, quad: u32, index: u32) -> vec4f {
    let site = first + index % SITES;
    let ok = index < STEP * SITES && site < params.slots;
    return select(vec4f(), u[select(0u, at(site, quad + index / SITES), ok)], ok);
}

fn load_feature(first: u32, quad: u32, index: u32) -> vec4f {
    let feature = first + index % FEATURES;
    let ok = feature < params.blocks * 32u;
    return select(vec4f(), features[select(0u, at(feature, quad + index / FEATURES), ok)], ok);
}

@compute @workgroup_size(LANES, LANES)
fn search(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let first = group.x * SITES;
    var feature = group.y * params.apart * 32u;
    let end = min(feature + params.apart * 32u, params.blocks * 32u);
    // Products are finite, or nothing is nearest.
    var best = Best(vec4f(-3.4e38), vec4u(feature));
    var next_left = load_site(first, 0u, index);
    var next_right = load_feature(feature, 0u, index);
    while feature < end {
        // Columns are features, rows are sites.
        var near = mat4x4f();
        var far = mat4x4f();
        for (var q = 0u; q < params.quads; q += STEP) {
            workgroupBarrier();
            if index < STEP * SITES { left[index] = next_left; }
            right[index] = next_right;
            workgroupBarrier();
            let last = q + STEP >= params.quads;
            let next = select(q + STEP, 0u, last);
            next_left = load_site(first, next, index);
            next_right = load_feature(select(feature, feature + FEATURES, last), next, index);
            for (var k = 0u; k < STEP; k++) {
                let i = k * SITES + local.y;
                let own = mat4x4f(left[i], left[i + LANES], left[i + 2u * LANES], left[i + 3u * LANES]);
                let j = k * FEATURES + local.x;
                near[0] += right[j] * own;
                near[1] += right[j + LANES] * own;
                near[2] += right[j + 2u * LANES] * own;
                near[3] += right[j + 3u * LANES] * own;
                far[0] += right[j + 4u * LANES] * own;
                far[1] += right[j + 5u * LANES] * own;
                far[2] += right[j + 6u * LANES] * own;
                far[3] += right[j + 7u * LANES] * own;
            }
        }
        let j = feature + local.x;
        best = larger(best, near[0], j, end);
        best = larger(best, near[1], j + LANES, end);
        best = larger(best, near[2], j + 2u * LANES, end);
        best = larger(best, near[3], j + 3u * LANES, end);
        best = larger(best, far[0], j + 4u * LANES, end);
        best = larger(best, far[1], j + 5u * LANES, end);
        best = larger(best, far[2], j + 6u * LANES, end);
        best = larger(best, far[3], j + 7u * LANES, end);
        feature += FEATURES;
    }
    largest[index] = best;
    workgroupBarrier();
    if local.x > 0u { return; }
    for (var lane = 1u; lane < LANES; lane++) {
        let other = largest[index + lane];
        // Of equally near features, the first.
        let before = (other.score == best.score) & (other.feature < best.feature);
        let better = (other.score > best.score) | before;
        best = Best(select(best.score, other.score, better), select(best.feature, other.feature, better));
    }
    for (var k = 0u; k < 4u; k++) {
        let site = first + local.y + k * LANES;
        if site < params.slots {
            scores[group.y * params.slots + site] = best.score[k];
            candidates[group.y * params.slots + site] = best.feature[k];
        }
    }
}
