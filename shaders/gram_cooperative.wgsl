// Gram matrix of a feature map, as in gram.wgsl, on a GPU's matrix units, which multiply tiles of float16 and
// add in float32. A workgroup computes 2 x 2 units. A unit is UNIT_TILES x UNIT_TILES tiles of products of
// channels, and one subgroup computes it. Its sums stay in registers.
//
// STEP pixels of the channels of both sides, less their means, stand in workgroup memory at a time. While they
// are multiplied, the next pixels are on their way.
enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    c: u32,       // a multiple of a unit's channels
    h: u32,       // rows of this band
    w: u32,
    scale: f32,
    shares: u32,  // partial matrices, each summed over every shares-th row
    share: u32,   // the first of them in this band
}

alias Map = f32;  // how maps are stored
const HALF: bool = false;  // whether that is f16

const TILE: u32 = 8u;  // what the device multiplies at once, 8 or 16; the types say it again
alias Left = coop_mat8x8<f16, A>;   // channels x pixels
alias Right = coop_mat8x8<f16, B>;  // pixels x channels
alias Sums = coop_mat8x8<f32, C>;   // channels x channels

const UNIT_TILES: u32 = 2u;
const SIDE: u32 = 2u * UNIT_TILES * TILE;  // channels of a workgroup
const STEP: u32 = 16u;    // pixels summed between two barriers, a multiple of TILE
const LANES: u32 = 128u;  // a multiple of every size that subgroups have
const UNITS: u32 = 4u;
const TILES: u32 = UNIT_TILES * UNIT_TILES;
const LOADS: u32 = SIDE * STEP / LANES;  // by an invocation, of either side

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Map>;              // h x c x w
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // shares x c x c
@group(0) @binding(7) var<storage, read> mean: array<f32>;           // c

// Offsets and strides of all matrices are multiples of 16 bytes, as Vulkan demands.
var<workgroup> left: array<f16, SIDE * STEP>;   // SIDE x STEP
var<workgroup> right: array<f16, SIDE * STEP>;

// The channel that an invocation stages as its number n of a side that begins at `first`.
fn channel(first: u32, index: u32, n: u32) -> u32 { return first + (index + n * LANES) / STEP; }

// What an invocation stages of the pixels from number `pixel` of a share on. Its neighbours stage the pixels beside.
fn next(share: u32, first: u32, pixel: u32, index: u32, means: array<f32, LOADS>) -> array<f16, LOADS> {
    var next: array<f16, LOADS>;
    let p = pixel + index % STEP;
    let row = share + p / params.w * params.shares;
    for (var n = 0u; n < LOADS; n++) {
        let c = channel(first, index, n);
        if row < params.h && c < params.c {
            // The mean is subtracted before anything is rounded.
            let d = f32(x[(row * params.c + c) * params.w + p % params.w]) - means[n];
            next[n] = f16(clamp(d, -65504.0, 65504.0));
        }
    }
    return next;
}

fn keep(next_left: array<f16, LOADS>, next_right: array<f16, LOADS>, index: u32) {
    for (var n = 0u; n < LOADS; n++) {
        left[index + n * LANES] = next_left[n];
        right[index + n * LANES] = next_right[n];
    }
}

// Adds the products over the staged pixels to the sums of a unit, or nothing if it does not work.
fn multiply(sums: ptr<function, array<Sums, TILES>>, unit: u32, pixels: u32) {
    for (var k = 0u; k < pixels; k += TILE) {
        var rows: array<Left, UNIT_TILES>;
        for (var m = 0u; m < UNIT_TILES; m++) {
            let at = ((unit / 2u * UNIT_TILES + m) * TILE) * STEP + k;
            rows[m] = coopLoadT<Left>(&left[at], STEP);
        }
        for (var r = 0u; r < UNIT_TILES; r++) {
            let at = ((unit % 2u * UNIT_TILES + r) * TILE) * STEP + k;
            let columns = coopLoad<Right>(&right[at], STEP);
            for (var m = 0u; m < UNIT_TILES; m++) {
                let n = r * UNIT_TILES + m;
                sums[n] = coopMultiplyAdd(rows[m], columns, sums[n]);
            }
        }
    }
}

// Stores the sums of a unit, or nothing, and their mirror images as often as `mirrored` says.
fn store(sums: ptr<function, array<Sums, TILES>>, block: vec3u, unit: u32, works: u32, mirrored: u32) {
    let start = (params.share + block.z) * params.c * params.c;
    let stride = params.c;
    for (var r = 0u; r < UNIT_TILES * works; r++) {
        for (var m = 0u; m < UNIT_TILES; m++) {
            let i = ((2u * block.y + unit / 2u) * UNIT_TILES + m) * TILE;
            let j = ((2u * block.x + unit % 2u) * UNIT_TILES + r) * TILE;
            let sum = sums[r * UNIT_TILES + m] * params.scale;
            let at = start + i * params.c + j;
            coopStoreT(sum, &partial[at], stride);
            for (var t = 0u; t < mirrored; t++) {
                let mirror = start + j * params.c + i;
                coopStore(sum, &partial[mirror], stride);
            }
        }
    }
}

// Products of the channels of two sides, each less its mean. Subgroups take units in turn, for a workgroup may have
// more or fewer subgroups than units. All go through the same barriers.
fn products(
    block: vec3u,
    index: u32,
    subgroup: u32,
    subgroups: u32,
    left_means: array<f32, LOADS>,
    right_means: array<f32, LOADS>,
) {
    let rows = (params.h - block.z + params.shares - 1u) / params.shares;
    let a = block.y * SIDE;
    let b = block.x * SIDE;
    for (var turn = 0u; turn < UNITS; turn += subgroups) {
        let unit = turn + subgroup;
        let i = (2u * block.y + unit / 2u) * UNIT_TILES * TILE;
        let j = (2u * block.x + unit % 2u) * UNIT_TILES * TILE;
        let works = unit < UNITS && i < params.c && j < params.c;
        var sums = array<Sums, TILES>();
        var next_left = next(block.z, a, 0u, index, left_means);
        var next_right = next(block.z, b, 0u, index, right_means);
        for (var pixel = 0u; pixel < rows * params.w; pixel += STEP) {
            workgroupBarrier();
            keep(next_left, next_right, index);
            workgroupBarrier();
            next_left = next(block.z, a, pixel + STEP, index, left_means);
            next_right = next(block.z, b, pixel + STEP, index, right_means);
            multiply(&sums, unit, select(0u, STEP, works));
        }
        // A block on the diagonal contains its own mirror image.
        store(&sums, block, unit, select(0u, 1u, works), select(0u, 1u, a != b));
    }
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    // The other blocks are mirror images.
    if block.x > block.y { return; }
    products(block, index, subgroup, subgroups, array<f32, LOADS>(), array<f32, LOADS>());
}

// The means of the channels that an invocation stages of a side.
fn means_of(first: u32, index: u32) -> array<f32, LOADS> {
    var means: array<f32, LOADS>;
    for (var n = 0u; n < LOADS; n++) { means[n] = mean[min(channel(first, index, n), params.c - 1u)]; }
    return means;
}

@compute @workgroup_size(LANES)
fn forward_centred(
    @builtin(workgroup_id) block: vec3u,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    if block.x > block.y { return; }
    products(block, index, subgroup, subgroups, means_of(block.y * SIDE, index), means_of(block.x * SIDE, index));
}
