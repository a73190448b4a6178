//! Stored forms of today must be read tomorrow: a snapshot file kept in the repository is taken up,
//! and what follows is what would have followed without a restart.
//!
//! A form that changes raises `engine::snapshot::VERSION`, says in `engine::snapshot::older` what came with it, and
//! gets a pair of its own (`TIDEGATE_UPDATE=1 cargo test --test it compat`); pairs of older forms stay.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate::app::stage::{Beside, Stage};
use tidegate::engine::alert::{Alert, Pairs};
use tidegate::engine::detector::{Options, SourceFile, compile};
use tidegate::engine::exchange::Routed;
use tidegate::engine::program::{Program, Settings};
use tidegate::engine::snapshot::{Kind, OLDEST, Refused, Saved, Taken, VERSION};
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
/// Batches of the morning before what is kept.
const MIDDLE: usize = 10;
/// The first form that increments were written in.
const INCREMENTS_SINCE: u32 = 4;

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

/// What was written before the middle of the morning; what the engine told of the rest of it then.
struct Before {
    chain: Vec<Taken>,
    told: Vec<Alert>,
}

/// Runs the morning and writes a snapshot after each of the batches `after`, then goes on to the end.
fn run(program: &Arc<Program>, after: std::ops::Range<usize>) -> Before {
    let mut engine = Engine::new(Arc::clone(program), 2);
    let (mut chain, mut first) = (Vec::new(), 0);
    for (n, batch) in morning(program).iter().enumerate() {
        engine.handle(&Input::Batch(batch));
        if n < MIDDLE {
            first += told(&mut engine).len();
        }
        if after.contains(&n) {
            chain.push(engine.snapshot(Kind::Increment));
        }
    }
    engine.handle(&Input::End { until: None });
    let told = told(&mut engine);
    assert!(first + told.len() > 20, "the morning has its alerts");
    Before { chain, told }
}

/// Keeps a chain, and what was told behind it, as the pair of this form.
fn keep(folder: &Path, program: &Program, before: Before) {
    let mut last = None;
    for (taken, generation) in before.chain.into_iter().zip(1..) {
        let snapshot = Snapshot {
            generation,
            key_id: program.key.id(),
            frontier: b"{}".to_vec(),
            body: taken.body,
        };
        let written = match last {
            None => snapshot::write(folder, NAME, &snapshot),
            Some(on) => snapshot::append(folder, NAME, &snapshot, &on),
        };
        last = Some(written.unwrap().digest);
    }
    let lines = as_form(VERSION, &before.told).join("\n") + "\n";
    std::fs::write(folder.join(TOLD), lines).unwrap();
}

/// A kept pair: what is read of it has this form and so many bodies, and goes on as `want` and as it did then.
fn goes_on(folder: &Path, program: &Arc<Program>, (version, bodies): (u32, usize), want: &[Alert]) {
    let found = snapshot::read(folder, NAME, &program.key.id()).unwrap();
    let chain: Vec<Vec<u8>> = found.chain.into_iter().map(|s| s.body).collect();
    assert_eq!(
        chain.len(),
        bodies,
        "files: run once with TIDEGATE_UPDATE=1"
    );
    assert!(chain.iter().all(|body| u32::from(body[0]) == version));
    let mut restored = Engine::new(Arc::clone(program), 2);
    let saved = Saved::read(&chain).unwrap();
    let taken = restored.restore(saved, &["input".to_owned()]).unwrap();
    assert_eq!(taken.fresh, 0, "every rule goes on");
    for batch in &morning(program)[MIDDLE..] {
        restored.handle(&Input::Batch(batch));
    }
    restored.handle(&Input::End { until: None });
    let got = as_form(version, &told(&mut restored));
    alerts::assert_same("without a restart", &got, &as_form(version, want));
    let then: Vec<Alert> = lines(&folder.join(TOLD))
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let then = as_form(version, &then);
    alerts::assert_same(&format!("by form {version}"), &got, &then);
}

/// Each form's pair: the engine in the middle of the morning, and what it told of the rest of it then.
#[test]
fn a_snapshot_of_every_form_goes_on_where_it_was() {
    let program = program();
    let before = run(&program, MIDDLE - 1..MIDDLE);
    let want = before.told.clone();
    if std::env::var_os("TIDEGATE_UPDATE").is_some() {
        keep(&folder(VERSION), &program, before);
    }
    for version in OLDEST..=VERSION {
        goes_on(&folder(version), &program, (version, 1), &want);
    }
}

/// The same for a base and the increments behind it.
#[test]
fn increments_of_every_form_go_on_where_they_were() {
    let program = program();
    let before = run(&program, MIDDLE - 4..MIDDLE);
    let want = before.told.clone();
    let folder = |version| fixture("compat").join(format!("increments-v{version}"));
    if std::env::var_os("TIDEGATE_UPDATE").is_some() {
        keep(&folder(VERSION), &program, before);
    }
    for version in INCREMENTS_SINCE..=VERSION {
        goes_on(&folder(version), &program, (version, 4), &want);
    }
}

#[test]
fn a_snapshot_of_a_form_unknown_is_refused_with_what_to_do() {
    let program = program();
    let mut engine = Engine::new(program, 1);
    let mut bodies = || engine.snapshot(Kind::Increment).body.concat();
    let chain = [bodies(), bodies()];
    for at in 0..chain.len() {
        for other in [OLDEST - 1, VERSION + 1] {
            let mut chain = chain.clone();
            // The version stands first, as a number of one byte.
            assert_eq!(u32::from(chain[at][0]), VERSION);
            chain[at][0] = u8::try_from(other).unwrap();
            let refused = Saved::read(&chain).unwrap_err();
            assert_eq!(refused, Refused::Version { found: other });
            let text = refused.to_string();
            assert!(text.contains("use the binary that wrote it"), "{text}");
        }
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
