//! Tests of the tests: shaders with deliberate mistakes, each of which some case must notice.
//!
//! They are a program of their own. Shaders run without checks of their bounds, so that a wrong one may bring
//! the driver down, and no other test with it. They also use all processors by themselves.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;

use impasto::cases::{Candidate, Case, Size, Truth};
use impasto::engine::gpu::Gpu;
use impasto::ops::{cases, tables};

mod list;

use list::{MUTANTS, Mutant};

/// The mistakes, each with its op.
fn mutants() -> impl Iterator<Item = (&'static str, &'static Mutant)> {
    MUTANTS.iter().flat_map(|(op, mutants)| mutants.iter().map(|mutant| (*op, mutant)))
}

/// A new op, form or shader is not tested before a mistake in it was seen to fail.
#[test]
fn every_form_and_every_shader_has_a_mistake() {
    let gpu = Gpu::new(None).expect("an adapter");
    let forms: BTreeSet<_> = mutants().map(|(op, (form, ..))| (op, *form)).collect();
    let shaders: BTreeSet<_> = mutants().map(|(_, (_, shader, ..))| *shader).collect();
    let mut missing = BTreeSet::new();
    for table in tables() {
        // The network's sizes have no further forms.
        for case in table.edges.iter().flat_map(|size| (table.at)(*size)) {
            for candidate in &case.candidates {
                if !forms.contains(&(case.op, candidate.name)) {
                    missing.insert(format!("the form {} of {}", candidate.name, case.op));
                }
                // Recording is what names the shaders, and needs the device that the form needs.
                if candidate.runs_on(&gpu) {
                    let kernels = case.kernels(&gpu, candidate).unwrap();
                    let without =
                        kernels.iter().map(|kernel| kernel.file).filter(|file| !shaders.contains(file));
                    missing.extend(without.map(|file| format!("the shader {file}")));
                }
            }
        }
    }
    assert!(missing.is_empty(), "MUTANTS has no mistake in {}", Vec::from_iter(missing).join(", "));
}

#[test]
fn guards_notice_a_write_beyond_the_end() {
    // Rows of 576 values.
    let size = Size::new(64, 2, 9);
    let case = cases().into_iter().find(|case| case.op == "relu" && case.size == size).unwrap();
    // Beyond by one value; and beyond by a row, at its end only, so that nothing is written directly after
    // the tensor.
    for beyond in ["y[i + 1u] = max", "y[i + select(0u, params.row, id.x + 1u == params.row)] = max"] {
        let gpu = Gpu::new(None).expect("an adapter").with_mutation("relu", "y[i] = max", beyond);
        let outcome = case.run(&gpu, &case.candidates[0], &case.truth(1)).unwrap();
        assert_eq!(outcome.overrun, ["relu.y"], "{beyond}");
    }
}

/// Runs several at once: most of the time goes into compiling, and a mutant compiles on one core.
#[test]
fn every_mistake_is_noticed() {
    let mutants: Vec<_> = mutants().collect();
    let bench = Bench::new();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                while let Some((op, mutant)) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    bench.notice(op, mutant);
                }
            });
        }
    });
}

/// What all mutants are tried with.
struct Bench {
    cases: Vec<Case>,
    /// The truth of each case does not depend on the form that is tested.
    truths: Vec<OnceLock<Truth>>,
    /// The places of the cases, in the order in which they are tried. A case that notices a mistake moves to
    /// the front, because it is likely to notice the next one, too. All cases are tried before a mistake
    /// counts as unnoticed, so the order changes nothing but the time.
    order: Mutex<Vec<usize>>,
}

impl Bench {
    fn new() -> Self {
        let cases = cases();
        let truths = cases.iter().map(|_| OnceLock::new()).collect();
        let order = Mutex::new((0..cases.len()).collect());
        Self { cases, truths, order }
    }

    /// Fails unless some case notices a mistake.
    fn notice(&self, op: &str, mutant: &Mutant) {
        let (variant, file, from, to) = mutant;
        let gpu = Gpu::new(None).expect("an adapter").with_mutation(file, from, to);
        let mut touched = 0;
        let order = self.order.lock().unwrap().clone();
        let noticed = order.into_iter().filter(|at| self.cases[*at].op == op).find(|at| {
            let case = &self.cases[*at];
            let named = |candidate: &&Candidate| candidate.name == *variant && candidate.runs_on(&gpu);
            case.candidates.iter().filter(named).any(|candidate| {
                touched += 1;
                let truth = self.truths[*at].get_or_init(|| case.truth(1));
                // A mutant that does not even compile would prove nothing.
                let fault = case.prove(&gpu, candidate, truth).err().map(|fault| fault.to_string());
                fault.is_some_and(|fault| fault.contains("off by") || fault.contains("wrote beyond"))
            })
        });
        if touched == 0 {
            // Some forms are for some devices only. The forms that every device can run must have run.
            assert!(
                ["first", "shifted", "winograd", "uniform", "subgroup", "f64"].contains(variant)
                    || variant.starts_with("cooperative"),
                "{variant} did not run"
            );
            println!("{op} {variant} does not run on this adapter");
            return;
        }
        let Some(at) = noticed else {
            panic!("{op} {variant}: `{to}` for `{from}` goes unnoticed in {touched} cases");
        };
        println!("{op} {variant} {file}: {}, case {touched}, notices {to:?}", self.cases[at].name);
        let mut order = self.order.lock().unwrap();
        let place = order.iter().position(|other| *other == at).expect("every case has a place");
        order[..=place].rotate_right(1);
    }
}
