//! How long a snapshot and a restart take for each GiB: the engine's state to bytes, to a file, and all
//! the way back; and how much of the state changes between two snapshots.
//!
//! `cargo bench --bench recovery`; TIDEGATE_BENCH_KEYS sets the addresses that are remembered,
//! TIDEGATE_BENCH_EVENTS the length of the stream.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark measures time"
)]

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use tidegate::app::detectors;
use tidegate::app::stage::{Beside, Stage};
use tidegate::engine::detector::{Options, compile};
use tidegate::engine::exchange::Routed;
use tidegate::engine::program::{Program, Settings};
use tidegate::engine::{Engine, Input};
use tidegate::enrich::Tables;
use tidegate::model::HashKey;
use tidegate::simulate::{self, Scenario, Traffic};
use tidegate::store::snapshot::{self, Snapshot};

const BATCH: u64 = 1024;
/// As `state.snapshot_every` is unless set.
const SNAPSHOT_EVERY_MS: i64 = 30_000;

fn main() {
    let mut out = std::io::stdout().lock();
    durations(&mut out, sized("TIDEGATE_BENCH_KEYS", 300_000));
    changes(&mut out, sized("TIDEGATE_BENCH_EVENTS", 1_000_000));
}

fn sized(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(usual, |n| n.parse().unwrap())
}

fn program() -> Arc<Program> {
    let sources = detectors::sources(&detectors::files(None).unwrap());
    let plan = Arc::new(compile(&sources, &Options::default()).plan);
    let settings = Settings {
        memory: 2 << 30,
        ..Settings::default()
    };
    Arc::new(Program::new(plan, HashKey::fixed(), settings))
}

fn durations(out: &mut impl Write, keys: u64) {
    let program = program();
    let mut engine = Engine::new(Arc::clone(&program), 1);
    fill(&mut engine, &program, keys);
    let stats = engine.stats();
    let state: u64 = stats.usage.iter().map(|u| u.bytes).sum();
    let keys: u64 = stats.usage.iter().map(|u| u.keys).sum();

    let folder = tempfile::tempdir().unwrap();
    let (first, body) = timed(|| engine.snapshot());
    drop(body);
    let (next, body) = timed(|| engine.snapshot());
    let size: usize = body.iter().map(Vec::len).sum();
    let file = Snapshot {
        generation: 1,
        key_id: program.key.id(),
        frontier: Vec::new(),
        body,
    };
    let (written, _) = timed(|| snapshot::write(folder.path(), "engine", &file).unwrap());
    drop(file);
    let (read, restored) = timed(|| {
        let found = snapshot::read(folder.path(), "engine", &program.key.id()).unwrap();
        let body = found.snapshot.unwrap().body;
        let mut restored = Engine::new(program, 1);
        let taken = restored.restore(&body, &["input".to_owned()]).unwrap();
        assert_eq!(taken.fresh, 0);
        restored.stats().usage.iter().map(|u| u.keys).sum::<u64>()
    });
    assert_eq!(restored, keys);

    let (mib, gib) = (f64::from(1 << 20), (1u64 << 30) as f64);
    let (state, size) = (state as f64, size as f64);
    for (of, bytes) in [("state", state), ("a snapshot", size)] {
        let each = |time: f64| time / (bytes / gib);
        writeln!(
            out,
            "| restart, for each GiB of {of} | {keys} keys, {} observations that wait: {:.0} MiB of state, {:.0} MiB as a snapshot | \
             to bytes {:.2} s at first, {:.2} s from then on, to the file {:.2} s, back to a running engine {:.2} s |",
            stats.held,
            state / mib,
            size / mib,
            each(first),
            each(next),
            each(written),
            each(read)
        )
        .unwrap();
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begin = Instant::now();
    let done = work();
    (begin.elapsed().as_secs_f64(), done)
}

/// What an incremental snapshot would write: the keys that a stream touches between two of them, of all
/// that are remembered then.
fn changes(out: &mut impl Write, events: u64) {
    let program = program();
    let mut engine = Engine::new(Arc::clone(&program), 1);
    let tables = Arc::new(Tables::default());
    let mut stage = Stage::new(&program, program.projection(&[]), tables);
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    let options = simulate::Options::new(Scenario::Mixed, 7, events);
    let mut lines = Traffic::new(&options).enumerate().peekable();
    let (mut touched, mut next) = (BTreeSet::new(), options.start_ms + SNAPSHOT_EVERY_MS);
    let mut shares = Vec::new();
    let mut keys = 0;
    while let Some((n, line)) = lines.next() {
        let beside = Beside::line(i64::try_from(n).unwrap());
        stage.work(line.json.as_bytes(), &beside, &mut routed, &mut dead);
        let due = lines.peek().is_none_or(|(_, l)| l.time_ms >= next);
        if due || routed.marks.len() as u64 >= BATCH {
            touched.extend(routed.observations.iter().map(|o| (o.rule, o.key)));
            engine.handle(&Input::Batch(&routed));
            while engine.poll().is_some() {}
            routed.clear();
        }
        if due {
            next += SNAPSHOT_EVERY_MS;
            keys = engine.stats().usage.iter().map(|u| u.keys).sum();
            shares.push(touched.len() as f64 / (keys as f64).max(1.0));
            touched.clear();
        }
    }
    shares.drain(..shares.len() / 2);
    shares.sort_by(f64::total_cmp);
    let at = |part: f64| 100.0 * shares[(part * (shares.len() - 1) as f64) as usize];
    writeln!(
        out,
        "| between two snapshots | {events} events of a mixed day, one every 30 s, second half | of {keys} keys {:.1} % are \
         touched (tenth {:.1} %, nine tenths {:.1} %) |",
        at(0.5),
        at(0.1),
        at(0.9)
    )
    .unwrap();
}

/// A reset and a token from each of so many addresses.
fn fill(engine: &mut Engine, program: &Arc<Program>, keys: u64) {
    let tables = Arc::new(Tables::default());
    let mut stage = Stage::new(program, program.projection(&[]), tables);
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    for first in (0..keys).step_by(usize::try_from(BATCH).unwrap()) {
        routed.clear();
        for n in first..(first + BATCH).min(keys) {
            for kind in ["recovery.requested", "token.issued"] {
                let [_, a, b, c] = u32::try_from(n).unwrap().to_be_bytes();
                let line = format!(
                    "{{\"event.kind\":\"{kind}\",\"time\":{},\"source.ip\":\"10.{a}.{b}.{c}\",\
                     \"user.target.id\":\"u{n}\",\"token.id\":\"t{n}\"}}",
                    1_768_204_800_000 + n
                );
                let beside = Beside::line(i64::try_from(n).unwrap());
                stage.work(line.as_bytes(), &beside, &mut routed, &mut dead);
            }
        }
        engine.handle(&Input::Batch(&routed));
        while engine.poll().is_some() {}
    }
    assert!(dead.is_empty());
}
