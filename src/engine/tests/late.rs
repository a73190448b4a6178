//! The late lane: what comes too late for windows still meets the rules that ask for it (decoys,
//! tokens), with its own time and key, and no other rule.

use super::*;
use crate::engine::exchange::OWN_ID;

const LATENESS: i64 = 1000;
/// What is behind it when time has come to `NOW` is late.
const NOW: i64 = 1_000_000;

/// A rule that wants late events and its twin that does not, over the same events: what each opens, however
/// the input is cut, and how many events were late.
fn check(kind: &Kind, facts: &[Fact], expect: [&[(i64, &str)]; 2], late: u64) {
    let own = |sorted| Settings {
        sorted,
        lateness: Span(LATENESS),
        ..Settings::default()
    };
    for sorted in [true, false] {
        let twins = vec![rule(kind.clone(), 2, 100, true); 2];
        let mut plan = (*program(twins, 0, own(sorted)).plan).clone();
        plan.detectors[0].late = true;
        let program = Program::new(Arc::new(plan), HashKey::fixed(), own(sorted));
        let (program, rules) = (Arc::new(program), [0, 1]);
        for cut in 1..=facts.len() {
            let mut engine = Engine::new(Arc::clone(&program), 2);
            for (n, chunk) in facts.chunks(cut).enumerate() {
                engine.handle(&Input::Batch(&routed(chunk, n * cut, &rules)));
            }
            engine.handle(&Input::End { until: None });
            assert_eq!(engine.counts().late, late);
            let (own, others): (Vec<_>, Vec<_>) = drain(&mut engine)
                .into_iter()
                .partition(|a| a.detector.id == "d0");
            let told = [own, others].map(|alerts| openings(&alerts));
            let expect = expect.map(|all| {
                let all = all.iter().map(|(time, key)| (*time, (*key).to_owned()));
                all.collect::<Vec<_>>()
            });
            assert_eq!(told, expect, "{kind:?}, sorted {sorted}, cut {cut}");
        }
    }
}

#[test]
fn a_late_decoy_is_told() {
    let facts = [
        (NOW - 5000, 1, 0, 0),
        (NOW, 2, 0, 0),
        (NOW - 3000, 3, 0, 0),
        (NOW + 10, 4, 0, 0),
        (NOW - 4000, 5, 0, 0),
    ];
    let in_time = [(NOW - 5000, "k1"), (NOW, "k2"), (NOW + 10, "k4")];
    let [first, last] = [(NOW - 4000, "k5"), (NOW - 3000, "k3")];
    let all = [in_time[0], first, last, in_time[1], in_time[2]];
    let once = window(Function::Count, Op::Gte, 1.0);
    for kind in [Kind::Each, once] {
        check(&kind, &facts, [&all, &in_time], 2);
    }
}

/// Two in time and one that is late are three for a rule by a token, and two for any other window.
#[test]
fn a_late_event_counts_in_no_other_window() {
    let facts = [
        (NOW - 3000, 1, 0, 0),
        (NOW - 2990, 1, 0, 0),
        (NOW, 2, 0, 0),
        (NOW - 2980, 1, 0, 0),
    ];
    let three = window(Function::Count, Op::Gte, 3.0);
    check(&three, &facts, [&[(NOW - 2980, "k1")], &[]], 1);
}

/// A token that was issued long ago and that nobody used is told of, however late that is heard.
#[test]
fn a_late_token_is_waited_for() {
    let kind = Kind::Absence {
        lookback: Span::ZERO,
    };
    let facts = [(NOW - 10, 1, 0, 0), (NOW, 1, 1, 0), (NOW - 3000, 2, 0, 0)];
    check(&kind, &facts, [&[(NOW - 2900, "k2")], &[]], 1);
}

/// Found by the simulation: of two events of one key and second the straggler had the id of the other one, if a
/// third came between them. The store took it for the same alert, and nobody was told.
#[test]
fn a_straggler_has_an_id_of_its_own() {
    for behind in [200, 100_000] {
        let facts = [
            (NOW - behind, 1, 0, 0),
            (NOW, 1, 0, 0),
            (NOW + 1, 1, 0, 0),
            (NOW - behind + 30, 1, 0, 0),
        ];
        let settings = Settings {
            sorted: false,
            lateness: Span(LATENESS),
            ..Settings::default()
        };
        let plain = program(vec![rule(Kind::Each, 1, 0, true)], 0, settings.clone());
        let mut plan = (*plain.plan).clone();
        plan.detectors[0].late = true;
        let program = Program::new(Arc::new(plan), HashKey::fixed(), settings);
        let alerts = run(&Arc::new(program), &facts, 1, 1);
        let ids: std::collections::BTreeSet<_> = alerts.iter().map(|a| a.alert_id).collect();
        assert_eq!((alerts.len(), ids.len()), (4, 4));
    }
}

