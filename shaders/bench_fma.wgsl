// Measures the ceiling of arithmetic: twelve independent chains of multiply-adds, with hardly any memory
// traffic.

struct Params {
    rounds: u32,
    factor: f32,  // below 1, so that nothing overflows
    term: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // one per invocation

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let m = vec4f(params.factor);
    let c = vec4f(params.term);
    var p = vec4f(0.0, 1.0, 2.0, 3.0) + f32(id.x);
    var q = p + 4.0;
    var r = p + 8.0;
    for (var i = 0u; i < params.rounds; i++) {
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
        p = fma(p, m, c); q = fma(q, m, c); r = fma(r, m, c);
    }
    let s = p + q + r;
    y[id.x] = s.x + s.y + s.z + s.w;
}
