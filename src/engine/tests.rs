//! The engine against its definition: an oracle of a few lines per rule kind, and the promise that
//! packets, shards, disorder and restarts change nothing.

mod idle;
mod late;
mod live;
mod memory;

use super::*;
use crate::engine::detector::plan::{
    Aggregate, Bound, Burst, Detector, From, Function, Input as Stream, Kind, NewValue, Op, Plan,
    Quiet, Rule, Score, Share, Spike,
};
use crate::engine::exchange::{Mark, Observation, Origin};
use crate::engine::program::Settings;
use crate::engine::snapshot::{Kind as Extent, Saved};
use crate::model::{FieldId, HashKey, Span};
use proptest::prelude::*;

/// (time, key, input, value)
pub(super) type Fact = (i64, u64, u8, u64);

fn rule(kind: Kind, inputs: usize, span: i64, alerts: bool) -> Rule {
    let stream = |i| Stream {
        name: format!("in{i}"),
        from: From::Event(i),
        group_by: vec![FieldId(1)],
        learns: false,
    };
    Rule {
        detector: 0,
        alerts,
        inputs: (0..inputs).map(stream).collect(),
        key_names: vec!["key".into()],
        timespan: Span(span),
        kind,
    }
}

fn all_of(ordered: bool) -> Kind {
    let sets = Vec::new();
    Kind::Temporal { ordered, sets }
}

fn window(function: Function, op: Op, value: f64) -> Kind {
    let counts = function == Function::Count;
    let fields = if counts { Vec::new() } else { vec![FieldId(2)] };
    let aggregates = vec![Aggregate {
        name: "n".into(),
        function,
        fields,
        input: None,
    }];
    Kind::Window {
        aggregates,
        bounds: vec![Bound {
            aggregate: 0,
            op,
            value,
            of: None,
        }],
    }
}

pub(super) fn program(rules: Vec<Rule>, suppress: i64, settings: Settings) -> Arc<Program> {
    let detector = |i: usize| Detector {
        id: format!("d{i}"),
        name: format!("d{i}"),
        rule: i,
        suppress: Span(suppress),
        ..Detector::default()
    };
    let detectors = (0..rules.len()).map(detector).collect();
    let rules = rules
        .into_iter()
        .enumerate()
        .map(|(i, r)| Rule { detector: i, ..r })
        .collect();
    let plan = Plan {
        rules,
        detectors,
        ..Plan::default()
    };
    Arc::new(Program::new(Arc::new(plan), HashKey::fixed(), settings))
}

pub(super) fn routed(facts: &[Fact], first: usize, rules: &[u16]) -> Routed {
    let mut out = Routed::default();
    for (i, (time, key, input, value)) in facts.iter().enumerate() {
        let offset = i64::try_from(first + i).unwrap();
        let origin = Origin {
            source: 0,
            partition: 0,
            offset,
        };
        for rule in rules {
            let text = format!("k{key}");
            let start = u32::try_from(out.text.len()).unwrap();
            out.text.extend_from_slice(text.as_bytes());
            out.observations.push(Observation {
                time: *time,
                key: HashKey::fixed()
                    .fingerprint(format!("k{key}\u{1f}").as_bytes())
                    .0,
                // Never 0, and of the fact, not of its place: a plain detection takes it for the event's identity.
                values: [(value + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93), 0],
                present: 1,
                origin,
                start,
                len: u16::try_from(text.len()).unwrap(),
                rule: *rule,
                input: *input,
                event: u32::try_from(offset).unwrap(),
            });
        }
        let observations = u16::try_from(rules.len()).unwrap();
        out.marks.push(Mark {
            time: *time,
            id: 0,
            origin,
            observations,
            bounded: false,
        });
    }
    out
}

pub(super) fn fed_by_events(program: &Program) -> Vec<u16> {
    let fed = |r: &usize| {
        program.plan.rules[*r]
            .inputs
            .iter()
            .any(|i| matches!(i.from, From::Event(_)))
    };
    (0..program.plan.rules.len())
        .filter(fed)
        .filter_map(|r| u16::try_from(r).ok())
        .collect()
}

pub(super) fn drain(engine: &mut Engine) -> Vec<Alert> {
    std::iter::from_fn(|| engine.poll())
        .map(|Output::Alert(a)| *a)
        .collect()
}

