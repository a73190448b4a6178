//! What increments make of a base, held against the whole state of an engine that never writes one.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::engine::detector::plan::{Kind as RuleKind, Rule};
use crate::engine::tests::{Fact, drain, every_kind, fed_by_events, program, routed};
use crate::engine::{Engine, Input, program::Settings};
use crate::model::{HashKey, Span, WallTime};

const SHARDS: usize = 2;

/// A base and its increments as one base.
fn as_base(chain: &[Vec<u8>]) -> Vec<u8> {
    let (head, images) = Saved::read(chain).unwrap().merged().unwrap();
    let before = (head.version, head.key_id, head.rules, head.sequencer);
    let shards = images.iter().map(|i| postcard::to_stdvec(i).unwrap());
    behind(postcard::to_stdvec(&before).unwrap(), shards.collect()).concat()
}

/// What happens between two batches.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Nothing,
    Snapshot,
    Reload,
    /// The partition is at its end, and time passes.
    Idle(i64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        2 => Just(Turn::Nothing),
        6 => Just(Turn::Snapshot),
        1 => Just(Turn::Reload),
        1 => (0i64..400).prop_map(Turn::Idle),
    ]
}

/// Two engines with the same input, of which one writes increments and the other only bases.
struct Pair {
    programs: [Arc<Program>; 2],
    engines: [Engine; 2],
    chain: Vec<Vec<u8>>,
    /// Increments that were written.
    increments: usize,
}

impl Pair {
    fn new(programs: [Arc<Program>; 2]) -> Self {
        let engine = || Engine::new(Arc::clone(&programs[0]), SHARDS);
        let engines = [engine(), engine()];
        Self {
            programs,
            engines,
            chain: Vec::new(),
            increments: 0,
        }
    }

    fn batch(&mut self, facts: &[Fact], first: usize) {
        let mut batch = routed(facts, first, &fed_by_events(&self.programs[0]));
        for (mark, n) in batch.marks.iter_mut().zip(first..) {
            // One in seven is delivered twice.
            mark.id = (n - usize::from(n % 7 == 6)) as u64 + 1;
        }
        for engine in &mut self.engines {
            engine.handle(&Input::Batch(&batch));
            drain(engine);
        }
    }

    fn turn(&mut self, turn: Turn, now: i64) {
        match turn {
            Turn::Nothing => {}
            Turn::Snapshot => self.snapshot(),
            Turn::Reload => {
                self.programs.swap(0, 1);
                for engine in &mut self.engines {
                    engine.reload(Arc::clone(&self.programs[0]));
                }
            }
            Turn::Idle(passed) => {
                let (source, partition) = (0, 0);
                for engine in &mut self.engines {
                    engine.handle(&Input::Idle { source, partition });
                    for at in [now, now + passed] {
                        engine.advance(WallTime(at));
                    }
                    drain(engine);
                }
            }
        }
    }

    fn snapshot(&mut self) {
        let [increments, bases] = &mut self.engines;
        let taken = increments.snapshot(Kind::Increment);
        if taken.kind == Kind::Base {
            self.chain.clear();
        }
        self.increments += usize::from(taken.kind == Kind::Increment);
        self.chain.push(taken.body.concat());
        let whole = bases.snapshot(Kind::Base).body.concat();
        assert!(as_base(&self.chain) == whole, "{} bodies", self.chain.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Over evictions, timers, duplicates, disorder, reloads and every kind of rule.
    #[test]
    fn a_base_and_its_increments_are_the_state(
        mut list in prop::collection::vec((0i64..6000, 0u64..300, 0u8..2, 0u64..12), 50..500),
        turns in prop::collection::vec(turn(), 1..12),
        cut in 5usize..60,
        (n, hold, lateness) in (1u32..4, 0i64..300, 0i64..800),
        sorted in any::<bool>(),
        memory in prop::sample::select(vec![1usize << 16, 1 << 20, 1 << 26]),
    ) {
        list.sort_by_key(|f| f.0);
        // Disorder: each batch backwards.
        list.chunks_mut(cut).for_each(<[Fact]>::reverse);
        let settings = || Settings { lateness: Span(lateness), sorted, memory, ..Settings::default() };
        let programs = [n, n + 1].map(|n| program(every_kind(n), hold, settings()));
        let mut pair = Pair::new(programs);
        for (i, (facts, turn)) in list.chunks(cut).zip(turns.iter().cycle()).enumerate() {
            pair.batch(facts, i * cut);
            let now = facts.iter().map(|f| f.0).max().unwrap_or_default();
            pair.turn(*turn, now);
        }
        pair.snapshot();
    }
}

/// Which keys have an open episode is no part of a table: a share and a rate that rise, and fall again.
#[test]
fn what_is_open_is_told_by_increments() {
    let rules = every_kind(2);
    let settings = || Settings {
        lateness: Span(0),
        ..Settings::default()
    };
    let mut pair = Pair::new([2, 2].map(|n| program(every_kind(n), 0, settings())));
    let key = HashKey::fixed().fingerprint(b"k7\x1f").0;
    let mut opened = vec![0; rules.len()];
    // One event in ten is of the first stream; for a while half of them are, and there are more.
    let usual = |from: i64, to: i64| (from..to).step_by(10).map(|t| (t, u8::from(t % 100 != 0)));
    let rise = (4000..4400).step_by(2).map(|t| (t, u8::from(t % 4 != 0)));
    let times = usual(0, 4000).chain(rise).chain(usual(4400, 6000));
    let facts: Vec<Fact> = times.map(|(time, input)| (time, 7, input, 1)).collect();
    for (n, some) in facts.chunks(10).enumerate() {
        pair.batch(some, n * 10);
        pair.snapshot();
        for (rule, opened) in opened.iter_mut().enumerate() {
            *opened += usize::from(pair.engines[0].probe(rule, key, some[0].0).open);
        }
    }
    let lists = |rule: &Rule| match &rule.kind {
        RuleKind::Share(_) => true,
        RuleKind::Spike(spike) => spike.fields.is_empty(),
        _ => false,
    };
    let mut listed = rules.iter().zip(opened).filter(|(rule, _)| lists(rule));
    assert!(
        listed.all(|(_, opened)| opened > 1),
        "none was open for long"
    );
}

#[test]
fn an_increment_is_small_and_one_that_is_missing_is_missed() {
    let settings = Settings::default();
    let p = program(every_kind(2), 0, settings);
    let mut pair = Pair::new([Arc::clone(&p), p]);
    let facts: Vec<Fact> = (0..4000).map(|n| (n, n as u64 % 1000, 0, 7)).collect();
    pair.batch(&facts, 0);
    pair.snapshot();
    for n in 0..3 {
        pair.batch(&[(4000 + n, n as u64, 0, 7)], 4000 + n as usize);
        pair.snapshot();
    }
    assert_eq!(pair.increments, 3);
    let [base, one, two, three] = &pair.chain[..] else {
        panic!("{} bodies", pair.chain.len())
    };
    assert!(
        two.len() * 20 < base.len(),
        "{} of {}",
        two.len(),
        base.len()
    );
    for chain in [
        [base, two].as_slice(),
        &[base, one, three],
        &[base, one, one],
        &[one],
        &[base, base],
        &[],
    ] {
        let refused = Saved::read(chain).map(|_| ()).unwrap_err();
        assert!(matches!(refused, Refused::Damaged(_)), "{refused}");
    }
    assert_eq!(
        as_base(&pair.chain[..2]),
        as_base(&[base.clone(), one.clone()])
    );
}
