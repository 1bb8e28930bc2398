//! One device that paints tiles, and how several share them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Result;
use crate::engine::gpu::Gpu;
use crate::painting::choices::StyleLoss;
use crate::painting::objective::Objective;
use crate::painting::stages::Stage;
use crate::painting::style::Measured;
use crate::painting::tiling::compare::Compare;
use crate::painting::tiling::layout::Layout;
use crate::painting::tiling::window::{AHEAD, Flight, Window};

/// The time between two looks while several devices are waited for.
const NAP: Duration = Duration::from_micros(200);

/// A device with its plans. All devices of a run compute the same, so that it does not matter which has which
/// tile.
pub(crate) struct Device<'g> {
    gpu: &'g Gpu,
    pub(crate) window: Window<'g>,
    pub(crate) compare: Option<Compare<'g>>,
    flights: VecDeque<(usize, Flight)>,
}

impl<'g> Device<'g> {
    /// Lays out a stage on a device. `energies` are those of the photograph's features, and `style` was
    /// measured on this device.
    pub(crate) fn new(
        objective: &Objective<'g, '_>,
        stage: &Stage,
        layout: &Layout,
        energies: &[f64],
        style: &Measured,
    ) -> Result<Self> {
        let compare = match objective.settings.style_loss {
            StyleLoss::Gram => None,
            StyleLoss::Wasserstein => {
                Some(Compare::new(objective.gpu, objective.record_compare(stage, Some(style)))?)
            }
        };
        let recorded = objective.record_window(stage, layout, Some((energies, style)), compare.as_ref());
        let window = Window::new(objective.gpu, recorded)?;
        Ok(Self { gpu: objective.gpu, window, compare, flights: VecDeque::new() })
    }

    /// Gives the terms other weights.
    pub(crate) fn weigh(&self, weight: impl Fn(usize) -> f64) {
        self.window.weigh(&weight);
        if let Some(compare) = &self.compare {
            compare.weigh(&weight);
        }
    }

    /// Gives the device's memory back.
    pub(crate) fn release(&mut self) {
        self.flights.clear();
        self.window.release();
        if let Some(compare) = &mut self.compare {
            compare.plan.release();
        }
    }

    /// Device memory of the plans in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.window.plan.bytes() + self.compare.as_ref().map_or(0, |compare| compare.plan.bytes())
    }
}

/// Runs a pass over `tiles` on all devices, each of which gets its next tile when it is done with one, so that
/// a faster device has more. `submit` starts a tile, or says by `None` that the pass is given up; `land` takes
/// the words that came of a tile, in any order, and says whether the pass goes on. Returns whether the pass is
/// complete.
pub(crate) async fn pass<'g>(
    devices: &mut [Device<'g>],
    mut tiles: impl Iterator<Item = usize>,
    mut submit: impl FnMut(&mut Window<'g>, usize) -> Option<Flight>,
    mut land: impl FnMut(&Window<'g>, usize, Vec<f32>) -> Result<bool>,
) -> Result<bool> {
    // What a pass before this one may have left when it failed or was given up.
    devices.iter_mut().for_each(|device| device.flights.clear());
    loop {
        // In turn, so that all have one before any has two.
        for _ in 0..AHEAD {
            for device in devices.iter_mut() {
                if device.flights.len() < AHEAD
                    && let Some(tile) = tiles.next()
                {
                    let Some(flight) = submit(&mut device.window, tile) else { return Ok(false) };
                    device.flights.push_back((tile, flight));
                }
            }
        }
        let busy = devices.iter().filter(|device| !device.flights.is_empty()).count();
        if busy == 0 {
            return Ok(true);
        }
        let mut landed = false;
        for (index, device) in devices.iter_mut().enumerate() {
            let Some((_, flight)) = device.flights.front() else { continue };
            // Only the first device can be waited for; the others are asked.
            if busy == 1 && index == 0 || flight.is_there(device.gpu)? {
                let (tile, flight) = device.flights.pop_front().expect("it has a front");
                let words = device.window.land(flight).await?;
                if !land(&device.window, tile, words)? {
                    return Ok(false);
                }
                landed = true;
            }
        }
        if !landed {
            std::thread::sleep(NAP);
        }
    }
}
