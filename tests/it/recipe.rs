//! The whole chain against PyTorch in float64: 30 iterations of the book's recipe on the project's own
//! pictures.
//!
//! `tools/reference.py` made the figures, see `tests/fixtures/README.md`.

use impasto::cases::{relative_error, widen};
use impasto::painting::session::{Losses, Session};
use impasto::picture::Size;
use impasto::{Gpu, Picture, Settings};

use crate::matrix_units;
use crate::support::figures;
use crate::support::setup::{Setup, in_half_precision, run};

/// The recipe for so many iterations.
fn book(iterations: usize) -> Settings {
    let mut settings = Settings::book();
    settings.iterations = iterations;
    settings
}

fn reference(name: &str) -> Vec<f64> {
    figures::tensor("recipe", name)
}

#[test]
fn losses_follow_the_reference_for_30_iterations() {
    let setup = Setup::new(&book(1));
    let mut session = setup.session(&book(30));
    follow(&run(&mut session), 30);
    // By then rounding has moved pixels, too, which losses forgive; measured: 0.041. For comparison: the
    // reference's picture of iteration 10 is 0.83 away from its last.
    let error = relative_error(&session.variable().unwrap(), &reference("image_final"));
    println!("picture after 30 iterations: off by {error:.1e}");
    assert!(error <= 0.05, "picture off by {error:.1e}");
}

/// The forms, the pieces of work and the submissions that a GPU is given, wherever this runs. Sums are in
/// another order there and meet a kink an iteration earlier, hence five iterations.
#[test]
fn losses_follow_the_reference_as_on_a_gpu() {
    let setup = Setup::on(Gpu::new(None).expect("an adapter").with_gpu_forms(), &book(1));
    let mut session = setup.session(&book(5));
    let steps = session.describe();
    assert!(steps.contains("conv3x3_tiled") && steps.contains("gram_tiled"), "{steps}");
    follow(&run(&mut session), 5);
}

/// Compares all losses, of `iterations` iterations, with the reference's.
fn follow(losses: &[Losses], iterations: usize) {
    let report = figures::report("recipe");
    let rows = report["losses"].as_array().unwrap();
    assert_eq!((losses.len(), rows.len()), (iterations, 30));
    for (found, expected) in losses.iter().zip(rows) {
        // Adam's first steps are as long for a tiny gradient as for a large one, so rounding grows: float32
        // in PyTorch is off by up to 2e-3 of the total within these 30 iterations, see the fixtures' README.
        // Two forms of the Gram matrix, both with errors below 1e-6, were both off by 5e-7 in the first six
        // iterations and by 2e-5 in the ninth, and then by 3.6e-3 and 6.6e-3 at worst. The strict bounds
        // stand where a mistake would show.
        let bound = match found.iteration {
            0..6 => 2e-6,
            6..10 => 3e-4,
            _ => 1e-2,
        };
        let total = expected["total"].as_f64().unwrap();
        for (found_loss, expected_loss) in figures::pairs(found, expected) {
            let error = (found_loss - expected_loss).abs() / total;
            assert!(error <= bound, "iteration {}: {found:?}\nexpected {expected}", found.iteration);
        }
    }
}

/// The gradient at the reference's own pictures, so that no step's rounding is in it.
#[test]
fn gradients_follow_the_reference() {
    let setup = Setup::new(&book(1));
    for (image, grad) in [("image_0", "grad_0"), ("image_10", "grad_10")] {
        let start = picture(&reference(image), &setup.content);
        let mut session = setup.builder(&book(1)).start(&start).build().unwrap();
        let error = relative_error(&session.variable().unwrap(), &reference(image));
        // The picture goes in and comes out as float32.
        assert!(error <= 1e-6, "{image} off by {error:.1e}");
        run(&mut session);
        let error = relative_error(&widen(&session.gradient().unwrap()), &reference(grad));
        println!("{grad}: off by {error:.1e}");
        // Measured: 6e-7, and 1.8e-5 at iteration 10, where some value is within rounding of a kink.
        assert!(error <= 1e-4, "{grad} off by {error:.1e}");
    }
}

