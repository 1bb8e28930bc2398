//! The settings inside a picture file.
#![no_main]

use impasto::painting::provenance::Record;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Record::from_bytes("fuzz", bytes);
});
