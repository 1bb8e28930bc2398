// Keeps the losses of the last iterations, and counts the iterations.

struct Params {
    slots: u32,    // loss terms
    history: u32,  // iterations that the log holds
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> count: u32;
@group(0) @binding(2) var<storage, read> losses: array<f32>;     // slots
@group(0) @binding(3) var<storage, read_write> log: array<f32>;  // history x slots

@compute @workgroup_size(1)
fn forward() {
    for (var i = 0u; i < params.slots; i++) {
        log[(count % params.history) * params.slots + i] = losses[i];
    }
    count += 1u;
}
