//! The same for those who wait: each of these is the method whose name ends in `_async`, run to its end.

use super::checkpoint::Checkpoint;
use super::run::{Ending, Observer};
use super::session::{Builder, Losses, Session};
use super::settings::Settings;
use super::style::Style;
use super::tiling::Tiling;
use crate::Result;
use crate::engine::gpu::Gpu;
use crate::network::vgg::Vgg;
use crate::picture::{Picture, Regions};

impl Style {
    /// As [`Self::measure_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::measure_async`].
    pub fn measure(
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        paintings: &[(&Picture, f64)],
        tiling: Tiling,
    ) -> Result<Self> {
        gpu.block_on(Self::measure_async(gpu, vgg, settings, paintings, tiling))
    }

    /// As [`Self::measure_regions_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::measure_regions_async`].
    pub fn measure_regions(
        gpu: &Gpu,
        vgg: &Vgg,
        settings: &Settings,
        paintings: &[(&Picture, f64)],
        regions: &Regions,
    ) -> Result<Self> {
        gpu.block_on(Self::measure_regions_async(gpu, vgg, settings, paintings, regions))
    }
}

impl<'g> Builder<'g, '_> {
    /// As [`Self::build_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::build_async`].
    pub fn build(self) -> Result<Session<'g>> {
        let gpu = self.gpu();
        gpu.block_on(self.build_async())
    }
}

impl Session<'_> {
    /// As [`Self::run_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::run_async`].
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Ending> {
        self.gpu().block_on(self.run_async(observer))
    }

    /// As [`Self::step_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::step_async`].
    pub fn step(&mut self) -> Result<Option<Losses>> {
        self.gpu().block_on(self.step_async())
    }

    /// As [`Self::checkpoint_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_async`].
    pub fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.gpu().block_on(self.checkpoint_async())
    }

    /// As [`Self::picture_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::picture_async`].
    pub fn picture(&mut self) -> Result<Picture> {
        self.gpu().block_on(self.picture_async())
    }

    /// As [`Self::variable_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::variable_async`].
    pub fn variable(&mut self) -> Result<Vec<f64>> {
        self.gpu().block_on(self.variable_async())
    }

    /// As [`Self::gradient_async`], but waits.
    ///
    /// # Errors
    /// Those of [`Self::gradient_async`].
    pub fn gradient(&mut self) -> Result<Vec<f32>> {
        self.gpu().block_on(self.gradient_async())
    }
}
