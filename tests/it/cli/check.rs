//! `check` on wrong files: FILE:LINE:COLUMN and a hint, for each fault, with exit code 64.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::command::tidegate;
use crate::harness::{fixture, root, scratch};

/// File, where its fault stands, and a word of the message.
const CONFIGS: [(&str, &str, &str); 10] = [
    ("no-secret.yaml", "5:7", "the secret is missing"),
    ("no-unit.yaml", "4:13", "not a length of time"),
    ("not-yaml.yaml", "3:7", "not valid YAML"),
    ("open-to-the-network.yaml", "4:11", "no tokens"),
    ("out-of-range.yaml", "4:11", "out of range"),
    ("plain-http.yaml", "6:12", "not https"),
    ("sasl-without-mechanism.yaml", "7:7", "needs a `mechanism`"),
    ("unknown-key.yaml", "5:5", "unknown key `topic`"),
    ("unknown-kind.yaml", "3:11", "`kafak`"),
    ("wrong-version.yaml", "1:10", "out of range"),
];

const DETECTORS: [(&str, &str, &str); 10] = [
    ("count-below.yml", "11:19", "nothing is no event"),
    ("neither.yml", "1:1", "neither `detection:` nor"),
    ("no-such-rule.yml", "5:11", "`nobody`"),
    ("no-such-selection.yml", "6:14", "`selektion`"),
    ("no-timespan.yml", "8:3", "no `timespan`"),
    ("target-unknown.yml", "13:27", "`user.id`"),
    ("unclosed.yml", "6:32", "not closed"),
    ("unknown-key.yml", "7:1", "unknown key `corelation`"),
    ("unknown-level.yml", "3:8", "`hihg`"),
    ("unknown-verb.yml", "13:12", "`blok`"),
];

/// What people read: the place, the message, the line itself if it is a detector's, and the hint.
fn told(arguments: &[&str], file: &str, place: &str, word: &str) {
    let done = tidegate(arguments).run().code(64);
    let lines = done.lines();
    let start = format!("{file}:{place}: fault: ");
    let at = lines
        .iter()
        .position(|l| l.starts_with(&start) && l.contains(word));
    let at = at.unwrap_or_else(|| panic!("no `{start}…{word}…`\n{done}"));
    let below = lines.iter().skip(at + 1);
    let hint = below
        .map_while(|l| l.strip_prefix("  "))
        .find_map(|l| l.strip_prefix("hint: "));
    assert!(
        hint.is_some_and(|h| !h.is_empty()),
        "the fault has no hint\n{done}"
    );
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn each_wrong_configuration_is_placed_and_has_a_hint() {
    let dir = fixture("wrong/configs");
    assert_eq!(names(&dir), CONFIGS.map(|(name, ..)| name));
    for (name, place, word) in CONFIGS {
        let file = dir.join(name).display().to_string();
        told(&["check", "-c", &file], &file, place, word);
    }
}

#[test]
fn each_wrong_detector_is_placed_and_has_a_hint() {
    let dir = fixture("wrong/detectors");
    assert_eq!(names(&dir), DETECTORS.map(|(name, ..)| name));
    // Each alone: one fault must not hide behind another file's.
    for (name, place, word) in DETECTORS {
        let alone = scratch("check");
        let file = alone.join(name);
        std::fs::copy(dir.join(name), &file).unwrap();
        told(
            &["check", "--detectors", alone.to_str().unwrap()],
            file.to_str().unwrap(),
            place,
            word,
        );
    }
}

#[test]
fn all_faults_are_told_at_once_for_machines_too() {
    let config = fixture("wrong/configs/unknown-key.yaml");
    let detectors = fixture("wrong/detectors");
    let arguments = [
        "check",
        "-c",
        config.to_str().unwrap(),
        "--detectors",
        detectors.to_str().unwrap(),
        "-o",
        "ndjson",
    ];
    let findings = tidegate(&arguments).run().code(64).json();
    for (name, place, word) in DETECTORS {
        let (line, column) = place.split_once(':').unwrap();
        let is = |f: &&Value| {
            f["about"] == "detector"
                && f["file"]
                    .as_str()
                    .is_some_and(|file| Path::new(file).file_name().unwrap() == name)
                && f["line"].as_u64() == line.parse().ok()
                && f["column"].as_u64() == column.parse().ok()
        };
        let found = findings.iter().find(is);
        assert!(
            found.is_some(),
            "{name}:{place} {word} is not among\n{findings:#?}"
        );
    }
    assert!(
        findings
            .iter()
            .any(|f| f["about"] == "config" && f["line"] == 5),
        "{findings:#?}"
    );
}

#[test]
fn what_is_shipped_has_no_fault() {
    tidegate(&["check"]).ok();
    tidegate(&["check", "-c", "config/tidegate.yaml"]).ok();
    let effective = tidegate(&["check", "-c", "config/tidegate.yaml", "--effective"]).ok();
    effective.says("engine.lateness: 5m  # default");
}

#[test]
fn a_configuration_may_run_from_any_folder() {
    // No `detectors/` there: the shipped set is used, and nobody asked for another.
    let dir = scratch("anywhere");
    let file: PathBuf = dir.join("c.yaml");
    std::fs::write(
        &file,
        "version: 1\nsources: [{kind: stdin}]\nalerts: {sinks: [{kind: stdout}]}\n",
    )
    .unwrap();
    tidegate(&["check", "-c", file.to_str().unwrap()]).ok();
}

#[test]
fn the_schemas_are_what_the_repository_has() {
    let config = tidegate(&["config", "schema"]).ok().text();
    let kept = std::fs::read_to_string(root().join("config/tidegate.schema.json")).unwrap();
    assert!(
        config.trim() == kept.trim(),
        "config/tidegate.schema.json is old: tidegate config schema > it"
    );
    let detectors: Value =
        serde_json::from_str(&tidegate(&["detectors", "schema"]).ok().text()).unwrap();
    assert!(
        detectors["$schema"]
            .as_str()
            .is_some_and(|s| s.contains("json-schema.org")),
        "{detectors}"
    );
}
