//! The painterly recipe at one size against PyTorch in float64: 12 iterations on the project's own pictures,
//! and the first iteration of its finish.
//!
//! `tools/reference_painterly.py` made the figures, see `tests/fixtures/README.md`.

use impasto::cases::{relative_error, widen};
use impasto::painting::session::Losses;
use impasto::{Gpu, Settings};

use crate::matrix_units;
use crate::support::figures;
use crate::support::setup::{Setup, in_half_precision, run};

/// The recipe as the figures have it: one size, no average, no finish, a step that does not fall.
fn plain(iterations: usize) -> Settings {
    let mut settings = Settings::painterly();
    (settings.first_size, settings.first_iterations) = (0, vec![]);
    (settings.finish, settings.settle, settings.average) = (0.0, 0.0, 0.0);
    settings.iterations = iterations;
    settings
}

fn reference(name: &str) -> Vec<f64> {
    figures::tensor("painterly", name)
}

/// Compares all losses, of `iterations` iterations, with the reference's.
fn follow(losses: &[Losses], iterations: usize) {
    let report = figures::report("painterly");
    let rows = report["losses"].as_array().unwrap();
    assert_eq!((losses.len(), rows.len()), (iterations, 12));
    for (found, expected) in losses.iter().zip(rows) {
        let total = expected["total"].as_f64().unwrap();
        let errors = figures::pairs(found, expected).into_iter().map(|(f, e)| (f - e).abs() / total);
        let worst = errors.fold(0.0, f64::max);
        println!("iteration {}: losses off by {worst:.1e} of the total at most", found.iteration);
        // Room for what the iteration for the inverse root leaves. With roots by eigenvalues, float32 in
        // PyTorch is off by 6.5e-6 in iteration 0 and by 7.7e-5 at most, see the fixtures' README.
        let bound = if found.iteration == 0 { 2e-3 } else { 1e-2 };
        assert!(worst <= bound, "iteration {}: {found:?}\nexpected {expected}", found.iteration);
    }
}

#[test]
fn losses_follow_the_reference_for_12_iterations() {
    let setup = Setup::new(&plain(1));
    let mut session = setup.session(&plain(12));
    follow(&run(&mut session), 12);
    let error = relative_error(&session.variable().unwrap(), &reference("image_final"));
    println!("picture after 12 iterations: off by {error:.1e}");
    // Float32 in PyTorch: 3.2e-3. The reference's picture of iteration 6 is 0.15 away from its last.
    assert!(error <= 0.02, "picture off by {error:.1e}");
}

/// The forms, the pieces of work and the submissions that a GPU is given, wherever this runs.
#[test]
fn losses_follow_the_reference_as_on_a_gpu() {
    let setup = Setup::on(Gpu::new(None).expect("an adapter").with_gpu_forms(), &plain(1));
    follow(&run(&mut setup.session(&plain(3))), 3);
}

/// In half precision, with convolutions and covariances on matrix units. Maps, their gradients and weights have
/// 11 bits. Losses were off by 2.2e-5 in the first iteration and by 2.9e-4 in the twelfth, where the figures end;
/// gradients by 7e-3 and 9e-3. After that the loss goes on falling.
#[test]
fn matrix_units_follow_within_their_rounding() {
    let Some((gpu, tuning)) = matrix_units::tuned() else { return };
    let setup = Setup::with(gpu, &plain(1), &tuning);
    let settings = |iterations| in_half_precision(plain(iterations));
    let mut session = setup.session(&settings(30));
    let steps = session.describe();
    assert!(steps.contains("conv3x3_cooperative/") && steps.contains("gram_cooperative/"), "{steps}");
    let losses = run(&mut session);
    let report = figures::report("painterly");
    for (found, expected) in losses.iter().zip(report["losses"].as_array().unwrap()) {
        let expected = expected["total"].as_f64().unwrap();
        let error = (found.total - expected).abs() / expected;
        println!("iteration {}: total off by {error:.1e}", found.iteration);
        let bound = if found.iteration == 0 { 1e-4 } else { 1e-3 };
        assert!(error <= bound, "iteration {}: {} instead of {expected}", found.iteration, found.total);
    }
    assert!(losses.len() == 30 && losses[29].total < losses[11].total, "{:?}", losses[29]);
    for (image, grad) in [("image_0", "grad_0"), ("image_6", "grad_6")] {
        let start = figures::picture(&reference(image), &setup.content, |_, value| value);
        let mut session = setup.builder(&settings(1)).start(&start).build().unwrap();
        run(&mut session);
        let error = relative_error(&widen(&session.gradient().unwrap()), &reference(grad));
        println!("{grad} on matrix units: off by {error:.1e}");
        assert!(error <= 0.02, "{grad} off by {error:.1e}");
    }
}

/// The gradient at the reference's own pictures, so that no step's rounding is in it.
#[test]
fn gradients_follow_the_reference() {
    let setup = Setup::new(&plain(1));
    // Found were 5.9e-6 and 5.7e-6; other devices add in another order. Float32 in PyTorch, with symmetric
    // roots, is off by 1.5e-4 and by 4.2e-4, see the fixtures' README.
    for (image, grad, bound) in [("image_0", "grad_0", 5e-5), ("image_6", "grad_6", 5e-5)] {
        let start = figures::picture(&reference(image), &setup.content, |_, value| value);
        let mut session = setup.builder(&plain(1)).start(&start).build().unwrap();
        let error = relative_error(&session.variable().unwrap(), &reference(image));
        // The picture goes in and comes out as float32.
        assert!(error <= 1e-6, "{image} off by {error:.1e}");
        run(&mut session);
        let error = relative_error(&widen(&session.gradient().unwrap()), &reference(grad));
        println!("{grad}: off by {error:.1e}");
        assert!(error <= bound, "{grad} off by {error:.1e}");
    }
}

/// The nearest-neighbour term and its weight, which is found on the device: by it, the term's gradient is as
/// long as the style's.
#[test]
fn the_finish_follows_the_reference() {
    let setup = Setup::new(&plain(1));
    let mut settings = plain(1);
    // The whole run is a finish.
    settings.finish = 1.0;
    let mut session = setup.session(&settings);
    let losses = run(&mut session).remove(0);
    let gradient = widen(&session.gradient().unwrap());

    let report = figures::report("painterly");
    let weight = report["finish_weight_0"].as_f64().unwrap();
    let parts = report["nearest_0"].as_array().unwrap().iter();
    let expected = weight * parts.map(|part| part.as_f64().unwrap()).sum::<f64>();
    let found = losses.nearest.expect("the finish has begun");
    let error = (found - expected).abs() / expected;
    println!("nearest-neighbour term: {found} instead of {expected}, off by {error:.1e}");
    assert!(error <= 2e-3, "nearest-neighbour term: {found} instead of {expected}");

    // All other terms are those of a run without a finish.
    let found: Vec<f64> =
        gradient.iter().zip(reference("grad_0")).map(|(g, rest)| (g - rest) / weight).collect();
    let error = relative_error(&found, &reference("grad_nearest_0"));
    println!("grad_nearest_0: off by {error:.1e}");
    assert!(error <= 1e-3, "grad_nearest_0 off by {error:.1e}");
}
