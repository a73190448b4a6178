//! `tidegate run`: the daemon, until it is told to stop.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::output::note;
use super::{FAULTS, Failure, Outcome};
use crate::app::daemon::Daemon;
use crate::config::shape::LogFormat;
use crate::config::{self, Config, Environment};
use crate::telemetry::log;

/// Run the daemon
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tidegate run -c config/tidegate.yaml")]
pub struct Args {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "config/tidegate.yaml"
    )]
    config: PathBuf,
    /// Go on with a partition that stands still because its log no longer holds what comes next:
    /// what the log has lost stays unseen. Nothing happens to other partitions
    #[arg(long, value_name = "TOPIC/PARTITION", value_parser = partition)]
    accept_loss: Vec<(String, i32)>,
}

fn partition(text: &str) -> Result<(String, i32), String> {
    let parts = text.rsplit_once('/');
    parts
        .and_then(|(topic, number)| Some((topic.to_owned(), number.parse().ok()?)))
        .ok_or_else(|| "write it like identity-events/3".to_owned())
}

pub fn run(args: &Args) -> Outcome {
    let env = Environment::of_process();
    let config = load(args, &env)?;
    start_log(&config, &env)?;
    let daemon = Daemon::start(&config, &env, &args.accept_loss).map_err(|error| Failure {
        code: code_of(&error),
        error,
    })?;
    tracing::info!(address = %daemon.address(), "tidegate is running");
    let stopped_by = daemon.runtime().block_on(wait(&daemon));
    tracing::info!(because = stopped_by, "draining");
    daemon.stop()?;
    tracing::info!("stopped");
    Ok(0)
}

fn load(args: &Args, env: &Environment) -> Result<Config, Failure> {
    let read = config::load(&args.config, env);
    let reading = read
        .with_context(|| format!("cannot read {}", args.config.display()))
        .map_err(|error| Failure {
            code: FAULTS,
            error,
        })?;
    for lint in reading.lints() {
        note(&format!("{}: lint: {}", lint.place, lint.message));
    }
    reading.into_result().map_err(|faults| Failure {
        code: FAULTS,
        error: faults.into(),
    })
}

fn start_log(config: &Config, env: &Environment) -> Result<(), Failure> {
    let settings = log::Settings {
        json: config.log.format == LogFormat::Json,
        filter: env
            .get("TIDEGATE_LOG")
            .unwrap_or(config.log.level.word())
            .to_owned(),
        plain: env.get("NO_COLOR").is_some(),
    };
    log::start(&settings).map_err(|e| Failure {
        code: FAULTS,
        error: e.into(),
    })
}

/// Detector faults are the operator's; anything else is a failed run.
fn code_of(error: &anyhow::Error) -> u8 {
    if error.to_string().contains("fault(s) in detector files") {
        FAULTS
    } else {
        super::RUN_FAILED
    }
}

async fn wait(daemon: &Daemon) -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return "no signals";
    };
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = terminate.recv() => return "SIGTERM",
            _ = interrupt.recv() => return "SIGINT",
            _ = look.tick() => if daemon.is_finished() { return "the source has ended" },
        }
    }
}
