//! Reading what a plan computed, for those who wait for it.

use super::{Plan, SENTINEL};
use crate::Result;
use crate::engine::gpu::Gpu;
use crate::engine::placement::GUARD;
use crate::engine::tape::Tensor;

impl Plan {
    /// As [`Self::read_async`], but waits.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the device failed.
    pub fn read(&self, gpu: &Gpu, tensor: Tensor) -> Result<Vec<f32>> {
        gpu.block_on(self.read_async(gpu, tensor))
    }

    /// The labels of the tensors whose guards were overwritten. Only for plans from
    /// [`Tape::finish_guarded`](crate::engine::tape::Tape::finish_guarded).
    pub fn guards_overwritten(&self, gpu: &Gpu) -> Result<Vec<&str>> {
        let mut hit = Vec::new();
        for (index, label) in self.labels.iter().enumerate() {
            let Some((buffer, place)) = self.find(Tensor(index)).filter(|(_, p)| p.fenced) else {
                continue;
            };
            let words = gpu.download(buffer, ((place.bytes + GUARD) / 4) as usize)?;
            let guard = &words[(place.bytes / 4) as usize..];
            if guard.iter().any(|w| w.to_bits() != SENTINEL) {
                hit.push(label.as_str());
            }
        }
        Ok(hit)
    }
}
