//! Commands, exit codes, and the two streams: data goes to stdout, messages to stderr.

mod bench;
mod check;
mod console;
mod devices;
mod estimate;
mod examples;
mod fault;
mod grid;
mod interrupt;
mod preview;
mod progress;
mod rescue;
mod sheet;
mod shell;
mod stylize;
mod weights;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Interrupted, but the picture so far was saved.
pub const INTERRUPTED: u8 = 130;

/// Repaints a photograph in the style of a painting
#[derive(Parser)]
#[command(version, after_help = examples::PROGRAM, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(after_help = examples::STYLIZE)]
    Stylize(Box<stylize::Options>),
    Grid(Box<grid::Options>),
    Estimate(Box<estimate::Options>),
    Devices(devices::Options),
    Check(check::Options),
    Bench(Box<bench::Options>),
    Weights(weights::Options),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Parses the arguments and runs the command.
pub fn run() -> ExitCode {
    for name in ["IMPASTO_ADAPTER", "IMPASTO_WEIGHTS", "IMPASTO_CACHE"] {
        // An empty variable counts as unset, because job scripts set variables to nothing.
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            // SAFETY: no other thread that could read the environment has been started yet.
            unsafe { std::env::remove_var(name) };
        }
    }
    // Help or wrong usage: clap prints to the right stream and knows the exit code.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = fault::guarded(|| match cli.command {
        Command::Stylize(options) => stylize::run(*options),
        Command::Grid(options) => grid::run(&options),
        Command::Estimate(options) => estimate::run(*options),
        Command::Devices(options) => devices::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Weights(options) => weights::run(&options),
        Command::Completions(options) => shell::completions(&options, Cli::command()),
        Command::Man(options) => shell::man(&options, Cli::command()),
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            console::message(&format!("error: {error:#}"));
            let usage = matches!(error.downcast_ref(), Some(impasto::Error::Setting(_)));
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// Bytes in a readable unit.
fn memory_text(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{:.0} MiB", mib.ceil()) } else { format!("{:.1} GiB", mib / 1024.0) }
}

/// Seconds in readable units.
fn time_text(seconds: f64) -> String {
    if seconds == 0.0 {
        return "0 s".to_owned();
    }
    if seconds < 0.1 {
        return format!("{:.1} ms", seconds * 1e3);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes} min {seconds} s") } else { format!("{hours} h {minutes} min") }
}

#[cfg(test)]
mod tests {
    use super::{Cli, examples};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_is_understood() {
        let lines = examples::PROGRAM.lines().chain(examples::STYLIZE.lines());
        let examples: Vec<_> = lines.map(str::trim).filter(|line| line.starts_with("impasto ")).collect();
        assert!(examples.len() > 10);
        for example in examples.into_iter().filter(|example| !example.ends_with("--help")) {
            if let Err(error) = Cli::try_parse_from(example.split(' ')) {
                panic!("{example}: {error}");
            }
        }
    }
}
