//! Every op at sizes and values drawn at random. A failure is shrunk to the smallest failing case and kept in
//! `properties.proptest-regressions`, whose cases run first from then on.
//!
//! The draws are the same each time, so that no change fails by another draw's luck. `PROPTEST_RNG_SEED=N`
//! draws others, and `PROPTEST_CASES=N` more.

use std::cell::OnceCell;

use impasto::cases::{Size, Table};
use impasto::engine::gpu::Gpu;
use impasto::ops::tables;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};

thread_local! {
    static GPU: OnceCell<Gpu> = const { OnceCell::new() };
}

/// Channel counts that the forms treat differently, and any others. Small ones come first when a failure is
/// shrunk.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![1usize..12, Just(3), Just(8), Just(32), Just(64), 13usize..70]
}

fn sizes() -> impl Strategy<Value = Size> {
    (channels(), channels(), 1usize..14, 1usize..22)
        .prop_map(|(c_in, c_out, height, width)| Size::between(c_in, c_out, height, width))
}

/// All variants of an op at one size.
fn holds(table: &Table, size: Size, seed: u64) -> Result<(), TestCaseError> {
    GPU.with(|gpu| {
        let gpu = gpu.get_or_init(|| Gpu::new(None).expect("an adapter"));
        for case in (table.at)(size) {
            let truth = case.truth(seed);
            for candidate in case.candidates.iter().filter(|candidate| candidate.runs_on(gpu)) {
                let proved = case.prove(gpu, candidate, &truth);
                proved.map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            }
        }
        Ok(())
    })
}

/// The default configuration takes what the environment asks for.
fn config() -> ProptestConfig {
    let asked = |variable| std::env::var_os(variable).is_some();
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: if asked("PROPTEST_CASES") { default.cases } else { 24 },
        rng_seed: if asked("PROPTEST_RNG_SEED") { default.rng_seed } else { RngSeed::Fixed(1) },
        max_shrink_iters: 60,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn convolutions_hold(size in sizes(), seed in any::<u64>()) {
        let table = tables().into_iter().find(|table| table.op == "conv3x3").unwrap();
        holds(&table, size, seed)?;
    }

    #[test]
    fn all_other_ops_hold(size in sizes(), seed in any::<u64>()) {
        for table in tables().iter().filter(|table| table.op != "conv3x3") {
            holds(table, size, seed)?;
            // Pictures have three channels, and one op relies on it.
            holds(table, Size { c_in: 3, c_out: 3, ..size }, seed)?;
        }
    }
}

/// Two sites on matrix units: nothing averages out what float16 rounds. A draw on a driver that has them.
#[test]
fn two_rounded_sites_hold() {
    let table = tables().into_iter().find(|table| table.op == "wasserstein").unwrap();
    holds(&table, Size::new(32, 1, 2), 72_311_424_037_887_673).unwrap();
}

/// A map whose spread is that of the painting to a thousandth, as a draw once had it.
#[test]
fn a_loss_of_nearly_nothing_holds() {
    let table = tables().into_iter().find(|table| table.op == "wasserstein").unwrap();
    holds(&table, Size::new(1, 2, 14), 10_023_254_259_888_662_808).unwrap();
}
