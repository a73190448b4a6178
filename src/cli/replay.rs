//! `tidegate replay`: recorded events through the same engine at event time. Sends nothing, needs
//! no configuration, never looks at the wall clock.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::input::{Inputs, load_detectors};
use super::output::{Format, json_line, note, progress, stdout};
use super::{Failure, Outcome};
use crate::app::pipeline::{Next, Parts, Pipeline, Rules};
use crate::app::rehearsal::Rehearsal;
use crate::app::shelf::Shelf;
use crate::app::threads::Threads;
use crate::config::value::Size;
use crate::engine::program::{Program, Settings};
use crate::engine::{Engine, Input, Output, Shards};
use crate::model::{EventTime, HashKey};

mod summary;

use summary::Summary;

/// Run recorded events through the engine and print the alerts
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate replay --input events.jsonl
  tidegate replay --input events.jsonl.zst --detectors my-detectors --summary
  zcat old.gz | tidegate replay --input - --schema okta --asn GeoLite2-ASN.mmdb")]
pub struct Args {
    #[command(flatten)]
    inputs: Inputs,
    /// Event time to advance to at the end of input, so that absences fire [default: the longest deadline]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<EventTime>,
    /// Byte budget of the engine's state
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_size)]
    memory: Size,
    /// Print counts per detector and what would have been contained, instead of alerts
    #[arg(long)]
    summary: bool,
    /// Form of the summary
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Threads that decode [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Parts of the keyed state, each on a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: u16,
}

pub(super) fn parse_time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).ok_or_else(|| "no time; write it like 2026-01-12T08:00:00Z".to_owned())
}

fn parse_size(text: &str) -> Result<Size, String> {
    text.parse()
        .map_err(|()| "no size; write it like 512MiB".to_owned())
}

pub fn run(args: &Args) -> Outcome {
    let compiled = load_detectors(args.inputs.detectors.as_deref())?;
    let key = HashKey::fixed();
    let tables = args.inputs.tables(&key)?;
    let settings = Settings {
        memory: usize::try_from(args.memory.0).unwrap_or(usize::MAX),
        sources: vec![args.inputs.name()],
        ..Settings::default()
    };
    let plan = Arc::new(compiled.plan);
    let program = Arc::new(Program::new(Arc::clone(&plan), key.clone(), settings));
    let source = args.inputs.source()?;
    let bar = progress(0, "replaying");
    let parts = Parts {
        rules: Shelf::new(Rules::new(Arc::clone(&program), &tables)),
        tables: Shelf::new(tables),
        sample: None,
    };
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let decoders = args.threads.map_or(cores, usize::from);
    let mut pipeline = Pipeline::start(source, &parts, decoders)?;
    let shards = Threads::start(&program, args.shards.into())?;
    let mut engine = Engine::over(Arc::clone(&program), shards);
    let mut rehearsal = Rehearsal::new(Arc::clone(&plan), &key);
    let mut out = stdout();
    let mut summary = Summary::default();
    loop {
        match pipeline.next(Duration::from_secs(3600)) {
            Next::Intake(intake) => {
                engine.handle(&Input::Batch(&intake.routed));
                summary.note_intake(&intake);
                bar.inc(intake.records());
                pipeline.recycle(intake);
            }
            Next::Nothing => continue,
            Next::End => break,
            Next::Failed(error) => return Err(error.into()),
        }
        tell(args, &mut engine, &mut rehearsal, &mut summary, &mut out)?;
    }
    pipeline.join();
    engine.handle(&Input::End { until: args.until });
    tell(args, &mut engine, &mut rehearsal, &mut summary, &mut out)?;
    bar.finish_and_clear();
    if args.summary {
        let form = args.output.unwrap_or(Format::Human);
        summary.print(&mut out, &plan, &engine.stats(), rehearsal.counts(), form)?;
    } else {
        summary.remark();
    }
    out.flush().context("cannot write to standard output")?;
    Ok(0)
}

fn tell<S: Shards>(
    args: &Args,
    engine: &mut Engine<S>,
    rehearsal: &mut Rehearsal,
    summary: &mut Summary,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut any = false;
    while let Some(Output::Alert(mut alert)) = engine.poll() {
        rehearsal.decide(&mut alert);
        summary.note_alert(&alert);
        if !args.summary {
            json_line(out, &*alert)?;
            any = true;
        }
    }
    if any {
        out.flush()?;
    }
    Ok(())
}

/// Says on standard error what was left out of the input, if anything.
fn remark(text: &str) {
    note(text);
}
