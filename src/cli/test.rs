//! `tidegate test`: runs the cases beside the detectors through the engine that runs in production,
//! and says what of the detectors they exercise.

#![expect(
    clippy::disallowed_methods,
    reason = "writes the JUnit file it is asked for"
)]

mod coverage;
mod junit;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::input::load_detectors;
use super::output::{Format, json_line, note, stdout};
use super::{DOES_NOT_HOLD, FAULTS, Failure, Outcome};
use crate::app::coverage::Coverage;
use crate::app::detectors::{self, DetectorFile};
use crate::app::trial::{Trial, Verdict};
use crate::engine::detector::case;
use crate::engine::program::{Program, Settings};
use crate::model::HashKey;

/// Run the tests beside the detectors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate test                          the shipped detectors
  tidegate test my-detectors --junit report.xml
  tidegate test my-detectors --coverage  also what no case exercises")]
pub struct Args {
    /// Folder of detectors instead of the shipped ones
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also say which tests and bounds of the detectors the cases meet and miss
    #[arg(long)]
    coverage: bool,
    /// Form of the results
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

pub fn run(args: &Args) -> Outcome {
    let plan = Arc::new(load_detectors(args.dir.as_deref())?.plan);
    let files = detectors::files(args.dir.as_deref())?;
    let program = Arc::new(Program::new(plan, HashKey::fixed(), Settings::default()));
    let mut coverage = match args.coverage {
        true => Some(Coverage::new(load_detectors(args.dir.as_deref())?.plan)),
        false => None,
    };
    let mut out = stdout();
    let (mut verdicts, mut unread) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|f| f.is_test) {
        let (cases, diagnostics) = case::parse(&file.path, &file.text);
        for fault in diagnostics.iter().filter(|d| d.is_fault()) {
            note(&fault.to_string());
            unread.push(fault.to_string());
        }
        for case in cases {
            let input = case
                .input
                .as_ref()
                .map(|name| beside(&files, file, name))
                .transpose()?;
            let verdict = Trial {
                program: &program,
                input,
            }
            .run(&file.path, &case);
            print(&mut out, args.output, &verdict)?;
            verdicts.push(verdict);
            if let Some(coverage) = &mut coverage {
                coverage.watch(&file.path, &case, input);
            }
        }
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::document(&verdicts, &unread))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let failed = verdicts.iter().filter(|v| !v.faults.is_empty()).count();
    conclude(&mut out, args.output, &verdicts, coverage.as_ref())?;
    out.flush()?;
    Ok(if !unread.is_empty() {
        FAULTS
    } else if failed > 0 {
        DOES_NOT_HOLD
    } else {
        0
    })
}

/// What comes after the single verdicts: their number, and the coverage.
fn conclude(
    out: &mut impl Write,
    form: Format,
    verdicts: &[Verdict],
    covered: Option<&Coverage>,
) -> std::io::Result<()> {
    let failed = verdicts.iter().filter(|v| !v.faults.is_empty()).count();
    match (form, covered) {
        (Format::Json, None) => json_line(out, &verdicts),
        (Format::Json, Some(covered)) => {
            let coverage = coverage::json(covered);
            json_line(out, &json!({"cases": verdicts, "coverage": coverage}))
        }
        (Format::Ndjson, None) => Ok(()),
        (Format::Ndjson, Some(covered)) => {
            json_line(out, &json!({"coverage": coverage::json(covered)}))
        }
        (Format::Human, covered) => {
            writeln!(out, "{} passed, {failed} failed", verdicts.len() - failed)?;
            covered.map_or(Ok(()), |covered| coverage::print(out, covered))
        }
    }
}

fn beside<'a>(
    files: &'a [DetectorFile],
    case: &DetectorFile,
    name: &str,
) -> Result<&'a str, Failure> {
    let folder = case.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = format!("{folder}/{name}");
    files
        .iter()
        .find(|f| f.path == path)
        .map(|f| f.text.as_str())
        .ok_or_else(|| {
            let error = anyhow::anyhow!(
                "{}: input {path} is not there; name a .jsonl file beside the case",
                case.path
            );
            Failure {
                code: FAULTS,
                error,
            }
        })
}

fn print(out: &mut impl Write, form: Format, verdict: &Verdict) -> std::io::Result<()> {
    match form {
        Format::Json => Ok(()),
        Format::Ndjson => json_line(out, verdict),
        Format::Human => {
            let word = if verdict.faults.is_empty() {
                "ok  "
            } else {
                "FAIL"
            };
            writeln!(out, "{word} {} {}", verdict.file, verdict.name)?;
            verdict
                .faults
                .iter()
                .try_for_each(|fault| writeln!(out, "       {fault}"))
        }
    }
}
