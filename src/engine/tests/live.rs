//! What a live stream that is handed on as it comes has in common with the same input put in order:
//! everything, where the events of each key come in order or a rule waits for the watermark; else the
//! crossings of a count, give or take the disorder.

use super::*;

/// The facts in the order in which they arrive, each delayed by what `delays` says.
fn arriving(list: &[Fact], delays: &[i64]) -> Vec<Fact> {
    let mut all: Vec<(i64, Fact)> = list
        .iter()
        .zip(delays.iter().cycle())
        .map(|(f, delay)| (f.0 + delay, *f))
        .collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, fact)| fact).collect()
}

/// At most one fact in a millisecond, so that the order of time is one.
fn one_at_a_time(mut list: Vec<Fact>) -> Vec<Fact> {
    list.dedup_by_key(|f| f.0);
    list
}

fn settings(sorted: bool, lateness: i64) -> Settings {
    Settings {
        sorted,
        lateness: Span(lateness),
        ..Settings::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Keys come from different partitions, one behind the other.
    #[test]
    fn where_each_key_is_in_order_live_is_sorted(
        list in facts(5, 2), delays in prop::collection::vec(0i64..400, 5), cut in 1usize..40,
        shards in 1usize..4, n in 1u32..5, hold in 0i64..300,
    ) {
        let list = one_at_a_time(list);
        let of_key: Vec<i64> = list.iter().map(|f| delays[usize::try_from(f.1).unwrap()]).collect();
        let live = program(every_kind(n), hold, settings(false, 500));
        let sorted = program(every_kind(n), hold, settings(true, 500));
        let told = strip(run(&live, &arriving(&list, &of_key), cut, shards));
        prop_assert_eq!(differences(told, strip(run(&sorted, &list, 1000, 1))), [""; 0]);
    }

    #[test]
    fn what_waits_sees_no_disorder(
        list in facts(5, 2), delays in prop::collection::vec(0i64..400, 1..50), cut in 1usize..40,
        shards in 1usize..4, n in 1u32..5, hold in 0i64..300,
    ) {
        let list = one_at_a_time(list);
        let live = program(every_kind(n), hold, settings(false, 500));
        let sorted = program(every_kind(n), hold, settings(true, 500));
        let waits = |a: &Alert| {
            let rule = a.detector.id[1..].parse::<usize>().unwrap();
            live.specs[rule].waits || matches!(live.plan.rules[rule].kind, Kind::Absence { .. })
        };
        let of = |alerts: Vec<Alert>| strip(alerts.into_iter().filter(waits).collect());
        let told = of(run(&live, &arriving(&list, &delays), cut, shards));
        prop_assert_eq!(differences(told, of(run(&sorted, &list, 1000, 1))), [""; 0]);
    }

    /// Near each crossing one is told, and where one is told the bound did hold. At most eight events of a
    /// key overtake another one here: so many more stamps than the bound are kept.
    #[test]
    fn a_live_count_crosses_where_sorted_input_does_give_or_take_the_disorder(
        list in facts(3, 1), delays in prop::collection::vec(0i64..150, 1..50), cut in 1usize..40,
        n in 1usize..7, span in 50i64..800,
    ) {
        let mut own = [0_i64; 3];
        let mut spaced = one_at_a_time(list);
        spaced.retain(|f| {
            let last = &mut own[usize::try_from(f.1).unwrap()];
            let far = f.0 - *last >= 20;
            if far { *last = f.0 }
            far
        });
        let count = |of: &dyn Fn(f64) -> Kind| vec![rule(of(n as f64), 1, span, true)];
        let rules = count(&|bound| window(Function::Count, Op::Gte, bound));
        let p = program(rules, 0, settings(false, 500));
        let told = openings(&run(&p, &arriving(&spaced, &delays), cut, 1));
        let want = oracle(&spaced, span, |w| w.len() >= n);
        for (time, key) in &want {
            let near = |(t, k): &(i64, String)| k == key && (t - time).abs() < 150;
            prop_assert!(told.iter().any(near), "{} at {} is lost: {:?}", key, time, told);
        }
        for (time, key) in &told {
            let within = |f: &&Fact| format!("k{}", f.1) == *key && f.0 > time - span && f.0 <= *time;
            prop_assert!(spaced.iter().filter(within).count() >= n, "{} at {}", key, time);
        }
    }
}
