//! `impasto check`: the gradient checks on the user's own adapter, for bug reports.

use std::time::{Duration, Instant};

use impasto::gpu::Gpu;
use impasto::testing::{Case, Outcome, tables};

use super::print;

/// Check every shader on this machine's adapter against float64, forward and backward
#[derive(clap::Args)]
pub struct Options {
    /// Use the first adapter whose name contains this
    #[arg(long, value_name = "NAME", env = "IMPASTO_ADAPTER")]
    adapter: Option<String>,

    /// Print JSON instead: one object per op and variant, then one for all of them
    #[arg(long)]
    json: bool,
}

/// What was found of one variant of an op.
#[derive(serde::Serialize)]
struct Line {
    op: &'static str,
    variant: &'static str,
    ok: bool,
    cases: usize,
    /// The largest relative errors of all cases.
    result_error: f64,
    gradient_error: Option<f64>,
    bound: f64,
    gradients_compared: usize,
    kinks_left_out: usize,
    microseconds: u64,
    faults: Vec<String>,
}

impl Line {
    fn new(op: &'static str, variant: &'static str, bound: f64) -> Self {
        Self {
            op,
            variant,
            ok: true,
            cases: 0,
            result_error: 0.0,
            gradient_error: None,
            bound,
            gradients_compared: 0,
            kinks_left_out: 0,
            microseconds: 0,
            faults: Vec::new(),
        }
    }

    fn add(&mut self, case: &Case, outcome: &Outcome, bound: f64) {
        // NaN must not get lost in a maximum.
        let worse = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        self.cases += 1;
        self.result_error = worse(self.result_error, outcome.forward.relative);
        if let Some(gradient) = outcome.backward {
            self.gradient_error = Some(worse(self.gradient_error.unwrap_or(0.0), gradient.relative));
        }
        self.bound = self.bound.max(bound);
        self.gradients_compared += outcome.compared;
        self.kinks_left_out += outcome.kinks;
        self.microseconds += outcome.time.as_micros() as u64;
        self.faults.extend(outcome.verdict(bound).map(|fault| format!("{}: {fault}", case.name)));
        self.ok = self.faults.is_empty();
    }

    fn describe(&self) -> String {
        let gradient = self.gradient_error.map_or("      -".into(), |e| format!("{e:7.1e}"));
        let mut text = format!(
            "{:4} {:8} {:9} {:3} cases  result {:7.1e}  gradient {gradient}  {:8.1} ms",
            if self.ok { "ok" } else { "FAIL" },
            self.op,
            self.variant,
            self.cases,
            self.result_error,
            self.microseconds as f64 / 1000.0,
        );
        for fault in &self.faults {
            text += &format!("\n     {fault}");
        }
        text
    }
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    let gpu = Gpu::new(options.adapter.as_deref())?;
    let start = Instant::now();
    let info = gpu.info();
    let adapter = format!("{}, {} {} ({})", info.name, info.driver, info.driver_info, info.backend);
    if !options.json {
        print(&adapter)?;
    }
    let (mut failed, mut passed, mut cases) = (0, 0, 0);
    for table in tables() {
        for line in check(&gpu, &table.cases())? {
            cases += line.cases;
            match line.ok {
                true => passed += 1,
                false => failed += 1,
            }
            print(&if options.json { serde_json::to_string(&line)? } else { line.describe() })?;
        }
    }
    print(&summary(&adapter, passed, failed, cases, start.elapsed(), options.json))?;
    Ok(u8::from(failed > 0))
}

/// A line for each variant that this device can run.
fn check(gpu: &Gpu, cases: &[Case]) -> impasto::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for (seed, case) in cases.iter().enumerate().filter(|(_, case)| case.runs_on(gpu)) {
        let truth = case.truth(seed as u64);
        for candidate in case.candidates.iter().filter(|candidate| candidate.runs_on(gpu)) {
            let outcome = case.run(gpu, candidate, &truth)?;
            let at = lines.iter().position(|line| line.variant == candidate.name).unwrap_or_else(|| {
                lines.push(Line::new(case.op, candidate.name, candidate.bound));
                lines.len() - 1
            });
            lines[at].add(case, &outcome, candidate.bound);
        }
    }
    Ok(lines)
}

fn summary(adapter: &str, passed: usize, failed: usize, cases: usize, time: Duration, json: bool) -> String {
    if json {
        let program = format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        return serde_json::json!({
            "program": program, "adapter": adapter, "ok": failed == 0, "passed": passed, "failed": failed,
            "cases": cases, "seconds": time.as_secs_f64(),
        })
        .to_string();
    }
    format!("{passed} passed, {failed} failed; {cases} cases in {:.0} s", time.as_secs_f64())
}
