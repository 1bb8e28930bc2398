// Winograd F(4x4, 3x3), before its three steps: a filter of 3 x 3 weights w becomes 36 numbers, G w G^T. They
// are computed in float64 where the device has it and rounded once, because an error here would be the same
// in all layers and iterations. One filter per invocation.

struct Params {
    c_in: u32,     // a multiple of 32
    first: u32,    // the first filter, counted along c_out x c_in
    filters: u32,  // number of filters
}

alias real = f32;
const DOUBLE: bool = false;  // whether `real` is f64

alias U = f32;  // how the result is stored
const HALF: bool = false;  // whether `U` is f16

const PALETTE: bool = false;  // whether weights are bytes, each an index into a palette of 256 values

@group(0) @binding(0) var<uniform> params: Params;
// c_out x c_in x 3 x 3 float32; or 256 float32, followed by as many bytes
@group(0) @binding(1) var<storage, read> weights: array<u32>;
// filters/c_in/32 x 36 x c_in/4 x 32 x 4: block of outputs, point, four inputs, output, input
@group(0) @binding(2) var<storage, read_write> u: array<U>;

// The points of step 1.
const A = 0.703125;
const B = 1.40625;

// Each point's product of distances from the other finite points.
const AT_ZERO = A * A * B * B;
const AT_A = 2.0 * A * A * (A * A - B * B);
const AT_B = 2.0 * B * B * (B * B - A * A);

// include: finite

// On a GPU a float64 division takes as long as twenty multiplications, and multiplying by the inverse of a
// constant is exact enough. In float32 it would be off by the same in every layer.
fn over(value: real, divisor: real, inverse: real) -> real {
    if DOUBLE { return value * inverse; }
    return value / divisor;
}

// Three taps at the points 0, A, -A, B, -B and infinity.
fn transform(w: array<real, 3>) -> array<real, 6> {
    let p = over(w[0] + A * A * w[2], AT_A, 1.0 / AT_A);
    let q = over(A * w[1], AT_A, 1.0 / AT_A);
    let r = over(w[0] + B * B * w[2], AT_B, 1.0 / AT_B);
    let s = over(B * w[1], AT_B, 1.0 / AT_B);
    return array(over(w[0], AT_ZERO, 1.0 / AT_ZERO), p + q, p - q, r + s, r - s, w[2]);
}

fn value(word: u32) -> real { return real(bitcast<f32>(weights[word])); }

// The nine weights of a filter.
fn filter_at(index: u32) -> array<real, 9> {
    var w: array<real, 9>;
    if PALETTE {
        // The nine bytes starting at byte 9 * index lie in three words.
        let word = 256u + 9u * index / 4u;
        let skipped = 9u * index % 4u * 8u;
        let a = weights[word];
        let b = weights[word + 1u];
        let c = weights[word + 2u];
        let bytes = array(
            (a >> skipped) | ((b << 1u) << (31u - skipped)),
            (b >> skipped) | ((c << 1u) << (31u - skipped)),
            c >> skipped,
        );
        for (var k = 0u; k < 9u; k++) { w[k] = value((bytes[k / 4u] >> (k % 4u * 8u)) & 255u); }
    } else {
        for (var k = 0u; k < 9u; k++) { w[k] = value(9u * index + k); }
    }
    return w;
}

@compute @workgroup_size(64)
fn transform_filters(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.filters { return; }
    let w = filter_at(params.first + id.x);
    let rows = array(
        transform(array(w[0], w[1], w[2])),
        transform(array(w[3], w[4], w[5])),
        transform(array(w[6], w[7], w[8])),
    );
    let o = id.x / params.c_in;
    let i = id.x % params.c_in;
    // Values of a point of a block of 32 outputs.
    let size = 32u * params.c_in;
    let at = o / 32u * 36u * size + (i / 4u * 32u + o % 32u) * 4u + i % 4u;
    for (var k = 0u; k < 6u; k++) {
        let f = transform(array(rows[0][k], rows[1][k], rows[2][k]));
        for (var r = 0u; r < 6u; r++) { u[at + (6u * r + k) * size] = U(finite(f32(f[r]))); }
    }
}
