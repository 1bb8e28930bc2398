// Adam (Kingma and Ba 2015) with a step count and a stepwise learning-rate decay that live on the device.
//
// Adam's first steps are as long for a tiny gradient as for a large one. Neighbouring pixels that were equal
// therefore end up 1e-8 apart. Float32 would round them to the same value again, and the derivative of
// |difference| would turn from a sign into 0. So the picture and its moments are float64 where the device has
// it, as in the reference. The network reads the picture rounded to float32.
//
// `advance` runs once before `step`: it counts the step, decays the learning rate and updates 1 - beta^t.
// That difference is carried as c += (1 - beta) (1 - c), because computing 1 - beta^t from a rounded power
// loses four digits at t = 1.

struct Params {
    row: u32,          // values of a row of the picture: 3 * width
    decay_every: u32,  // iterations between decays
    slots: u32,        // loss terms
    history: u32,      // iterations that the log remembers
}

alias real = f32;

// Constants and not parameters, so that they have the precision of `real`.
const LEARNING_RATE: real = 0.3;
const DECAY: real = 0.8;
const BETA1: real = 0.9;    // decay rates and floor as in the paper
const BETA2: real = 0.999;
const EPSILON: real = 1e-8;

// All zero before the first iteration.
struct State {
    t: u32,
    learning_rate: real,
    correction1: real,       // 1 - beta1^t
    correction2: real,       // 1 - beta2^t
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> state: State;
@group(0) @binding(2) var<storage, read> losses: array<f32>;      // slots
@group(0) @binding(3) var<storage, read_write> log: array<f32>;   // history x slots
@group(0) @binding(4) var<storage, read> dx: array<f32>;          // h x 3 x w
@group(0) @binding(5) var<storage, read_write> exact: array<real>;  // h x 3 x w, the picture
@group(0) @binding(6) var<storage, read_write> m: array<real>;      // h x 3 x w, mean of gradients
@group(0) @binding(7) var<storage, read_write> v: array<real>;      // h x 3 x w, mean of their squares
@group(0) @binding(8) var<storage, read_write> x: array<f32>;       // h x 3 x w, as the network reads it

@compute @workgroup_size(1)
fn advance() {
    for (var i = 0u; i < params.slots; i++) {
        log[(state.t % params.history) * params.slots + i] = losses[i];
    }
    if state.t == 0u {
        state.learning_rate = LEARNING_RATE;
    } else if state.t % params.decay_every == 0u {
        state.learning_rate *= DECAY;
    }
    state.correction1 += (1 - BETA1) * (1 - state.correction1);
    state.correction2 += (1 - BETA2) * (1 - state.correction2);
    state.t += 1u;
}

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    let g = real(dx[i]);
    m[i] = BETA1 * m[i] + (1 - BETA1) * g;
    v[i] = BETA2 * v[i] + (1 - BETA2) * g * g;
    let mean = m[i] / state.correction1;
    let root = sqrt(v[i] / state.correction2);
    exact[i] -= state.learning_rate * mean / (root + EPSILON);
    x[i] = f32(exact[i]);
}
