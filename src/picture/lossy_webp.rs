//! Lossy WebP by libwebp, because no encoder in Rust is lossy. It sees nothing but our own samples.

use super::encode::Failure;

/// The file of a picture of 8 bits per sample, with or without alpha.
pub(super) fn encode(
    samples: &[u8],
    [width, height]: [u32; 2],
    alpha: bool,
    quality: u8,
) -> Result<Vec<u8>, Failure> {
    let (columns, rows) = (i32::try_from(width)?, i32::try_from(height)?);
    let (encode, channels): (unsafe extern "C" fn(_, _, _, _, _, _) -> _, _) =
        if alpha { (libwebp_sys::WebPEncodeRGBA, 4) } else { (libwebp_sys::WebPEncodeRGB, 3) };
    assert_eq!(samples.len(), width as usize * height as usize * channels);
    let mut output = std::ptr::null_mut();
    // SAFETY: `samples` has `rows` rows of `columns * channels` bytes, one after the other, as just
    // asserted.
    let length = unsafe {
        encode(samples.as_ptr(), columns, rows, columns * channels as i32, f32::from(quality), &mut output)
    };
    if length == 0 || output.is_null() {
        return Err("libwebp refused it".into());
    }
    // SAFETY: on success `output` points at `length` bytes, ours until they are freed, which happens once.
    let file = unsafe { std::slice::from_raw_parts(output, length) }.to_vec();
    // SAFETY: libwebp allocated it, and nothing refers to it any more.
    unsafe { libwebp_sys::WebPFree(output.cast()) };
    Ok(file)
}
