//! `simulate`, `replay` and `explain`: the alert's golden form, equal bytes, every way in.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::command::{Run, tidegate};
use crate::harness::{fixture, scratch};

/// Six resets from one address: one alert of `it-resets`.
const SIX: &str = r#"{"event.kind":"recovery.requested","time":"2026-01-12T08:00:00Z","source.ip":"203.0.113.7","user.target.id":"u-0"}
{"event.kind":"recovery.requested","time":"2026-01-12T08:00:01Z","source.ip":"203.0.113.7","user.target.id":"u-1"}
{"event.kind":"recovery.requested","time":"2026-01-12T08:00:02Z","source.ip":"203.0.113.7","user.target.id":"u-2"}
{"event.kind":"recovery.requested","time":"2026-01-12T08:00:03Z","source.ip":"203.0.113.7","user.target.id":"u-3"}
{"event.kind":"recovery.requested","time":"2026-01-12T08:00:04Z","source.ip":"203.0.113.7","user.target.id":"u-4"}
{"event.kind":"login.success","time":"2026-01-12T08:00:05Z","source.ip":"203.0.113.7","user.target.id":"u-4"}
"#;

fn detectors() -> String {
    fixture("detectors").display().to_string()
}

fn replay(input: &str) -> Run {
    tidegate(&["replay", "--input", input, "--detectors", &detectors()])
}

