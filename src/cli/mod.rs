//! Commands, exit codes, and the two streams: data goes to stdout, talk to stderr.

mod bench;
mod check;
mod devices;
mod fault;
mod grid;
mod interrupt;
mod preview;
mod progress;
mod sheet;
mod stylize;
mod weights;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Interrupted, but the picture so far was saved.
pub const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  impasto stylize photo.jpg painting.jpg -o result.png
  impasto stylize photo.jpg painting.jpg -o result.png --size 1024
  impasto grid photo.jpg painting.jpg -o strengths.png
  impasto devices

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (the picture so far is saved).";

/// Repaints a photograph in the style of a painting
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Stylize(Box<stylize::Options>),
    Grid(Box<grid::Options>),
    Devices(devices::Options),
    Check(check::Options),
    Bench(bench::Options),
    Weights(weights::Options),
}

/// Parses the arguments and runs the command.
pub fn run() -> ExitCode {
    // Asked for help or wrong usage: clap prints it to the right stream and knows the exit code.
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
        Command::Devices(options) => devices::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Weights(options) => weights::run(&options),
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            talk(&format!("error: {error:#}"));
            let usage = matches!(error.downcast_ref(), Some(impasto::Error::Setting(_)));
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// A line to stderr. That nobody reads it is no reason to stop.
pub fn talk(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line to stdout. Whoever reads it may have seen enough, as `head` does; that is no failure.
pub fn print(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
