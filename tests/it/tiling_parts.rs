//! What a run in tiles may consist of: finish, regions, margins, L-BFGS, quick tiling; and the memory that it has.

use std::cell::Cell;
use std::rc::Rc;

use impasto::cases::{relative_error, widen};
use impasto::engine::precision::Precision;
use impasto::painting::capacity;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::choices::{Optimizer, StyleLoss, TileStatistics};
use impasto::painting::tiling::Tiling;
use impasto::picture::Size;
use impasto::{Edge, Settings};

use crate::tiling::{Setup, parts, plain};

/// The finish takes part from the fourth iteration on, with a weight that follows from gradients of the whole
/// picture; the lattice moves from iteration to iteration.
#[test]
fn a_run_with_a_finish_is_the_run_of_the_whole() {
    let setup = Setup::new(371, 121);
    let mut settings = plain(10);
    (settings.finish, settings.style_loss) = (0.7, StyleLoss::Gram);
    let (whole, expected) = setup.run(&settings, Tiling::Off);
    let (tiled, found) = setup.run(&settings, Tiling::Side(16));
    assert_eq!((whole.len(), tiled.len()), (10, 10));
    assert!(tiled[2].nearest.is_none() && tiled[3].nearest.is_some());
    for (found, expected) in tiled.iter().zip(&whole) {
        let off = parts(found, expected).into_iter().map(|(f, e)| (f - e).abs() / expected.total);
        let off = off.fold(0.0, f64::max);
        println!("iteration {}: losses off by {off:.1e} of the total", found.iteration);
        assert!(off <= 1e-4, "{found:?} instead of {expected:?}");
    }
    let error = relative_error(&widen(&found.rgb), &widen(&expected.rgb));
    println!("picture off by {error:.1e}");
    assert!(error <= 1e-3, "picture off by {error:.1e}");
}

/// The painting of the finish, too. It has more sites than are looked at, so that its lattice is not all of
/// them.
#[test]
fn the_painting_of_the_finish_is_gathered_in_tiles() {
    let mut setup = Setup::new(70, 60);
    setup.style = setup.style.resized(Size::Exact { width: 701, height: 123 }, true);
    let mut settings = plain(1);
    (settings.finish, settings.style_loss) = (1.0, StyleLoss::Gram);
    let first = |tiling: Tiling| setup.first(&settings, tiling);
    let ((tiled, found), (whole, expected)) = (first(Tiling::Side(80)), first(Tiling::Off));
    let error = relative_error(&tiled, &whole);
    println!("finish's painting in tiles: gradient off by {error:.1e}");
    assert!(error <= 1e-5, "gradient off by {error:.1e}");
    for (found, expected) in parts(&found, &expected) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} instead of {expected}");
    }
}

/// Regions have the masks of the whole picture, whose border crosses the tiles.
#[test]
fn regions_have_the_gradient_of_the_whole() {
    let setup = Setup::with_regions(563, 83);
    for (loss, edge) in [
        (StyleLoss::Wasserstein, Edge::Replicate),
        (StyleLoss::Gram, Edge::Replicate),
        (StyleLoss::Gram, Edge::Zeros),
    ] {
        let mut settings = plain(1);
        (settings.style_loss, settings.edge) = (loss, edge);
        setup.agree(&settings, 80);
    }
}

/// Maps of 16 bits. A gradient passes sixteen of them on its way to the picture, and each rounds it by 2^-12 on average,
/// together by 1e-3. Where the terms of a tap are added in another order, tiles round other values than the whole does.
#[test]
fn half_precision_has_the_gradient_of_the_whole() {
    let setup = Setup::new(390, 83);
    let mut settings = plain(1);
    settings.precision = Precision::Half;
    if !setup.gpu.has_half() {
        assert!(setup.builder(&settings, Tiling::Side(32)).build().is_err());
        return;
    }
    for loss in StyleLoss::ALL {
        settings.style_loss = loss;
        let ((whole, expected), (tiled, found)) =
            (setup.first(&settings, Tiling::Off), setup.first(&settings, Tiling::Side(32)));
        let error = relative_error(&tiled, &whole);
        println!("{loss} in half precision: gradient off by {error:.1e}");
        assert!(error <= 2e-3, "{loss}: gradient off by {error:.1e}");
        for (found, expected) in parts(&found, &expected) {
            assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{found} instead of {expected}");
        }
    }
}