fn run(program: &Arc<Program>, facts: &[Fact], cut: usize, shards: usize) -> Vec<Alert> {
    let rules = fed_by_events(program);
    let mut engine = Engine::new(Arc::clone(program), shards);
    let mut alerts = Vec::new();
    for (n, chunk) in facts.chunks(cut).enumerate() {
        engine.handle(&Input::Batch(&routed(chunk, n * cut, &rules)));
        alerts.extend(drain(&mut engine));
    }
    engine.handle(&Input::End { until: None });
    alerts.extend(drain(&mut engine));
    alerts
}

fn openings(alerts: &[Alert]) -> Vec<(i64, String)> {
    let mut list: Vec<_> = alerts
        .iter()
        .filter(|a| a.revision == 0)
        .map(|a| (a.time.0, a.key.get("key").cloned().unwrap_or_default()))
        .collect();
    list.sort();
    list
}

/// The definition, by brute force: per key, evaluate after every event and at every expiry.
fn oracle(facts: &[Fact], span: i64, holds: impl Fn(&[Fact]) -> bool) -> Vec<(i64, String)> {
    let mut sorted = facts.to_vec();
    sorted.sort_by_key(|f| f.0);
    let mut keys: Vec<u64> = facts.iter().map(|f| f.1).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut found = Vec::new();
    for key in keys {
        let own: Vec<Fact> = sorted.iter().filter(|f| f.1 == key).copied().collect();
        let mut open = false;
        let mut instants: Vec<i64> = own.iter().flat_map(|f| [f.0, f.0 + span]).collect();
        instants.sort_unstable();
        instants.dedup();
        for now in instants {
            // All prefixes of the events at this instant, since order within it counts.
            let before = own
                .iter()
                .filter(|f| f.0 > now - span && f.0 < now)
                .copied();
            let mut seen: Vec<Fact> = before.collect();
            let at_now: Vec<Fact> = own.iter().filter(|f| f.0 == now).copied().collect();
            if at_now.is_empty() {
                open &= holds(&seen);
            }
            for fact in at_now {
                seen.push(fact);
                let now_holds = holds(&seen);
                if now_holds && !open {
                    found.push((now, format!("k{key}")));
                }
                open |= now_holds;
            }
            open &= holds(&seen);
        }
    }
    found.sort();
    found
}

fn facts(keys: u64, inputs: u8) -> impl Strategy<Value = Vec<Fact>> {
    prop::collection::vec((0i64..3000, 0..keys, 0..inputs, 0u64..12), 1..120).prop_map(
        |mut list| {
            list.sort_by_key(|f| f.0);
            list
        },
    )
}

