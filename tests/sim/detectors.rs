//! The detectors of a run, compiled by the product: the simulation's own, or the shipped ones.
//!
//! Owns which set a seed uses; what the own ones mean stands a second time in the oracle.

use std::sync::{Arc, OnceLock};

use tidegate::app::detectors as shipped;
use tidegate::engine::detector::{Options, SourceFile, compile, plan::Plan};

/// Which detectors a run loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Own,
    Shipped,
}

/// Detectors that a change of the files concerns: one with another bound, one that goes, one that comes.
pub const EDITED: [&str; 3] = ["sum-account", "pairs-ip", "added-ip"];

/// The compiled set, as it is at first or `edited`; compiled once per process.
pub fn plan(set: Set, edited: bool) -> Arc<Plan> {
    static PLANS: OnceLock<[Arc<Plan>; 3]> = OnceLock::new();
    let plans = PLANS.get_or_init(|| {
        let all = [(Set::Own, false), (Set::Own, true), (Set::Shipped, false)];
        all.map(|(set, edited)| Arc::new(compiled(set, edited)))
    });
    Arc::clone(match (set, edited) {
        (Set::Own, false) => &plans[0],
        (Set::Own, true) => &plans[1],
        (Set::Shipped, _) => &plans[2],
    })
}

/// The set compiled anew, for those who change it.
pub fn compiled(set: Set, edited: bool) -> Plan {
    let files = match (set, edited) {
        (Set::Own, false) => own(),
        (Set::Own, true) => edit(own()),
        (Set::Shipped, _) => shipped::sources(&shipped::files(None).unwrap()),
    };
    let compiled = compile(&files, &Options::default());
    let faults = compiled.diagnostics.iter().filter(|d| d.is_fault());
    let faults: Vec<String> = faults.map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    compiled.plan
}

/// The own files after somebody changed them.
fn edit(mut files: Vec<SourceFile>) -> Vec<SourceFile> {
    for file in &mut files {
        let documents = file.text.split("\n---\n");
        let kept = documents.filter(|d| !d.contains("name: pairs-ip"));
        let kept: Vec<String> = kept
            .map(|d| d.replace("{field: amount, gte: 1000}", "{field: amount, gte: 800}"))
            .collect();
        file.text = kept.join("\n---\n");
    }
    let first = files[0].text.split("\n---\n").next().unwrap();
    let added = first
        .replace("name: count-ip", "name: added-ip")
        .replace("{gte: 5}", "{gte: 3}");
    // In front, so that every other rule has another number.
    files[0].text = format!(
        "{}\n---\n{}",
        added.split("\nrespond:").next().unwrap(),
        files[0].text
    );
    files
}

fn own() -> Vec<SourceFile> {
    let file = |path: &str, text: &str| SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
        runbook_exists: true,
        tests_exist: true,
    };
    vec![
        file("tests/sim/detectors.yml", include_str!("detectors.yml")),
        file("tests/sim/newer.yml", include_str!("newer.yml")),
    ]
}
