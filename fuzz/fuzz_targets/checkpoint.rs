//! Checkpoints.
#![no_main]

use impasto::painting::checkpoint::Snapshot;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Snapshot::from_bytes("fuzz", bytes);
});
