//! The late lane: what comes too late for windows still meets the rules that ask for it (decoys,
//! tokens), with its own time and key, and no other rule.

use super::*;

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

/// New values that are told one by one.
fn new_values(timespan: i64) -> Arc<Program> {
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
    program(vec![rule(kind, 1, timespan, true)], 0, settings)
}

/// So many alerts come of new values of one key at these moments, and no two have one id.
fn check_new_values(timespan: i64, moments: &[i64], alerts: usize) {
    let facts: Vec<Fact> = (0..)
        .zip(moments)
        .map(|(v, ms)| (NOW + ms, 1, 0, v))
        .collect();
    let told = run(&new_values(timespan), &facts, 1, 1);
    let ids: std::collections::BTreeSet<_> = told.iter().map(|a| a.alert_id).collect();
    assert_eq!((told.len(), ids.len()), (alerts, alerts));
}

/// Two stragglers among new values had the ids of others of their slot, which is a minute wide.
#[test]
fn a_new_value_that_straggles_has_an_id_of_its_own() {
    check_new_values(480_000, &[0, 1000, 70_000, 3000, 2000], 4);
}

/// A key that begins anew, since nothing came for so long, begins no slot anew. The first straggler behind it is learnt from.
#[test]
fn a_new_value_that_straggles_behind_a_key_that_began_anew_has_an_id_of_its_own() {
    check_new_values(8000, &[0, 10, 61_000, 20, 30], 2);
}

/// A key's numbers are remembered for so many slots, whatever an attacker sends.
#[test]
fn the_numbers_of_a_key_take_little_memory() {
    let program = new_values(8000);
    let bytes = |facts: i64| {
        let facts: Vec<Fact> = (0..facts)
            .map(|i| (NOW + i * 1000, 1, 0, i.unsigned_abs()))
            .collect();
        let mut engine = Engine::new(Arc::clone(&program), 1);
        engine.handle(&Input::Batch(&routed(&facts, 0, &[0])));
        assert_eq!(drain(&mut engine).len(), facts.len() - 1);
        engine.stats().usage.iter().map(|u| u.bytes).sum::<u64>()
    };
    assert_eq!(bytes(5000), bytes(500));
}
