//! `impasto check`: the gradient checks on the user's own adapter, for bug reports.

use std::time::{Duration, Instant};

use impasto::cases::{Case, Outcome, Table, with_truths};
use impasto::engine::gpu::Gpu;
use impasto::engine::precision::Precision;
use impasto::ops::tables;

use super::console;

/// Check every shader on this machine's adapter against float64, forward and backward
#[derive(clap::Args)]
pub struct Options {
    /// Use the adapter with this number, or the one whose name contains this
    #[arg(long, value_name = "NAME", env = "IMPASTO_ADAPTER")]
    adapter: Option<String>,

    /// Print JSON instead: one object per op and variant, then one for all of them
    #[arg(long)]
    json: bool,
}

/// The findings for one variant of an op, over the cases that have the same bounds.
#[derive(serde::Serialize)]
struct Line {
    op: &'static str,
    variant: String,
    ok: bool,
    cases: usize,
    /// The largest relative errors of all cases.
    result_error: f64,
    gradient_error: Option<f64>,
    /// The bound on each of them.
    bound: f64,
    gradient_bound: f64,
    gradients_compared: usize,
    kinks_left_out: usize,
    microseconds: u64,
    faults: Vec<String>,
    /// Whether the device refused the variant.
    #[serde(skip)]
    refused: bool,
}

impl Line {
    fn new(op: &'static str, variant: String, [bound, gradient_bound]: [f64; 2]) -> Self {
        Self {
            op,
            variant,
            ok: true,
            cases: 0,
            result_error: 0.0,
            gradient_error: None,
            bound,
            gradient_bound,
            gradients_compared: 0,
            kinks_left_out: 0,
            microseconds: 0,
            faults: Vec::new(),
            refused: false,
        }
    }

    /// The device refused the variant, so its other cases are left out.
    fn refuse(&mut self, case: &Case, error: &impasto::Error) {
        self.cases += 1;
        self.faults.push(format!("{}: {error}", case.name));
        (self.ok, self.refused) = (false, true);
    }

    fn bounds(&self) -> [f64; 2] {
        [self.bound, self.gradient_bound]
    }

    fn add(&mut self, case: &Case, outcome: &Outcome) {
        // NaN must not be lost when the maximum is taken.
        let worse = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        self.cases += 1;
        self.result_error = worse(self.result_error, outcome.forward.relative);
        if let Some(gradient) = outcome.backward {
            self.gradient_error = Some(worse(self.gradient_error.unwrap_or(0.0), gradient.relative));
        }
        self.gradients_compared += outcome.compared;
        self.kinks_left_out += outcome.kinks;
        self.microseconds += outcome.time.as_micros() as u64;
        self.faults.extend(outcome.verdict(self.bounds()).map(|fault| format!("{}: {fault}", case.name)));
        self.ok = self.faults.is_empty();
    }

    fn describe(&self) -> String {
        let gradient = match self.gradient_error {
            Some(error) => format!("{error:7.1e} of {:.0e}", self.gradient_bound),
            None => format!("{:15}", "      -"),
        };
        let mut text = format!(
            "{:4} {:8} {:19} {:3} cases  result {:7.1e} of {:.0e}  gradient {gradient}  {:8.1} ms",
            if self.ok { "ok" } else { "FAIL" },
            self.op,
            self.variant,
            self.cases,
            self.result_error,
            self.bound,
            self.microseconds as f64 / 1000.0,
        );
        for fault in &self.faults {
            text += &format!("\n     {fault}");
        }
        text
    }
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    run_on(&Gpu::new(options.adapter.as_deref())?, &tables(), options.json, console::data_line)
}

