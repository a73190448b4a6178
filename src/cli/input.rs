//! What `replay`, `explain` and `test` have in common: detectors and tables by name, compiled or
//! refused with all faults.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;

use super::output::note;
use super::{FAULTS, Failure};
use crate::app::detectors;
use crate::decode::Schema;
use crate::engine::detector::{Compiled, Options, compile};
use crate::enrich::{ListSettings, Sets, Tables, TablesSettings};
use crate::model::HashKey;
use crate::source::file::FileSource;
use crate::source::{RECORD_BYTES_MAX, Source};

/// Options of the commands that read recorded events.
#[derive(Debug, clap::Args)]
pub struct Inputs {
    /// Events as JSON lines (.gz and .zst as they are), `-` for standard input
    #[arg(long, value_name = "FILE|-")]
    pub input: PathBuf,
    /// Folder of detectors instead of the shipped ones
    #[arg(long, value_name = "DIR")]
    pub detectors: Option<PathBuf>,
    /// Schema of the events: auto, tidegate, okta, keycloak, ses, github
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = parse_schema)]
    pub schema: SchemaChoice,
    /// MaxMind database that gives addresses their autonomous system
    #[arg(long, value_name = "FILE.mmdb")]
    pub asn: Option<PathBuf>,
    /// MaxMind database that gives addresses their country
    #[arg(long, value_name = "FILE.mmdb")]
    pub country: Option<PathBuf>,
    /// List as in `enrich.lists`: hosting, proxy, tor, residential, disposable or voip, and its file
    #[arg(long = "list", value_name = "SETS=FILE", value_parser = parse_list)]
    pub lists: Vec<ListSettings>,
    /// List of decoy accounts, addresses and tokens
    #[arg(long, value_name = "FILE")]
    pub honeytokens: Option<PathBuf>,
}

impl Inputs {
    /// The input as a source of records.
    pub fn source(&self) -> Result<Box<dyn Source + Send>, Failure> {
        let schema = self.schema.0.map(Schema::name);
        Ok(Box::new(FileSource::new(
            [&self.input],
            schema,
            RECORD_BYTES_MAX,
        )?))
    }

    /// What alerts call the input.
    pub fn name(&self) -> String {
        self.input.display().to_string()
    }

    /// Loads the tables the command names; a damaged one ends it with code 64.
    pub fn tables(&self, key: &HashKey) -> Result<Arc<Tables>, Failure> {
        let settings = TablesSettings {
            asn: self.asn.clone(),
            country: self.country.clone(),
            lists: self.lists.clone(),
            honeytokens: self.honeytokens.clone(),
        };
        let loaded = Tables::load(&settings, key);
        loaded.map(Arc::new).map_err(|e| Failure {
            code: FAULTS,
            error: e.into(),
        })
    }
}

/// `None` is told apart by shape.
#[derive(Clone, Copy, Debug)]
pub struct SchemaChoice(pub Option<Schema>);

fn parse_schema(name: &str) -> Result<SchemaChoice, String> {
    if name.eq_ignore_ascii_case("auto") {
        return Ok(SchemaChoice(None));
    }
    let known = || Schema::ALL.map(Schema::name).join(", ");
    Schema::parse(name)
        .map(|s| SchemaChoice(Some(s)))
        .ok_or_else(|| format!("no such schema; known are auto, {}", known()))
}

fn parse_list(text: &str) -> Result<ListSettings, String> {
    let known = || Sets::ALL.map(Sets::as_str).join(", ");
    let sets = |name: &str| Sets::ALL.into_iter().find(|s| s.as_str() == name);
    let (name, file) = text
        .split_once('=')
        .ok_or_else(|| "write what the list sets and its file, like tor=tor.txt".to_owned())?;
    let sets = sets(name).ok_or_else(|| format!("no such kind of list; known are {}", known()))?;
    Ok(ListSettings {
        name: name.to_owned(),
        file: file.into(),
        sets,
    })
}

/// Compiles the detectors of a folder (or the shipped ones); faults end the command with code 64.
pub fn load_detectors(dir: Option<&Path>) -> Result<Compiled, Failure> {
    let files = detectors::files(dir).map_err(|error| Failure {
        code: FAULTS,
        error,
    })?;
    let sources = detectors::sources(&files);
    let compiled = compile(&sources, &Options::default());
    if compiled.has_faults() {
        return Err(refuse(&compiled));
    }
    if compiled.plan.detectors.is_empty() {
        let error = anyhow!("no detectors found; --detectors names a folder with *.yml files");
        return Err(Failure {
            code: FAULTS,
            error,
        });
    }
    Ok(compiled)
}

/// Prints every fault with its place, and says how many there were.
fn refuse(compiled: &Compiled) -> Failure {
    let faults: Vec<_> = compiled
        .diagnostics
        .iter()
        .filter(|d| d.is_fault())
        .collect();
    for fault in &faults {
        note(&fault.to_string());
    }
    let error = anyhow!(
        "nothing was run for {} fault(s) in detector files",
        faults.len()
    );
    Failure {
        code: FAULTS,
        error,
    }
}