/// Half precision rounds every value of every map to 11 bits, so that its figures are its own: measured as
/// the bounds say, with a margin of about two.
#[test]
fn half_precision_follows_within_its_rounding() {
    let setup = Setup::new(&book(1));
    if !setup.gpu.has_half() {
        let refused =
            setup.builder(&in_half_precision(book(30))).build().err().expect("there is no half precision");
        assert!(refused.to_string().contains("half precision"), "{refused}");
        return;
    }
    follow_in_half_precision(&setup, 1e-3);
}

/// On matrix units, weights are rounded to 11 bits, too. The first loss was off by 1.2e-3.
#[test]
fn matrix_units_follow_within_their_rounding() {
    let Some((gpu, tuning)) = matrix_units::tuned() else { return };
    let setup = Setup::with(gpu, &book(1), &tuning);
    let steps = setup.session(&in_half_precision(book(1))).describe();
    assert!(steps.contains("conv3x3_cooperative/") && steps.contains("gram_cooperative/"), "{steps}");
    follow_in_half_precision(&setup, 2.5e-3);
}

/// Compares 30 iterations and two gradients; `first` is the bound on the first loss.
fn follow_in_half_precision(setup: &Setup, first: f64) {
    let mut settings = in_half_precision(book(30));
    let report = figures::report("recipe");
    let losses = run(&mut setup.session(&settings));
    let mut worst = 0.0f64;
    for (found, expected) in losses.iter().zip(report["losses"].as_array().unwrap()) {
        let expected = expected["total"].as_f64().unwrap();
        let error = (found.total - expected).abs() / expected;
        worst = worst.max(error);
        let bound = if found.iteration == 0 { first } else { 0.1 };
        assert!(error <= bound, "iteration {}: {} instead of {expected}", found.iteration, found.total);
    }
    println!("losses in half precision: off by {worst:.1e} at most");
    settings.iterations = 1;
    for (image, grad) in [("image_0", "grad_0"), ("image_10", "grad_10")] {
        let start = picture(&reference(image), &setup.content);
        let mut session = setup.builder(&settings).start(&start).build().unwrap();
        run(&mut session);
        let error = relative_error(&widen(&session.gradient().unwrap()), &reference(grad));
        println!("{grad} in half precision: off by {error:.1e}");
        assert!(error <= 0.05, "{grad} off by {error:.1e}");
    }
}

/// A normalised variable as a picture of the size of `like`.
fn picture(variable: &[f64], like: &Picture) -> Picture {
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    figures::picture(variable, like, |c, value| value * std[c] + mean[c])
}

#[test]
fn the_same_bits_however_often_and_however_submitted() {
    let setup = Setup::new(&book(1));
    let bits = |session: &mut Session| -> Vec<u64> {
        session.variable().unwrap().into_iter().map(f64::to_bits).collect()
    };
    let mut together = setup.session(&book(4));
    let losses = run(&mut together);
    let mut again = setup.session(&book(4));
    // Stopping to look after every iteration changes when work is submitted, not what it gives.
    let mut seen = Vec::new();
    while let Some(losses) = again.step().unwrap() {
        seen.push(losses);
        again.picture().unwrap();
    }
    assert_eq!(losses, seen);
    assert_eq!(bits(&mut together), bits(&mut again));
}

#[test]
fn small_bindings_change_nothing_but_rounding() {
    // A map of 64 channels of this picture has 11.2 MB, so that those are worked on in several bands of rows;
    // the largest weights that some driver binds have 9.4.
    let size = Size::Exact { width: 257, height: 170 };
    let mut whole = Setup::new(&book(1));
    whole.content = whole.content.resized(size, true);
    let mut banded = Setup::on(Gpu::new(None).unwrap().with_binding_limit(10 << 20), &book(1));
    banded.content = whole.content.clone();
    let gradient = |setup: &Setup| {
        let mut session = setup.session(&book(1));
        let losses = run(&mut session).remove(0);
        (losses.total, widen(&session.gradient().unwrap()), session.describe().lines().count())
    };
    let ((total, expected, few), (banded_total, found, many)) = (gradient(&whole), gradient(&banded));
    assert!(many > few, "{many} lines with bands, {few} without");
    // Sums of other parts: rounding, of which one op alone has up to 1e-6, see `docs/design/numerics.md`.
    assert!((total - banded_total).abs() <= 1e-6 * total, "{total} and {banded_total}");
    let error = relative_error(&found, &expected);
    assert!(error <= 1e-5, "gradient off by {error:.1e}");
}
