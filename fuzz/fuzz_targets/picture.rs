//! Picture files of every kind, with their profiles and EXIF.
#![no_main]

use impasto::picture::Picture;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = Picture::from_bytes("fuzz", bytes) {
        assert_eq!(picture.rgb.len(), 3 * picture.width * picture.height);
        assert!(picture.rgb.iter().all(|v| (0.0..=1.0).contains(v)));
    }
});
