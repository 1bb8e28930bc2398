// Measures the ceiling of memory: copies four values per invocation from one buffer to another.

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    y[id.x] = x[id.x];
}
