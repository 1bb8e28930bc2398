//! The measurements of iterations, as a table.

use std::fmt::Write as _;

use impasto::measuring::bench::{Breakdown, Iteration, Least, Part, SIDES, least};

use super::compare::Ratios;
use super::startup::Startup;
use super::title;

/// Layers with less than this share of the time appear only in `--json`.
const SMALL: f64 = 0.005;

pub fn table(
    device: &serde_json::Value,
    measured: &Iteration,
    startup: &Startup,
    ratios: Option<&Ratios>,
) -> String {
    let Iteration { width, height, precision, ms, block: [count, blocks], cores, gflops, .. } = measured;
    let memory = &measured.memory;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut text = title(device) + "\n";
    let _ = writeln!(
        text,
        "{width} x {height}, {precision} precision: {ms:.2} ms per iteration, {gflops:.1} GFLOP/s (median of {blocks} blocks of {count})"
    );
    let _ = writeln!(text, "processor: {cores:.3} cores busy (a software driver computes there, too)");
    let _ = writeln!(
        text,
        "memory: {:.1} MiB ({:.0} bytes per pixel): network {:.1} MiB, its weights transformed {:.1} MiB, \
         iteration {:.1} MiB ({:.0} bytes per pixel)",
        mib(memory.total),
        memory.total_per_pixel,
        mib(memory.network),
        mib(memory.transformed),
        mib(memory.session - memory.transformed),
        memory.iteration_per_pixel,
    );
    if let Some(allocated) = memory.allocated {
        let _ = writeln!(text, "the allocator holds {:.1} MiB", mib(allocated));
    }
    let _ = writeln!(
        text,
        "from the start of the process to the first iteration: {:.0} ms cold, {:.0} ms warm",
        startup.cold_ms, startup.warm_ms
    );
    match &measured.breakdown {
        None => text.push_str("this device cannot time shaders, so there is no breakdown"),
        Some(breakdown) => explain(&mut text, breakdown),
    }
    if let Some(ratios) = ratios {
        compare(&mut text, ratios);
    }
    bound(&mut text);
    text
}

/// What well-known adapters would take at least.
fn bound(text: &mut String) {
    let sides = SIDES.map(|side| format!("{side:>8}²")).concat();
    let _ = write!(
        text,
        "\n\nbounds from vendors' peak figures: the least time of an iteration of the book's recipe, ms\n\
         {:20}{:>27}{:>27}{:>27}\n{:20}{sides}{sides}{sides}",
        "", "float32", "float16", "traffic, half precision", "adapter"
    );
    for Least { adapter, float32, float16, traffic, .. } in least() {
        let figures = [float32, float16, traffic].concat().into_iter().map(|ms| format!("{ms:9.2}"));
        let _ = write!(text, "\n{adapter:20}{}", figures.collect::<String>());
    }
}

fn compare(text: &mut String, Ratios { ms, kernels, layers, memory, startup }: &Ratios) {
    let _ = write!(text, "\n\n{:32} times those of the earlier report", "now");
    let [cold, warm] = startup;
    let rest = [("one iteration", ms), ("memory", memory), ("start, cold", cold), ("start, warm", warm)];
    let parts = kernels.iter().chain(layers).map(|(name, ratio)| (name.as_str(), ratio));
    for (name, ratio) in parts.chain(rest) {
        let _ = write!(text, "\n{name:32} {ratio:8.2}");
    }
}

fn explain(text: &mut String, Breakdown { ms, kernels, layers, rest, renewal, .. }: &Breakdown) {
    let line = |name: &str, dispatches: &str, part: f64| {
        format!("{name:32} {dispatches:>10} {part:10.3} {:7.1} %", 100.0 * part / ms)
    };
    let mut section = |title: &str, parts: &[Part], least: f64| {
        let _ = writeln!(text, "\n{title:32} dispatches         ms     share");
        let (shown, small): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|part| part.ms >= least * ms);
        for part in shown {
            let _ = writeln!(text, "{}", line(&part.name, &part.dispatches.to_string(), part.ms));
        }
        if !small.is_empty() {
            let (count, sum) = small.iter().fold((0, 0.0), |(n, sum), p| (n + p.dispatches, sum + p.ms));
            let _ = writeln!(text, "{}", line("smaller ones", &count.to_string(), sum));
        }
        let _ = writeln!(text, "{}", line("rest: between them and around", "", *rest));
        let _ = writeln!(text, "{}", line("one iteration with time stamps", "", *ms));
    };
    section("kernel", kernels, 0.0);
    section("layer or loss", layers, SMALL);
    if *renewal > 0.0 {
        let _ = writeln!(text, "\n{}", line("of it, renewing the transports", "", *renewal));
    }
    text.truncate(text.trim_end().len());
}
