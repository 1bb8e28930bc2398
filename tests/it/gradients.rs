//! Every case of every op in every variant: forward against float64, backward against central differences of
//! the float64 reference.

use std::convert::Infallible;

use impasto::cases::with_truths;
use impasto::engine::gpu::Gpu;
use impasto::ops::tables;

#[test]
fn every_case_agrees_with_float64() {
    let gpu = Gpu::new(None).expect("an adapter");
    let mut faults = Vec::new();
    for table in tables() {
        let all = with_truths(&gpu, &table.cases(), |case, truth| {
            for candidate in case.candidates.iter().filter(|candidate| candidate.runs_on(&gpu)) {
                match case.prove(&gpu, candidate, truth) {
                    Ok(o) => println!(
                        "{:8} {:9} {:28} {:.1e} {:.1e} {:?}",
                        case.op,
                        candidate.name,
                        case.name,
                        o.forward.relative,
                        o.backward.map_or(0.0, |gradient| gradient.relative),
                        o.time
                    ),
                    Err(fault) => faults.push(fault.to_string()),
                }
            }
            Ok::<_, Infallible>(())
        });
        all.unwrap();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
