//! Adam on the device against Adam in float64, across a decay of the learning rate, and the losses in its
//! log.

use impasto::cases::{relative_error, widen};
use impasto::engine::gpu::Gpu;
use impasto::engine::real::Real;
use impasto::engine::tape::Slot;
use impasto::engine::tape::{Shape, Tape};
use impasto::ops::adam::{Rule, Schedule, adam};
use impasto::ops::log::{Log, log};
use impasto::ops::mse::mse;

#[test]
fn steps_follow_float64() {
    let gpu = Gpu::new(None).expect("an adapter");
    let (learning_rate, decay) = (0.3, 0.8f64);
    let shape = Shape::new(3, 5, 7);
    let start: Vec<f64> = (0..shape.len()).map(|i| f64::from((i * 37 % 101) as f32 / 50.0 - 1.0)).collect();
    let target: Vec<f32> = (0..shape.len()).map(|i| (i * 53 % 89) as f32 / 45.0 - 1.0).collect();
    for real in [Real::F32, Real::of(&gpu)] {
        let mut tape = Tape::new(&gpu);
        let x = tape.leaf("x", shape);
        let exact = tape.state("exact", real.len(shape.len()));
        let losses = tape.state("losses", 1);
        let target_buffer = gpu.upload("target", &target).unwrap();
        let goal = tape.given("target", &target_buffer);
        tape.op("loss");
        let weight = tape.knob(2.0);
        mse(&mut tape, x, goal, weight, Slot { losses, index: 0 });
        tape.op("adam");
        let schedule = Schedule::decaying(&mut tape, learning_rate, decay, 50);
        adam(&mut tape, x, exact, real, Rule::PAPER, 1.0, schedule);
        let kept = Log::new(&mut tape, 1, 8);
        log(&mut tape, kept, losses, 1, 8);
        let plan = tape.finish().unwrap();
        plan.write(&gpu, x.value, &Real::F32.encode(&start));
        plan.write(&gpu, exact, &real.encode(&start));

        let (mut picture, mut m, mut v) = (start.clone(), vec![0.0; start.len()], vec![0.0; start.len()]);
        let mut expected_losses = Vec::new();
        for t in 0..120 {
            let rate = learning_rate * decay.powi(t / 50);
            let n = picture.len() as f64;
            let difference = |i: usize, picture: &[f64]| picture[i] - f64::from(target[i]);
            expected_losses
                .push((0..picture.len()).map(|i| difference(i, &picture).powi(2)).sum::<f64>() * 2.0 / n);
            for i in 0..picture.len() {
                let g = 4.0 / n * difference(i, &picture);
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (mean, square) = (m[i] / (1.0 - 0.9f64.powi(t + 1)), v[i] / (1.0 - 0.999f64.powi(t + 1)));
                picture[i] -= rate * mean / (square.sqrt() + 1e-8);
            }
            plan.run(&gpu);
        }
        // The gradient is float32 in both cases, and over 120 steps its rounding adds up.
        let error = relative_error(&real.decode(&plan.read(&gpu, exact).unwrap()), &picture);
        assert!(error <= 1e-5, "{real:?}: picture off by {error:.1e}");
        let found = widen(&plan.read(&gpu, x.value).unwrap());
        assert!(relative_error(&found, &picture) <= 1e-5);
        // Iterations 112 to 119 are in the log, each at its number modulo 8.
        let found = widen(&plan.read(&gpu, kept.losses).unwrap());
        let error = relative_error(&found, &expected_losses[112..]);
        // The loss is a mean square of differences that have become small, and the values may be off by 1e-5.
        assert!(
            error <= 1e-3,
            "{real:?}: losses off by {error:.1e}: {found:?} {:?}",
            &expected_losses[112..]
        );
    }
}
