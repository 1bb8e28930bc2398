// Adam (Kingma and Ba 2015) with a step count and a stepwise learning-rate decay that live on the device.
//
// Adam's first steps are as long for a tiny gradient as for a large one. Neighbouring pixels that were equal
// therefore end up 1e-8 apart. Float32 would round them to the same value again, and the derivative of
// |difference| would turn from a sign into 0. So the picture and its moments are float64 where the device has
// it, as in the reference. The network reads the picture rounded to float32.
//
// `advance` runs once before `step`: it counts the step, sets its learning rate and updates 1 - beta^t.
// That difference is carried as c += (1 - beta) (1 - c), because computing 1 - beta^t from a rounded power
// loses four digits at t = 1.

alias real = f32;

struct Params {
    learning_rate: real,
    decay: real,         // factor on the learning rate
    decay_every: f32,    // iterations between decays
    settle_from: f32,    // iteration of this size after which the learning rate falls to a tenth, along a cosine
    settle_over: f32,    // iterations that this takes
    factor: real,        // on the gradient
    row: u32,            // values of a row of the picture: 3 * width
}

// Decay rates and floor, here as in the paper.
const BETA1: real = 0.9;
const BETA2: real = 0.999;
const EPSILON: real = 1e-8;
const CLAMP: bool = false;  // whether the picture is kept within 0 and 1

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> state: State;
@group(0) @binding(4) var<storage, read> dx: array<f32>;            // h x 3 x w
@group(0) @binding(5) var<storage, read_write> exact: array<real>;  // h x 3 x w, the picture
@group(0) @binding(6) var<storage, read_write> m: array<real>;      // h x 3 x w, mean of gradients
@group(0) @binding(7) var<storage, read_write> v: array<real>;      // h x 3 x w, mean of their squares
@group(0) @binding(8) var<storage, read_write> x: array<f32>;       // h x 3 x w, the picture as the network sees it

// include: schedule

@compute @workgroup_size(1)
fn advance() {
    if state.t == 0u {
        state.learning_rate = params.learning_rate;
    } else {
        // The knob was turned: the decays so far stay.
        if state.base != params.learning_rate { state.learning_rate *= params.learning_rate / state.base; }
        if state.t % u32(params.decay_every) == 0u { state.learning_rate *= params.decay; }
    }
    state.base = params.learning_rate;
    state.rate = state.learning_rate;
    let behind = f32(state.local) - params.settle_from;
    if behind > 0.0 {
        let turn = 3.14159265 * min(behind / params.settle_over, 1.0);
        state.rate *= real(0.1 + 0.45 * (1.0 + cos(turn)));
    }
    state.correction1 += (1 - BETA1) * (1 - state.correction1);
    state.correction2 += (1 - BETA2) * (1 - state.correction2);
    state.t += 1u;
    state.local += 1u;
}

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= params.row { return; }
    let i = id.y * params.row + id.x;
    let g = params.factor * real(dx[i]);
    m[i] = BETA1 * m[i] + (1 - BETA1) * g;
    v[i] = BETA2 * v[i] + (1 - BETA2) * g * g;
    let mean = m[i] / state.correction1;
    let root = sqrt(v[i] / state.correction2);
    var next = exact[i] - state.rate * mean / (root + EPSILON);
    if CLAMP { next = clamp(next, real(0), real(1)); }
    exact[i] = next;
    x[i] = f32(next);
}
