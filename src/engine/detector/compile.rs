//! From detector files to one `Plan`: value and all faults at once.
//!
//! Owns the rounds: a file with a fault contributes nothing, and a file that refers to one has a
//! fault, too; every other file compiles. The same files in the same order give the same plan.

mod detection;
mod detectors;
mod inputs;
mod names;
mod resolve;
mod rules;

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Findings};
use super::document::{self, Document};
use super::plan::Plan;
use super::yaml;
use names::Names;

/// One detector file as read by the caller.
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
    /// Value lists for Sigma's `expand` modifier, by name.
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
    for (file, source) in files.iter().enumerate() {
        let mut findings = Findings {
            file: &source.path,
            list: &mut diagnostics,
        };
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
    let mut faulty = faulty_files(files, &diagnostics);
    // The first round takes all documents, so that one run finds the faults of all files; each
    // further round leaves out the files that have faults by now.
    let mut left_out = vec![false; files.len()];
    loop {
        let mut found = Vec::new();
        let plan = rules::plan(&docs, &names, &left_out, &broken, options, &mut found);
        for diagnostic in found {
            if !diagnostics.contains(&diagnostic) {
                diagnostics.push(diagnostic);
            }
        }
        for (now, before) in faulty_files(files, &diagnostics)
            .into_iter()
            .zip(&mut faulty)
        {
            *before |= now;
        }
        if faulty == left_out {
            // Lints of a file with faults are mostly their consequences.
            let faults_in: Vec<&str> = files
                .iter()
                .zip(&faulty)
                .filter_map(|(file, faulty)| faulty.then_some(file.path.as_str()))
                .collect();
            diagnostics.retain(|d| d.is_fault() || !faults_in.contains(&d.file.as_str()));
            let order = |d: &Diagnostic| files.iter().position(|f| f.path == d.file);
            diagnostics.sort_by_key(|d| (order(d), d.line, d.column, d.severity));
            return Compiled { plan, diagnostics };
        }
        left_out.clone_from(&faulty);
    }
}

fn faulty_files(files: &[SourceFile], diagnostics: &[Diagnostic]) -> Vec<bool> {
    let has = |f: &SourceFile| diagnostics.iter().any(|d| d.is_fault() && d.file == f.path);
    files.iter().map(has).collect()
}

#[cfg(test)]
mod tests;