#[test]
fn an_alert_has_the_form_of_the_contract() {
    let alerts = replay("-").stdin(SIX).ok().json();
    let mut alert = alerts.first().expect("an alert").clone();

    let id = |v: &Value| {
        v.as_str()
            .is_some_and(|t| t.len() == 64 && t.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    assert!(id(&alert["alert_id"]), "{alert}");
    assert!(
        alert["actions"]
            .as_array()
            .is_some_and(|a| a.len() == 1 && a.iter().all(id)),
        "{alert}"
    );
    let fields = alert.as_object_mut().unwrap();
    for drawn in ["alert_id", "actions"] {
        fields.remove(drawn);
    }
    let want = json!({
        "revision": 0, "status": "open",
        "detector": {"id": "4a7f3f0e-6a53-4a0e-9a31-0c5b0a6f2e01", "name": "it-resets", "version": 1, "level": "high"},
        "time": "2026-01-12T08:00:04.000Z", "key": {"source.ip": "203.0.113.7"},
        "observed": {"event_count": 5}, "bound": {"event_count": {"gte": 5}},
        "window": {"start": "2026-01-12T07:50:04.000Z", "end": "2026-01-12T08:00:04.000Z"},
        "first": "2026-01-12T08:00:00.000Z", "last": "2026-01-12T08:00:04.000Z", "events": 5, "error": null,
        "summary": "Resets from one address: event_count 5 (>= 5) within 10m for source.ip 203.0.113.7",
        "mode": "contain", "tags": [], "runbook": null, "peak": 5,
        "positions": [{"source": "-", "partition": 0, "from": 1, "to": 5}],
    });
    assert_eq!(alert, want);
}

#[test]
fn a_pipe_a_file_and_compressed_files_are_one_input() {
    let dir = scratch("forms");
    let (plain, gz, zst) = (
        dir.join("e.jsonl"),
        dir.join("e.jsonl.gz"),
        dir.join("e.jsonl.zst"),
    );
    std::fs::write(&plain, SIX).unwrap();
    let mut packer = flate2::write::GzEncoder::new(
        std::fs::File::create(&gz).unwrap(),
        flate2::Compression::fast(),
    );
    packer.write_all(SIX.as_bytes()).unwrap();
    packer.finish().unwrap();
    std::fs::write(&zst, zstd::encode_all(SIX.as_bytes(), 1).unwrap()).unwrap();

    // The source's name is the input's, and nothing else differs.
    let anonymous = |input: &Path| {
        let name = input.to_str().unwrap();
        replay(name)
            .ok()
            .text()
            .replace(&format!("\"source\":\"{name}\""), "\"source\":\"-\"")
    };
    let piped = replay("-").stdin(SIX).ok().text();
    assert!(piped.contains("it-resets"));
    for input in [&plain, &gz, &zst] {
        assert_eq!(anonymous(input), piped, "{}", input.display());
    }
    // All lines in one array are the same events on one line.
    let array = format!("[{}]", SIX.trim().replace('\n', ","));
    let positions = "\"from\":1,\"to\":5";
    assert_eq!(
        replay("-").stdin(array).ok().text(),
        piped.replace(positions, "\"from\":1,\"to\":1")
    );
}

#[test]
fn simulate_and_replay_give_equal_bytes_each_time() {
    let simulate = |seed: &str| {
        let dir = scratch("simulate");
        let labels = dir.join("labels.jsonl");
        let events = tidegate(&[
            "simulate",
            "--scenario",
            "mixed",
            "--seed",
            seed,
            "--events",
            "30000",
            "--labels",
            labels.to_str().unwrap(),
        ]);
        (events.ok().stdout, std::fs::read(labels).unwrap())
    };
    let (events, labels) = simulate("11");
    let again = simulate("11");
    assert!(
        events == again.0 && labels == again.1,
        "the same seed gave other bytes"
    );
    assert!(
        events != simulate("12").0,
        "another seed gave the same bytes"
    );
    let count = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'\n').count();
    assert_eq!((count(&events), count(&labels)), (30_000, 30_000));

    let shipped = |shards: &str, threads: &str| {
        let run = tidegate(&[
            "replay",
            "--input",
            "-",
            "--shards",
            shards,
            "--threads",
            threads,
        ]);
        run.stdin(events.clone()).ok().text()
    };
    let first = shipped("1", "1");
    assert!(!first.is_empty(), "mixed traffic raised no alert");
    assert!(
        first == shipped("1", "1"),
        "the same input gave other alerts"
    );
    assert!(
        first == shipped("3", "2"),
        "shards or threads changed the alerts"
    );
}

#[test]
fn explain_says_why_an_event_did_not_alert() {
    let told = tidegate(&[
        "explain",
        "--input",
        "-",
        "-o",
        "ndjson",
        "--detectors",
        &detectors(),
        "--detector",
        "it-resets",
    ]);
    let told = told.stdin(SIX).ok().json();
    let verdict = |n: usize| told[n]["detectors"][0].clone();
    assert_eq!(told.len(), 6);
    assert_eq!(
        (
            &told[0]["line"],
            &told[0]["schema"],
            &told[0]["dead_letter"]
        ),
        (&json!(1), &json!("tidegate"), &json!(null))
    );
    assert_eq!(told[0]["event"]["source.ip"], "203.0.113.7");
    assert_eq!(
        verdict(2),
        json!({
            "id": "4a7f3f0e-6a53-4a0e-9a31-0c5b0a6f2e01", "name": "it-resets", "matched": true, "leaf": null,
            "counter": {"event_count": 3}, "bound": {"gte": 5}, "outcome": "below_bound",
        })
    );
    assert_eq!(verdict(4)["outcome"], "alerted");
    assert_eq!(
        (&verdict(5)["matched"], &verdict(5)["outcome"]),
        (&json!(false), &json!("no_match"))
    );
    assert!(
        verdict(5)["leaf"]
            .as_str()
            .is_some_and(|leaf| leaf.contains("event.kind")),
        "{}",
        verdict(5)
    );
}

#[test]
fn the_summary_counts_per_detector_and_what_would_be_contained() {
    let dir = detectors();
    let summary = |form: &str| {
        let arguments = [
            "replay",
            "--input",
            "-",
            "--detectors",
            &dir,
            "--summary",
            "-o",
            form,
        ];
        tidegate(&arguments).stdin(SIX).ok()
    };
    summary("human").says("it-resets").says("block ip");
    let told = summary("json").json().remove(0);
    assert_eq!(told["detectors"]["it-resets"]["alerts"], 1, "{told}");
    assert_eq!(
        (&told["records"], &told["contained"]["block ip"]),
        (&json!(6), &json!(1)),
        "{told}"
    );
}

/// What the end of a file leaves open, and whose group-by field is missing.
#[test]
fn the_summary_says_what_it_cannot_know() {
    let dir = scratch("summary");
    let detector = "title: Unused\nname: unused\nlogsource: {product: tidegate}\ndetection:\n  \
        issued: {event.kind: token.issued}\n  used: {event.kind: token.used}\ncorrelation:\n  \
        {type: absence, after: issued, expect: used, group-by: [token.id], timespan: 30m}\n";
    std::fs::write(dir.join("unused.yml"), detector).unwrap();
    let issued = |hour: u8, token: &str| {
        format!(
            "{{\"event.kind\":\"token.issued\",\"time\":\"2026-01-12T0{hour}:00:00Z\"{token}}}\n"
        )
    };
    let events = [
        issued(7, ",\"token.id\":\"t1\""),
        issued(8, ",\"token.id\":\"t2\""),
        issued(8, ""),
    ];
    let summary = |form: &str| {
        let folder = dir.to_str().unwrap();
        let arguments = [
            "replay",
            "--input",
            "-",
            "--detectors",
            folder,
            "--summary",
            "-o",
            form,
        ];
        tidegate(&arguments).stdin(events.concat()).ok()
    };
    summary("human")
        .says("  1 judged after the end of the input (`--until`)")
        .says("1 without a group-by field of unused");
    let told = summary("json").json().remove(0);
    assert_eq!(told["detectors"]["unused"]["alerts"], 2, "{told}");
    assert_eq!(told["detectors"]["unused"]["after_end"], 1);
    assert_eq!(told["missing_key_of"], json!({"unused": 1}));
}

#[test]
fn wrong_use_ends_with_2_and_says_what_is_right() {
    let shown = detectors();
    let cases: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["frobnicate"], "unrecognized"),
        (&["replay"], "--input"),
        (&["replay", "--input", "-", "--schema", "x"], "known are"),
        (&["replay", "--input", "-", "--memory", "lots"], "512MiB"),
        (&["simulate", "--scenario", "x"], "mixed"),
        (&["simulate", "--start", "soon"], "2026-01-12T08:00:00Z"),
        (
            &[
                "explain",
                "--input",
                "-",
                "--detector",
                "nobody",
                "--detectors",
                &shown,
            ],
            "detectors list",
        ),
    ];
    for (arguments, hint) in cases {
        tidegate(arguments).run().code(2).says(hint);
    }
}

#[test]
fn a_run_that_cannot_be_ends_with_3_and_faults_with_64() {
    let missing = scratch("nothing").join("nothing.jsonl");
    replay(missing.to_str().unwrap())
        .run()
        .code(3)
        .says("nothing.jsonl");
    let wrong = fixture("wrong/detectors").display().to_string();
    tidegate(&["replay", "--input", "-", "--detectors", &wrong])
        .run()
        .code(64)
        .says("fault");
    tidegate(&["run", "-c", missing.to_str().unwrap()])
        .run()
        .code(64)
        .says("cannot read");
    let table = scratch("table").join("asn.mmdb");
    std::fs::write(&table, "not a table").unwrap();
    let table = table.to_str().unwrap();
    tidegate(&[
        "replay",
        "--input",
        "-",
        "--detectors",
        &detectors(),
        "--asn",
        table,
    ])
    .run()
    .code(64)
    .says("asn.mmdb");
}
