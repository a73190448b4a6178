//! The house in order: what a reviewer would say twice is a table here, and each rule names the
//! file, the line and the table that holds it.

pub mod files;
mod imports;
mod tables;

use std::path::Path;

use files::{Source, sources};
use imports::{crates_used, layers_used};

use crate::harness::root;

/// Fails with all findings at once.
fn none(rule: &str, findings: &[String]) {
    assert!(
        findings.is_empty(),
        "{} finding(s); the rule is {rule} in tests/it/tidy/tables.rs, its reasons are in ARCHITECTURE.md:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn imports_go_one_way() {
    let mut findings = Vec::new();
    for source in sources() {
        let Some(own) = source.layer() else { continue };
        let Some((_, allowed)) = tables::LAYERS.iter().find(|(name, _)| *name == own) else {
            findings.push(format!("{}:1: `{own}` is in no layer", source.path));
            continue;
        };
        for (line, layer) in layers_used(&source) {
            if layer != own && !allowed.contains(&layer.as_str()) {
                findings.push(format!(
                    "{}:{line}: `{own}` must not use `{layer}`",
                    source.path
                ));
            }
        }
    }
    none("LAYERS", &findings);
}

#[test]
fn one_dependency_one_folder() {
    let mut findings = Vec::new();
    for source in sources() {
        for (line, name) in crates_used(&source) {
            let Some((_, homes)) = tables::CRATES.iter().find(|(krate, _)| *krate == name) else {
                continue;
            };
            if !homes.iter().any(|home| source.path.starts_with(home)) {
                findings.push(format!(
                    "{}:{line}: `{name}` belongs into {homes:?}",
                    source.path
                ));
            }
        }
    }
    none("CRATES", &findings);
}

#[test]
fn pure_parts_stay_pure() {
    let mut findings = Vec::new();
    for source in
        sources().filter(|s| !s.is_test && tables::PURE.iter().any(|pure| s.path.starts_with(pure)))
    {
        for (number, line) in source.code() {
            for word in tables::IMPURE.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: `{word}` in a pure part", source.path));
            }
        }
    }
    none("PURE and IMPURE", &findings);
}

#[test]
fn every_file_says_what_it_is_for() {
    // A `tests.rs` belongs to the file it tests, which says it.
    let silent = sources().filter(|s| !s.is_test && !s.text.starts_with("//!"));
    let findings: Vec<_> = silent
        .map(|s| {
            format!(
                "{}:1: the file does not open with `//!`: what does it own?",
                s.path
            )
        })
        .collect();
    none("the first line", &findings);
}

#[test]
fn files_are_short() {
    assert!(
        tables::LONG.len() <= tables::LONG_MAX,
        "too many exceptions: split a file"
    );
    let mut findings = Vec::new();
    for source in sources().filter(|s| !s.is_test) {
        let length = source.production_lines();
        let excused = tables::LONG.iter().any(|(path, _)| *path == source.path);
        if length > tables::LINES_MAX && !excused {
            findings.push(format!(
                "{}:{length}: longer than {} lines",
                source.path,
                tables::LINES_MAX
            ));
        }
        if length <= tables::LINES_MAX && excused {
            findings.push(format!(
                "{}:{length}: no longer needs its exception",
                source.path
            ));
        }
    }
    none("LINES_MAX and LONG", &findings);
}

#[test]
fn every_shipped_detector_has_its_files() {
    let mut findings = Vec::new();
    let mut count = 0;
    for family in files::folders(&root().join("detectors")) {
        for detector in files::folders(&family) {
            count += 1;
            let has = |name: &str| detector.join(name).is_file();
            let tested = |dir: &Path| files::names(dir).iter().any(|n| n.ends_with(".yml"));
            let shown = detector.strip_prefix(root()).unwrap().display();
            for (there, what) in [
                (has("detector.yml"), "detector.yml"),
                (has("runbook.md"), "runbook.md"),
                (tested(&detector.join("tests")), "tests/*.yml"),
            ] {
                if !there {
                    findings.push(format!("{shown}:1: there is no {what}"));
                }
            }
        }
    }
    none("what a detector's folder holds", &findings);
    assert!(count >= 9, "only {count} detectors are shipped");
}

#[test]
fn no_file_knows_a_machine() {
    let mut findings = Vec::new();
    for (path, text) in files::all_texts() {
        for (number, line) in text.lines().enumerate() {
            for word in tables::machine_words()
                .iter()
                .filter(|word| line.contains(word.as_str()))
            {
                findings.push(format!(
                    "{path}:{}: a path of somebody's machine ({word})",
                    number + 1
                ));
            }
        }
    }
    none("machine_words", &findings);
}

#[test]
fn the_checks_see_what_they_are_for() {
    let source = |path: &str, text: &str| Source::new(path.to_owned(), text.to_owned());
    let used =
        |path: &str, text: &str| -> Vec<(usize, String)> { layers_used(&source(path, text)) };
    let one = |n: usize, name: &str| vec![(n, name.to_owned())];
    assert_eq!(
        used("src/engine/rule.rs", "use crate::store::Store;\n"),
        one(1, "store")
    );
    assert_eq!(
        used("src/api/a.rs", "//! x\nuse crate::{deliver, model};\n").len(),
        2
    );
    assert_eq!(
        used("src/decode/json/x.rs", "use super::super::super::store;\n"),
        one(1, "store")
    );
    assert_eq!(
        used("src/decode/json/x.rs", "use super::super::canon;\n"),
        []
    );
    assert_eq!(used("src/engine.rs", "// crate::store is not used\n"), []);
    assert_eq!(
        used(
            "src/engine.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::store::X;\n}\n"
        ),
        []
    );
    let crates = |text: &str| crates_used(&source("src/x.rs", text));
    assert_eq!(crates("use redb::Database;\n"), one(1, "redb"));
    assert_eq!(
        crates("let x = reqwest::Client::new();\n"),
        one(1, "reqwest")
    );
    assert_eq!(
        crates("use crate::store::redb::RedbStore;\n"),
        [(1, "crate".to_owned())]
    );
    assert_eq!(
        source("src/x.rs", "a\nb\n#[cfg(test)]\nmod tests {\n}\n").production_lines(),
        2
    );
    assert_eq!(
        source("src/engine/tests.rs", "").layer(),
        None,
        "tests may use what they like"
    );
}
