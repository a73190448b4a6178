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
use crate::app::trial::{Trial, Verdict, lines};
use crate::engine::detector::case::{self, Case};
use crate::engine::program::{Program, Settings};
use crate::model::HashKey;

/// Run the tests beside the detectors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate test                          the shipped detectors
  tidegate test my-detectors --junit report.xml
  tidegate test my-detectors --coverage  also what no case exercises
  tidegate test my-detectors --events fires.yml > case.jsonl  for `explain` and `replay`")]
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
    /// Print the events of this case (its name, or the end of its file's path) and run nothing
    #[arg(long, value_name = "CASE", conflicts_with_all = ["junit", "coverage", "output"])]
    events: Option<String>,
    /// Form of the results
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

/// The files of cases as they are read.
#[derive(Default)]
struct Read {
    verdicts: Vec<Verdict>,
    /// Faults of files, which have no verdict.
    unread: Vec<String>,
    files: usize,
    /// Files with such faults.
    unreadable: usize,
}

pub fn run(args: &Args) -> Outcome {
    let files = detectors::files(args.dir.as_deref()).map_err(|error| Failure {
        code: FAULTS,
        error,
    })?;
    if let Some(wanted) = &args.events {
        return print_events(&files, wanted);
    }
    let plan = Arc::new(load_detectors(args.dir.as_deref())?.plan);
    let program = Arc::new(Program::new(plan, HashKey::fixed(), Settings::default()));
    let mut coverage = match args.coverage {
        true => Some(Coverage::new(load_detectors(args.dir.as_deref())?.plan)),
        false => None,
    };
    let mut out = stdout();
    let mut read = Read::default();
    for file in files.iter().filter(|f| f.is_test) {
        for case in read.cases(file) {
            let input = input(&files, file, &case)?;
            let trial = Trial {
                program: &program,
                input,
            };
            let verdict = trial.run(&file.path, &case);
            print(&mut out, args.output, &verdict)?;
            read.verdicts.push(verdict);
            if let Some(coverage) = &mut coverage {
                coverage.watch(&file.path, &case, input);
            }
        }
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::document(&read.verdicts, &read.unread))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if read.files == 0 {
        note("tidegate: there are no tests; put them beside each detector, as tests/fires.yml");
    }
    conclude(&mut out, args.output, &read, coverage.as_ref())?;
    out.flush()?;
    Ok(if read.unreadable > 0 {
        FAULTS
    } else if read.failed() > 0 {
        DOES_NOT_HOLD
    } else {
        0
    })
}

impl Read {
    /// The cases of one file that can be read; its faults are told.
    fn cases(&mut self, file: &DetectorFile) -> Vec<Case> {
        self.files += 1;
        let (cases, diagnostics) = case::parse(&file.path, &file.text);
        let before = self.unread.len();
        for fault in diagnostics.iter().filter(|d| d.is_fault()) {
            note(&fault.to_string());
            self.unread.push(fault.to_string());
        }
        self.unreadable += usize::from(self.unread.len() > before);
        cases
    }

    fn failed(&self) -> usize {
        self.verdicts
            .iter()
            .filter(|v| !v.faults.is_empty())
            .count()
    }
}

/// The events of one case, or of the cases of one file, for `explain` and `replay`.
fn print_events(files: &[DetectorFile], wanted: &str) -> Outcome {
    let mut read = Read::default();
    let mut meant: Vec<(&DetectorFile, Case)> = Vec::new();
    for file in files.iter().filter(|f| f.is_test) {
        let cases = read.cases(file).into_iter();
        let is = |case: &Case| case.name == wanted || file.path.ends_with(wanted);
        meant.extend(cases.filter(is).map(|case| (file, case)));
    }
    let refused = |error| Err(Failure { code: 2, error });
    let Some((first, _)) = meant.first() else {
        return refused(anyhow::anyhow!(
            "no case has the name {wanted}, nor a file that ends so"
        ));
    };
    if let Some((other, _)) = meant.iter().find(|(file, _)| file.path != first.path) {
        let (first, other) = (&first.path, &other.path);
        return refused(anyhow::anyhow!(
            "{wanted} may be {first} or {other}; write more of the path"
        ));
    }
    let mut out = stdout();
    for (file, case) in &meant {
        for line in lines(input(files, file, case)?, case) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(0)
}

/// What comes after the single verdicts: their number, and the coverage.
fn conclude(
    out: &mut impl Write,
    form: Format,
    read: &Read,
    covered: Option<&Coverage>,
) -> std::io::Result<()> {
    let verdicts = &read.verdicts;
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
            let failed = read.failed();
            write!(out, "{} passed, {failed} failed", verdicts.len() - failed)?;
            match read.unreadable {
                0 => writeln!(out)?,
                n => writeln!(out, ", {n} file(s) unreadable")?,
            }
            covered.map_or(Ok(()), |covered| coverage::print(out, covered))
        }
    }
}

/// What the file holds that a case names as its `input`.
fn input<'a>(
    files: &'a [DetectorFile],
    file: &DetectorFile,
    case: &Case,
) -> Result<Option<&'a str>, Failure> {
    let Some(name) = &case.input else {
        return Ok(None);
    };
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = format!("{folder}/{name}");
    files
        .iter()
        .find(|f| f.path == path)
        .map(|f| Some(f.text.as_str()))
        .ok_or_else(|| {
            let error = anyhow::anyhow!(
                "{}: input {path} is not there; name a .jsonl file beside the case",
                file.path
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
                .flat_map(|fault| fault.lines())
                .try_for_each(|line| writeln!(out, "       {line}"))
        }
    }
}