/// Of three events of one key at one moment, another moment and the first one again, the third had the id of the
/// first; also when the state was stored between them.
#[test]
fn a_straggler_at_a_moment_that_had_an_alert_has_an_id_of_its_own() {
    let settings = Settings {
        sorted: false,
        lateness: Span(LATENESS),
        ..Settings::default()
    };
    let program = program(vec![rule(Kind::Each, 1, 0, true)], 0, settings);
    let times = [0, 5, 0, 9, 5, 0, 0, 9];
    let facts = times.map(|ms| (NOW + ms, 1, 0, 0));
    let ids = |alerts: Vec<Alert>| alerts.into_iter().map(|a| a.alert_id).collect::<Vec<_>>();
    let whole = ids(run(&program, &facts, 1, 1));
    let mut distinct = whole.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), facts.len());

    let mut told = Vec::new();
    let mut state = None;
    for (n, fact) in facts.iter().enumerate() {
        let mut engine = Engine::new(Arc::clone(&program), 1);
        if let Some(bytes) = state.take() {
            let chain = [bytes];
            let saved = Saved::read(&chain).unwrap();
            engine.restore(saved, &["input".to_owned()]).unwrap();
        }
        engine.handle(&Input::Batch(&routed(&[*fact], n, &[0])));
        told.extend(drain(&mut engine));
        state = Some(engine.snapshot(Extent::Base).body.concat());
    }
    assert_eq!(ids(told), whole);
}

/// A key's numbers are remembered for so many slots, whatever an attacker sends.
#[test]
fn the_numbers_of_a_key_take_little_memory() {
    let settings = Settings {
        sorted: false,
        lateness: Span::minutes(5),
        ..Settings::default()
    };
    let program = program(vec![rule(Kind::Each, 1, 0, true)], 0, settings);
    let bytes = |facts: i64| {
        let facts: Vec<Fact> = (0..facts).map(|i| (NOW + i / 2, 1, 0, 0)).collect();
        let mut engine = Engine::new(Arc::clone(&program), 1);
        engine.handle(&Input::Batch(&routed(&facts, 0, &[0])));
        assert_eq!(drain(&mut engine).len(), facts.len());
        engine.stats().usage.iter().map(|u| u.bytes).sum::<u64>()
    };
    assert_eq!(bytes(5000), bytes(500));
}

/// Other keys that come between them sweep what is over: the numbers of a key are not, as long as its newest may
/// be met again. A straggler had taken their end back to its own time.
#[test]
fn what_other_keys_sweep_takes_no_number_along() {
    let settings = Settings {
        sorted: false,
        lateness: Span::minutes(5),
        ..Settings::default()
    };
    let program = program(vec![rule(Kind::Each, 1, 0, true)], 0, settings);
    let mut facts = vec![(NOW, 1, 0, 0), (NOW - 299_000, 1, 0, 0)];
    facts.extend((0..300).map(|i| (NOW + 200_000 + i, 2 + i.unsigned_abs(), 0, 0)));
    facts.push((NOW, 1, 0, 0));
    let alerts = run(&program, &facts, 1, 1);
    let ids: std::collections::BTreeSet<_> = alerts.iter().map(|a| a.alert_id).collect();
    assert_eq!((alerts.len(), ids.len()), (facts.len(), facts.len()));
}

/// So had the straggler among new values that are told one by one: its slot is a minute wide.
#[test]
fn a_new_value_that_straggles_has_an_id_of_its_own() {
    let kind = Kind::NewValue(NewValue {
        fields: vec![FieldId(2)],
        warmup: Span::ZERO,
        known_min: 1,
        values_max: 8,
        burst: None,
    });
    let settings = Settings {
        sorted: false,
        lateness: Span::minutes(5),
        ..Settings::default()
    };
    let p = program(vec![rule(kind, 1, 480_000, true)], 0, settings);
    let facts = [0, 1000, 70_000, 3000, 2000];
    let facts: Vec<Fact> = (0..)
        .zip(facts)
        .map(|(v, ms)| (NOW + ms, 1, 0, v))
        .collect();
    let alerts = run(&p, &facts, 1, 1);
    let ids: std::collections::BTreeSet<_> = alerts.iter().map(|a| a.alert_id).collect();
    assert_eq!((alerts.len(), ids.len()), (4, 4));
}

/// Events with ids are told apart by them alone: whatever comes between, in whatever order, their alerts have the
/// ids that they have in order, and no state is kept for it.
#[test]
fn an_event_with_an_id_gives_its_alert_one() {
    let settings = Settings {
        sorted: false,
        lateness: Span(LATENESS),
        ..Settings::default()
    };
    let plain = program(vec![rule(Kind::Each, 1, 0, true)], 0, settings.clone());
    let mut plan = (*plain.plan).clone();
    plan.detectors[0].late = true;
    let program = Arc::new(Program::new(Arc::new(plan), HashKey::fixed(), settings));
    let told = |order: &[usize]| {
        let mut engine = Engine::new(Arc::clone(&program), 1);
        let mut alerts = Vec::new();
        for (n, event) in order.iter().enumerate() {
            // Of the six, each two are of one moment.
            let time = NOW + i64::try_from(event / 2).unwrap() * 100_000;
            let mut one = routed(&[(time, 1, 0, 0)], n, &[0]);
            one.observations[0].event = OWN_ID | u32::try_from(*event).unwrap();
            engine.handle(&Input::Batch(&one));
            alerts.extend(drain(&mut engine));
        }
        assert_eq!(engine.stats().usage[0].keys, 0);
        alerts
            .into_iter()
            .map(|a| a.alert_id)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let in_order = told(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(in_order.len(), 6);
    for order in [[5, 4, 3, 2, 1, 0], [4, 0, 5, 2, 1, 3], [1, 3, 5, 0, 2, 4]] {
        assert_eq!(told(&order), in_order);
    }
}
