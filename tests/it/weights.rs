//! Weights and rates that are changed while a run goes on.

use impasto::measuring::Chain;
use impasto::network::weights::{ConvWeights, Weights};
use impasto::painting::session::Losses;
use impasto::{Gpu, Network, Picture, Session, Settings, Tuning, Vgg};

/// What the tests paint: a network of two blocks, its weights, and two pictures.
struct Atelier {
    gpu: Gpu,
    network: Network,
    weights: Weights,
    vgg: Vgg,
    content: Picture,
    style: Picture,
}

impl Atelier {
    fn new() -> Self {
        let gpu = Gpu::new(None).unwrap();
        let network = Network::new("tiny", [1, 1], [2, 3]);
        let specs = network.specs(&["relu2_1".parse().unwrap()]).unwrap();
        let layers = specs.into_iter().map(|spec| {
            let draw =
                |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 37) % 19) as f32 / 19.0 - 0.4).collect() };
            let (weights, bias) = (draw(9 * spec.c_in * spec.c_out), draw(spec.c_out));
            ConvWeights::new(spec, weights, bias).unwrap()
        });
        let weights = Weights::new(layers.collect(), [0.5; 3], [0.25; 3]).unwrap();
        let vgg = Vgg::new(&gpu, network.clone(), &weights, &Tuning::default()).unwrap();
        let (content, style) = (Picture::noise(9, 7, 1), Picture::noise(8, 6, 2));
        Self { gpu, network, weights, vgg, content, style }
    }

    fn session(&self, settings: &Settings) -> Session<'_> {
        let builder = Session::builder(&self.gpu, &self.vgg).content(&self.content);
        builder.style(&self.style, 1.0).settings(settings.clone()).build().unwrap()
    }
}

fn settings() -> Settings {
    let mut settings = Settings::book();
    settings.content_layers = vec!["relu2_1".parse().unwrap()];
    settings.style_layers = vec!["relu1_1".parse().unwrap(), "relu2_1".parse().unwrap()];
    settings
}

/// The next iteration alone: the device does not work ahead.
fn one(session: &mut Session) -> Losses {
    session.allow(1);
    session.step().unwrap().unwrap()
}

#[test]
fn changed_weights_are_those_of_float64() {
    let atelier = Atelier::new();
    let mut session = atelier.session(&settings());
    one(&mut session);
    let changes: [fn(&mut Settings); 4] = [
        |s| s.content_weight *= 300.0,
        |s| s.style_weight *= 0.25,
        |s| s.style_layer_weights = vec![3.0, 0.5],
        |s| s.tv_weight *= 20.0,
    ];
    let mut now = settings();
    for change in changes {
        let before = now.clone();
        change(&mut now);
        session.set_weights(&now).unwrap();
        let variable = session.variable().unwrap();
        let losses = one(&mut session);
        let total = |settings: &Settings| {
            let Atelier { network, weights, content, style, .. } = &atelier;
            Chain::new(network, weights, settings, content, style).total(&variable)
        };
        let (expected, unchanged) = (total(&now), total(&before));
        // As in `chain.rs`: each op may be off by this much.
        assert!((losses.total - expected).abs() <= 1e-5 * expected, "{} instead of {expected}", losses.total);
        // What was changed shows, so that the comparison means something.
        assert!((unchanged - expected).abs() > 1e-3 * expected, "{unchanged} and {expected}");
    }
}

#[test]
fn a_changed_rate_and_decay_scale_the_steps() {
    let atelier = Atelier::new();
    let step = |change: fn(&mut Settings), iterations: usize| -> Vec<f64> {
        let mut now = settings();
        now.decay_every = 3;
        let mut session = atelier.session(&now);
        (0..iterations).for_each(|_| drop(one(&mut session)));
        change(&mut now);
        session.set_weights(&now).unwrap();
        let before = session.variable().unwrap();
        one(&mut session);
        std::iter::zip(session.variable().unwrap(), before).map(|(after, before)| after - before).collect()
    };
    // The first step, one between decays, and one with which the rate decays: in each, Adam's direction is
    // the same.
    for iterations in [1, 2, 3] {
        let plain = step(|_| (), iterations);
        let halved = step(|s| s.learning_rate *= 0.5, iterations);
        let steeper = step(|s| s.decay *= 0.5, iterations);
        let factor = if iterations == 3 { 0.5 } else { 1.0 };
        for i in 0..plain.len() {
            // Float64, or float32 where the device has no other.
            let close =
                |found: f64, expected: f64| (found - expected).abs() <= 1e-5 * plain[i].abs().max(1e-3);
            assert!(close(halved[i], 0.5 * plain[i]), "{iterations}: {} and {}", halved[i], plain[i]);
            assert!(close(steeper[i], factor * plain[i]), "{iterations}: {} and {}", steeper[i], plain[i]);
        }
    }
}

#[test]
fn weights_that_are_set_to_what_they_were_change_no_bit() {
    let atelier = Atelier::new();
    let paint = |sets: bool| {
        let mut session = atelier.session(&settings());
        for _ in 0..8 {
            if sets {
                session.set_weights(&settings()).unwrap();
            }
            one(&mut session);
        }
        session.variable().unwrap().into_iter().map(f64::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(paint(true), paint(false));
}

#[test]
fn senseless_weights_are_refused() {
    let atelier = Atelier::new();
    let mut session = atelier.session(&settings());
    let mut wrong = settings();
    wrong.content_weight = -1.0;
    assert!(session.set_weights(&wrong).is_err());
}