fn distinct(list: &[Fact]) -> usize {
    let mut values: Vec<u64> = list.iter().map(|f| f.3).collect();
    values.sort_unstable();
    values.dedup();
    values.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn event_count_is_its_definition(list in facts(3, 1), n in 1usize..7, span in 50i64..800) {
        let p = program(vec![rule(window(Function::Count, Op::Gte, n as f64), 1, span, true)], 0, Settings::default());
        let alerts = run(&p, &list, 1000, 1);
        prop_assert_eq!(openings(&alerts), oracle(&list, span, |w| w.len() >= n));
        let mut ids: Vec<_> = alerts.iter().map(|a| (a.alert_id, a.revision)).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), alerts.len(), "ids and revisions are unique");
    }

    #[test]
    fn value_count_is_its_definition(list in facts(2, 1), n in 1usize..7, span in 50i64..800) {
        let p = program(vec![rule(window(Function::Distinct, Op::Gte, n as f64), 1, span, true)], 0, Settings::default());
        prop_assert_eq!(openings(&run(&p, &list, 1000, 1)), oracle(&list, span, |w| distinct(w) >= n));
    }

    #[test]
    fn absence_is_its_definition(list in facts(4, 2), span in 50i64..800) {
        let kind = Kind::Absence { lookback: Span::ZERO };
        let p = program(vec![rule(kind, 2, span, true)], 0, Settings::default());
        let mut want = Vec::new();
        for (i, after) in list.iter().enumerate().filter(|(_, f)| f.2 == 0) {
            let answered = list.iter().skip(i + 1).any(|f| f.2 == 1 && f.1 == after.1 && f.0 <= after.0 + span);
            if !answered {
                want.push((after.0 + span, format!("k{}", after.1)));
            }
        }
        want.sort();
        prop_assert_eq!(openings(&run(&p, &list, 1000, 1)), want);
    }

    /// Packets, shards and disorder within the lateness change neither ids nor bytes.
    #[test]
    fn nothing_depends_on_cuts_shards_or_disorder(list in facts(5, 2), cut in 1usize..40, shards in 1usize..4, n in 1u32..5, hold in 0i64..300, seed in any::<u64>()) {
        let rules = every_kind(n);
        let settings = Settings { lateness: Span(4000), ..Settings::default() };
        let p = program(rules, hold, settings);
        let plain = strip(run(&p, &list, 1000, 1));
        prop_assert_eq!(&strip(run(&p, &list, cut, shards)), &plain);
        let mut mixed = list.clone();
        let mut state = seed | 1;
        for i in (1..mixed.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            mixed.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        // Equal times keep their order of arrival, so only compare where times differ.
        let mut times: Vec<i64> = list.iter().map(|f| f.0).collect();
        times.dedup();
        if times.len() == list.len() {
            prop_assert_eq!(&strip(run(&p, &mixed, cut, shards)), &plain);
        }
    }

    #[test]
    fn nor_on_when_packets_are_released(list in facts(5, 2), cut in 1usize..40, shards in 1usize..4, n in 1u32..5, hold in 0i64..300) {
        let rules = every_kind(n);
        // Little lateness: packets are released while events still come.
        let settings = Settings { lateness: Span(10), ..Settings::default() };
        let p = program(rules, hold, settings);
        prop_assert_eq!(differences(run(&p, &list, cut, shards), run(&p, &list, 1000, 1)), [""; 0]);
    }

    #[test]
    fn a_restart_changes_nothing(list in facts(5, 2), at in 0usize..100, n in 1u32..5) {
        let rules = every_kind(n);
        let settings = Settings { lateness: Span(100), ..Settings::default() };
        let p = program(rules, 0, settings);
        let all = fed_by_events(&p);
        let (head, tail) = list.split_at(at.min(list.len()));
        let mut whole = Engine::new(Arc::clone(&p), 2);
        let mut halves = Engine::new(Arc::clone(&p), 2);
        for engine in [&mut whole, &mut halves] {
            engine.handle(&Input::Batch(&routed(head, 0, &all)));
        }
        prop_assert_eq!(drain(&mut whole), drain(&mut halves));
        let bytes = halves.snapshot(Extent::Base).body.concat();
        let mut halves = Engine::new(Arc::clone(&p), 2);
        let restored = halves.restore(Saved::read(&[bytes]).unwrap(), &["input".to_owned()]).unwrap();
        prop_assert_eq!(restored.kept, p.plan.rules.len());
        for engine in [&mut whole, &mut halves] {
            engine.handle(&Input::Batch(&routed(tail, head.len(), &all)));
            engine.handle(&Input::End { until: None });
        }
        prop_assert_eq!(drain(&mut whole), drain(&mut halves));
    }
}

/// Every kind of rule, and rules fed by rules, on the same two streams.
pub(super) fn every_kind(n: u32) -> Vec<Rule> {
    let new_value = NewValue {
        fields: vec![FieldId(2)],
        warmup: Span(100),
        known_min: u64::from(n),
        values_max: 8,
        burst: None,
    };
    let burst = Some(Burst {
        count_min: u64::from(n),
        within: Span(200),
    });
    let score = Score {
        weights: vec![2.0, 3.0],
        after: false,
        half_life: Some(Span(150)),
        once: Span(20),
        op: Op::Gte,
        value: f64::from(n),
    };
    let quiet = Quiet {
        count_min: u64::from(n),
        warmup: Span(500),
    };
    let share = Share {
        times: (Op::Gte, 1.5),
        bound: None,
        denominator_min: 2,
        warmup: Span(300),
        half_life: Span(400),
    };
    let spike = Spike {
        fields: Vec::new(),
        expected: Vec::new(),
        factor: 1.2,
        count_min: u64::from(n),
        tail_min: 1.0,
        warmup: Span(300),
        half_life: Span(400),
    };
    let ratio = Kind::Ratio {
        bound: Op::Gte,
        value: 0.5,
        denominator_min: 2,
    };
    vec![
        rule(window(Function::Count, Op::Gte, f64::from(n)), 2, 300, true),
        rule(
            window(Function::Distinct, Op::Gt, f64::from(n)),
            2,
            200,
            true,
        ),
        rule(Kind::Absence { lookback: Span(20) }, 2, 150, true),
        rule(all_of(true), 2, 100, true),
        rule(ratio, 2, 250, true),
        rule(Kind::NewValue(new_value.clone()), 2, 1000, true),
        rule(
            Kind::NewValue(NewValue { burst, ..new_value }),
            2,
            1000,
            true,
        ),
        rule(Kind::Quiet(quiet), 2, 150, true),
        rule(Kind::Share(share), 2, 250, true),
        rule(
            Kind::Spike(Spike {
                fields: vec![FieldId(2)],
                ..spike.clone()
            }),
            2,
            250,
            true,
        ),
        rule(Kind::Spike(spike), 2, 250, true),
        rule(
            Kind::Obligations {
                within: vec![Span(120)],
            },
            2,
            120,
            true,
        ),
        rule(Kind::Score(score.clone()), 2, 300, true),
        rule(
            Kind::Score(Score {
                after: true,
                weights: vec![1.0],
                ..score
            }),
            2,
            300,
            true,
        ),
        chained(0, 400),
        chained(2, 400),
        joined(2, 0, all_of(true)),
        joined(2, 1, all_of(true)),
        joined(2, 0, all_of(false)),
        joined(0, 0, all_of(false)),
        joined(0, 0, all_of(true)),
        joined(10, 1, all_of(false)),
        joined(10, 1, all_of(true)),
        joined(2, 0, window(Function::Distinct, Op::Gte, f64::from(n))),
        rule(Kind::Each, 2, 0, true),
    ]
}

