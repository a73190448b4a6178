//! The command line: parses arguments, calls the parts, prints. Decides nothing.
//!
//! Results go to standard output, everything else to standard error. Exit codes are a contract
//! (CONTRACTS.md): 0 done, 1 the thing checked does not hold, 2 usage, 3 the run failed, 64 faults
//! in configuration or detectors.

mod check;
mod demo;
mod detectors;
mod explain;
mod input;
mod mutes;
mod output;
mod replay;
mod run;
mod server;
mod simulate;
mod test;
pub mod webhook;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

/// The thing checked does not hold.
pub const DOES_NOT_HOLD: u8 = 1;
/// The run itself failed: broker, disk, input that cannot be read.
pub const RUN_FAILED: u8 = 3;
/// Faults in configuration or detectors.
pub const FAULTS: u8 = 64;

/// Guards the account-recovery flow: finds reset floods, enumeration and token theft in an event
/// stream, alerts, and closes the gate.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  tidegate demo                                    watch an attack being found and contained
  tidegate replay --input events.jsonl             what would have fired on recorded events
  tidegate run -c config/tidegate.yaml             the daemon"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Check(check::Args),
    Test(test::Args),
    Replay(replay::Args),
    Explain(explain::Args),
    Simulate(simulate::Args),
    #[command(subcommand)]
    Detectors(detectors::Args),
    /// Settings of the daemon
    #[command(subcommand)]
    Config(check::ConfigArgs),
    #[command(subcommand)]
    Silences(mutes::Silences),
    #[command(subcommand)]
    Allow(mutes::Allow),
    Webhook(webhook::Args),
}

/// A failure with the exit code it stands for.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    /// Anything unforeseen is a failed run.
    fn from(error: E) -> Self {
        Self {
            code: RUN_FAILED,
            error: error.into(),
        }
    }
}

/// What every command returns: the exit code, or a failure that carries one.
pub type Outcome = Result<u8, Failure>;

/// Runs the command line of this process. A panic is a failed run, too.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::catch_unwind(run_command).unwrap_or_else(|_| ExitCode::from(RUN_FAILED))
}

fn run_command() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| with_tip(error).exit());
    let outcome = match arguments.command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Detectors(args) => detectors::run(&args),
        Command::Config(args) => check::config(&args),
        Command::Silences(command) => mutes::silences(&command),
        Command::Allow(command) => mutes::allow(&command),
        Command::Webhook(args) => webhook::run(args).map(code).map_err(Failure::from),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) if output::is_closed_pipe(&failure.error) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.error);
            ExitCode::from(failure.code)
        }
    }
}

/// `tidegate test DIR` names its folder without a word before it; elsewhere that needs one.
fn with_tip(mut error: clap::Error) -> clap::Error {
    const COMMANDS: [&str; 4] = ["check", "replay", "explain", "detectors"];
    let usage = error.get(ContextKind::Usage).map(ToString::to_string);
    let has_folder = |usage: String| COMMANDS.iter().any(|c| usage.contains(&format!(" {c} ")));
    let is_bare = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => !argument.starts_with('-'),
        _ => false,
    };
    if error.kind() == ErrorKind::UnknownArgument && is_bare && usage.is_some_and(has_folder) {
        let tip = "a folder of detectors is named with `--detectors DIR`";
        let tips = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

fn code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(RUN_FAILED)
}
