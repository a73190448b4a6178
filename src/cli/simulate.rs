//! `tidegate simulate`: labelled traffic as JSON lines.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context as _;

use super::output::{progress, stdout};
use super::{Failure, Outcome};
use crate::model::EventTime;
use crate::simulate::{Options, Scenario, Schema, Traffic, scenarios};

/// Write labelled traffic with an attack in it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate simulate --scenario reset-flood --events 100000 --labels labels.jsonl > events.jsonl
  tidegate simulate --list")]
pub struct Args {
    /// Which story to tell; --list shows them
    #[arg(long, value_name = "NAME", default_value = "incident-2026")]
    scenario: Scenario,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Lines to write
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    events: u64,
    /// Write the truth about each line (campaign, kind, expected detectors) as JSON lines
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// As which system writes it: tidegate, okta, keycloak, ses, github
    #[arg(long, value_name = "NAME", default_value = "tidegate")]
    schema: Schema,
    /// Event time of the first line, RFC 3339
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// List the scenarios, with what must and must not fire in each
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args) -> Outcome {
    if args.list {
        return list();
    }
    let mut options = Options::new(args.scenario, args.seed, args.events);
    options.schema = args.schema;
    if let Some(text) = &args.start {
        let time = EventTime::parse(text).with_context(|| {
            format!("--start {text} is no time, write it like 2026-01-12T08:00:00Z")
        });
        options.start_ms = time.map_err(|error| Failure { code: 2, error })?.0;
    }
    let create = |path: &PathBuf| {
        File::create(path)
            .map(BufWriter::new)
            .with_context(|| format!("cannot write {}", path.display()))
    };
    let mut labels = args.labels.as_ref().map(create).transpose()?;
    let bar = progress(args.events, "simulating");
    let (mut out, mut traffic) = (stdout(), Traffic::new(&options));
    let (mut json, mut label_json) = (String::new(), String::new());
    while let Some((_, label)) = traffic.next_into(&mut json) {
        json.push('\n');
        out.write_all(json.as_bytes())?;
        json.clear();
        if let Some(file) = &mut labels {
            label_json.clear();
            label.push_json(&mut label_json);
            label_json.push('\n');
            file.write_all(label_json.as_bytes())?;
        }
        bar.inc(1);
    }
    out.flush()?;
    if let Some(mut file) = labels {
        file.flush()?;
    }
    bar.finish_and_clear();
    Ok(0)
}

fn list() -> Outcome {
    let mut out = stdout();
    for info in scenarios() {
        writeln!(out, "{:<18} {}", info.name, info.about)?;
        for (word, list) in [
            ("must fire", info.must_fire),
            ("must not", info.must_not_fire),
        ] {
            if !list.is_empty() {
                writeln!(out, "{:<18}   {word}: {}", "", list.join(", "))?;
            }
        }
    }
    out.flush()?;
    Ok(0)
}