/// Rules by the number of their detector, in this order.
fn loaded(rules: &[(usize, Rule)]) -> Arc<Program> {
    let detectors = rules.iter().map(|(id, _)| Detector {
        id: format!("d{id}"),
        name: format!("d{id}"),
        ..Detector::default()
    });
    let detectors = detectors.collect();
    let place = |(at, (_, rule)): (usize, &(usize, Rule))| Rule {
        detector: at,
        ..rule.clone()
    };
    let plan = Plan {
        rules: rules.iter().enumerate().map(place).collect(),
        detectors,
        ..Plan::default()
    };
    let settings = Settings {
        lateness: Span(100),
        ..Settings::default()
    };
    Arc::new(Program::new(Arc::new(plan), HashKey::fixed(), settings))
}

proptest! {
    /// Rules come, go and change places: one that stays sees no difference.
    #[test]
    fn peer_rule_edit_keeps_the_windows_of_other_rules(list in facts(5, 2), at in 0usize..100, n in 1u32..4) {
        let count = |n: u32| rule(window(Function::Count, Op::Gte, f64::from(n)), 2, 300, true);
        let absence = || rule(Kind::Absence { lookback: Span(20) }, 2, 150, true);
        let ratio = || rule(Kind::Ratio { bound: Op::Gte, value: 0.5, denominator_min: 2 }, 2, 250, true);
        let before = loaded(&[(0, count(n)), (1, absence()), (2, ratio()), (3, count(n + 1))]);
        let after = loaded(&[(4, count(1)), (2, ratio()), (1, absence()), (3, count(n + 2)), (0, count(n))]);
        let (head, tail) = list.split_at(at.min(list.len()));
        let mine = |alerts: Vec<Alert>| -> Vec<Alert> {
            let kept = |a: &Alert| ["d0", "d1", "d2"].contains(&a.detector.id.as_str());
            alerts.into_iter().filter(kept).collect()
        };

        let mut still = Engine::new(Arc::clone(&before), 2);
        let mut edited = Engine::new(Arc::clone(&before), 2);
        for engine in [&mut still, &mut edited] {
            engine.handle(&Input::Batch(&routed(head, 0, &[0, 1, 2, 3])));
        }
        let restored = edited.reload(Arc::clone(&after));
        prop_assert_eq!((restored.kept, restored.fresh), (3, 2));
        still.handle(&Input::Batch(&routed(tail, head.len(), &[0, 1, 2, 3])));
        edited.handle(&Input::Batch(&routed(tail, head.len(), &[4, 2, 1, 3, 0])));
        for engine in [&mut still, &mut edited] {
            engine.handle(&Input::End { until: None });
        }
        prop_assert_eq!(ordered(mine(drain(&mut still))), ordered(mine(drain(&mut edited))));
    }
}

fn chained(producer: usize, span: i64) -> Rule {
    let mut rule = rule(window(Function::Count, Op::Gte, 2.0), 1, span, true);
    rule.inputs[0].from = From::Rule(producer);
    rule
}

