//! What `explain` says of an event is what the engine does with it: over random small streams, and
//! against a replay of the same events at once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::engine::detector::{Options, SourceFile, compile};
use crate::enrich::Tables;
use crate::source::{Partition, Stamp};

const DETECTORS: &str = "\
title: Any decoy
name: decoy
detection: {s: {event.kind: honeytoken.hit}, condition: s}
---
title: Many requests
name: many
detection: {s: {event.kind: recovery.requested}, o: {user.id: u0}, condition: s and not o}
correlation: {type: event_count, group-by: [source.ip], timespan: 10s, condition: {gte: 3}}
---
title: Many accounts, held
name: accounts
detection: {s: {event.kind: recovery.requested}, condition: s}
correlation: {type: value_count, group-by: [source.ip], timespan: 20s, condition: {field: user.id, gte: 2}}
suppress: 30s
---
title: Asked, then used
name: used
detection: {s: {event.kind: recovery.requested}, t: {event.kind: token.used}}
correlation: {type: temporal_ordered, rules: [s, t], group-by: [user.id], timespan: 15s}
---
title: Many, then a decoy
name: chain
correlation: {type: temporal, rules: [many, decoy], group-by: [source.ip], timespan: 1m, generate: true}
";

/// (seconds after the one before, kind, address or none, user, an id seen before)
type Fact = (i64, usize, Option<u8>, u8, bool);

fn lines(facts: &[Fact]) -> Vec<String> {
    let kinds = [
        "recovery.requested",
        "token.used",
        "honeytoken.hit",
        "login.success",
    ];
    let mut time = 1_768_204_800;
    let mut out: Vec<String> = Vec::new();
    for (step, kind, address, user, again) in facts {
        if let (true, Some(last)) = (again, out.last()) {
            out.push(last.clone());
            continue;
        }
        time += step;
        let address = address.map_or(String::new(), |a| format!(r#","source.ip":"192.0.2.{a}""#));
        out.push(format!(
            r#"{{"event.kind":"{}","time":{time},"event.id":"e{}","user.id":"u{user}"{address}}}"#,
            kinds[*kind],
            out.len()
        ));
    }
    out
}

fn program(sorted: bool) -> Arc<Program> {
    let file = SourceFile {
        path: "d.yml".into(),
        text: DETECTORS.into(),
        runbook_exists: true,
        tests_exist: true,
    };
    let compiled = compile(&[file], &Options::default());
    assert!(
        compiled.diagnostics.is_empty(),
        "{:?}",
        compiled.diagnostics
    );
    let settings = Settings {
        sorted,
        ..Settings::default()
    };
    Arc::new(Program::new(
        Arc::new(compiled.plan),
        HashKey::fixed(),
        settings,
    ))
}

fn stage(program: &Arc<Program>) -> Stage {
    Stage::new(
        program,
        Projection::everything(),
        Arc::new(Tables::default()),
    )
}

fn explain(lines: &[String]) -> Vec<Explained> {
    let program = program(false);
    let mut stage = stage(&program);
    let mut teller = Teller {
        engine: Engine::new(Arc::clone(&program), 1),
        routed: Routed::default(),
        chosen: (0..program.plan.detectors.len()).collect(),
        program: Arc::clone(&program),
        mutes: Mutes::read(&Lists::default(), &program.key).unwrap(),
    };
    let mut told = Vec::new();
    for (offset, line) in (1..).zip(lines) {
        let record = Record {
            partition: Partition::default(),
            offset,
            stamp: Stamp::default(),
            payload: line.as_bytes(),
            event_id: None,
            traceparent: None,
        };
        told.extend(teller.record(&mut stage, &record, None));
    }
    told
}

/// The alerts of a replay: all events in one batch, in order of time.
fn replay(lines: &[String]) -> Vec<Alert> {
    let program = program(true);
    let mut stage = stage(&program);
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    for (offset, line) in (1..).zip(lines) {
        let origin = Origin {
            source: 0,
            partition: 0,
            offset,
        };
        let beside = crate::app::stage::Beside {
            origin,
            ..Default::default()
        };
        stage.work(line.as_bytes(), &beside, &mut routed, &mut dead);
    }
    assert!(dead.is_empty());
    let mut engine = Engine::new(Arc::clone(&program), 1);
    engine.handle(&Input::Batch(&routed));
    engine.handle(&Input::End { until: None });
    std::iter::from_fn(|| engine.poll())
        .map(|Output::Alert(a)| *a)
        .filter(|a| a.revision == 0)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn explain_says_what_the_engine_did(
        facts in prop::collection::vec(
            (0..6i64, 0..4usize, prop::option::weighted(0.9, 0..2u8), 0..3u8, prop::bool::weighted(0.1)),
            1..40,
        ),
    ) {
        let lines = lines(&facts);
        let told = explain(&lines);
        prop_assert_eq!(told.len(), lines.len());
        // (detector, time of the event) of every alert, once as told and once as replayed.
        let mut explained: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for (line, answer) in lines.iter().zip(&told) {
            let event = answer.event.as_ref().unwrap();
            let again = !seen.insert(line.clone());
            for v in &answer.detectors {
                let time = event["time"].as_str().unwrap().to_owned();
                if v.outcome == "alerted" {
                    *explained.entry((v.name.clone(), time)).or_default() += 1;
                }
                prop_assert_eq!(v.leaf.is_none(), v.matched);
                let keyed = ["many", "accounts", "chain"].contains(&v.name.as_str());
                let keyless = keyed && event.get("source.ip").is_none();
                match v.outcome {
                    "no_match" => prop_assert!(!v.matched),
                    "duplicate" => prop_assert!(v.matched && again),
                    "missing_key" => prop_assert!(v.matched && keyless),
                    "below_bound" => {
                        // What feeds the chain may itself have had no key.
                        prop_assert!(v.matched && !again && (!keyless || v.name == "chain"));
                        if v.name == "many" {
                            prop_assert!(v.counter["event_count"].as_f64().unwrap() < 3.0);
                        }
                    }
"alerted" | "suppressed" => prop_assert!(!again && !keyless),
                    // Event time passes with any event, and closes what is over.
                    "updated" => {}
                    other => prop_assert!(false, "{} says {}", v.name, other),
                }
            }
        }
        let mut replayed: BTreeMap<(String, String), u64> = BTreeMap::new();
        for alert in replay(&lines) {
            *replayed.entry((alert.detector.name, alert.time.to_string())).or_default() += 1;
        }
        prop_assert_eq!(explained, replayed);
    }
}
