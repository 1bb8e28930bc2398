// Windows of 2 x 2 pixels, in reading order: what follows a convolution forward and comes before it backward.

// Where the gates of a window of channel c are, and of the three that stand with it.
fn gate(window: vec2u, c: u32) -> u32 {
    return (window.x * ((params.c_out + 3u) / 4u) + c / 4u) * ((params.w + 1u) / 2u) + window.y;
}

// Writes a window of channel c, whose first pixel is p, and returns its gates. With pooling, an odd last row
// or column is dropped.
fn put_channel(p: vec2u, c: u32, sum: vec4f) -> u32 {
    if c >= params.c_out { return 0u; }
    var v = sum + bias[c];
    if RELU { v = max(v, vec4f()); }
    let right = p.y + 1u < params.w;
    let below = p.x + 1u < params.h;
    if POOL {
        if !(right && below) { return 0u; }
        y[(p.x / 2u * params.c_out + c) * (params.w / 2u) + p.y / 2u] = Y(finite(max(max(v.x, v.y), max(v.z, v.w))));
        return first_maximum(v);
    }
    let i = (p.x * params.c_out + c) * params.w + p.y;
    let j = i + params.c_out * params.w;
    y[i] = Y(finite(v.x));
    if right { y[i + 1u] = Y(finite(v.y)); }
    if below { y[j] = Y(finite(v.z)); }
    if right && below { y[j + 1u] = Y(finite(v.w)); }
    return dot(vec4u(v > vec4f()), vec4u(1u, 2u, 4u, 8u));
}

// The same of four channels from c on, and their gates.
fn put_forward(p: vec2u, c: u32, sum: mat4x4f) {
    if p.x >= params.h || p.y >= params.w || c >= params.c_out { return; }
    let open = put_channel(p, c, sum[0]) | (put_channel(p, c + 1u, sum[1]) << 4u) | (put_channel(p, c + 2u, sum[2]) << 8u)
        | (put_channel(p, c + 3u, sum[3]) << 12u);
    if RELU { own_gates[gate(p / 2u, c)] = open; }
}

// A value of the gradient, before pooling and ReLU; zero where they let nothing through and outside the map.
fn gradient(row: u32, column: u32, c: u32) -> f32 {
    if RELU {
        // With pooling, a pixel outside the map is in a window outside, or closed. Without, see below.
        let window = vec2u(row + 2u * params.gate_top, column) / 2u;
        if window.x >= params.gate_rows || window.y >= (params.w + 1u) / 2u { return 0.0; }
        let bit = 4u * (c % 4u) + 2u * (row % 2u) + column % 2u;
        if ((gates[gate(window, c)] >> bit) & 1u) == 0u { return 0.0; }
    }
    if POOL { return f32(dy[((row + 2u * params.top) / 2u * params.c_out + c) * (params.w / 2u) + column / 2u]); }
    let r = row + params.top;
    if r >= params.h_in || column >= params.w { return 0.0; }
    return f32(dy[(r * params.c_out + c) * params.w + column]);
}

fn put_dx(i: u32, v: f32) {
    var d = v;
    if ACCUMULATE { d += f32(dx[i]); }
    dx[i] = X(finite(d));
}

fn put_dx_channel(p: vec2u, c: u32, v: vec4f) {
    if c >= params.c_in { return; }
    let right = p.y + 1u < params.w;
    let below = p.x + 1u < params.h;
    let i = (p.x * params.c_in + c) * params.w + p.y;
    let j = i + params.c_in * params.w;
    put_dx(i, v.x);
    if right { put_dx(i + 1u, v.y); }
    if below { put_dx(j, v.z); }
    if right && below { put_dx(j + 1u, v.w); }
}

// Writes a window of the gradient, of four channels from c on.
fn put_backward(p: vec2u, c: u32, sum: mat4x4f) {
    if p.x >= params.h || p.y >= params.w { return; }
    put_dx_channel(p, c, sum[0]);
    put_dx_channel(p, c + 1u, sum[1]);
    put_dx_channel(p, c + 2u, sum[2]);
    put_dx_channel(p, c + 3u, sum[3]);
}
