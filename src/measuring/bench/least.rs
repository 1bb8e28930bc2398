//! The least time of an iteration, by counting alone: what well-known adapters could do at their peaks if nothing
//! else limited them.

use serde::{Deserialize, Serialize};

use crate::architecture::Network;
use crate::painting::settings::Settings;

/// What an adapter does at most, as its vendor states it. docs/lab/performance.md names the sources.
#[derive(Clone, Copy, Debug)]
struct Peak {
    adapter: &'static str,
    /// 1e12 operations per second in float32.
    float32: f64,
    /// The same with float16 factors and float32 sums, on matrix units where there are any.
    float16: f64,
    /// 1e9 bytes per second.
    memory: f64,
}

const PEAKS: [Peak; 6] = [
    Peak { adapter: "H200 SXM", float32: 67.0, float16: 989.0, memory: 4800.0 },
    Peak { adapter: "GeForce RTX 4090", float32: 82.6, float16: 165.0, memory: 1008.0 },
    Peak { adapter: "GeForce RTX 3060", float32: 12.7, float16: 25.5, memory: 360.0 },
    Peak { adapter: "Radeon RX 7900 XTX", float32: 61.4, float16: 122.8, memory: 960.0 },
    Peak { adapter: "Arc A770 16 GB", float32: 17.2, float16: 131.0, memory: 560.0 },
    Peak { adapter: "M4 Max, 40 cores", float32: 18.4, float16: 18.4, memory: 546.0 },
];

/// The sides of the square pictures that are counted.
pub const SIDES: [usize; 3] = [512, 1024, 2048];

/// The least milliseconds of an iteration of the book's recipe on an adapter, on squares of [`SIDES`] pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Least {
    /// The adapter.
    pub adapter: String,
    /// By arithmetic in float32, convolutions in their direct form.
    pub float32: [f64; 3],
    /// By arithmetic with float16 factors and float32 sums.
    pub float16: [f64; 3],
    /// By what is read from memory and written to it, with maps in half precision; twice as long in single.
    pub traffic: [f64; 3],
}

/// Multiplications, additions, and values that go from memory or to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Work {
    pub(super) operations: f64,
    values: f64,
}

impl Work {
    /// That of an iteration per pixel of the picture, with VGG-19 and the book's layers. Convolutions are counted
    /// in their direct form, Gram matrices whole. What a Wasserstein term computes of covariances, and the
    /// nearest-neighbour term, are not counted. Each convolution reads its input and writes its output, pooled
    /// where pooling follows, once in each direction; its gates, two bits for each output, are written and read.
    /// Each map of the style is read by its term twice, and its gradient added once.
    pub(super) fn per_pixel() -> Self {
        let network = Network::vgg19();
        let taps = Settings::book().style_layers;
        let deepest = taps.iter().map(|tap| (tap.block, tap.convolution)).max().unwrap_or((1, 1));
        let (mut multiply_adds, mut values) = (0.0, 0.0);
        for (block, convolution, c_in, c_out) in network.convolutions() {
            if (block, convolution) > deepest {
                break;
            }
            let sites = 0.25f64.powi(block as i32 - 1);
            let (c_in, c_out) = (c_in as f64, c_out as f64);
            let pooled = convolution == network.blocks[block - 1].convolutions;
            multiply_adds += 2.0 * 9.0 * c_in * c_out * sites;
            values += 2.0 * sites * (c_in + if pooled { c_out / 4.0 } else { c_out });
            values += 2.0 * sites * c_out * 2.0 / 32.0;
            if taps.iter().any(|tap| (tap.block, tap.convolution) == (block, convolution)) {
                multiply_adds += 2.0 * c_out * c_out * sites;
                values += 3.0 * c_out * sites;
            }
        }
        Self { operations: 2.0 * multiply_adds, values }
    }
}

impl Peak {
    fn least(&self) -> Least {
        let work = Work::per_pixel();
        let ms = |seconds: f64| SIDES.map(|side| 1e3 * seconds * (side * side) as f64);
        Least {
            adapter: self.adapter.into(),
            float32: ms(work.operations / (self.float32 * 1e12)),
            float16: ms(work.operations / (self.float16 * 1e12)),
            traffic: ms(2.0 * work.values / (self.memory * 1e9)),
        }
    }
}

/// The least times on all adapters whose peaks are known.
pub fn least() -> Vec<Least> {
    PEAKS.iter().map(Peak::least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/lab/performance.md adds these up by hand: 361,152 multiply-adds in convolutions and 17,408 in Gram
    /// matrices each way.
    #[test]
    fn work_is_what_the_page_says() {
        let Work { operations, values } = Work::per_pixel();
        assert_eq!(operations, 4.0 * (361_152.0 + 17_408.0));
        assert_eq!(values.round(), 1204.0);
    }

    /// The floors that others have counted for 1024 x 1024 pixels: 23.7 ms by arithmetic in float32 and 1.6 ms
    /// with tensor cores on an H200.
    #[test]
    fn floors_are_those_of_others() {
        let all = least();
        let least = all.iter().find(|least| least.adapter == "H200 SXM").unwrap();
        assert!((least.float32[1] - 23.7).abs() < 0.05 && (least.float16[1] - 1.6).abs() < 0.05, "{least:?}");
    }
}
