//! The nearest neighbours where random values do not lead: what has no direction, what is equally near, large
//! paintings.

use impasto::engine::gpu::Gpu;
use impasto::engine::tape::Slot;
use impasto::engine::tape::{Shape, Tape};
use impasto::ops::nearest::{Target, Term, nearest, prepare};
use impasto::ops::products::Variant;

/// Loss and gradient of `x` beside a painting `y`, by every variant of this device, `step` iterations after
/// the first.
fn each_variant(
    (shape, x): (Shape, &[f32]),
    (of_painting, y): (Shape, &[f32]),
    step: u32,
    check: impl Fn(f32, &[f32], Variant),
) {
    let gpu = Gpu::new(None).expect("an adapter");
    for variant in Variant::ALL.into_iter().filter(|variant| variant.runs_on(&gpu)) {
        let mut tape = Tape::new(&gpu);
        let map = tape.leaf("x", shape);
        let grad = map.grad.expect("leaves have gradients");
        tape.keep(grad);
        let painting = tape.leaf("y", of_painting);
        tape.op("nearest");
        let target = prepare(&mut tape, painting);
        assert_eq!(target.sites, Target::sites(of_painting));
        let (losses, counter) = (tape.state("losses", 1), tape.state("step", 1));
        let weight = tape.knob(2.0);
        let term = Term { weight, step: counter, slot: Slot { losses, index: 0 }, variant };
        nearest(&mut tape, map, &target, term);
        let plan = tape.finish_guarded().unwrap();
        plan.write(&gpu, map.value, x);
        plan.write(&gpu, painting.value, y);
        plan.write(&gpu, counter, &[f32::from_bits(step)]);
        plan.run(&gpu);
        assert_eq!(plan.guards_overwritten(&gpu).unwrap(), [""; 0]);
        let [loss, gradient] = [losses, grad].map(|tensor| plan.read(&gpu, tensor).unwrap());
        check(loss[0], &gradient, variant);
        // The same again, to the bit.
        plan.run(&gpu);
        assert_eq!([loss, gradient], [losses, grad].map(|tensor| plan.read(&gpu, tensor).unwrap()));
    }
}

fn random(len: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(3);
    (0..len).map(|_| random.f32() * 2.0 - 1.0).collect()
}

/// Constant, black, or as the mean: at right angles to everything, without a gradient, and finite.
#[test]
fn what_has_no_direction_is_far_from_everything() {
    let shape = Shape::new(11, 5, 7);
    for value in [0.0, 0.1, 1e4] {
        let constant = vec![value; shape.len()];
        for (x, y) in [
            // All of a constant painting is its mean.
            (&random(shape.len()), &constant),
            (&constant, &constant),
        ] {
            each_variant((shape, x), (shape, y), 0, |loss, gradient, variant| {
                assert!((loss - 2.0).abs() < 1e-5, "{value} {}: {loss}", variant.name());
                assert!(gradient.iter().all(|d| *d == 0.0), "{value} {}", variant.name());
            });
        }
    }
    // Two sites, whose mean is exact, and a map that is that mean but for one site.
    let (one, other) = (random(11), random(22).split_off(11));
    let y: Vec<f32> = one.iter().zip(&other).flat_map(|(a, b)| [*a, *b]).collect();
    let mut x: Vec<f32> = one.iter().zip(&other).flat_map(|(a, b)| [(a + b) / 2.0; 3]).collect();
    (0..11).for_each(|c| x[3 * c + 1] = one[c]);
    each_variant((Shape::new(11, 1, 3), &x), (Shape::new(11, 1, 2), &y), 0, |loss, gradient, variant| {
        // The site is the painting's.
        assert!((loss - 2.0 * 2.0 / 3.0).abs() < 1e-6, "{loss} {}", variant.name());
        assert!(gradient.iter().all(|d| d.abs() < 1e-6), "{gradient:?} {}", variant.name());
    });
}

/// A single channel has two directions and no slope between them.
#[test]
fn one_channel_is_one_way_or_the_other() {
    // The mean is 1, and both ways are there; then only one site is above it.
    for (y, x, loss) in [([0.0, 2.0], [3.0, -4.0, 1.5], 0.0), ([1.0, 1.0], [3.0, -4.0, 1.5], 2.0)] {
        each_variant((Shape::new(1, 1, 3), &x), (Shape::new(1, 2, 1), &y), 0, |found, gradient, variant| {
            assert!((found - loss).abs() < 1e-6, "{found} instead of {loss} {}", variant.name());
            assert!(gradient.iter().all(|d| d.abs() < 1e-6), "{gradient:?} {}", variant.name());
        });
    }
}

/// Two features are equally near, one right after the other and far after it, in another block and chunk. The
/// gradient tells which was taken.
#[test]
fn ties_go_to_the_first() {
    // Channel 0 is what the map has; channels 1 and 2 tell two neighbours apart, and all sites together have
    // the mean 0.
    let (height, width) = (40, 41);
    let painting = Shape::new(3, height, width);
    for (first, second) in [(5, 6), (3, 36), (70, 1639), (1, 1200)] {
        let mut y = vec![0.0; painting.len()];
        let mut put = |site: usize, v: [f32; 3]| {
            (0..3).for_each(|c| y[(site / width * 3 + c) * width + site % width] = v[c]);
        };
        put(first, [1.0, 1.0, 0.0]);
        put(second, [1.0, 0.0, 1.0]);
        // Opposites keep the mean at 0.
        put(0, [-1.0, -1.0, 0.0]);
        put(2, [-1.0, 0.0, -1.0]);
        each_variant(
            (Shape::new(3, 1, 1), &[0.5, 0.0, 0.0]),
            (painting, &y),
            0,
            |loss, gradient, variant| {
                let (name, half) = (variant.name(), 0.5f32.sqrt());
                assert!((loss - 2.0 * (1.0 - half)).abs() < 1e-6, "{first} {second} {name}: {loss}");
                let expected = [0.0, -4.0 * half, 0.0];
                let close =
                    gradient.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-5);
                assert!(close, "{first} {second} {name}: {gradient:?}");
            },
        );
    }
}

/// Of a painting of more than 16384 sites a lattice is looked at; a map that is the painting there finds
/// itself.
#[test]
fn a_large_painting_is_looked_at_on_a_lattice() {
    let painting = Shape::new(8, 129, 251);
    let sites = Target::sites(painting);
    // Every second row.
    assert_eq!(sites, 65 * 251);
    let y = random(painting.len());
    let row = 8 * 251;
    for (top, found) in [(64, true), (65, false)] {
        let x = &y[top * row..][..row];
        each_variant((Shape::new(8, 1, 251), x), (painting, &y), 0, |loss, _, variant| {
            assert_eq!(loss.abs() < 1e-5, found, "row {top}: {loss} {}", variant.name());
        });
    }
}