/// A margin is painted, and belongs to tiles as all other pixels do.
#[test]
fn a_margin_has_the_gradient_of_the_whole() {
    let setup = Setup::new(391, 67);
    let mut settings = plain(1);
    (settings.style_loss, settings.margin) = (StyleLoss::Gram, 21);
    setup.agree(&settings, 16);
    let picture = setup.run(&settings, Tiling::Side(16)).1;
    assert_eq!((picture.width, picture.height), (391, 67));
}

/// L-BFGS moves the picture on the processor, with products over the whole picture.
#[test]
fn a_run_by_lbfgs_is_the_run_of_the_whole() {
    let setup = Setup::new(371, 52);
    let mut settings = plain(6);
    (settings.optimizer, settings.learning_rate, settings.style_loss) =
        (Optimizer::Lbfgs, 1.0, StyleLoss::Gram);
    let (whole, _) = setup.run(&settings, Tiling::Off);
    let (tiled, _) = setup.run(&settings, Tiling::Side(16));
    for (found, expected) in tiled.iter().zip(&whole) {
        let off = (found.total - expected.total).abs() / expected.total;
        println!("iteration {}: off by {off:.1e}", found.iteration);
        assert!(off <= 1e-4, "{found:?} instead of {expected:?}");
    }
    assert!(tiled[5].style < 0.8 * tiled[0].style, "nothing was gained: {tiled:?}");
}

/// Statistics of one iteration before: the first iteration has its own and is the exact one; the second is not.
/// A run that is resumed goes on with those of the iteration before it, to the same bits.
#[test]
fn quick_tiles_are_near_and_go_on_with_the_same_bits() {
    let setup = Setup::with_regions(390, 51);
    for loss in StyleLoss::ALL {
        let mut settings = plain(6);
        settings.style_loss = loss;
        let (exact, expected) = setup.run(&settings, Tiling::Side(32));
        settings.tile_statistics = TileStatistics::Quick;
        let mut session = setup.session(&settings, Tiling::Side(32));
        let tiles = session.tiles().expect("tiles");
        let counted = Rc::new(Cell::new(0));
        let counting = counted.clone();
        session.watch_tiles(move |_, _| {
            counting.set(counting.get() + 1);
            true
        });
        let mut quick = vec![session.step().unwrap().expect("an iteration")];
        assert_eq!(quick[0], exact[0]);
        assert!(counted.replace(0) > tiles.gradients, "no statistics of the first picture");
        quick.extend(session.step().unwrap());
        assert_eq!((counted.get(), tiles.passes()), (tiles.gradients, tiles.gradients));
        // Its style is that of the picture before.
        assert!((quick[1].style - exact[0].style).abs() < 1e-5 * exact[0].style, "{:?}", quick[1]);
        assert!(quick[1].style > exact[1].style, "{:?} and {:?}", quick[1], exact[1]);

        let bytes = session.checkpoint().unwrap().to_bytes().unwrap();
        let checkpoint = Checkpoint::from_bytes("quick", &bytes).unwrap();
        quick.extend(std::iter::from_fn(|| session.step().unwrap()));
        let found = session.picture().unwrap();
        let off = relative_error(&widen(&found.rgb), &widen(&expected.rgb));
        let lag = (quick[5].total - exact[5].total) / exact[5].total;
        println!("{loss}: quick picture off by {off:.1e}, losses by {lag:.1e}");
        // Statistics are one iteration late, so that the pictures part slowly: by 3.7e-2 with Gram matrices, by 6.5e-2 with
        // the Wasserstein loss.
        assert!(off < 0.1, "off by {off:.1e}");

        let mut resumed = setup.resume(&settings, Tiling::Side(32), &checkpoint);
        assert!(resumed.same_bits());
        while resumed.step().unwrap().is_some() {}
        assert!(resumed.losses().collect::<Vec<_>>() == quick, "other losses than without a break");
        assert!(resumed.picture().unwrap() == found, "another picture than without a break");
    }
}

