//! The measurements of the ops, printed line by line as they come.

use impasto::engine::precision::Precision;
use impasto::measuring::bench::{Ceilings, Measured};

/// The headings of the columns of [`line`]. The last five are counted, not measured: bytes of inputs and
/// outputs, millions of multiply-adds, workgroups, bytes of workgroup memory, and bytes of an invocation's own
/// variables, which a compiler puts into registers.
pub fn head(
    ceilings: &Ceilings,
    (width, height): (usize, usize),
    precision: Precision,
    compared: bool,
) -> String {
    format!(
        "at best {:.1} GFLOP/s (multiply-add loop) and {:.2} GB/s (copy); maps as for a picture of {width} x {height} in {precision} precision\n\n\
         {:11} {:17} {:24} {:8} {:>11} {:>5} {:>9} {:>8} {:>7} {:>10} {:>6} {:>8} {:>7} {:>6}{}",
        ceilings.gflops,
        ceilings.gbps,
        "op",
        "variant",
        "size",
        "pass",
        "us",
        "runs",
        "GFLOP/s",
        "GB/s",
        "share",
        "bytes",
        "MMAC",
        "groups",
        "shared",
        "own",
        if compared { "   ratio" } else { "" },
    )
}

/// One measurement; `ratio` is its time divided by the earlier one.
pub fn line(measured: &Measured, ratio: Option<f64>) -> String {
    let Measured { op, case, variant, pass, us, runs, gflops, gbps, share, .. } = measured;
    let Measured { bytes, multiply_adds, workgroups, workgroup_bytes, private_bytes, .. } = measured;
    let millions = multiply_adds.map_or("-".into(), |n| format!("{:.0}", n as f64 / 1e6));
    let gflops = gflops.map_or("-".into(), |gflops| format!("{gflops:.1}"));
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:8.2}"));
    let share = 100.0 * share;
    format!(
        "{op:11} {variant:17} {case:24} {pass:8} {us:11.1} {runs:5} {gflops:>9} {gbps:8.3} {share:5.1} % {bytes:10} {millions:>6} {workgroups:8} {workgroup_bytes:7} {private_bytes:6}{ratio}"
    )
}
