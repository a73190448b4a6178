//! The memory of the rules' state: its bound holds whatever keys do, and a restart changes nothing of it.

use super::*;

const MEMORY: usize = 16 << 20;

/// Each of so many keys with so many values, one value of each in turn.
fn spray(keys: u64, values: u64) -> Vec<Fact> {
    let all = (0..values).flat_map(|value| (0..keys).map(move |key| (key, value)));
    (1_000..)
        .zip(all)
        .map(|(time, (key, value))| (time, key, 0, value * keys + key))
        .collect()
}

fn bytes_and_keys(engine: &mut Engine) -> (u64, u64) {
    let stats = engine.stats();
    let sum = |of: fn(&crate::engine::rule::Usage) -> u64| stats.usage.iter().map(of).sum();
    (sum(|u| u.bytes), sum(|u| u.keys))
}

/// Keys that were there took what they liked: 2,000 sets of a hundred values held twice the memory, and a
/// restart threw away what was too much.
#[test]
fn sets_that_grow_stay_within_the_memory_and_survive_a_restart() {
    let many = window(Function::Distinct, Op::Gte, 1_000.0);
    let settings = Settings {
        memory: MEMORY,
        lateness: Span(100),
        ..Settings::default()
    };
    let p = program(vec![rule(many, 1, 3_600_000, true)], 0, settings);
    let mut engine = Engine::new(Arc::clone(&p), 1);
    for (n, chunk) in spray(8_000, 100).chunks(1_024).enumerate() {
        engine.handle(&Input::Batch(&routed(chunk, n * 1_024, &[0])));
        let (bytes, _) = bytes_and_keys(&mut engine);
        assert!(bytes <= MEMORY as u64 + (64 << 10), "{bytes} bytes");
    }
    let (_, keys) = bytes_and_keys(&mut engine);
    assert!(keys < 8_000, "the test fills nothing");
    let body = engine.snapshot(Extent::Base).body.concat();
    let mut again = Engine::new(p, 1);
    let chain = [body];
    again
        .restore(Saved::read(&chain).unwrap(), &["input".to_owned()])
        .unwrap();
    assert_eq!(bytes_and_keys(&mut again).1, keys);
}

/// [B1] One record of a backlog that is dated far ahead waits for the end of it; the texts of all that came behind
/// it waited, too, in memory and in every base.
#[test]
fn one_record_from_the_future_keeps_no_other_texts() {
    let size = |time: i64| {
        let count = window(Function::Count, Op::Gte, 1_000.0);
        let settings = Settings {
            lateness: Span(1000),
            ..Settings::default()
        };
        let p = program(vec![rule(count, 1, 1000, true)], 0, settings);
        let mut engine = Engine::new(p, 1);
        let first = [(0, 1, 0, 0), (time, 1, 0, 0)];
        engine.handle(&Input::Batch(&routed(&first, 0, &[0])));
        for batch in 0..300 {
            let facts: Vec<Fact> = (0..20).map(|n| (batch * 100 + n, n as u64, 0, 0)).collect();
            let offset = usize::try_from(2 + batch * 20).unwrap();
            engine.handle(&Input::Batch(&routed(&facts, offset, &[0])));
        }
        engine.snapshot(Extent::Base).body.concat().len()
    };
    let (plain, one) = (size(1), size(Span::days(7).0));
    // A place of two bytes for each batch.
    assert!(one < plain + 300 * 2 + 100, "{plain}, {one} bytes");
}
