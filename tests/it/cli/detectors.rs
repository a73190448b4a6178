//! `detectors` and `test`: the catalogue, and the cases beside the detectors.

use crate::harness::command::tidegate;
use crate::harness::{fixture, scratch};

/// What the issue asks to be shipped: family/name.
const SHIPPED: [&str; 9] = [
    "deploy/then-spike",
    "enumeration/accounts-per-ip",
    "flood/reset-ip",
    "honeytoken/redeem",
    "honeytoken/request",
    "mail/duplicates-per-token",
    "spike/global",
    "token/reuse-other-ip",
    "token/without-use",
];

#[test]
fn the_catalogue_lists_what_is_shipped() {
    let rows = tidegate(&["detectors", "list", "-o", "ndjson"]).ok().json();
    for folder in SHIPPED {
        let file = format!("detectors/{folder}/detector.yml");
        assert!(
            rows.iter().any(|row| row["file"] == file.as_str()),
            "{folder} is not listed"
        );
    }
    for row in &rows {
        let (name, id) = (row["name"].as_str().unwrap(), row["id"].as_str().unwrap());
        tidegate(&["detectors", "show", id]).ok().says(name);
    }
    tidegate(&["detectors", "show", "nobody"])
        .run()
        .code(2)
        .says("detectors list");
}

#[test]
fn the_shipped_detectors_pass_their_tests() {
    let junit = scratch("junit").join("report.xml");
    tidegate(&["test", "--junit", junit.to_str().unwrap()])
        .ok()
        .says(" 0 failed");
    let report = std::fs::read_to_string(junit).unwrap();
    assert!(
        report.contains("<testsuite ") && report.contains("failures=\"0\""),
        "{report}"
    );
}

#[test]
fn a_case_that_does_not_hold_ends_with_1_and_says_why() {
    let dir = scratch("test");
    std::fs::copy(
        fixture("detectors/containing.yml"),
        dir.join("detector.yml"),
    )
    .unwrap();
    std::fs::create_dir(dir.join("tests")).unwrap();
    let case = "name: one reset is a flood\nkind: fires\nevents:\n  - {event.kind: recovery.requested, time: 2026-01-12T08:00:00Z, source.ip: 203.0.113.7, user.target.id: u-1}\nexpect:\n  - {detector: it-resets}\n";
    std::fs::write(dir.join("tests/wrong.yml"), case).unwrap();
    let done = tidegate(&["test", dir.to_str().unwrap()]).run().code(1);
    done.says("FAIL").says("one reset is a flood");
}
