// The optimiser's counters and its learning rate, which `advance` in adam.wgsl sets before each step. All
// zero before the first.
struct State {
    t: u32,                  // steps
    local: u32,              // of these, steps at this size
    learning_rate: real,     // with all decays so far
    base: real,              // what it was before them
    rate: real,              // of the step that comes next
    correction1: real,       // 1 - beta1^t
    correction2: real,       // 1 - beta2^t
}
