//! From detector files to one `Plan`: value and all faults at once.
//!
//! Owns the rounds: a file with a fault contributes nothing, and a file that refers to one has a
//! fault, too; every other file compiles. The same files in the same order give the same plan.

mod detection;
mod detectors;
mod inputs;
mod lints;
mod names;
mod reach;
mod resolve;
mod roll_up;
mod rules;
mod temporal;

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{Diagnostic, Findings};
use super::document::{self, Document};
use super::plan::Plan;
use super::{placeholders, yaml};
use names::Names;

/// One file of detectors, or of their placeholders, as read by the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// As messages and alerts show it, e.g. `detectors/flood/reset-ip/detector.yml`.
    pub path: String,
    pub text: String,
    /// Whether a `runbook.md` stands beside it.
    pub runbook_exists: bool,
    /// Whether a `tests/` folder with at least one case stands beside it.
    pub tests_exist: bool,
}

/// What compilation depends on besides the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Value lists for Sigma's `expand` modifier, by name, beside those of the files.
    pub lists: BTreeMap<String, Vec<String>>,
}

/// The plan of all files without faults, and what there is to say about all of them.
#[derive(Debug, Default)]
pub struct Compiled {
    pub plan: Plan,
    /// In the order of files, lines and columns.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compiled {
    /// Whether any file was refused.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_fault)
    }
}

/// A document and the file it stands in.
#[derive(Debug)]
pub(super) struct Doc<'s> {
    source: &'s SourceFile,
    file: usize,
    document: Document,
}

/// Compiles detector files. Never fails as a whole: see `Compiled`.
#[must_use]
pub fn compile(files: &[SourceFile], options: &Options) -> Compiled {
    let mut diagnostics = Vec::new();
    let mut docs = Vec::new();
    let mut broken = BTreeMap::new();
    let mut options = options.clone();
    for (file, source) in files.iter().enumerate() {
        let mut findings = Findings {
            file: &source.path,
            list: &mut diagnostics,
        };
        if placeholders::is_file(&source.path) {
            placeholders::read(&source.text, &mut options.lists, &mut findings);
            continue;
        }
        for node in yaml::parse(&source.text, &mut findings) {
            match document::read(&node, &mut findings) {
                Some(document) => docs.push(Doc {
                    source,
                    file,
                    document,
                }),
                None => names::of_broken(&node, file, &mut broken),
            }
        }
    }
    let names = Names::new(&docs, &mut diagnostics);
    let order: BTreeMap<&str, usize> = (files.iter().map(|f| f.path.as_str())).zip(0..).collect();
    let file_of = |d: &Diagnostic| order.get(d.file.as_str()).copied().unwrap_or_default();
    // The first round takes all documents, so that one run finds the faults of all files; each
    // further round leaves out the files that have faults by now.
    let mut left_out = vec![false; files.len()];
    let mut known: BTreeSet<(usize, usize, usize, String)> = BTreeSet::new();
    loop {
        let mut found = Vec::new();
        let plan = rules::plan(&docs, &names, &left_out, &broken, &options, &mut found);
        found.retain(|d| known.insert((file_of(d), d.line, d.column, d.message.clone())));
        diagnostics.append(&mut found);
        let mut faulty = vec![false; files.len()];
        for fault in diagnostics.iter().filter(|d| d.is_fault()) {
            if let Some(file) = faulty.get_mut(file_of(fault)) {
                *file = true;
            }
        }
        if faulty == left_out {
            // Most lints of a file with faults are their consequences.
            let is_faulty = |d: &Diagnostic| faulty.get(file_of(d)).is_some_and(|f| *f);
            diagnostics.retain(|d| d.is_fault() || d.is_cause || !is_faulty(d));
            diagnostics.sort_by_key(|d| (file_of(d), d.line, d.column, d.severity));
            return Compiled { plan, diagnostics };
        }
        left_out = faulty;
    }
}

#[cfg(test)]
mod tests;
