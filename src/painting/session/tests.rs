//! Submissions of many iterations, which otherwise occur only on a fast device or with a small network.

use super::*;
use crate::architecture::Network;
use crate::network::tuning::Tuning;
use crate::network::weights::{ConvWeights, Weights};
use crate::painting::settings::Settings;

/// Enough iterations to overwrite the device's log of losses more than once.
const ITERATIONS: usize = 2 * HISTORY + 50;

/// The results of a run: the losses, the picture's bits, the copies on the way, and the most iterations of a
/// submission.
struct Ran {
    losses: Vec<Losses>,
    bits: Vec<u64>,
    copies: Vec<(usize, Picture)>,
    most: usize,
}

fn run(gpu: &Gpu, vgg: &Vgg, settings: &Settings, every: Option<usize>) -> Ran {
    let (content, style) = (Picture::noise(9, 7, 1), Picture::noise(8, 6, 2));
    let builder = Session::builder(gpu, vgg).content(&content).style(&style, 1.0);
    let mut session = builder.settings(settings.clone()).build().unwrap();
    every.into_iter().for_each(|n| session.copy_every(n));
    let (mut losses, mut copies, mut most) = (Vec::new(), Vec::new(), 0);
    while let Some(loss) = session.step().unwrap() {
        losses.push(loss);
        most = most.max(session.running.most_in_flight());
        copies.extend(std::iter::from_fn(|| session.take_copy().unwrap()));
    }
    let bits = session.variable().unwrap().into_iter().map(f64::to_bits).collect();
    Ran { losses, bits, copies, most }
}

#[test]
fn many_iterations_in_a_submission_give_what_one_at_a_time_gives() {
    let gpu = Gpu::new(None).unwrap();
    let network = Network::new("tiny", [1, 1], [2, 3]);
    let settings = Settings {
        content_layers: vec!["relu2_1".parse().unwrap()],
        style_layers: vec!["relu1_1".parse().unwrap()],
        iterations: ITERATIONS,
        ..Settings::book()
    };
    let layers = network.specs(&settings.taps()).unwrap().into_iter().map(|spec| {
        let draw = |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 37) % 19) as f32 / 19.0 - 0.4).collect() };
        let (weights, bias) = (draw(9 * spec.c_in * spec.c_out), draw(spec.c_out));
        ConvWeights::new(spec, weights, bias).unwrap()
    });
    let weights = Weights::new(layers.collect(), [0.5; 3], [0.25; 3]).unwrap();
    let vgg = Vgg::new(&gpu, network, &weights, &Tuning::default()).unwrap();

    let single = run(&gpu, &vgg, &settings, Some(1));
    assert_eq!((single.most, single.losses.len(), single.copies.len()), (1, ITERATIONS, ITERATIONS - 1));
    assert!(single.losses[ITERATIONS - 1].total < single.losses[0].total);
    for every in [None, Some(7)] {
        let many = run(&gpu, &vgg, &settings, every);
        assert!(many.most > 1, "{} iterations in a submission", many.most);
        assert!(many.most <= every.unwrap_or(HISTORY / 2));
        assert!(many.losses == single.losses && many.bits == single.bits, "every {every:?}");
        let expected = single.copies.iter().filter(|(n, _)| every.is_some_and(|every| n % every == 0));
        assert!(many.copies.iter().eq(expected), "every {every:?}");
    }
}
