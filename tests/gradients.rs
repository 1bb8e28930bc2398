//! Every case of every op: forward against float64, backward against central differences of it.

use impasto::gpu::Gpu;
use impasto::ops;

#[test]
fn every_case_agrees_with_float64() {
    let gpu = Gpu::new(None).expect("an adapter");
    let mut faults = Vec::new();
    for (seed, case) in ops::cases().iter().enumerate() {
        if !case.runs_on(&gpu) {
            println!("not on this adapter: {} {}", case.op, case.name);
            continue;
        }
        match case.prove(&gpu, seed as u64) {
            Ok(o) => {
                println!("{:8} {:32} {:.1e} {:?} {:?}", case.op, case.name, o.forward, o.backward, o.time)
            }
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
