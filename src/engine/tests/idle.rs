//! Time that passes by the clock: what comes and moves nothing holds no deadline back.

use super::*;

const LATENESS: i64 = 5000;
const DEADLINE: i64 = 60_000;
/// Between two steps of the clock (ms); nothing that comes takes longer to be read than one.
const STEP: i64 = 100;
const SOURCE: i32 = 0;
const OTHER: i32 = 1;

/// What comes, and moves no event time.
#[derive(Clone, Copy, Debug)]
enum Noise {
    /// A batch with a notice that is for people.
    Notice,
    DeadLetter,
    Duplicate,
    Late,
    /// The end of the other partition is not known for a moment.
    Flap,
}

/// An event that nothing follows, in a partition beside another one.
struct Waiting {
    engine: Engine,
    now: i64,
    offset: usize,
}

impl Waiting {
    fn new() -> Self {
        let kind = Kind::Absence {
            lookback: Span::ZERO,
        };
        let settings = Settings {
            lateness: Span(LATENESS),
            ..Settings::default()
        };
        let p = program(vec![rule(kind, 2, DEADLINE, true)], 0, settings);
        let mut waiting = Self {
            engine: Engine::new(p, 1),
            now: 1_000_000,
            offset: 0,
        };
        // The other one is behind in event time.
        for (partition, time, input) in [(OTHER, 900_000, 1), (SOURCE, 1_000_000, 0)] {
            waiting.event(partition, (time, 1, 1, 0), 0);
            waiting.event(partition, (time, 2, input, 0), 0);
            waiting.end(partition);
        }
        assert_eq!(drain(&mut waiting.engine), []);
        waiting
    }

    fn event(&mut self, partition: i32, fact: Fact, id: u64) {
        let mut input = routed(&[fact], self.offset, &[0]);
        input.marks[0].origin.partition = partition;
        input.marks[0].id = id;
        self.offset += 1;
        self.engine.handle(&Input::Batch(&input));
    }

    fn end(&mut self, partition: i32) {
        self.engine.handle(&Input::Idle {
            source: 0,
            partition,
        });
    }

    fn make(&mut self, noise: Noise) {
        let mut nothing = Routed::default();
        match noise {
            Noise::Notice => self.engine.handle(&Input::Batch(&nothing)),
            Noise::DeadLetter => {
                nothing.pass(Origin {
                    partition: OTHER,
                    offset: i64::try_from(self.offset).unwrap(),
                    ..Origin::default()
                });
                self.offset += 1;
                self.engine.handle(&Input::Batch(&nothing));
            }
            Noise::Duplicate => self.event(OTHER, (900_000, 9, 1, 0), 77),
            Noise::Late => self.event(OTHER, (10_000, 9, 1, 0), 0),
            Noise::Flap => self.engine.handle(&Input::Behind {
                source: 0,
                partition: OTHER,
            }),
        }
    }

    /// The clock's time until the alert: at each step either something comes, or there is a look.
    fn until_alert(&mut self, most: i64, mut comes: impl FnMut(i64) -> Option<Noise>) -> i64 {
        let begun = self.now;
        while self.now - begun < most {
            self.now += STEP;
            match comes(self.now - begun) {
                Some(noise) => {
                    self.engine.watch(WallTime(self.now));
                    self.make(noise);
                    self.end(OTHER);
                }
                None => self.engine.advance(WallTime(self.now)),
            }
            if !drain(&mut self.engine).is_empty() {
                return self.now - begun;
            }
        }
        panic!("no alert for {} s", most / 1000)
    }
}

fn noise() -> impl Strategy<Value = Noise> {
    prop::sample::select(vec![
        Noise::Notice,
        Noise::DeadLetter,
        Noise::Duplicate,
        Noise::Late,
        Noise::Flap,
    ])
}

/// Until event time has come to the deadline, by looks of which the first is where it begins.
const QUIET: i64 = LATENESS + DEADLINE + 2 * STEP;

proptest! {
    /// [C1] Any batch began the quiet anew: a notice every ten seconds, and no deadline came.
    #[test]
    fn nothing_that_moves_no_event_time_holds_a_deadline_back(
        kinds in prop::collection::vec(noise(), 1..6), rhythm in 1i64..400,
    ) {
        let mut waiting = Waiting::new();
        let (mut flaps, mut n) = (0, 0);
        let mut comes = |at: i64| {
            if at % (rhythm * STEP) != 0 {
                return None;
            }
            n += 1;
            // What is never known is no time that was watched.
            let noise = match kinds[n % kinds.len()] {
                Noise::Flap if rhythm == 1 => Noise::Notice,
                other => other,
            };
            flaps += i64::from(matches!(noise, Noise::Flap));
            Some(noise)
        };
        let passed = waiting.until_alert(4 * QUIET, &mut comes);
        prop_assert!(passed <= QUIET + flaps * STEP, "after {} ms, {} flaps", passed, flaps);
        prop_assert!(passed >= LATENESS + DEADLINE, "after {} ms", passed);
    }
}

/// What had passed before a restart has; the time in between has not been watched.
#[test]
fn time_that_has_passed_survives_a_restart() {
    let mut waiting = Waiting::new();
    for _ in 0..QUIET / STEP / 2 {
        waiting.now += STEP;
        waiting.engine.advance(WallTime(waiting.now));
    }
    let watermark = waiting.engine.stats().watermark;
    let saved = [waiting.engine.snapshot(Extent::Base).body.concat()];
    let p = Arc::clone(waiting.engine.program());
    waiting.engine = Engine::new(p, 1);
    let saved = Saved::read(&saved).unwrap();
    waiting
        .engine
        .restore(saved, &["input".to_owned()])
        .unwrap();
    waiting.now += 3_600_000;
    waiting.engine.advance(WallTime(waiting.now));
    waiting.end(SOURCE);
    waiting.end(OTHER);
    assert_eq!(waiting.engine.stats().watermark, watermark);
    let left = waiting.until_alert(QUIET, |_| None);
    let half = QUIET / 2;
    assert!(
        (half - 2 * STEP..=half + 2 * STEP).contains(&left),
        "{left} ms"
    );
}

/// An event later than all others begins anew: a stream that lags more than before is not late for it.
#[test]
fn an_event_later_than_all_others_begins_anew() {
    let mut waiting = Waiting::new();
    let most = QUIET - 10 * STEP;
    for _ in 0..most / STEP {
        waiting.now += STEP;
        waiting.engine.advance(WallTime(waiting.now));
    }
    waiting.event(SOURCE, (1_000_001, 1, 1, 0), 0);
    waiting.end(SOURCE);
    let passed = waiting.until_alert(2 * QUIET, |_| None);
    assert!(passed >= LATENESS + DEADLINE - 1, "after {passed} ms");
}
