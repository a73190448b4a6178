//! `tidegate test`: runs the cases beside the detectors through the engine that runs in production.

#![expect(
    clippy::disallowed_methods,
    reason = "writes the JUnit file it is asked for"
)]

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::input::load_detectors;
use super::output::{Format, json_line, note, stdout};
use super::{DOES_NOT_HOLD, FAULTS, Failure, Outcome};
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
  tidegate test my-detectors --junit report.xml")]
pub struct Args {
    /// Folder of detectors instead of the shipped ones
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Form of the results
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

pub fn run(args: &Args) -> Outcome {
    let plan = Arc::new(load_detectors(args.dir.as_deref())?.plan);
    let files = detectors::files(args.dir.as_deref())?;
    let program = Arc::new(Program::new(plan, HashKey::fixed(), Settings::default()));
    let mut out = stdout();
    let (mut verdicts, mut faults) = (Vec::new(), 0);
    for file in files.iter().filter(|f| f.is_test) {
        let (cases, diagnostics) = case::parse(&file.path, &file.text);
        for fault in diagnostics.iter().filter(|d| d.is_fault()) {
            note(&fault.to_string());
            faults += 1;
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
        }
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(&verdicts))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let failed = verdicts.iter().filter(|v| !v.faults.is_empty()).count();
    if args.output == Format::Json {
        json_line(&mut out, &verdicts)?;
    }
    if args.output == Format::Human {
        writeln!(out, "{} passed, {failed} failed", verdicts.len() - failed)?;
    }
    out.flush()?;
    Ok(if faults > 0 {
        FAULTS
    } else if failed > 0 {
        DOES_NOT_HOLD
    } else {
        0
    })
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

fn junit(verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|v| !v.faults.is_empty()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"detectors\" tests=\"{}\" failures=\"{failed}\">",
        verdicts.len()
    );
    for v in verdicts {
        let (file, name) = (attribute(&v.file), attribute(&v.name));
        if v.faults.is_empty() {
            let _ = writeln!(xml, "  <testcase classname=\"{file}\" name=\"{name}\"/>");
        } else {
            let text = attribute(&v.faults.join("; "));
            let _ = writeln!(
                xml,
                "  <testcase classname=\"{file}\" name=\"{name}\"><failure message=\"{text}\"/></testcase>"
            );
        }
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn attribute(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
