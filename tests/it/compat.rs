//! Stored forms of today must be read tomorrow: a snapshot file kept in the repository is taken up,
//! and what follows is what would have followed without a restart.
//!
//! A form that changes raises `engine::snapshot::VERSION`, says in `engine::snapshot::older` what came with it, and
//! gets a pair of its own (`TIDEGATE_UPDATE=1 cargo test --test it compat`); pairs of older forms stay.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate::app::stage::{Beside, Stage};
use tidegate::engine::alert::{Alert, Pairs};
use tidegate::engine::detector::{Options, SourceFile, compile};
use tidegate::engine::exchange::Routed;
use tidegate::engine::program::{Program, Settings};
use tidegate::engine::snapshot::{OLDEST, Refused, VERSION};
use tidegate::engine::{Engine, Input, Output};
use tidegate::enrich::Tables;
use tidegate::model::HashKey;
use tidegate::store::snapshot::{self, Snapshot};

use tidegate::engine::alert::silence::Silence;
use tidegate::engine::containment::allow::AllowEntry;
use tidegate::engine::containment::policy::{Change, Journal};
use tidegate::engine::containment::{Receipt, Record};
use tidegate::engine::outbox::Message;
use tidegate::store::format::{self, Form};
use tidegate::store::rows::{DeadLetter, Definitions, Delivery, Muted};

use crate::harness::{alerts, fixture, lines};

/// One detector of each kind that keeps state.
const DETECTORS: &str = include_str!("../fixtures/compat/detectors.yml");
const NAME: &str = "engine";
const TOLD: &str = "alerts.jsonl";

fn program() -> Arc<Program> {
    let file = SourceFile {
        path: "detectors.yml".to_owned(),
        text: DETECTORS.to_owned(),
        ..SourceFile::default()
    };
    let compiled = compile(&[file], &Options::default());
    let faults: Vec<_> = compiled
        .diagnostics
        .iter()
        .filter(|d| d.is_fault())
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    let settings = Settings::default();
    Arc::new(Program::new(
        Arc::new(compiled.plan),
        HashKey::fixed(),
        settings,
    ))
}

/// Twenty minutes of a morning: a request every ten seconds, most with a token, few with a use.
fn morning(program: &Arc<Program>) -> Vec<Routed> {
    let mut stage = Stage::new(
        program,
        program.projection(&[]),
        Arc::new(Tables::default()),
    );
    let mut batches = Vec::new();
    let mut offset = 0;
    for minute in 0..20 {
        let (mut routed, mut dead) = (Routed::default(), Vec::new());
        for second in (0..60).step_by(10) {
            let n = minute * 6 + second / 10;
            let kinds = [
                ("recovery.requested", true),
                ("token.issued", n % 3 != 0),
                ("token.used", n % 5 == 0),
                ("login.failure", n % 7 == 0),
            ];
            for (kind, _) in kinds.iter().filter(|(_, happens)| *happens) {
                let line = format!(
                    "{{\"event.kind\":\"{kind}\",\"time\":\"2026-01-12T08:{minute:02}:{second:02}Z\",\
                     \"source.ip\":\"203.0.113.{}\",\"user.target.id\":\"u{n}\",\"token.id\":\"t{n}\",\
                     \"source.geo.country_iso_code\":\"{}\"}}",
                    n % 4,
                    ["DE", "FR", "BR"][n % 3],
                );
                stage.work(
                    line.as_bytes(),
                    &Beside::line(offset),
                    &mut routed,
                    &mut dead,
                );
                offset += 1;
            }
        }
        assert!(dead.is_empty(), "{dead:?}");
        batches.push(routed);
    }
    batches
}

fn told(engine: &mut Engine) -> Vec<Alert> {
    std::iter::from_fn(|| engine.poll())
        .map(|Output::Alert(alert)| *alert)
        .collect()
}

fn folder(version: u32) -> PathBuf {
    fixture("compat").join(format!("engine-v{version}"))
}

/// Without what a form has no place for, or told otherwise then: form 2, how many detections an alert holds
/// back; form 3, which events a sequence stands on, and so when they have doubled.
fn as_form(version: u32, alerts: &[Alert]) -> Vec<String> {
    let is_sequence = |alert: &Alert| alert.detector.name == "compat-sequence";
    let told_then = |alert: &&Alert| version >= 4 || alert.revision == 0 || !is_sequence(alert);
    let line = |alert: &Alert| {
        let mut alert = alert.clone();
        if version < 3 {
            alert.suppressed = 0;
        }
        if version < 4 && is_sequence(&alert) {
            (alert.events, alert.positions) = (0, Vec::new());
            alert.observed = Pairs::default();
        }
        serde_json::to_string(&alert).unwrap()
    };
    alerts.iter().filter(told_then).map(line).collect()
}