/// An event and a detection together, the latter as this input.
fn joined(producer: usize, input: usize, kind: Kind) -> Rule {
    let mut rule = rule(kind, 2, 300, true);
    rule.inputs[input].from = From::Rule(producer);
    rule
}

/// What one run has said and the other has not: which, and in a line each.
fn differences(left: Vec<Alert>, right: Vec<Alert>) -> Vec<String> {
    let line = |side: &str, a: &Alert| format!("{side} {} r{}: {a:?}", a.detector.id, a.revision);
    let only = |side: &str, mine: &[Alert], other: &[Alert]| -> Vec<String> {
        let missing = mine.iter().filter(|a| !other.contains(a));
        missing.map(|a| line(side, a)).collect()
    };
    [only("left", &left, &right), only("right", &right, &left)].concat()
}

/// Positions and all, in one order.
fn ordered(mut alerts: Vec<Alert>) -> Vec<Alert> {
    alerts.sort_by_key(|a| (a.time, a.alert_id, a.revision));
    alerts
}

/// What must be equal: everything but where it came from (a shuffle moves positions).
fn strip(mut alerts: Vec<Alert>) -> Vec<Alert> {
    for alert in &mut alerts {
        alert.positions.clear();
    }
    alerts.sort_by_key(|a| (a.time, a.alert_id, a.revision));
    alerts
}

#[test]
fn peer_refire_one_episode_however_long() {
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 5.0), 1, 1000, true)],
        0,
        Settings::default(),
    );
    let mut list: Vec<Fact> = (0..10_000).map(|i| (i * 10, 1, 0, 0)).collect();
    list.push((1_000_000, 2, 0, 0));
    let alerts = run(&p, &list, 100, 1);
    assert_eq!(openings(&alerts).len(), 1);
    assert!(alerts.len() < 20, "{}", alerts.len());
    let last = alerts.last().unwrap();
    assert_eq!((last.status, last.events), (alert::Status::Closed, 10_000));
}

#[test]
fn peer_future_event_moves_nothing() {
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 5.0), 1, 60_000, true)],
        0,
        Settings::default(),
    );
    let mut list: Vec<Fact> = (0..20).map(|i| (1_000_000 + i * 1000, 1, 0, 0)).collect();
    list.insert(2, (4_000_000_000_000, 1, 0, 0));
    let alerts = run(&p, &list, 3, 1);
    assert_eq!(openings(&alerts), vec![(1_004_000, "k1".to_owned())]);
}

#[test]
fn peer_straggler_is_counted_not_believed() {
    let settings = Settings {
        lateness: Span::minutes(5),
        ..Settings::default()
    };
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 3.0), 1, 60_000, true)],
        0,
        settings,
    );
    let mut engine = Engine::new(Arc::clone(&p), 1);
    let list: Vec<Fact> = vec![
        (0, 1, 0, 0),
        (1, 1, 0, 0),
        (10_000_000, 2, 0, 0),
        (2, 1, 0, 0),
    ];
    engine.handle(&Input::Batch(&routed(&list, 0, &[0])));
    engine.handle(&Input::End { until: None });
    assert_eq!(drain(&mut engine), vec![]);
    assert_eq!(engine.stats().counts.late, 1);
}

/// [peer_rule_edit] A field's number depends on what else is loaded; what a rule is does not.
#[test]
fn a_rule_is_the_same_whatever_fields_others_read() {
    use crate::engine::detector::{Options, SourceFile, compile};
    let detector = |name: &str, field: &str| SourceFile {
        path: format!("{name}.yml"),
        text: format!(
            "title: {name}\nname: {name}\nlogsource: {{product: tidegate}}\n\
             detection:\n  one: {{event.kind: token.used, {field}: x}}\n  condition: one\n\
             correlation:\n  type: value_count\n  group-by: [{field}.group]\n  timespan: 5m\n  \
             condition: {{field: {field}.value, gte: 3}}\n"
        ),
        ..SourceFile::default()
    };
    let load = |files: &[SourceFile]| {
        let compiled = compile(files, &Options::default());
        assert!(
            !compiled.diagnostics.iter().any(|d| d.is_fault()),
            "{:?}",
            compiled.diagnostics
        );
        Program::new(
            Arc::new(compiled.plan),
            HashKey::fixed(),
            Settings::default(),
        )
    };
    let alone = load(&[detector("mine", "own")]);
    let second = load(&[detector("before", "other"), detector("mine", "own")]);
    assert_eq!(second.keep(&alone.identities()), [None, Some(0)]);
    let edited = load(&[detector("mine", "another")]);
    assert_eq!(edited.keep(&alone.identities()), [None]);
}