/// An interrupt in the first iteration of a size leaves a checkpoint of the end of the size before, with which
/// the run goes on to the same bits.
#[test]
fn an_interrupt_at_the_beginning_of_a_size_loses_nothing() {
    let setup = Setup::new(390, 51);
    let mut settings = plain(2);
    (settings.first_size, settings.first_iterations) = (280, vec![1]);
    let expected = setup.run(&settings, Tiling::Side(16));
    let mut session = setup.session(&settings, Tiling::Side(16));
    session.step().unwrap().expect("an iteration");
    session.watch_tiles(|done, _| done < 1);
    assert_eq!(session.step().unwrap(), None);
    let bytes = session.checkpoint().unwrap().to_bytes().unwrap();
    let checkpoint = Checkpoint::from_bytes("interrupted", &bytes).unwrap();
    assert_eq!(checkpoint.iteration(), 1);

    let mut session = setup.resume(&settings, Tiling::Side(16), &checkpoint);
    while session.step().unwrap().is_some() {}
    assert!(session.losses().collect::<Vec<_>>() == expected.0, "other losses than without a break");
    assert!(session.picture().unwrap() == expected.1, "another picture than without a break");
}

/// What the allocator reports, before every tile and after every iteration of a whole recipe, is within the
/// budget.
#[test]
fn memory_stays_within_the_budget() {
    let setup: &'static Setup = Box::leak(Box::new(Setup::new(760, 330)));
    let mut settings = Settings::painterly();
    (settings.first_size, settings.first_iterations, settings.iterations) = (530, vec![1], 2);
    settings.finish = 0.5;
    let Setup { gpu, vgg, .. } = setup;
    let size = (760, 330);
    let whole = (capacity::memory(gpu, vgg, &settings, size, Tiling::Off).unwrap() + vgg.bytes()) >> 20;
    let works = |mib: u64| capacity::tiles(gpu, vgg, &settings, size, Tiling::Within(mib << 20)).is_ok();
    let (mut least, mut too_few) = (whole, 0);
    while least - too_few > 1 {
        let middle = (least + too_few) / 2;
        if works(middle) { least = middle } else { too_few = middle }
    }
    assert!(least + 2 < whole, "the smallest tiles need as much as the whole");
    // The smallest tiles of all would be a thousand, and their windows of the same kind.
    let mib = (least + 3 * whole) / 4;
    let budget = mib << 20;
    let mut session = setup.session(&settings, Tiling::Within(budget));
    let peak = Rc::new(Cell::new(gpu.allocated().expect("the driver tells")));
    let look = {
        let peak = peak.clone();
        move || peak.set(peak.get().max(gpu.allocated().unwrap_or(0)))
    };
    let watching = look.clone();
    session.watch_tiles(move |_, _| {
        watching();
        true
    });
    while session.step().unwrap().is_some() {
        look();
    }
    let tiles = session.tiles().expect("tiles");
    let (counted, peak) = (session.bytes() + vgg.bytes(), peak.get());
    println!("{mib} MiB of {whole}: {tiles:?}, counted {} KiB, peak {} KiB", counted >> 10, peak >> 10);
    assert!(counted <= budget, "{counted} bytes were counted");
    assert!(peak <= budget, "{peak} bytes of {budget} were allocated with {tiles:?}");
}
