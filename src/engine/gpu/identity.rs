//! What is kept on disk for a device belongs to this identity.

use super::Gpu;
use crate::disk::sha256;
use crate::engine::kernel::SHADERS;

impl Gpu {
    /// Adapter and driver for people, and the digest of adapter, driver and all shaders.
    pub(crate) fn identity(&self) -> (String, String) {
        let info = self.info();
        let device = self.description();
        let snippets = SHADERS.dirs().flat_map(|folder| folder.files());
        let mut shaders: Vec<_> = SHADERS.files().chain(snippets).collect();
        shaders.sort_by_key(|file| file.path());
        let texts: String =
            shaders.iter().map(|file| sha256::bytes(file.contents())).collect::<Vec<_>>().join("\n");
        let key = sha256::words(&format!("{device}\n{}\n{}\n{texts}", info.vendor, info.device));
        (device, key)
    }
}
