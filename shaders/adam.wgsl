// Adam (Kingma and Ba 2015) with a step count and a stepwise learning-rate decay that live on the device.
//
// `advance` runs once before `step`: it counts, decays the learning rate and keeps 1 - beta^t. That difference is
// carried as c += (1 - beta) (1 - c), because computing 1 - beta^t from a rounded power loses four digits at t = 1.

struct Params {
    row: u32,                // values of a row of the picture: 3 * width
    learning_rate: f32,
    decay: f32,              // factor on the learning rate
    decay_every: u32,        // iterations between decays
    beta1: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    epsilon: f32,
    slots: u32,              // loss terms
    history: u32,            // iterations that the log holds
}

// All zero before the first iteration.
struct State {
    t: u32,
    learning_rate: f32,
    correction1: f32,        // 1 - beta1^t
    correction2: f32,        // 1 - beta2^t
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> state: State;
@group(0) @binding(2) var<storage, read> losses: array<f32>;      // slots
@group(0) @binding(3) var<storage, read_write> log: array<f32>;   // history x slots
@group(0) @binding(4) var<storage, read> dx: array<f32>;          // h x 3 x w
@group(0) @binding(5) var<storage, read_write> x: array<f32>;     // h x 3 x w
@group(0) @binding(6) var<storage, read_write> m: array<f32>;     // h x 3 x w, mean of gradients
@group(0) @binding(7) var<storage, read_write> v: array<f32>;     // h x 3 x w, mean of their squares

@compute @workgroup_size(1)
fn advance() {
    for (var i = 0u; i < params.slots; i++) {
        log[(state.t % params.history) * params.slots + i] = losses[i];
    }
    if state.t == 0u {
        state.learning_rate = params.learning_rate;
    } else if state.t % params.decay_every == 0u {
        state.learning_rate *= params.decay;
    }
    state.correction1 += params.one_minus_beta1 * (1.0 - state.correction1);
    state.correction2 += params.one_minus_beta2 * (1.0 - state.correction2);
    state.t += 1u;
}

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    let g = dx[i];
    m[i] = params.beta1 * m[i] + params.one_minus_beta1 * g;
    v[i] = params.beta2 * v[i] + params.one_minus_beta2 * g * g;
    let mean = m[i] / state.correction1;
    let root = sqrt(v[i] / state.correction2);
    x[i] -= state.learning_rate * mean / (root + params.epsilon);
}
