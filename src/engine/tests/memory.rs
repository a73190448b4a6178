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
