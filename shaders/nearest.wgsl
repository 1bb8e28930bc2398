// Cosine distance of a map's sites to the nearest of a painting's: what stands before and after the search.
// The mean of the painting's features, sites as the search reads them, the loss of what it found, the
// gradient.
//
// Sites are packed in blocks of 32: channels in fours, then the 32 sites. Channels beyond the last are zero.

struct Params {
    c: u32,
    quads: u32,          // fours of channels of a packed site, an even number
    h: u32,              // rows of this band
    w: u32,
    top: u32,            // the first row of this band in the map
    height: u32,         // rows of the map
    rows_apart: u32,     // the lattice: its sites are so far apart
    columns_apart: u32,
    across: u32,         // places of a row of the lattice
    leap: u32,           // from the lattice's offset at one step to that at the next
    places: u32,         // of the lattice; some are beyond the map's edge at some offsets
    slots: u32,          // the same, up to whole blocks
    chunks: u32,         // results of the search for each place
    scale: f32,          // the weight
    slope: f32,          // the weight times the scale of all gradients
    halvings: u32,       // of a window: how often the picture was halved on its way to the map
    whole_height: u32,   // rows and columns of the map that x is, or of which x is a window
    whole_width: u32,
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16
const ACCUMULATE: bool = false;

// A difference no longer than this share of the mean's length is rounding: 2^-20. Here both are squared.
const ROUNDING: f32 = 0x1p-40f;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;                 // h x c x w
@group(0) @binding(2) var<storage, read_write> dx: array<Map>;          // h x c x w
@group(0) @binding(3) var<storage, read> step: array<u32>;              // the iterations before this one
@group(0) @binding(4) var<storage, read> first: array<Map>;             // the first row of the map, c x w
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;        // height x c, of rows
@group(0) @binding(6) var<storage, read> row_sums: array<f32>;          // the same
@group(0) @binding(7) var<storage, read_write> middle: array<vec4f>;    // quads, the mean
@group(0) @binding(8) var<storage, read> mean: array<vec4f>;            // the same
@group(0) @binding(9) var<storage, read_write> packed: array<vec4f>;    // slots/32 x quads x 32
@group(0) @binding(10) var<storage, read> u: array<vec4f>;              // the same, differences from the mean
@group(0) @binding(11) var<storage, read> features: array<vec4f>;       // blocks x quads x 32, the painting's
@group(0) @binding(12) var<storage, read> scores: array<f32>;           // chunks x slots, products with the nearest of each
@group(0) @binding(13) var<storage, read> candidates: array<u32>;       // chunks x slots, which these are
@group(0) @binding(14) var<storage, read_write> chosen: array<u32>;     // slots, the nearest
@group(0) @binding(15) var<storage, read_write> angles: array<vec2f>;   // slots, cosine and 1 / |u|
@group(0) @binding(16) var<storage, read_write> partial: array<f32>;    // slots
@group(0) @binding(17) var<storage, read> neighbours: array<u32>;       // slots, as chosen
@group(0) @binding(18) var<storage, read> found: array<vec2f>;          // slots, as angles
// 6, of a window, in pixels: the first row that its tile owns, one past the last, the first column,
// one past the last, and where in the picture the window begins: row and column
@group(0) @binding(19) var<storage, read> tile: array<u32>;

// include: finite

// The sums of rows of the differences from the first site, by which a constant map has an exact mean.
@compute @workgroup_size(64)
fn sum_rows(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.c { return; }
    let line = (id.y * params.c + id.x) * params.w;
    let origin = f32(first[id.x * params.w]);
    var sum = 0.0;
    for (var k = 0u; k < params.w; k++) { sum += f32(x[line + k]) - origin; }
    sums[(params.top + id.y) * params.c + id.x] = sum;
}

fn mean_of(c: u32) -> f32 {
    if c >= params.c { return 0.0; }
    var sum = 0.0;
    for (var row = 0u; row < params.height; row++) { sum += row_sums[row * params.c + c]; }
    return f32(first[c * params.w]) + sum / f32(params.height * params.w);
}

@compute @workgroup_size(64)
fn average(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.quads { return; }
    let c = 4u * id.x;
    middle[id.x] = vec4f(mean_of(c), mean_of(c + 1u), mean_of(c + 2u), mean_of(c + 3u));
}

// Where the lattice begins. Its offsets follow each other far apart, and all of them come before one comes
// again.
fn offset(k: u32) -> vec2u {
    let count = params.rows_apart * params.columns_apart;
    let at = k % count * params.leap % count;
    return vec2u(at / params.columns_apart, at % params.columns_apart);
}

// Row and column of a place; beyond the map where it has none.
fn site(place: u32, begin: vec2u) -> vec2u {
    return begin + vec2u(place / params.across, place % params.across) * vec2u(params.rows_apart, params.columns_apart);
}

// Sites of the whole map that the lattice has, which begins there.
fn used(begin: vec2u) -> f32 {
    let rows = (params.whole_height - begin.x + params.rows_apart - 1u) / params.rows_apart;
    let columns = (params.whole_width - begin.y + params.columns_apart - 1u) / params.columns_apart;
    return f32(rows * columns);
}

// Where the lattice begins in a window: its first site that is not before the window.
fn begin_in_window() -> vec2u {
    let apart = vec2u(params.rows_apart, params.columns_apart);
    let origin = vec2u(tile[4], tile[5]) >> vec2u(params.halvings);
    return (offset(step[0]) + apart - origin % apart) % apart;
}

// Whether the tile owns a site of its window.
fn is_own(p: vec2u) -> bool {
    let k = params.halvings;
    return p.x >= (tile[0] >> k) && p.x < (tile[1] >> k) && p.y >= (tile[2] >> k) && p.y < (tile[3] >> k);
}

fn at(slot: u32, quad: u32) -> u32 { return (slot / 32u * params.quads + quad) * 32u + slot % 32u; }

// Packs four channels of a site, if it is in this band. What is beyond the map is zero.
fn pack_site(slot: u32, quad: u32, p: vec2u) {
    let here = p.x >= params.top && p.x < params.top + params.h && p.y < params.w;
    let beyond = p.x >= params.height || p.y >= params.w;
    if !here && (!beyond || params.top > 0u) { return; }
    var v = vec4f();
    for (var k = 0u; k < 4u; k++) {
        let c = 4u * quad + k;
        if here && c < params.c {
            v[k] = f32(x[((p.x - params.top) * params.c + c) * params.w + p.y]) - mean[quad][k];
        }
    }
    packed[at(slot, quad)] = v;
}

@compute @workgroup_size(64)
fn pack(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    pack_site(id.x, id.y, site(id.x, offset(step[0])));
}

@compute @workgroup_size(64)
fn pack_window(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    pack_site(id.x, id.y, site(id.x, begin_in_window()));
}

// The painting's lattice does not move. The first site fills the last block, where it is nearer than nothing
// before it.
@compute @workgroup_size(64)
fn pack_painting(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    pack_site(id.x, id.y, site(select(0u, id.x, id.x < params.places), vec2u()));
}

// 1 / |u|; zero where u is none but for rounding.
fn inverse_length(slot: u32) -> f32 {
    var length = 0.0;
    var origin = 0.0;
    for (var quad = 0u; quad < params.quads; quad++) {
        let v = u[at(slot, quad)];
        length += dot(v, v);
        origin += dot(mean[quad], mean[quad]);
    }
    return select(1.0 / sqrt(length), 0.0, length <= ROUNDING * origin);
}

@compute @workgroup_size(64)
fn normalize_painting(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    let r = inverse_length(id.x);
    for (var quad = 0u; quad < params.quads; quad++) { packed[at(id.x, quad)] = r * u[at(id.x, quad)]; }
}

// Each chunk has told its nearest; the first of the nearest of all counts. Gives the distance from it.
fn choose(slot: u32) -> f32 {
    var best = scores[slot];
    var nearest = candidates[slot];
    for (var chunk = 1u; chunk < params.chunks; chunk++) {
        let score = scores[chunk * params.slots + slot];
        if score > best {
            best = score;
            nearest = candidates[chunk * params.slots + slot];
        }
    }
    let r = inverse_length(slot);
    chosen[slot] = nearest;
    angles[slot] = vec2f(best * r, r);
    return 1.0 - best * r;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    let distance = choose(id.x);
    let begin = offset(step[0]);
    let p = site(id.x, begin);
    let inside = p.x < params.height && p.y < params.w;
    partial[id.x] = select(0.0, params.scale / used(begin) * distance, inside);
}

// A window's sites choose in a dispatch of their own, because together with what follows they would bind more
// storage buffers than every device has.
@compute @workgroup_size(64)
fn choose_in_window(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    _ = choose(id.x);
}

@compute @workgroup_size(64)
fn forward_window(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.slots { return; }
    let distance = 1.0 - found[id.x].x;
    let inside = is_own(site(id.x, begin_in_window()));
    partial[id.x] = select(0.0, params.scale / used(offset(step[0])) * distance, inside);
}

// The gradient of four channels of a pixel, by a lattice that begins at `begin` and has `sites` sites.
fn gradient(id: vec3u, begin: vec2u, sites: f32) {
    let quad = id.x / params.w;
    let p = vec2u(params.top + id.y, id.x % params.w);
    let apart = vec2u(params.rows_apart, params.columns_apart);
    let inside = all(p % apart == begin);
    if ACCUMULATE && !inside { return; }
    var d = vec4f();
    if inside {
        let place = p / apart;
        let slot = place.x * params.across + place.y;
        let cosine = found[slot].x;
        let r = found[slot].y;
        let v = features[at(neighbours[slot], quad)];
        d = params.slope / sites * r * (cosine * r * u[at(slot, quad)] - v);
    }
    for (var k = 0u; k < 4u; k++) {
        let c = 4u * quad + k;
        if c < params.c {
            let i = (id.y * params.c + c) * params.w + p.y;
            if ACCUMULATE { d[k] += f32(dx[i]); }
            dx[i] = Map(finite(d[k]));
        }
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.quads * params.w { return; }
    let begin = offset(step[0]);
    gradient(id, begin, used(begin));
}

@compute @workgroup_size(64)
fn backward_window(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.quads * params.w { return; }
    gradient(id, begin_in_window(), used(offset(step[0])));
}
