// The first convolution, 3 x 3 from three channels, with bias and ReLU; backward the gradient of its input.
// For subgroups of exactly 8: a lane loads one of the texels of weights, and the subgroup shares them by shuffles.
// An invocation has four pixels of a row in all channels (forward), or 4 x 4 pixels (backward).

struct Params {
    w: u32,
    h: u32,          // output rows of this band
    h_in: u32,       // rows of the input that this band sees
    top: u32,        // how many of them stand above the first output row
    gate_rows: u32,  // rows of gates that this band sees
    gate_top: u32,   // how many of them stand above the first output row
    c_out: u32,
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const REPLICATE: bool = false;  // beyond the map's edge: its nearest pixel instead of zeros
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
// c_out x 8 texels in rows of 256, the numbers of an output channel: 3 x 3 x 3 weights, bias, 0, 0, 0, 0
@group(0) @binding(1) var weights: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<storage, read> x: array<X>;           // h_in x 3 x w
@group(0) @binding(3) var<storage, read_write> y: array<Y>;     // h x c_out x w
@group(0) @binding(4) var<storage, read> dy: array<Y>;          // h_in x c_out x w
@group(0) @binding(5) var<storage, read_write> dx: array<X>;    // h x 3 x w
// gate_rows x c_out/32 rounded up x w: of each of 32 channels of a pixel a bit, set where the ReLU let its value through
@group(0) @binding(6) var<storage, read> gates: array<u32>;
@group(0) @binding(7) var<storage, read_write> own_gates: array<u32>;  // those of this band

// include: finite
// include: texel_at
// include: gate_word

// The texel of weights of this lane.
fn numbers(o: u32, lane: u32) -> vec4f {
    let i = 8u * o + lane;
    return textureLoad(weights, texel_at(i));
}

// Three weights of a row of taps, from number n on.
fn taps(w: vec4f, n: u32) -> vec3f {
    return vec3f(
        subgroupShuffle(w[n % 4u], n / 4u),
        subgroupShuffle(w[(n + 1u) % 4u], (n + 1u) / 4u),
        subgroupShuffle(w[(n + 2u) % 4u], (n + 2u) / 4u),
    );
}

// A row above the map or a column left of it has wrapped around and is too large.
fn inside(row: u32, column: u32) -> bool {
    return row < params.h_in && column < params.w;
}

fn pixel(row: u32, c: u32, column: u32) -> f32 {
    if REPLICATE {
        let p = clamp(vec2i(vec2u(row, column)), vec2i(), vec2i(vec2u(params.h_in, params.w)) - 1);
        return f32(x[(u32(p.x) * 3u + c) * params.w + u32(p.y)]);
    }
    let ok = inside(row, column);
    return select(0.0, f32(x[select(0u, (row * 3u + c) * params.w + column, ok)]), ok);
}

// What lies under the three taps of a row: a column of four pixels for each tap.
fn forward_row(row: u32, c: u32, column: u32) -> mat3x4f {
    let a = pixel(row, c, column);
    let b = pixel(row, c, column + 1u);
    let d = pixel(row, c, column + 2u);
    let e = pixel(row, c, column + 3u);
    let f = pixel(row, c, column + 4u);
    let g = pixel(row, c, column + 5u);
    return mat3x4f(a, b, d, e, b, d, e, f, d, e, f, g);
}

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let across = (params.w + 3u) / 4u;
    let row = id.x / across;
    let column = id.x % across * 4u;
    let top = row + params.top - 1u;
    let r0 = forward_row(top, 0u, column - 1u);
    let r1 = forward_row(top + 1u, 0u, column - 1u);
    let r2 = forward_row(top + 2u, 0u, column - 1u);
    let g0 = forward_row(top, 1u, column - 1u);
    let g1 = forward_row(top + 1u, 1u, column - 1u);
    let g2 = forward_row(top + 2u, 1u, column - 1u);
    let b0 = forward_row(top, 2u, column - 1u);
    let b1 = forward_row(top + 1u, 2u, column - 1u);
    let b2 = forward_row(top + 2u, 2u, column - 1u);
    // The 27 taps and, for the bias, 1: four numbers for each texel.
    let x0 = mat4x4f(r0[0], r0[1], r0[2], r1[0]);
    let x1 = mat4x4f(r1[1], r1[2], r2[0], r2[1]);
    let x2 = mat4x4f(r2[2], g0[0], g0[1], g0[2]);
    let x3 = mat4x4f(g1[0], g1[1], g1[2], g2[0]);
    let x4 = mat4x4f(g2[1], g2[2], b0[0], b0[1]);
    let x5 = mat4x4f(b0[2], b1[0], b1[1], b1[2]);
    let x6 = mat4x4f(b2[0], b2[1], b2[2], vec4f(1.0));
    for (var first = 0u; first < params.c_out; first += 32u) {
        var open = vec4u();
        for (var o = first; o < min(first + 32u, params.c_out); o++) {
            let w = numbers(o, lane);
            var sum = x6 * subgroupBroadcast(w, 6u);
            sum += x0 * subgroupBroadcast(w, 0u);
            sum += x1 * subgroupBroadcast(w, 1u);
            sum += x2 * subgroupBroadcast(w, 2u);
            sum += x3 * subgroupBroadcast(w, 3u);
            sum += x4 * subgroupBroadcast(w, 4u);
            sum += x5 * subgroupBroadcast(w, 5u);
            if RELU {
                sum = max(sum, vec4f());
                open |= select(vec4u(), vec4u(1u << (o % 32u)), sum > vec4f());
            }
            let i = (row * params.c_out + o) * params.w + column;
            for (var k = 0u; k < 4u; k++) {
                if row < params.h && column + k < params.w { y[i + k] = Y(finite(sum[k])); }
            }
        }
        if RELU {
            let i = gate_word(row, first, column);
            for (var k = 0u; k < 4u; k++) {
                if row < params.h && column + k < params.w { own_gates[i + k] = open[k]; }
            }
        }
    }
}

