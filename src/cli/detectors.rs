//! `tidegate detectors`: the catalogue, one detector in full, bounds from recorded events, the
//! schema for editors.

mod docs;
mod tune;

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::input::load_detectors;
use super::output::{Format, json_line, stdout};
use super::{Failure, Outcome};
use crate::app::detectors;
use crate::engine::detector::{self, plan::Detector};

/// List the detectors, show or tune one, or print their catalogue or schema
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  tidegate detectors show reset-flood-ip
  tidegate detectors tune reset-flood-ip --input last-week.jsonl.zst
  tidegate detectors docs > docs/detectors.md")]
pub enum Args {
    /// One line per detector
    List {
        /// Folder of detectors instead of the shipped ones
        #[arg(long, value_name = "DIR")]
        detectors: Option<PathBuf>,
        #[arg(short, long, value_enum, default_value = "human")]
        output: Format,
    },
    /// The file and the runbook of one detector
    Show {
        /// Its id or name
        id: String,
        /// Folder of detectors instead of the shipped ones
        #[arg(long, value_name = "DIR")]
        detectors: Option<PathBuf>,
    },
    /// What each detector means and when it fires, as Markdown
    #[command(after_help = "Example: tidegate detectors docs > docs/detectors.md")]
    Docs {
        /// Folder of detectors instead of the shipped ones
        #[arg(long, value_name = "DIR")]
        detectors: Option<PathBuf>,
    },
    Tune(tune::Args),
    /// The JSON Schema of detector files
    Schema {
        /// That of test cases instead
        #[arg(long)]
        tests: bool,
    },
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    title: &'a str,
    level: &'static str,
    mode: detector::plan::Mode,
    version: u32,
    alerts: bool,
    runbook: Option<&'a str>,
    file: &'a str,
}

pub fn run(args: &Args) -> Outcome {
    let mut out = stdout();
    match args {
        Args::List { detectors, output } => {
            let plan = load_detectors(detectors.as_deref())?.plan;
            let row = |d: &'_ Detector| -> serde_json::Result<serde_json::Value> {
                serde_json::to_value(Row {
                    id: &d.id,
                    name: &d.name,
                    title: &d.title,
                    level: d.level.name(),
                    mode: d.mode,
                    version: d.version,
                    alerts: plan.rules[d.rule].alerts,
                    runbook: d.runbook.as_deref(),
                    file: &d.file,
                })
            };
            match output {
                Format::Human => {
                    for d in &plan.detectors {
                        let serves = if plan.rules[d.rule].alerts {
                            ""
                        } else {
                            " (serves others)"
                        };
                        writeln!(
                            out,
                            "{:<36} {:<13} {}{serves}",
                            d.name,
                            d.level.name(),
                            d.title
                        )?;
                    }
                }
                Format::Ndjson => plan
                    .detectors
                    .iter()
                    .try_for_each(|d| json_line(&mut out, &row(d)?))?,
                Format::Json => {
                    let rows = plan
                        .detectors
                        .iter()
                        .map(row)
                        .collect::<Result<Vec<_>, _>>()?;
                    json_line(&mut out, &rows)?;
                }
            }
        }
        Args::Show { id, detectors } => {
            let plan = load_detectors(detectors.as_deref())?.plan;
            let files = detectors::files(detectors.as_deref())?;
            let found = plan
                .detectors
                .iter()
                .find(|d| d.id == *id || d.name == *id)
                .ok_or_else(|| {
                    let error = anyhow::anyhow!(
                        "no detector has the id or name {id}; `tidegate detectors list` shows them"
                    );
                    Failure { code: 2, error }
                })?;
            let wanted = [Some(found.file.as_str()), found.runbook.as_deref()];
            for file in files
                .iter()
                .filter(|f| wanted.contains(&Some(f.path.as_str())))
            {
                writeln!(out, "# {}\n{}", file.path, file.text)?;
            }
        }
        Args::Docs { detectors } => {
            let plan = load_detectors(detectors.as_deref())?.plan;
            let files = detectors::files(detectors.as_deref())?;
            out.write_all(docs::page(&plan, &files).as_bytes())?;
        }
        Args::Tune(args) => tune::run(args, &mut out)?,
        Args::Schema { tests } => {
            let schema = if *tests {
                detector::schema::case()
            } else {
                detector::schema::detector()
            };
            serde_json::to_writer_pretty(&mut out, &schema)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(0)
}
