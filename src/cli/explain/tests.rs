//! What `explain` says of an event is what the engine does with it: over random small streams, and
//! against a replay of the same events at once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::engine::detector::{Options, SourceFile, compile};
use crate::engine::rule::tests::roll_up;
use crate::enrich::Tables;
use crate::model::Span;
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
---
title: Never used
name: unused
detection: {s: {event.kind: recovery.requested}, t: {event.kind: token.used}}
correlation: {type: absence, after: s, expect: t, group-by: [user.id], timespan: 12s}
---
title: Few are used
name: share
detection: {s: {event.kind: recovery.requested}, t: {event.kind: token.used}}
correlation: {type: ratio, numerator: t, denominator: s, denominator_min: 2, group-by: [source.ip], timespan: 15s, condition: {lte: 0.5}}
---
title: Silent
name: silent
detection: {s: {event.kind: login.success}, condition: s}
correlation: {type: quiet, group-by: [user.id], count_min: 2, warmup: 20s, timespan: 8s}
---
title: Owed
name: owed
detection: {s: {event.kind: recovery.requested}, t: {event.kind: token.used}}
correlation: {type: obligations, group-by: [user.id], steps: [{rule: s}, {rule: t, within: 10s}]}
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

fn program(detectors: &str, sorted: bool) -> Arc<Program> {
    let file = SourceFile {
        path: "d.yml".into(),
        text: detectors.into(),
        runbook_exists: true,
        tests_exist: true,
    };
    let compiled = compile(&[file], &Options::default());
    assert!(
        compiled.diagnostics.is_empty(),
        "{:?}",
        compiled.diagnostics
    );
    // Short, so that what waits for event time comes in the middle, too.
    let settings = Settings {
        sorted,
        lateness: Span::seconds(3),
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

fn explain(detectors: &str, lines: &[String]) -> Vec<Explained> {
    let program = program(detectors, false);
    let mut stage = stage(&program);
    let all = (0..program.plan.detectors.len()).collect();
    let mutes = Mutes::read(&Lists::default(), &program.key).unwrap();
    let mut teller = Teller::new(&program, all, mutes);
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
    told.extend(teller.end(0));
    told
}

/// The alerts of a replay: all events in one batch, in order of time.
fn replay(lines: &[String]) -> Vec<Alert> {
    let program = program(DETECTORS, true);
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
        let told = explain(DETECTORS, &lines);
        let events = told.iter().filter(|e| e.event.is_some()).count();
        prop_assert_eq!(events, lines.len());
        // (detector, key, time) of every alert, once as told and once as replayed.
        let mut explained: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        let key = |key: &Map<String, Json>| Json::from(key.clone()).to_string();
        for b in told.iter().flat_map(|e| &e.by_time).filter(|b| b.outcome == "alerted") {
            *explained.entry((b.name.clone(), key(&b.key), b.time.clone())).or_default() += 1;
        }
        let mut seen = std::collections::BTreeSet::new();
        for (line, answer) in lines.iter().zip(&told) {
            let event = answer.event.as_ref().unwrap();
            let again = !seen.insert(line.clone());
            for v in &answer.detectors {
                let time = event["time"].as_str().unwrap().to_owned();
                if v.outcome == "alerted" {
                    *explained.entry((v.name.clone(), key(&v.key), time)).or_default() += 1;
                }
                prop_assert_eq!(v.leaf.is_none(), v.matched);
                let keyed = ["many", "accounts", "chain", "share"].contains(&v.name.as_str());
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
                    "updated" => prop_assert!(!again && !keyless),
                    other => prop_assert!(false, "{} says {}", v.name, other),
                }
            }
        }
        let mut replayed: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for alert in replay(&lines) {
            let of: Map<String, Json> = alert.key.0.into_iter().map(|(n, v)| (n, Json::from(v))).collect();
            *replayed.entry((alert.detector.name, key(&of), alert.time.to_string())).or_default() += 1;
        }
        prop_assert_eq!(explained, replayed);
    }
}

/// A request from one of twelve addresses: three to a network, six to a system.
fn request(time: i64, address: u64) -> String {
    let (network, system) = (address / 3, 64_500 + address / 6);
    format!(
        r#"{{"event.kind":"recovery.requested","time":{time},"source.ip":"192.0.{network}.{address}","source.as.number":{system}}}"#
    )
}

const START: i64 = 1_768_204_800;

