//! What there is of lossy WebP without libwebp: a reason.

use super::encode::Failure;

/// Refuses.
pub(super) fn encode(_: &[u8], _: [u32; 2], _: bool, _: u8) -> Result<Vec<u8>, Failure> {
    Err("without libwebp, WebP is lossless only: leave out the quality".into())
}
