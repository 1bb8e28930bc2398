//! From the picture to the total loss and its gradient, through VGG-19 at two sizes and through a tiny
//! network, against float64.

use impasto::cases::{relative_error, widen};
use impasto::engine::gpu::Gpu;
use impasto::measuring::Chain;
use impasto::network::tuning::Tuning;
use impasto::network::vgg::Vgg;
use impasto::network::weights::{ConvWeights, Weights};
use impasto::painting::session::Session;
use impasto::painting::settings::Settings;
use impasto::picture::Picture;
use impasto::{Edge, Network, Pooling};

/// Half the step of a central difference. It is large compared with float64's rounding in a network, and
/// small compared with the distance of most values from a kink.
const STEP: f64 = 1e-7;

fn noise(width: usize, height: usize, seed: u64) -> Picture {
    let mut random = fastrand::Rng::with_seed(seed);
    Picture::new(width, height, (0..3 * width * height).map(|_| random.f32()).collect())
}

/// Compares the total loss and the gradient: its slopes along random directions, or every coordinate if
/// `directions` is 0.
fn compare(
    network: Network,
    weights: &Weights,
    tuning: &Tuning,
    mut settings: Settings,
    width: usize,
    height: usize,
    directions: usize,
) {
    let gpu = Gpu::new(None).expect("an adapter");
    let (content, style) = (noise(width, height, 1), noise(height + 3, width + 2, 2));
    let start = noise(width, height, 3);
    let vgg = Vgg::new(&gpu, network.clone(), weights, tuning).unwrap();
    let builder = Session::builder(&gpu, &vgg).content(&content).style(&style, 1.0).start(&start);
    // One iteration only, so that the gradient is the one at the start.
    settings.iterations = 1;
    let mut session = builder.settings(settings.clone()).build().unwrap();
    let variable = session.variable().unwrap();
    let losses = session.step().unwrap().unwrap();
    let gradient = widen(&session.gradient().unwrap());

    let chain = Chain::new(&network, weights, &settings, &content, &style);
    let here = chain.total(&variable);
    let error = (losses.total - here).abs() / here;
    println!("{} {width}x{height}: total {here}, off by {error:.1e}", network.name);
    // Each of some twenty ops may be off by this much; measured: 1.8e-6.
    assert!(error <= 1e-5, "{} {width}x{height}: total {} instead of {here}", network.name, losses.total);

    let mut random = fastrand::Rng::with_seed(4);
    let probes: Vec<Vec<f64>> = match directions {
        0 => (0..variable.len())
            .map(|i| (0..variable.len()).map(|k| f64::from(u8::from(i == k))).collect())
            .collect(),
        n => (0..n)
            .map(|_| (0..variable.len()).map(|_| if random.bool() { 1.0 } else { -1.0 }).collect())
            .collect(),
    };
    let slopes = |probe: &Vec<f64>| {
        let side = |step: f64| {
            let moved: Vec<f64> = variable.iter().zip(probe).map(|(v, p)| v + step * p).collect();
            (chain.total(&moved) - here) / step
        };
        (side(-STEP), side(STEP))
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let slopes: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let slopes = &slopes;
        let parts = probes.chunks(probes.len().div_ceil(threads));
        let parts: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().map(slopes).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let largest = slopes.iter().map(|(left, right)| left.abs().max(right.abs())).fold(0.0, f64::max);
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (probe, (left, right)) in probes.iter().zip(&slopes) {
        // At a kink the two sides differ completely; elsewhere by what float64 loses over such a step.
        if (left - right).abs() <= 1e-5 * largest {
            found.push(gradient.iter().zip(probe).map(|(g, p)| g * p).sum());
            expected.push((left + right) / 2.0);
        }
    }
    let left_out = probes.len() - found.len();
    assert!(left_out * 20 <= probes.len() + 19, "{left_out} of {} sit on kinks", probes.len());
    let error = relative_error(&found, &expected);
    println!("gradient off by {error:.1e}, {left_out} of {} left out", probes.len());
    // As in `recipe.rs`; measured: 4.2e-6.
    assert!(error <= 1e-4, "{} {width}x{height}: gradient off by {error:.1e}", network.name);
}

#[test]
fn vgg19_at_two_sizes() {
    let settings = Settings::book();
    let network = Network::vgg19();
    let weights = Weights::embedded(&network.specs(&settings.taps()).unwrap()).unwrap();
    // Sides that are odd at every pooling, and the smallest possible height.
    for (width, height) in [(31, 23), (37, 16)] {
        compare(network.clone(), &weights, &Tuning::default(), settings.clone(), width, height, 6);
    }
    // Forms that a GPU might choose.
    for forms in ["conv3x3=winograd_tiled", "conv3x3=tiled", "conv3x3=few"] {
        compare(network.clone(), &weights, &forms.parse().unwrap(), settings.clone(), 31, 23, 6);
    }
    let mut settings = settings;
    (settings.edge, settings.pooling) = (Edge::Replicate, Pooling::Average);
    compare(network, &weights, &Tuning::default(), settings, 31, 23, 6);
}

/// Every coordinate, through layers that are tapped before the ReLU, after it, and on both sides.
#[test]
fn a_tiny_network_by_each_coordinate() {
    let network = Network::new("tiny", [2, 1, 2], [5, 4, 7]);
    let mut settings = Settings::book();
    let taps = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    settings.content_layers = taps(&["relu1_2", "conv3_1"]);
    settings.style_layers = taps(&["conv1_1", "relu2_1", "relu3_1", "conv3_2"]);
    settings.style_weight = 100.0;
    settings.style_layer_weights = vec![1.0, 0.5, 2.0, 0.25];
    let specs = network.specs(&settings.taps()).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let mut draw = |n: usize, scale: f32| (0..n).map(|_| (random.f32() * 2.0 - 1.0) * scale).collect();
    let layers = specs.into_iter().map(|spec| {
        let weight = draw(9 * spec.c_in * spec.c_out, 1.0 / (spec.c_in as f32).sqrt());
        let bias = draw(spec.c_out, 0.5);
        ConvWeights::new(spec, weight, bias).unwrap()
    });
    let weights = Weights::new(layers.collect(), [0.4, 0.5, 0.6], [0.3, 0.2, 0.25]).unwrap();
    for (width, height) in [(5, 4), (13, 11)] {
        compare(network.clone(), &weights, &Tuning::default(), settings.clone(), width, height, 0);
    }
    settings.edge = Edge::Replicate;
    for pooling in Pooling::ALL {
        settings.pooling = pooling;
        compare(network.clone(), &weights, &Tuning::default(), settings.clone(), 13, 11, 0);
    }
}
