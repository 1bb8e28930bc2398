//! Weights of a network of one small layer, plain or palettised.
#![no_main]

use impasto::{LayerSpec, Weights};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let specs = [LayerSpec::new("features.0", 3, 2)];
    if let Ok(weights) = Weights::from_bytes("fuzz", bytes, &specs) {
        assert_eq!(weights.layers[0].weight.len(), 2 * 3 * 9);
        assert!(weights.layers[0].weight.iter().all(|v| v.is_finite()));
    }
});
