//! Checkpoints.
#![no_main]

use impasto::painting::checkpoint::Checkpoint;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Checkpoint::from_bytes("fuzz", bytes);
});