/// Checks the ops of `tables` and passes the lines to `print`; the result is the exit code.
fn run_on(
    gpu: &Gpu,
    tables: &[Table],
    json: bool,
    print: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<u8> {
    let start = Instant::now();
    let adapter = gpu.description();
    if !json {
        print(&adapter)?;
    }
    let (mut failed, mut passed, mut cases) = (0, 0, 0);
    for table in tables {
        for line in check(gpu, &table.cases())? {
            cases += line.cases;
            match line.ok {
                true => passed += 1,
                false => failed += 1,
            }
            print(&if json { serde_json::to_string(&line)? } else { line.describe() })?;
        }
    }
    print(&summary(&adapter, passed, failed, cases, start.elapsed(), json))?;
    Ok(u8::from(failed > 0))
}

/// A line for each variant that this device can run.
fn check(gpu: &Gpu, cases: &[Case]) -> impasto::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    with_truths(gpu, cases, |case, truth| {
        for candidate in case.candidates.iter().filter(|candidate| candidate.runs_on(gpu)) {
            // Half precision has a line of its own, and so has every other pair of bounds.
            let bounds = case.bounds(candidate);
            let variant = match case.precision() {
                Precision::Single => candidate.name.to_owned(),
                other => format!("{} {}", candidate.name, other.name()),
            };
            let at = lines.iter().position(|line| (&line.variant, line.bounds()) == (&variant, bounds));
            let at = at.unwrap_or_else(|| {
                lines.push(Line::new(case.op, variant, bounds));
                lines.len() - 1
            });
            // A variant that the driver refuses is a failure, but the others are still checked.
            if lines[at].refused {
                continue;
            }
            match case.run(gpu, candidate, truth) {
                Ok(outcome) => lines[at].add(case, &outcome),
                Err(error) => lines[at].refuse(case, &error),
            }
        }
        Ok(())
    })?;
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Exit code and lines of a check of ReLU and pooling.
    fn check_on(gpu: &Gpu, json: bool) -> (u8, Vec<String>) {
        let lines = RefCell::new(Vec::new());
        let two: Vec<Table> =
            tables().into_iter().filter(|table| ["relu", "pool"].contains(&table.op)).collect();
        let keep = |line: &str| {
            lines.borrow_mut().push(line.to_owned());
            Ok(())
        };
        (run_on(gpu, &two, json, keep).unwrap(), lines.into_inner())
    }

    #[test]
    fn a_line_for_each_and_a_summary() {
        let (code, lines) = check_on(&Gpu::new(None).unwrap(), false);
        assert_eq!(code, 0);
        let (first, last) = (&lines[0], &lines[lines.len() - 1]);
        assert!(
            ["(vulkan, ", "(metal, ", "(dx12, "].iter().any(|backend| first.contains(backend)),
            "{first}"
        );
        for op in ["relu", "pool"] {
            let line = lines.iter().find(|line| line.starts_with(&format!("ok   {op}     plain  "))).unwrap();
            assert!(line.ends_with(" ms"), "{line}");
        }
        assert!(last.starts_with(&format!("{} passed, 0 failed; ", lines.len() - 2)), "{last}");
    }

    #[test]
    fn a_wrong_shader_fails() {
        let wrong = || Gpu::new(None).unwrap().with_mutation("pool", "d.y", "d.z");
        let (code, lines) = check_on(&wrong(), false);
        assert_eq!(code, 1);
        assert!(lines[1].starts_with("ok   relu"), "{}", lines[1]);
        let failed = lines.iter().find(|line| line.starts_with("FAIL")).unwrap();
        assert!(failed.starts_with("FAIL pool") && failed.contains("gradient off by"), "{failed}");

        let (code, lines) = check_on(&wrong(), true);
        let lines: Vec<serde_json::Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(code, 1);
        assert!(lines.iter().filter(|line| line["op"] == "relu").all(|line| line["ok"] == true));
        let pool = lines.iter().find(|line| line["op"] == "pool").unwrap();
        assert!(pool["ok"] == false && !pool["faults"].as_array().unwrap().is_empty(), "{pool}");
        let last = &lines[lines.len() - 1];
        assert!(last["ok"] == false && last["failed"].as_u64() > Some(0), "{last}");
    }

    /// NaN is not a good result.
    #[test]
    fn a_result_that_is_nan_fails() {
        let wrong =
            Gpu::new(None).unwrap().with_mutation("relu", "y[i] = max(x[i], Map(0.0))", "y[i] = x[i] + y[i]");
        let (code, lines) = check_on(&wrong, true);
        assert_eq!(code, 1);
        assert!(lines[0].contains("\"result_error\":null"), "{}", lines[0]);
    }
}