/// An address that is hot in its network: its alert claims what the network had of it, and what
/// follows does not come to the network any more; of an unknown system nothing is said.
#[test]
fn a_roll_up_tells_every_group() {
    let mut lines: Vec<String> = (0..5).map(|n| request(START + n, 1)).collect();
    lines.insert(3, request(START + 2, 2));
    lines.push(request(START + 5, 2).replace("as.number", "as.nobody"));
    let told: Vec<String> = explain(roll_up::DETECTORS, &lines)
        .iter()
        .filter_map(|e| {
            let verdict = e.detectors.first()?;
            let mut line = format!(
                "{} {}",
                verdict.outcome,
                Json::from(verdict.counter.clone())
            );
            for g in &verdict.wider {
                let counter = g.counter.get("event_count").cloned().unwrap_or_default();
                let claimed = g.claimed.map_or_else(|| "-".to_owned(), |n| n.to_string());
                line += &format!(
                    "; {} {counter}+{claimed} of {} {}",
                    g.by, g.bound, g.outcome
                );
            }
            Some(line)
        })
        .collect();
    let bounds = [r#"{"gte":4}"#, r#"{"gte":7}"#];
    let groups = |c: (u8, u8, &str), s: (u8, u8, &str)| {
        format!(
            "; source.cidr {}+{} of {} {}; source.as.number {}+{} of {} {}",
            c.0, c.1, bounds[0], c.2, s.0, s.1, bounds[1], s.2
        )
    };
    let below = "below_bound";
    assert_eq!(
        told,
        [
            format!(
                r#"below_bound {{"event_count":1}}{}"#,
                groups((1, 0, below), (1, 0, below))
            ),
            format!(
                r#"below_bound {{"event_count":2}}{}"#,
                groups((2, 0, below), (2, 0, below))
            ),
            format!(
                r#"below_bound {{"event_count":3}}{}"#,
                groups((3, 0, below), (3, 0, below))
            ),
            format!(
                r#"alerted {{"event_count":1}}{}"#,
                groups((4, 0, "alerted"), (0, 4, "told_by_narrower"))
            ),
            format!(
                r#"alerted {{"event_count":4}}{}"#,
                groups((1, 4, "told_by_narrower"), (0, 5, "told_by_narrower"))
            ),
            format!(
                r#"suppressed {{"event_count":5}}{}"#,
                groups((1, 5, "told_by_narrower"), (0, 6, "told_by_narrower"))
            ),
            r#"below_bound {"event_count":2}; source.cidr 2+5 of {"gte":4} below_bound; source.as.number null+- of {"gte":7} missing_key"#.to_owned(),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What `explain` says of each group, against the definition of a roll-up by sets of events.
    #[test]
    fn every_group_is_told_by_its_definition(
        facts in prop::collection::vec((1i64..4, 0u64..12), 1..80),
    ) {
        let (mut time, mut lines, mut list) = (START, Vec::new(), Vec::new());
        for (step, address) in facts {
            time += step;
            lines.push(request(time, address));
            list.push((time * 1000, [address, address / 3, address / 6]));
        }
        let (span, bounds) = (10_000, [4, 4, 7]);
        let mut definition = roll_up::Definition::new(span, bounds);
        for ((now, groups), told) in list.into_iter().zip(explain(roll_up::DETECTORS, &lines)) {
            definition.moment(now, &[(now, groups)]);
            let verdict = &told.detectors[0];
            let narrowest = (&verdict.counter, verdict.outcome, None);
            let wider = verdict.wider.iter().map(|g| (&g.counter, g.outcome, g.claimed));
            for (level, (counter, outcome, claimed)) in std::iter::once(narrowest).chain(wider).enumerate() {
                let counted = definition.count(level, groups[level], now);
                // The engine's exact count reaches a little beyond its bound.
                let shown = counter.get("event_count").and_then(Json::as_u64).unwrap_or(0);
                prop_assert_eq!(shown, counted.min(bounds[level] + 8) as u64);
                let all = definition.events.iter().filter(|e| e.1[level] == groups[level] && e.0 > now - span);
                if level > 0 {
                    prop_assert_eq!(claimed, Some((all.count() - counted) as u64));
                    let crossed = definition.crossings.contains(&(now, level, groups[level]));
                    prop_assert_eq!(outcome == "alerted", crossed, "{}", level);
                }
            }
        }
    }
}
