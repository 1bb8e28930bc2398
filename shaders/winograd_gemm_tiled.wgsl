// Winograd F(4x4, 3x3), step 2 of 3 for GPUs: the products of `winograd_gemm`, through workgroup memory. A
// workgroup of 16 x 16 computes CHANNELS channels of TILES tiles of one frequency f, an invocation 4 or 8 of
// each. While it multiplies the values of 8 channels, the next ones are being loaded.

struct Params {
    c_in: u32,    // a multiple of 32
    c_out: u32,   // a multiple of 32
    stride: u32,  // tiles of a row of v and m, a multiple of 32
}

alias Weights = vec4f;  // how four weights are stored

const CHANNELS: u32 = 64u;  // 64 or 128
const TILES: u32 = 128u;    // 64 or 128

const STEP: u32 = 8u;       // channels summed between two barriers
const LANES: u32 = 16u;

@group(0) @binding(0) var<uniform> params: Params;
// 36 x stride/32 x c_in/4 (backward c_out/4) x 32, four channels of a tile
@group(0) @binding(1) var<storage, read> v: array<vec4f>;
// c_out/32 x 36 x c_in/4 x 32: element (o/32, f, i/4, o%32) holds the weights from channels i .. i+3 to
// channel o
@group(0) @binding(2) var<storage, read> u: array<Weights>;
// 36 x c_out/4 (backward c_in/4) x stride, four channels of a tile
@group(0) @binding(3) var<storage, read_write> m: array<vec4f>;

// Forward STEP/4 x CHANNELS, the weights from four summed channels; backward CHANNELS/4 x STEP, the weights
// to four channels.
var<workgroup> weights: array<vec4f, STEP * CHANNELS / 4u>;
var<workgroup> values: array<vec4f, STEP / 4u * TILES>;  // STEP/4 x TILES, four summed channels each

// The sums of an invocation: four channels (a row) of four tiles (a matrix), then the same for four more
// channels, tiles, or both.
struct Sums {
    near: mat4x4f,
    more_tiles: mat4x4f,
    more_channels: mat4x4f,
    more_both: mat4x4f,
}

// What this invocation loads of the values of STEP channels (of `channels`), starting with channel c.
fn load_values(channels: u32, c: u32, group: vec3u, index: u32) -> vec4f {
    let tile = group.y * TILES + index % TILES;
    let quad = c / 4u + index / TILES;
    let ok = index < STEP / 4u * TILES && quad < channels / 4u && tile < params.stride;
    let i = ((group.z * params.stride / 32u + tile / 32u) * channels / 4u + quad) * 32u + tile % 32u;
    return select(vec4f(), v[select(0u, i, ok)], ok);
}

// The weights from channels i .. i+3 to channel o.
fn load_weights(f: u32, i: u32, o: u32) -> vec4f {
    let ok = i < params.c_in && o < params.c_out;
    let at = ((o / 32u * 36u + f) * params.c_in / 4u + i / 4u) * 32u + o % 32u;
    return select(vec4f(), vec4f(u[select(0u, at, ok)]), ok);
}

// The values of an invocation's tiles for the four summed channels that begin at row `row`.
fn tiles(row: u32, first: u32) -> mat4x4f {
    let i = row * TILES + first;
    return mat4x4f(values[i], values[i + LANES], values[i + 2u * LANES], values[i + 3u * LANES]);
}

// Adds the products of four summed channels with the weights to the near and to the far four channels.
fn multiply(start: Sums, row: u32, lane: u32, near: mat4x4f, far: mat4x4f) -> Sums {
    var sums = start;
    let v = tiles(row, lane);
    sums.near += near * v;
    if CHANNELS > 64u { sums.more_channels += far * v; }
    if TILES > 64u {
        let more = tiles(row, lane + 4u * LANES);
        sums.more_tiles += near * more;
        if CHANNELS > 64u { sums.more_both += far * more; }
    }
    return sums;
}

fn put(at: u32, tile: u32, sum: vec4f) {
    if tile < params.stride { m[at + tile] = sum; }
}

