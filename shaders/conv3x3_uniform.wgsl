// 3x3 convolution for processors whose drivers have no subgroups, or none of a usable size. It has no
// barriers, and its weights are in a uniform buffer, from which a software driver loads one value for all
// lanes. A dispatch sums over 32 channels for 32 channels of the result, whose weights are one uniform block.
// An invocation computes 16 of them for 8 pixels of a row. Sums that take several dispatches are carried in
// `sums`. It computes what `conv3x3` does.

struct Params {
    w: u32,
    h: u32,       // output rows of this band
    h_in: u32,    // rows of the input that this band reads
    top: u32,     // how many of them lie above the first output row
    c_in: u32,    // a multiple of 32
    c_out: u32,   // a multiple of 32
    i: u32,       // the first of 32 channels of x or dx
    o: u32,       // the first of 32 channels of y or dy
    begins: u32,  // whether this dispatch is the first to add to `sums`
    ends: u32,    // whether this dispatch is the last to add to `sums`
}

alias X = f32;  // how x and dx are stored
alias Y = f32;  // how y and dy are stored
const HALF: bool = false;  // whether one of them is f16

const RELU: bool = true;
const ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
// 3 x 3 x 8 x 32: element (tap, i/4, o) holds the weights from channels i .. i+3 to channel o
@group(0) @binding(1) var<uniform> weights: array<vec4f, 2304>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;        // c_out
@group(0) @binding(3) var<storage, read> x: array<X>;             // h_in x c_in x w
@group(0) @binding(4) var<storage, read_write> y: array<Y>;       // h x c_out x w
@group(0) @binding(5) var<storage, read> dy: array<Y>;            // h_in x c_out x w
@group(0) @binding(6) var<storage, read_write> dx: array<X>;      // h x c_in x w
@group(0) @binding(7) var<storage, read> kept: array<Y>;          // h_in x c_out x w, the y of forward
@group(0) @binding(8) var<storage, read_write> sums: array<f32>;  // h x c_out (backward c_in) x w

// include: finite
// include: outer

// Ten neighbouring values of a row: eight pixels and one more on each side.
struct Strip {
    a: vec4f,
    b: vec4f,
    c: vec2f,
}

// Where an invocation's pixels are: row, first column, first of its 16 channels among the 32.
fn place(id: vec3u) -> vec3u {
    let across = (params.w + 7u) / 8u;
    return vec3u(id.x / across, id.x % across * 8u, 16u * id.y);
}

// The near four pixels of a strip and the far four, as tap column t sees them.
fn near(s: Strip, t: u32) -> vec4f {
    if t == 0u { return s.a; }
    if t == 1u { return vec4f(s.a.yzw, s.b.x); }
    return vec4f(s.a.zw, s.b.xy);
}

fn far(s: Strip, t: u32) -> vec4f {
    if t == 0u { return s.b; }
    if t == 1u { return vec4f(s.b.yzw, s.c.x); }
    return vec4f(s.b.zw, s.c);
}

fn value(row: u32, column: u32, c: u32) -> f32 {
    // Rows above the map and columns left of it have wrapped around.
    let ok = row < params.h_in && column < params.w;
    return select(0.0, f32(x[select(0u, (row * params.c_in + c) * params.w + column, ok)]), ok);
}

fn values(row: u32, p: u32, c: u32) -> Strip {
    return Strip(
        vec4f(value(row, p - 1u, c), value(row, p, c), value(row, p + 1u, c), value(row, p + 2u, c)),
        vec4f(value(row, p + 3u, c), value(row, p + 4u, c), value(row, p + 5u, c), value(row, p + 6u, c)),
        vec2f(value(row, p + 7u, c), value(row, p + 8u, c)),
    );
}

// Adds the sums of 16 channels from o on, for eight pixels from p on. Each element holds the near or the far
// four pixels of four channels.
fn put_forward(row: u32, p: u32, o: u32, parts: array<mat4x4f, 8>) {
    var all = parts;
    // The compiler must not know the bounds: it would unroll this loop, which takes it longer than everything
    // else.
    for (var c = 0u; c < min(16u, params.c_out - o); c++) {
        for (var k = 0u; k < min(8u, params.w - p); k++) {
            let at = (row * params.c_out + o + c) * params.w + p + k;
            var d = all[c / 4u + k / 4u * 4u][c % 4u][k % 4u];
            if params.begins == 0u { d += sums[at]; }
            if params.ends == 0u {
                sums[at] = d;
            } else {
                d += bias[o + c];
                if RELU { d = max(d, 0.0); }
                y[at] = Y(finite(d));
            }
        }
    }
}

// The weights from four channels to four. Columns belong to the channels of the result.
fn four_by_four(tap: u32, quad: u32, o: u32) -> mat4x4f {
    let k = (tap * 8u + quad) * 32u + o;
    return mat4x4f(weights[k], weights[k + 1u], weights[k + 2u], weights[k + 3u]);
}