/// A share that opens late in the input ends when its value falls, whatever timers stood before.
#[test]
fn a_share_is_looked_at_when_something_leaves_its_window() {
    let mut list: Vec<Fact> = vec![(0, 4, 1, 0), (0, 4, 0, 0), (0, 4, 1, 0)];
    list.extend(std::iter::repeat_n((0, 0, 0, 0), 15));
    list.extend([
        (2629, 4, 1, 0),
        (2629, 4, 0, 0),
        (2878, 4, 1, 0),
        (2889, 0, 0, 0),
    ]);
    let settings = Settings {
        lateness: Span(10),
        ..Settings::default()
    };
    let p = program(every_kind(1), 0, settings);
    let (cut, whole) = (run(&p, &list, 19, 1), run(&p, &list, 1000, 1));
    assert_eq!(differences(cut, whole), [""; 0]);
}

/// Two inputs by (time, input), one key.
fn told(kind: Kind, facts: &[(i64, u8)]) -> Vec<(i64, String)> {
    let p = program(vec![rule(kind, 2, 100, true)], 0, Settings::default());
    let list: Vec<Fact> = facts.iter().map(|(t, input)| (*t, 1, *input, 0)).collect();
    openings(&run(&p, &list, 1000, 1))
}

/// Found by the simulation: a share was taken to hold for a whole timespan after its last event.
#[test]
fn a_share_that_falls_by_time_alone_ends_its_episode() {
    let kind = Kind::Ratio {
        bound: Op::Gte,
        value: 0.5,
        denominator_min: 2,
    };
    let one = "k1".to_owned();
    // Two of four at 41; at 100 and 101 the two leave. One of two at 120.
    let facts = [(0, 1), (0, 0), (1, 1), (1, 0), (40, 1), (41, 1), (120, 0)];
    assert_eq!(told(kind, &facts), vec![(1, one.clone()), (120, one)]);
}

/// Found by the simulation: the same with a sum.
#[test]
fn a_sum_that_falls_by_time_alone_ends_its_episode() {
    let kind = window(Function::Sum, Op::Gte, 100.0);
    let p = program(vec![rule(kind, 1, 60, true)], 0, Settings::default());
    let list: Vec<Fact> = vec![(0, 1, 0, 60), (10, 1, 0, 50), (65, 1, 0, 55)];
    let mut input = routed(&list, 0, &[0]);
    for (o, fact) in input.observations.iter_mut().zip(&list) {
        o.values[0] = (fact.3 as f64).to_bits();
    }
    let mut engine = Engine::new(Arc::clone(&p), 1);
    engine.handle(&Input::Batch(&input));
    engine.handle(&Input::End { until: None });
    let one = "k1".to_owned();
    assert_eq!(
        openings(&drain(&mut engine)),
        vec![(10, one.clone()), (65, one)]
    );
}

/// Found by the simulation: an `expect` that came before its `after`, and arrived behind it.
#[test]
fn a_straggler_within_lookback_is_an_answer() {
    let settings = Settings {
        sorted: false,
        ..Settings::default()
    };
    let kind = Kind::Absence { lookback: Span(50) };
    let p = program(vec![rule(kind, 2, 20, true)], 0, settings);
    for (expect, alerts) in [(960, 0), (940, 1)] {
        let list: Vec<Fact> = vec![(1000, 1, 0, 0), (expect, 1, 1, 0)];
        assert_eq!(
            openings(&run(&p, &list, 1, 1)).len(),
            alerts,
            "expect at {expect}"
        );
    }
}

/// Found by the simulation: state that later observations of a packet still needed was swept by
/// the packet's watermark, where input comes in large steps.
#[test]
fn a_large_packet_sweeps_nothing_that_it_still_needs() {
    let settings = Settings {
        lateness: Span(10),
        ..Settings::default()
    };
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 2.0), 1, 1000, true)],
        0,
        settings,
    );
    // Key 1 twice within the span, and between them many others that look for places to sweep.
    let mut list: Vec<Fact> = vec![(0, 1, 0, 0)];
    list.extend((0..2000).map(|i| (1 + i / 10, 100 + u64::try_from(i).unwrap(), 0, 0)));
    list.push((900, 1, 0, 0));
    list.push((10_000_000, 2, 0, 0));
    assert_eq!(
        openings(&run(&p, &list, 10_000, 1)),
        vec![(900, "k1".to_owned())]
    );
}