// Four channels of four tiles.
fn put_four(f: u32, channels: u32, quad: u32, tile: u32, sum: mat4x4f) {
    if quad >= channels / 4u { return; }
    let at = (f * channels / 4u + quad) * params.stride;
    put(at, tile, sum[0]);
    put(at, tile + LANES, sum[1]);
    put(at, tile + 2u * LANES, sum[2]);
    put(at, tile + 3u * LANES, sum[3]);
}

fn put_all(channels: u32, group: vec3u, local: vec3u, sums: Sums) {
    let quad = group.x * CHANNELS / 4u + local.y;
    let tile = group.y * TILES + local.x;
    put_four(group.z, channels, quad, tile, sums.near);
    if TILES > 64u { put_four(group.z, channels, quad, tile + 4u * LANES, sums.more_tiles); }
    if CHANNELS > 64u { put_four(group.z, channels, quad + LANES, tile, sums.more_channels); }
    if CHANNELS > 64u && TILES > 64u {
        put_four(group.z, channels, quad + LANES, tile + 4u * LANES, sums.more_both);
    }
}

// Forward, an invocation loads weights to one channel of the result.
fn load_forward(i: u32, group: vec3u, index: u32) -> vec4f {
    if index >= STEP * CHANNELS / 4u { return vec4f(); }
    return load_weights(group.z, i + index / CHANNELS * 4u, group.x * CHANNELS + index % CHANNELS);
}

// The weights to four channels of the result from four summed channels. A column belongs to a summed channel.
fn forward_matrix(row: u32, quad: u32) -> mat4x4f {
    let i = row * CHANNELS + 4u * quad;
    return transpose(mat4x4f(weights[i], weights[i + 1u], weights[i + 2u], weights[i + 3u]));
}

@compute @workgroup_size(LANES, LANES)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    var sums = Sums();
    var next_values = load_values(params.c_in, 0u, group, index);
    var next_weights = load_forward(0u, group, index);
    for (var i = 0u; i < params.c_in; i += STEP) {
        workgroupBarrier();
        if index < STEP / 4u * TILES { values[index] = next_values; }
        if index < STEP * CHANNELS / 4u { weights[index] = next_weights; }
        workgroupBarrier();
        next_values = load_values(params.c_in, i + STEP, group, index);
        next_weights = load_forward(i + STEP, group, index);
        for (var row = 0u; row < STEP / 4u; row++) {
            let near = forward_matrix(row, local.y);
            let far = forward_matrix(row, (local.y + LANES) % (CHANNELS / 4u));
            sums = multiply(sums, row, local.x, near, far);
        }
    }
    put_all(params.c_out, group, local, sums);
}

// Backward, an invocation loads weights from four channels of the result.
fn load_backward(o: u32, group: vec3u, index: u32) -> vec4f {
    if index >= STEP * CHANNELS / 4u { return vec4f(); }
    return load_weights(group.z, group.x * CHANNELS + index / STEP * 4u, o + index % STEP);
}

fn backward_matrix(row: u32, quad: u32) -> mat4x4f {
    let i = quad * STEP + 4u * row;
    return mat4x4f(weights[i], weights[i + 1u], weights[i + 2u], weights[i + 3u]);
}

@compute @workgroup_size(LANES, LANES)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    var sums = Sums();
    var next_values = load_values(params.c_out, 0u, group, index);
    var next_weights = load_backward(0u, group, index);
    for (var o = 0u; o < params.c_out; o += STEP) {
        workgroupBarrier();
        if index < STEP / 4u * TILES { values[index] = next_values; }
        if index < STEP * CHANNELS / 4u { weights[index] = next_weights; }
        workgroupBarrier();
        next_values = load_values(params.c_out, o + STEP, group, index);
        next_weights = load_backward(o + STEP, group, index);
        for (var row = 0u; row < STEP / 4u; row++) {
            let near = backward_matrix(row, local.y);
            let far = backward_matrix(row, (local.y + LANES) % (CHANNELS / 4u));
            sums = multiply(sums, row, local.x, near, far);
        }
    }
    put_all(params.c_in, group, local, sums);
}
