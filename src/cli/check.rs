//! `impasto check`: the gradient checks on the user's own adapter, for bug reports.

use impasto::gpu::Gpu;
use impasto::ops;

use super::print;

/// Check every shader on this machine's adapter against float64, forward and backward
#[derive(clap::Args)]
pub struct Options {
    /// Use the first adapter whose name contains this
    #[arg(long, value_name = "NAME", env = "IMPASTO_ADAPTER")]
    adapter: Option<String>,

    /// Print one JSON object per case instead
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    let gpu = Gpu::new(options.adapter.as_deref())?;
    let (mut failed, mut passed) = (0, 0);
    if !options.json {
        let info = gpu.info();
        print(&format!("{}, {} {} ({})", info.name, info.driver, info.driver_info, info.backend))?;
    }
    for (seed, case) in ops::cases().iter().enumerate().filter(|(_, case)| case.runs_on(&gpu)) {
        let outcome = case.run(&gpu, seed as u64)?;
        let fault = case.verdict(&outcome);
        match fault {
            None => passed += 1,
            Some(_) => failed += 1,
        }
        print(&if options.json {
            serde_json::json!({
                "op": case.op, "case": case.name, "ok": fault.is_none(), "fault": fault,
                "forward_error": outcome.forward, "gradient_error": outcome.backward,
                "gradients_compared": outcome.compared, "kinks_left_out": outcome.kinks,
                "microseconds": outcome.time.as_micros() as u64,
            })
            .to_string()
        } else {
            let gradient = outcome.backward.map_or("      -".into(), |e| format!("{e:7.1e}"));
            let line = format!(
                "{:4} {:9} {:24} result {:7.1e}  gradient {gradient}  {:6} us",
                if fault.is_none() { "ok" } else { "FAIL" },
                case.op,
                case.name,
                outcome.forward,
                outcome.time.as_micros(),
            );
            fault.map_or(line.clone(), |fault| format!("{line}\n     {fault}"))
        })?;
    }
    if !options.json {
        print(&format!("{passed} passed, {failed} failed"))?;
    }
    Ok(u8::from(failed > 0))
}
