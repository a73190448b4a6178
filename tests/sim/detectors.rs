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

/// The compiled set; compiled once per process.
pub fn plan(set: Set) -> Arc<Plan> {
    static OWN: OnceLock<Arc<Plan>> = OnceLock::new();
    static SHIPPED: OnceLock<Arc<Plan>> = OnceLock::new();
    let place = match set {
        Set::Own => &OWN,
        Set::Shipped => &SHIPPED,
    };
    Arc::clone(place.get_or_init(|| Arc::new(compiled(set))))
}

/// The set compiled anew, for those who change it.
pub fn compiled(set: Set) -> Plan {
    let files = match set {
        Set::Own => own(),
        Set::Shipped => shipped::sources(&shipped::files(None).unwrap()),
    };
    let compiled = compile(&files, &Options::default());
    let faults = compiled.diagnostics.iter().filter(|d| d.is_fault());
    let faults: Vec<String> = faults.map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    compiled.plan
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