// The gates of 32 channels, from `first` on, of six pixels of a row: closed outside the map, open where there is no ReLU.
fn row_of_gates(row: u32, first: u32, column: u32) -> array<u32, 6> {
    var open: array<u32, 6>;
    for (var k = 0u; k < 6u; k++) {
        let ok = row < params.gate_rows && column + k < params.w;
        open[k] = select(0u, 0xffffffffu, ok);
        if RELU { open[k] &= gates[select(0u, gate_word(row, first, column + k), ok)]; }
    }
    return open;
}

// What the gates of channel o let through of the gradient, as it lies under the three mirrored taps of a row.
fn backward_row(row: u32, o: u32, column: u32, open: array<u32, 6>) -> mat3x4f {
    var d: array<f32, 6>;
    for (var k = 0u; k < 6u; k++) {
        let i = (row * params.c_out + o) * params.w + column + k;
        d[k] = select(0.0, f32(dy[select(0u, i, open[k] != 0u)]), i32(open[k] << (31u - o % 32u)) < 0);
    }
    var z = mat3x4f(d[2], d[3], d[4], d[5], d[1], d[2], d[3], d[4], d[0], d[1], d[2], d[3]);
    if REPLICATE {
        // Beyond the edge stand copies of the edge's pixels, whose gradients return to these.
        let own = column + 1u + vec4u(0u, 1u, 2u, 3u);
        z[0] += select(vec4f(), z[1], own == vec4u());
        z[2] += select(vec4f(), z[1], own == vec4u(params.w - 1u));
    }
    return z;
}

// Adds to four rows of pixels of one input channel, whose taps are the numbers from n on.
fn spread(sum: mat4x4f, z: array<mat3x4f, 6>, w: vec4f, n: u32) -> mat4x4f {
    let a = taps(w, n);
    let b = taps(w, n + 3u);
    let c = taps(w, n + 6u);
    return mat4x4f(
        sum[0] + z[2] * a + z[1] * b + z[0] * c,
        sum[1] + z[3] * a + z[2] * b + z[1] * c,
        sum[2] + z[4] * a + z[3] * b + z[2] * c,
        sum[3] + z[5] * a + z[4] * b + z[3] * c,
    );
}

// Adds what the copies of these pixels above the map and below it get: `above` is 1 if the first of the four rows is the
// map's first, and `below` where one is its last.
fn beyond(sum: mat4x4f, z: array<mat3x4f, 6>, w: vec4f, n: u32, above: f32, below: vec4f) -> mat4x4f {
    let a = taps(w, n);
    let c = taps(w, n + 6u);
    return mat4x4f(
        sum[0] + z[1] * (a * above + c * below.x),
        sum[1] + z[2] * (c * below.y),
        sum[2] + z[3] * (c * below.z),
        sum[3] + z[4] * (c * below.w),
    );
}

fn store(row: u32, c: u32, column: u32, sum: mat4x4f) {
    for (var r = 0u; r < 4u; r++) {
        for (var k = 0u; k < 4u; k++) {
            if row + r < params.h && column + k < params.w {
                let i = ((row + r) * 3u + c) * params.w + column + k;
                var d = sum[r][k];
                if ACCUMULATE { d += f32(dx[i]); }
                dx[i] = X(finite(d));
            }
        }
    }
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let across = (params.w + 3u) / 4u;
    let row = id.x / across * 4u;
    let column = id.x % across * 4u;
    let top = row + params.top - 1u;
    let gates_top = row + params.gate_top - 1u;
    // Of those seen.
    let own = row + params.top + vec4u(0u, 1u, 2u, 3u);
    let above = select(0.0, 1.0, own.x == 0u);
    let below = select(vec4f(), vec4f(1.0), own == vec4u(params.h_in - 1u));
    var red = mat4x4f();
    var green = mat4x4f();
    var blue = mat4x4f();
    for (var first = 0u; first < params.c_out; first += 32u) {
        let g = array(
            row_of_gates(gates_top, first, column - 1u),
            row_of_gates(gates_top + 1u, first, column - 1u),
            row_of_gates(gates_top + 2u, first, column - 1u),
            row_of_gates(gates_top + 3u, first, column - 1u),
            row_of_gates(gates_top + 4u, first, column - 1u),
            row_of_gates(gates_top + 5u, first, column - 1u),
        );
        for (var o = first; o < min(first + 32u, params.c_out); o++) {
            let w = numbers(o, lane);
            let z = array(
                backward_row(top, o, column - 1u, g[0]),
                backward_row(top + 1u, o, column - 1u, g[1]),
                backward_row(top + 2u, o, column - 1u, g[2]),
                backward_row(top + 3u, o, column - 1u, g[3]),
                backward_row(top + 4u, o, column - 1u, g[4]),
                backward_row(top + 5u, o, column - 1u, g[5]),
            );
            red = spread(red, z, w, 0u);
            green = spread(green, z, w, 9u);
            blue = spread(blue, z, w, 18u);
            if REPLICATE {
                red = beyond(red, z, w, 0u, above, below);
                green = beyond(green, z, w, 9u, above, below);
                blue = beyond(blue, z, w, 18u, above, below);
            }
        }
    }
    store(row, 0u, column, red);
    store(row, 1u, column, green);
    store(row, 2u, column, blue);
}
