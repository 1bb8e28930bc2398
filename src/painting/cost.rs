//! The work of a run's iterations, by which the time that is left is told.

use std::ops::Range;

use crate::architecture::{Network, Tap};
use crate::ops::nearest;
use crate::ops::wasserstein;
use crate::painting::choices::StyleLoss;
use crate::painting::objective::nearest_taps;
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;

/// As many multiplications of the network take the time of one in a transport or in the search for neighbours.
/// Winograd's form spares the network more than half of its own, and the products of a transport are small. On
/// lavapipe at 192 x 128 pixels it was 2.7 for transports and 2.2 for the search. On a GPU it was not measured.
const DEARER: f64 = 2.5;

/// The work of stages: for each iteration the pixels that the network goes through, and as many as take the time
/// of the search for neighbours and of the transports that are computed anew. Time is about proportional to
/// it.
pub fn work(settings: &Settings, stages: &[Stage]) -> f64 {
    stages.iter().map(|stage| work_in(settings, stage, 0..stage.iterations)).sum()
}

/// The same for some iterations of a stage, which are counted from its first.
pub(crate) fn work_in(settings: &Settings, stage: &Stage, iterations: Range<usize>) -> f64 {
    let pixels = (stage.width * stage.height) as f64;
    let search = if stage.finish { search(settings, pixels) } else { 0.0 };
    let renewed = stage.renewal().due_in(iterations.clone());
    let extra = iterations.len() as f64 * search + renewed as f64 * transports(settings);
    iterations.len() as f64 * pixels + DEARER * extra / network(settings)
}

/// Multiplications of the network for each pixel, forwards and back to the picture. (VGG-19 stands for others,
/// too.)
fn network(settings: &Settings) -> f64 {
    let taps = settings.taps();
    let deepest = taps.iter().map(|tap| (tap.block, tap.convolution)).max();
    let all = Network::vgg19().convolutions().into_iter();
    let used = all.filter(|(block, number, ..)| deepest >= Some((*block, *number)));
    let each = used.map(|(block, _, c_in, c_out)| (9 * c_in * c_out) as f64 / 4f64.powi(block as i32 - 1));
    2.0 * each.sum::<f64>()
}

/// Channels of a layer's map.
fn channels(tap: &Tap) -> usize {
    let blocks = Network::vgg19().blocks;
    blocks[tap.block.min(blocks.len()) - 1].channels
}

/// Multiplications for all transports of an iteration that computes them.
fn transports(settings: &Settings) -> f64 {
    if settings.style_loss != StyleLoss::Wasserstein {
        return 0.0;
    }
    let each = settings.style_layers.iter().map(|tap| (channels(tap) as f64).powi(3) * wasserstein::PRODUCTS);
    each.sum::<f64>() * settings.regions.max(1) as f64
}

/// Multiplications of the search for neighbours in a painting as large as the picture.
fn search(settings: &Settings, pixels: f64) -> f64 {
    let each = nearest_taps(settings).into_iter().map(|tap| {
        let sites = pixels / 4f64.powi(tap.poolings() as i32);
        let pairs = sites.min(nearest::SITES as f64) * sites.min(nearest::PAINTING_SITES as f64);
        pairs * channels(&tap) as f64
    });
    each.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::painting::stages::stages;

    /// The work of a run is the sum of its iterations', and those that compute transports have more.
    #[test]
    fn work_is_that_of_every_iteration() {
        let mut settings = Settings::painterly();
        (settings.first_iterations, settings.iterations) = (vec![30], 40);
        let stages = stages(&settings, (192, 128));
        let one = |stage: &Stage, iteration| work_in(&settings, stage, iteration..iteration + 1);
        let mut all = 0.0;
        for stage in &stages {
            let pixels = (stage.width * stage.height) as f64;
            for iteration in 0..stage.iterations {
                let extra = one(stage, iteration) - pixels;
                let expected = if stage.renewal().is_due(iteration) { transports(&settings) } else { 0.0 };
                let expected = expected + if stage.finish { search(&settings, pixels) } else { 0.0 };
                assert!((extra - DEARER * expected / network(&settings)).abs() < 1e-6 * pixels);
                all += one(stage, iteration);
            }
        }
        assert!((all / work(&settings, &stages) - 1.0).abs() < 1e-12);
        // Two layers of 512 channels, and those of 256, 128 and 64.
        let cubes = [2.0, 1.0 / 8.0, 1.0 / 64.0, 1.0 / 512.0].iter().sum::<f64>() * 512f64.powi(3);
        assert_eq!(transports(&settings), 17.5 * cubes);
        // VGG-19 up to conv5_1 has 361,152 for each pixel, forwards.
        assert_eq!(network(&settings), 722_304.0);
        settings.style_loss = StyleLoss::Gram;
        settings.finish = 0.0;
        assert_eq!(work(&settings, &stages[..1]), 30.0 * (96.0 * 64.0));
    }
}