@compute @workgroup_size(16)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let at = place(id);
    if at.x >= params.h { return; }
    // Near and far pixels of four times four channels.
    var near0 = mat4x4f(); var near1 = mat4x4f(); var near2 = mat4x4f(); var near3 = mat4x4f();
    var far0 = mat4x4f(); var far1 = mat4x4f(); var far2 = mat4x4f(); var far3 = mat4x4f();
    for (var quad = 0u; quad < 8u; quad++) {
        for (var r = 0u; r < 3u; r++) {
            let row = at.x + params.top + r - 1u;
            let c = params.i + 4u * quad;
            let s0 = values(row, at.y, c);
            let s1 = values(row, at.y, c + 1u);
            let s2 = values(row, at.y, c + 2u);
            let s3 = values(row, at.y, c + 3u);
            for (var t = 0u; t < 3u; t++) {
                let n = mat4x4f(near(s0, t), near(s1, t), near(s2, t), near(s3, t));
                let f = mat4x4f(far(s0, t), far(s1, t), far(s2, t), far(s3, t));
                let w0 = four_by_four(3u * r + t, quad, at.z);
                let w1 = four_by_four(3u * r + t, quad, at.z + 4u);
                let w2 = four_by_four(3u * r + t, quad, at.z + 8u);
                let w3 = four_by_four(3u * r + t, quad, at.z + 12u);
                near0 += n * w0; near1 += n * w1; near2 += n * w2; near3 += n * w3;
                far0 += f * w0; far1 += f * w1; far2 += f * w2; far3 += f * w3;
            }
        }
    }
    put_forward(at.x, at.y, params.o + at.z, array(near0, near1, near2, near3, far0, far1, far2, far3));
}

// The gradient of channel o where the ReLU was open.
fn gradient(row: u32, column: u32, o: u32) -> f32 {
    let ok = row < params.h_in && column < params.w;
    let i = select(0u, (row * params.c_out + o) * params.w + column, ok);
    let d = select(0.0, f32(dy[i]), ok);
    if RELU { return select(0.0, d, f32(kept[i]) > 0.0); }
    return d;
}

fn gradients(row: u32, p: u32, o: u32) -> Strip {
    return Strip(
        vec4f(gradient(row, p - 1u, o), gradient(row, p, o), gradient(row, p + 1u, o), gradient(row, p + 2u, o)),
        vec4f(gradient(row, p + 3u, o), gradient(row, p + 4u, o), gradient(row, p + 5u, o), gradient(row, p + 6u, o)),
        vec2f(gradient(row, p + 7u, o), gradient(row, p + 8u, o)),
    );
}

fn put_backward(row: u32, p: u32, i: u32, parts: array<mat4x4f, 8>) {
    var all = parts;
    for (var c = 0u; c < min(16u, params.c_in - i); c++) {
        for (var k = 0u; k < min(8u, params.w - p); k++) {
            let at = (row * params.c_in + i + c) * params.w + p + k;
            var d = all[c / 4u + k / 4u * 4u][c % 4u][k % 4u];
            if params.begins == 0u { d += sums[at]; }
            if params.ends == 0u {
                sums[at] = d;
            } else {
                if ACCUMULATE { d += f32(dx[at]); }
                dx[at] = X(finite(d));
            }
        }
    }
}

@compute @workgroup_size(16)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let at = place(id);
    if at.x >= params.h { return; }
    var near0 = mat4x4f(); var near1 = mat4x4f(); var near2 = mat4x4f(); var near3 = mat4x4f();
    var far0 = mat4x4f(); var far1 = mat4x4f(); var far2 = mat4x4f(); var far3 = mat4x4f();
    for (var o = 0u; o < 32u; o++) {
        for (var r = 0u; r < 3u; r++) {
            let s = gradients(at.x + params.top + r - 1u, at.y, params.o + o);
            for (var t = 0u; t < 3u; t++) {
                // The taps are mirrored.
                let k = ((8u - 3u * r - t) * 8u + at.z / 4u) * 32u + o;
                let n = near(s, t);
                let f = far(s, t);
                let w0 = weights[k];
                let w1 = weights[k + 32u];
                let w2 = weights[k + 64u];
                let w3 = weights[k + 96u];
                near0 += outer(n, w0); near1 += outer(n, w1); near2 += outer(n, w2); near3 += outer(n, w3);
                far0 += outer(f, w0); far1 += outer(f, w1); far2 += outer(f, w2); far3 += outer(f, w3);
            }
        }
    }
    put_backward(at.x, at.y, params.i + at.z, array(near0, near1, near2, near3, far0, far1, far2, far3));
}