/// Each form's pair: the engine in the middle of the morning, and what it told of the rest of it then.
#[test]
fn a_snapshot_of_every_form_goes_on_where_it_was() {
    let program = program();
    let batches = morning(&program);
    let (first, second) = batches.split_at(10);
    let mut whole = Engine::new(Arc::clone(&program), 2);
    for batch in first {
        whole.handle(&Input::Batch(batch));
    }
    let before = told(&mut whole);
    let body = whole.snapshot().concat();
    let rest = |engine: &mut Engine| {
        for batch in second {
            engine.handle(&Input::Batch(batch));
        }
        engine.handle(&Input::End { until: None });
        told(engine)
    };
    let want = rest(&mut whole);
    assert!(before.len() + want.len() > 20, "the morning has its alerts");
    if std::env::var_os("TIDEGATE_UPDATE").is_some() {
        let kept = Snapshot {
            generation: 1,
            key_id: program.key.id(),
            frontier: b"{}".to_vec(),
            body,
        };
        snapshot::write(&folder(VERSION), NAME, &kept).unwrap();
        let lines = as_form(VERSION, &want).join("\n") + "\n";
        std::fs::write(folder(VERSION).join(TOLD), lines).unwrap();
    }
    for version in OLDEST..=VERSION {
        let found = snapshot::read(&folder(version), NAME, &program.key.id()).unwrap();
        let kept = found
            .snapshot
            .expect("a file for this version: run once with TIDEGATE_UPDATE=1");
        assert_eq!(u32::from(kept.body[0]), version);
        let mut restored = Engine::new(Arc::clone(&program), 2);
        let taken = restored.restore(&kept.body, &["input".to_owned()]).unwrap();
        assert_eq!(taken.fresh, 0, "every rule goes on");
        let got = as_form(version, &rest(&mut restored));
        alerts::assert_same("without a restart", &got, &as_form(version, &want));
        let then = lines(&folder(version).join(TOLD));
        let then: Vec<Alert> = then
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let then = as_form(version, &then);
        alerts::assert_same(&format!("by form {version}"), &got, &then);
    }
}

#[test]
fn a_snapshot_of_a_form_unknown_is_refused_with_what_to_do() {
    let program = program();
    let mut engine = Engine::new(Arc::clone(&program), 1);
    let mut bytes = engine.snapshot().concat();
    // The version stands first, as a number of one byte.
    assert_eq!(u32::from(bytes[0]), VERSION);
    for other in [OLDEST - 1, VERSION + 1] {
        bytes[0] = u8::try_from(other).unwrap();
        let refused = engine.restore(&bytes, &["input".to_owned()]).unwrap_err();
        assert_eq!(refused, Refused::Version { found: other });
        let text = refused.to_string();
        assert!(text.contains("use the binary that wrote it"), "{text}");
    }
}

/// Pairs, one a line: a row as some version stored it, and what this one makes of it. A form that
/// changes gets a file of its own beside this; lines that are here stay.
const ROWS: &str = include_str!("../fixtures/compat/rows-v1.jsonl");

fn again<T: Form>(stored: &str) -> String {
    let row: T =
        format::decode(stored.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}: {stored}", T::NAME));
    String::from_utf8(format::encode(&row).unwrap()).unwrap()
}

#[test]
fn rows_of_every_form_and_version_are_read() {
    type Again = fn(&str) -> String;
    let forms: &[(&str, Again)] = &[
        (Alert::NAME, again::<Alert>),
        (Record::NAME, again::<Record>),
        (Change::NAME, again::<Change>),
        (Journal::NAME, again::<Journal>),
        (Message::NAME, again::<Message>),
        (DeadLetter::NAME, again::<DeadLetter>),
        (Delivery::NAME, again::<Delivery>),
        (AllowEntry::NAME, again::<AllowEntry>),
        (Receipt::NAME, again::<Receipt>),
        (Silence::NAME, again::<Silence>),
        (Muted::NAME, again::<Muted>),
        (Definitions::NAME, again::<Definitions>),
    ];
    let mut seen = BTreeSet::new();
    for line in ROWS.lines() {
        let pair: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| pair[name].as_str().unwrap();
        let form = forms.iter().find(|(name, _)| *name == text("form"));
        let (name, again) = form.unwrap_or_else(|| panic!("no form: {line}"));
        assert_eq!(again(text("stored")), text("now"), "{name}");
        seen.insert(*name);
    }
    let missing: Vec<_> = forms.iter().filter(|(n, _)| !seen.contains(n)).collect();
    assert!(missing.is_empty(), "forms without a kept row: {missing:?}");
}
