// Total variation in nine points: squared differences of neighbours, straight and diagonal, of a picture with
// a frame of copies of its outermost pixels: straight * sum of squares to the right and down + diagonal * sum
// of squares along both diagonals.

struct Params {
    c: u32,
    h: u32,       // rows of this band
    w: u32,
    h_in: u32,    // rows of x that this band sees
    top: u32,     // how many of them stand above the first of the band
    shares: u32,
    straight: f32,  // 2 weight / 3 / number of values
    diagonal: f32,  // 2 weight / 12 / number of pairs along a diagonal
}

const ACCUMULATE: bool = false;

alias real = f32;  // f64 where the device has it: see adam.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<real>;             // h_in x c x w
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;  // shares
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;       // h x c x w

// The pixel of the picture, of those seen, that is nearest to a place: the row, the column. A band sees the
// rows around its own, so that what lies beyond those seen lies beyond the picture.
fn nearest(p: vec2i) -> vec2i {
    return clamp(p, vec2i(), vec2i(vec2u(params.h_in, params.w)) - 1);
}

fn value(p: vec2i, channel: u32) -> real {
    let q = vec2u(nearest(p));
    return x[(q.x * params.c + channel) * params.w + q.y];
}

fn square(d: real) -> real { return d * d; }

// Both diagonals of four neighbours, the first of which is p.
fn diagonals(p: vec2i, channel: u32) -> real {
    return square(value(p + 1, channel) - value(p, channel))
        + square(value(p + vec2i(1, 0), channel) - value(p + vec2i(0, 1), channel));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.shares { return; }
    let row = params.c * params.w;
    var straight = real(0);
    var diagonal = real(0);
    for (var k = id.x; k < params.h * row; k += params.shares) {
        let p = vec2i(vec2u(params.top + k / row, k % params.w));
        let channel = k % row / params.w;
        let here = value(p, channel);
        straight += square(value(p + vec2i(1, 0), channel) - here) + square(value(p + vec2i(0, 1), channel) - here);
        diagonal += diagonals(p, channel);
        // The frame's first row and column; where they meet, all four are the same.
        if p.x == 0 { diagonal += diagonals(p - vec2i(1, 0), channel); }
        if p.y == 0 { diagonal += diagonals(p - vec2i(0, 1), channel); }
    }
    partial[id.x] = params.straight * f32(straight) + params.diagonal * f32(diagonal);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let row = params.c * params.w;
    if id.x >= row { return; }
    let p = vec2i(vec2u(params.top + id.y, id.x % params.w));
    let channel = id.x / params.w;
    let here = value(p, channel);
    var straight = real(0);
    var diagonal = real(0);
    straight += here - value(p - vec2i(1, 0), channel);
    straight += here - value(p + vec2i(1, 0), channel);
    straight += here - value(p - vec2i(0, 1), channel);
    straight += here - value(p + vec2i(0, 1), channel);
    // The pixel, and its copies in the frame, with those of their diagonal neighbours that are not outside
    // the frame.
    for (var n = 0; n < 9; n++) {
        let copy = p + vec2i(n / 3, n % 3) - 1;
        if any(nearest(copy) != p) { continue; }
        for (var m = 0; m < 4; m++) {
            let q = copy + 2 * vec2i(m / 2, m % 2) - 1;
            if all(abs(q - nearest(q)) < vec2i(2)) { diagonal += here - value(q, channel); }
        }
    }
    var d = 2.0 * (params.straight * f32(straight) + params.diagonal * f32(diagonal));
    let own = id.y * row + id.x;
    if ACCUMULATE { d += dx[own]; }
    dx[own] = d;
}
