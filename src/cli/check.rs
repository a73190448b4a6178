//! `tidegate check`: every fault of configuration, tables and detectors at once, each with its place
//! and a hint. `tidegate config schema`: the JSON Schema for editors.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::output::{Format, json_line, stdout};
use super::{FAULTS, Failure, Outcome};
use crate::app::detectors::{self, DetectorFile};
use crate::app::settings;
use crate::config::{self, Config, Environment};
use crate::engine::detector::{self, Diagnostic};
use crate::enrich::{LoadError, TableFault, Tables};
use crate::model::HashKey;

/// Find every fault of configuration, tables and detectors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate check -c config/tidegate.yaml
  tidegate check --detectors my-detectors -o ndjson
  tidegate check -c config/tidegate.yaml --effective")]
pub struct Args {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of detectors; default: what the configuration names, or the shipped set
    #[arg(long, value_name = "DIR")]
    detectors: Option<PathBuf>,
    /// Print every setting with its value and where it came from
    #[arg(long)]
    effective: bool,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
pub enum ConfigArgs {
    /// Print the JSON Schema of the configuration file
    Schema,
}

/// All there is to say, in one list.
#[derive(Serialize)]
#[serde(tag = "about", rename_all = "lowercase")]
enum Finding<'a> {
    Config {
        severity: &'static str,
        #[serde(flatten)]
        fault: &'a config::Fault,
    },
    Table {
        severity: &'static str,
        message: String,
    },
    Detector(&'a Diagnostic),
}

pub fn run(args: &Args) -> Outcome {
    let reading = match &args.config {
        Some(file) => Some(load(file)?),
        None => None,
    };
    let named = reading
        .as_ref()
        .and_then(|r| r.config())
        .map(|c| c.detectors.dir.clone());
    let dir = args
        .detectors
        .clone()
        .or_else(|| named.filter(|dir| dir.is_dir()));
    let (files, sources, diagnostics) = read_detectors(dir.as_deref())?;
    let faults = reading.iter().flat_map(|r| r.faults()).collect::<Vec<_>>();
    let lints = reading.iter().flat_map(|r| r.lints()).collect::<Vec<_>>();
    let tables = (reading.as_ref().and_then(|r| r.config()))
        .map(table_faults)
        .unwrap_or_default();
    let mut out = stdout();
    if args.effective {
        print_effective(&mut out, args, reading.as_ref())?;
    }
    match args.output {
        Format::Human if !args.effective || !faults.is_empty() || !tables.is_empty() => {
            for (word, list) in [("fault", &faults), ("lint", &lints)] {
                list.iter()
                    .try_for_each(|fault| print_fault(&mut out, word, fault))?;
            }
            for fault in &tables {
                writeln!(out, "{fault}")?;
            }
            for d in &diagnostics {
                let file = files.iter().find(|f| f.path == d.file);
                writeln!(out, "{}", d.pretty(file.map_or("", |f| &f.text)))?;
            }
        }
        Format::Human => {}
        Format::Json | Format::Ndjson => {
            let config = faults.iter().map(|f| Finding::Config {
                severity: "fault",
                fault: f,
            });
            let lints = lints.iter().map(|f| Finding::Config {
                severity: "lint",
                fault: f,
            });
            let all: Vec<Finding<'_>> = config
                .chain(lints)
                .chain(tables.iter().map(|fault| Finding::Table {
                    severity: "fault",
                    message: fault.to_string(),
                }))
                .chain(diagnostics.iter().map(Finding::Detector))
                .collect();
            if args.output == Format::Json {
                json_line(&mut out, &all)?;
            } else {
                all.iter()
                    .try_for_each(|finding| json_line(&mut out, finding))?;
            }
        }
    }
    let count = faults.len() + tables.len() + diagnostics.iter().filter(|d| d.is_fault()).count();
    if args.output == Format::Human && !args.effective {
        let lints =
            lints.len() + diagnostics.len() - diagnostics.iter().filter(|d| d.is_fault()).count();
        writeln!(
            out,
            "{count} fault(s), {lints} lint(s) in {} detector file(s)",
            sources
        )?;
    }
    out.flush()?;
    Ok(if count == 0 { 0 } else { FAULTS })
}

fn print_fault(out: &mut impl Write, word: &str, fault: &config::Fault) -> std::io::Result<()> {
    writeln!(out, "{}: {word}: {}", fault.place, fault.message)?;
    match &fault.hint {
        Some(hint) => writeln!(out, "  hint: {hint}"),
        None => Ok(()),
    }
}

/// What is wrong with the tables of a configuration that has no fault itself.
fn table_faults(config: &Config) -> Vec<TableFault> {
    let loaded = Tables::load(&settings::tables(config), &HashKey::fixed());
    loaded.err().map(LoadError::into_faults).unwrap_or_default()
}

fn load(file: &Path) -> Result<config::Reading, Failure> {
    let read = config::load(file, &Environment::of_process());
    read.with_context(|| format!("cannot read {}", file.display()))
        .map_err(|error| Failure {
            code: FAULTS,
            error,
        })
}

/// The files, how many of them are detectors, and all there is to say about them.
fn read_detectors(
    dir: Option<&Path>,
) -> Result<(Vec<DetectorFile>, usize, Vec<Diagnostic>), Failure> {
    let files = detectors::files(dir).map_err(|error| Failure {
        code: FAULTS,
        error,
    })?;
    let sources = detectors::sources(&files);
    let mut diagnostics = detector::compile(&sources, &detector::Options::default()).diagnostics;
    for file in files.iter().filter(|f| f.is_test) {
        diagnostics.extend(detector::case::parse(&file.path, &file.text).1);
    }
    let count = sources.len();
    Ok((files, count, diagnostics))
}

fn print_effective(
    out: &mut impl Write,
    args: &Args,
    reading: Option<&config::Reading>,
) -> Result<(), Failure> {
    let defaults;
    let reading = match reading {
        Some(reading) => reading,
        None => {
            defaults = config::read("defaults", "version: 1\n", &Environment::of_process());
            &defaults
        }
    };
    let settings = reading.effective();
    match args.output {
        Format::Json => json_line(out, &settings)?,
        Format::Ndjson => settings.iter().try_for_each(|s| json_line(out, s))?,
        Format::Human => settings.iter().try_for_each(|s| writeln!(out, "{s}"))?,
    }
    Ok(())
}

pub fn config(args: &ConfigArgs) -> Outcome {
    let ConfigArgs::Schema = args;
    let mut out = stdout();
    serde_json::to_writer_pretty(&mut out, config::schema::schema())?;
    writeln!(out)?;
    out.flush()?;
    Ok(0)
}