/// Found by the simulation: where the very first record was the one from the future, all others
/// were late.
#[test]
fn peer_future_event_that_comes_first_moves_nothing() {
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 5.0), 1, 60_000, true)],
        0,
        Settings::default(),
    );
    let mut list: Vec<Fact> = vec![(4_000_000_000_000, 1, 0, 0)];
    list.extend((0..20).map(|i| (1_000_000 + i * 1000, 1, 0, 0)));
    for cut in [1, 3, 100] {
        let alerts = run(&p, &list, cut, 1);
        assert_eq!(
            openings(&alerts),
            vec![(1_004_000, "k1".to_owned())],
            "cut {cut}"
        );
    }
}

/// The clock tells that a lone record is not from the future: its deadline comes.
#[test]
fn a_lone_record_has_its_deadline_by_the_clock() {
    let kind = Kind::Absence {
        lookback: Span::ZERO,
    };
    let p = program(vec![rule(kind, 2, 1000, true)], 0, Settings::default());
    let mut engine = Engine::new(Arc::clone(&p), 1);
    engine.handle(&Input::Batch(&routed(&[(50_000, 1, 0, 0)], 0, &[0])));
    engine.handle(&Input::Idle {
        source: 0,
        partition: 0,
    });
    for second in 0..=302 {
        engine.advance(WallTime(50_100 + second * 1000));
    }
    assert_eq!(
        openings(&drain(&mut engine)),
        vec![(51_000, "k1".to_owned())]
    );
}

/// A log whose last records are no events is not read again, and may lose them.
#[test]
fn the_frontier_passes_what_is_no_event() {
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 9.0), 1, 100, true)],
        0,
        Settings::default(),
    );
    let mut engine = Engine::new(Arc::clone(&p), 1);
    let mut batch = routed(&[(1000, 1, 0, 0)], 4, &[0]);
    for offset in [5, 6] {
        let origin = Origin {
            offset,
            ..Origin::default()
        };
        batch.pass(origin);
    }
    engine.handle(&Input::Batch(&batch));
    assert_eq!(engine.frontier().collect::<Vec<_>>(), [(0, 0, 7)]);
    let (source, partition) = (0, 0);
    for next in [9, 8] {
        engine.handle(&Input::Reached {
            source,
            partition,
            next,
        });
    }
    assert_eq!(engine.frontier().collect::<Vec<_>>(), [(0, 0, 9)]);
    assert_eq!(engine.counts().events, 1);
}

/// A process that was stopped, or a clock that leaps, has not seen what was written meanwhile.
#[test]
fn time_that_nobody_watched_makes_nothing_late() {
    let settings = Settings {
        lateness: Span(5000),
        ..Settings::default()
    };
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 9.0), 1, 100, true)],
        0,
        settings,
    );
    let mut engine = Engine::new(Arc::clone(&p), 1);
    let at_end = |engine: &mut Engine, time: i64, offset: usize| {
        engine.handle(&Input::Batch(&routed(&[(time, 1, 0, 0)], offset, &[0])));
        engine.handle(&Input::Idle {
            source: 0,
            partition: 0,
        });
    };
    at_end(&mut engine, 99_000, 0);
    at_end(&mut engine, 100_000, 1);
    engine.advance(WallTime(100_000));
    engine.advance(WallTime(101_000));
    assert_eq!(engine.stats().watermark.0, 96_000);
    // Stopped for 25 s, then stepped back and forth by an hour.
    for now in [126_000, 126_100, 126_100 - 3_600_000, 126_200] {
        engine.advance(WallTime(now));
    }
    let watermark = engine.stats().watermark.0;
    assert!((98_000..=100_100).contains(&watermark), "{watermark}");
    at_end(&mut engine, 102_000, 2);
    assert_eq!(engine.counts().late, 0);
    // Watched, it passes as fast as the clock.
    for second in 0..60 {
        engine.advance(WallTime(200_000 + second * 1000));
    }
    assert_eq!(engine.stats().watermark.0, 102_000 - 5000 + 59_000);
}

