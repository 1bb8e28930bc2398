// Half precision stays finite: what it cannot hold becomes the nearest value that it can. HALF tells whether
// it is in use.
fn finite(d: f32) -> f32 { return select(d, clamp(d, -65504.0, 65504.0), HALF); }