/// Found by the simulation: after a pause the first partition to be read made the others late.
#[test]
fn a_partition_that_is_behind_again_holds_event_time_back() {
    let settings = Settings {
        lateness: Span(10),
        ..Settings::default()
    };
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 9.0), 1, 100, true)],
        0,
        settings,
    );
    let mut engine = Engine::new(Arc::clone(&p), 1);
    let of = |partition: i32, times: &[i64]| {
        let list: Vec<Fact> = times.iter().map(|t| (*t, 1, 0, 0)).collect();
        let mut input = routed(&list, usize::try_from(times[0]).unwrap(), &[0]);
        input
            .marks
            .iter_mut()
            .for_each(|m| m.origin.partition = partition);
        input
    };
    for partition in [0, 1] {
        engine.handle(&Input::Batch(&of(partition, &[100, 101])));
        engine.handle(&Input::Idle {
            source: 0,
            partition,
        });
    }
    engine.handle(&Input::Behind {
        source: 0,
        partition: 1,
    });
    engine.advance(WallTime(0));
    engine.advance(WallTime(1_000_000));
    engine.handle(&Input::Batch(&of(0, &[200, 5000])));
    engine.handle(&Input::Batch(&of(1, &[210, 5001])));
    assert_eq!(engine.counts().late, 0);
}

/// A partition that is gone for good is in no frontier, and after a restart nothing waits for it.
#[test]
fn a_partition_that_is_gone_leaves_the_frontier_and_holds_nothing_back() {
    let rules = vec![rule(window(Function::Count, Op::Gte, 9.0), 1, 100, true)];
    let p = program(rules, 0, Settings::default());
    let mut engine = Engine::new(Arc::clone(&p), 1);
    for (partition, next) in [(0, 0), (1, 7)] {
        engine.handle(&Input::Expect {
            source: 0,
            partition,
            next,
        });
    }
    let (source, partition) = (0, 1);
    engine.handle(&Input::Restart {
        source,
        partition,
        next: watermark::UNREAD,
    });
    engine.handle(&Input::Idle { source, partition });
    engine.handle(&Input::Batch(&routed(&[(1000, 1, 0, 0)], 0, &[0])));
    engine.handle(&Input::Batch(&routed(&[(2000, 1, 0, 0)], 1, &[0])));
    assert_eq!(engine.frontier().collect::<Vec<_>>(), [(0, 0, 2)]);
    let before = engine.stats().watermark;
    assert!(before > EventTime::MIN, "{before:?}");
    let bytes = engine.snapshot(Extent::Base).body.concat();
    let mut engine = Engine::new(Arc::clone(&p), 1);
    let names = ["input".to_owned()];
    let restored = engine.restore(Saved::read(&[bytes]).unwrap(), &names);
    assert!(restored.is_ok());
    assert_eq!(engine.frontier().collect::<Vec<_>>(), [(0, 0, 2)]);
    engine.handle(&Input::Batch(&routed(&[(9000, 1, 0, 0)], 2, &[0])));
    assert!(engine.stats().watermark > before, "nothing holds it back");
}

/// [C4] A partition that could not be read when a snapshot was written, and is never named again: the topic was
/// made anew with fewer. It has brought nothing, and held event time back for ever.
#[test]
fn a_partition_that_nobody_has_read_is_forgotten_at_a_restart() {
    let p = program(
        vec![rule(window(Function::Count, Op::Gte, 9.0), 1, 100, true)],
        0,
        Settings::default(),
    );
    let list: Vec<Fact> = vec![(1_000_000, 1, 0, 0), (2_000_000, 1, 0, 0)];
    let mut engine = Engine::new(Arc::clone(&p), 1);
    let behind = |partition| Input::Behind {
        source: 0,
        partition,
    };
    engine.handle(&behind(7));
    engine.handle(&Input::Batch(&routed(&list, 0, &[0])));
    assert_eq!(engine.stats().watermark, EventTime::MIN);
    for is_named_again in [false, true] {
        let saved = [engine.snapshot(Extent::Base).body.concat()];
        let mut again = Engine::new(Arc::clone(&p), 1);
        let saved = Saved::read(&saved).unwrap();
        again.restore(saved, &["input".to_owned()]).unwrap();
        assert_eq!(again.frontier().collect::<Vec<_>>(), [(0, 0, 2)]);
        if is_named_again {
            again.handle(&behind(7));
        }
        again.handle(&Input::Batch(&routed(&[(3_000_000, 1, 0, 0)], 2, &[0])));
        let waits = again.stats().watermark == EventTime::MIN;
        assert_eq!(waits, is_named_again);
    }
}
