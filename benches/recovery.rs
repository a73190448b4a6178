//! How long snapshots and a restart take: the engine's state to bytes (then it stands still), to a file,
//! and all the way back, for a base (all of the state) and for increments (what has changed).
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

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidegate::app::detectors;
use tidegate::app::stage::{Beside, Stage};
use tidegate::app::state_dir::{Place, Snapshots};
use tidegate::engine::detector::{Options, compile};
use tidegate::engine::exchange::Routed;
use tidegate::engine::program::{Program, Settings};
use tidegate::engine::snapshot::{Kind, Saved};
use tidegate::engine::{Engine, Input};
use tidegate::enrich::Tables;
use tidegate::model::HashKey;
use tidegate::simulate::{self, Scenario, Traffic};

const BATCH: u64 = 1024;
/// As `state.snapshot_every` is unless set.
const SNAPSHOT_EVERY_MS: i64 = 30_000;
/// Increments behind the base of the large state.
const CHAIN: usize = 20;
const FULL_EVERY: usize = 20;

fn main() {
    let mut out = std::io::stdout().lock();
    durations(&mut out, sized("TIDEGATE_BENCH_KEYS", 300_000));
    stream(&mut out, sized("TIDEGATE_BENCH_EVENTS", 1_000_000));
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

/// A large state: what a base costs, what an increment of one key in a hundred costs, and the way back from
/// a base alone and from one with its increments.
fn durations(out: &mut impl Write, addresses: u64) {
    let program = program();
    let mut engine = Engine::new(Arc::clone(&program), 1);
    fill(&mut engine, &program, 0..addresses, 1);
    let stats = engine.stats();
    let bytes: u64 = stats.usage.iter().map(|u| u.bytes).sum();
    let keys: u64 = stats.usage.iter().map(|u| u.keys).sum();
    let what = format!("{:.0} MiB of state, {keys} keys", mib(bytes));
    let gib = bytes as f64 / f64::from(1 << 30);
    drop(engine.snapshot(Kind::Base));

    let folder = tempfile::tempdir().unwrap();
    let mut files = Snapshots::open(folder.path(), &program.key);
    let mut base = Costs::default();
    base.take(&mut engine, &mut files, Kind::Base);
    let mut increments = Costs::default();
    for _ in 0..CHAIN {
        fill(&mut engine, &program, 0..addresses, 100);
        increments.take(&mut engine, &mut files, Kind::Increment);
    }
    let (chain, of_chain) = timed(|| restored(&program, folder.path()));
    base.take(&mut engine, &mut files, Kind::Base);
    let (whole, of_base) = timed(|| restored(&program, folder.path()));
    let there = engine.stats().usage.iter().map(|u| u.keys).sum::<u64>();
    assert_eq!(
        (of_chain, of_base),
        (there, there),
        "a restart loses no key"
    );
    base.row(out, "a base", &what);
    increments.row(out, "an increment of 1 %", &what);
    let back = format!(
        "from a base {:.1} s a GiB ({whole:.1} s), with {CHAIN} increments {:.1} s a GiB ({chain:.1} s); no key lost",
        whole / gib,
        chain / gib
    );
    row(out, "back to a running engine", &what, &back);
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// One of the table that `make faults` prints.
fn row(out: &mut impl Write, fault: &str, how: &str, result: &str) {
    writeln!(out, "| {fault} | {how} | {result} |").unwrap();
}

/// An engine that goes on from what is in the folder; how many keys it has.
fn restored(program: &Arc<Program>, folder: &Path) -> u64 {
    let loaded = Snapshots::open(folder, &program.key).load(u64::MAX);
    let (chain, _) = loaded.unwrap().unwrap();
    let mut engine = Engine::new(Arc::clone(program), 1);
    let saved = Saved::read(&chain).unwrap();
    let taken = engine.restore(saved, &["input".to_owned()]).unwrap();
    assert_eq!(taken.fresh, 0);
    engine.stats().usage.iter().map(|u| u.keys).sum()
}

/// What snapshots of one kind cost: seconds in which the engine stands still, seconds to the file, bytes.
#[derive(Default)]
struct Costs(Vec<(f64, f64, usize)>);

impl Costs {
    /// Takes a snapshot of this kind and writes it.
    fn take(&mut self, engine: &mut Engine, files: &mut Snapshots, kind: Kind) {
        let (still, taken) = timed(|| engine.snapshot(kind));
        assert_eq!(taken.kind, kind);
        let (file, bytes) = timed(|| files.save(taken, &Place::default()).unwrap());
        self.0.push((still, file, bytes));
    }

    /// Medians, and the sum.
    fn row(&self, out: &mut impl Write, of: &str, how: &str) {
        let median = |of: &dyn Fn(&(f64, f64, usize)) -> f64| {
            let mut all: Vec<f64> = self.0.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        let sum: f64 = self.0.iter().map(|(still, file, _)| still + file).sum();
        let costs = format!(
            "{} taken: to bytes {:.4} s, to the file {:.4} s, {:.2} MiB; {sum:.1} s in all",
            self.0.len(),
            median(&|c| c.0),
            median(&|c| c.1),
            median(&|c| c.2 as f64) / f64::from(1 << 20),
        );
        row(out, of, how, &costs);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begin = Instant::now();
    let done = work();
    (begin.elapsed().as_secs_f64(), done)
}

/// A mixed stream with a snapshot every 30 s, as the daemon writes them; and one in `FULL_EVERY` of them
/// full, by another engine with the same input.
fn stream(out: &mut impl Write, events: u64) {
    let program = program();
    let engine = || Engine::new(Arc::clone(&program), 1);
    let (mut chained, mut full) = (engine(), engine());
    let tables = Arc::new(Tables::default());
    let mut stage = Stage::new(&program, program.projection(&[]), tables);
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    let options = simulate::Options::new(Scenario::Mixed, 7, events);
    let mut lines = Traffic::new(&options).enumerate().peekable();
    let mut next = options.start_ms + SNAPSHOT_EVERY_MS;
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [mut files, mut full_files] =
        [0, 1].map(|n: usize| Snapshots::open(folders[n].path(), &program.key));
    let [mut bases, mut increments, mut fulls] = [(); 3].map(|()| Costs::default());
    let mut taken = 0;
    while let Some((n, line)) = lines.next() {
        let beside = Beside::line(i64::try_from(n).unwrap());
        stage.work(line.json.as_bytes(), &beside, &mut routed, &mut dead);
        let due = lines.peek().is_none_or(|(_, l)| l.time_ms >= next);
        if due || routed.marks.len() as u64 >= BATCH {
            for engine in [&mut chained, &mut full] {
                engine.handle(&Input::Batch(&routed));
                while engine.poll().is_some() {}
            }
            routed.clear();
        }
        if due {
            next += SNAPSHOT_EVERY_MS;
            match files.due() {
                Kind::Base => bases.take(&mut chained, &mut files, Kind::Base),
                Kind::Increment => increments.take(&mut chained, &mut files, Kind::Increment),
            }
            if taken % FULL_EVERY == 0 {
                fulls.take(&mut full, &mut full_files, Kind::Base);
            }
            taken += 1;
        }
    }
    let stats = chained.stats();
    let keys: u64 = stats.usage.iter().map(|u| u.keys).sum();
    let what =
        format!("{events} events of a mixed day, {keys} keys at its end, a snapshot every 30 s");
    let every = format!("full, one in {FULL_EVERY}");
    for (of, costs) in [
        (every.as_str(), &fulls),
        ("a base", &bases),
        ("an increment", &increments),
    ] {
        costs.row(out, of, &what);
    }
    let [chain, whole] = folders.map(|folder| timed(|| restored(&program, folder.path())).0);
    let back = format!("from one full {whole:.2} s, from the chain {chain:.2} s");
    row(out, "back to a running engine", &what, &back);
}

/// A reset and a token from each of these addresses, of which only one in `of` has any.
fn fill(engine: &mut Engine, program: &Arc<Program>, addresses: Range<u64>, of: usize) {
    let tables = Arc::new(Tables::default());
    let mut stage = Stage::new(program, program.projection(&[]), tables);
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    let all: Vec<u64> = addresses.step_by(of).collect();
    for some in all.chunks(usize::try_from(BATCH).unwrap()) {
        routed.clear();
        for n in some {
            for kind in ["recovery.requested", "token.issued"] {
                let [_, a, b, c] = u32::try_from(*n).unwrap().to_be_bytes();
                let line = format!(
                    "{{\"event.kind\":\"{kind}\",\"time\":{},\"source.ip\":\"10.{a}.{b}.{c}\",\
                     \"user.target.id\":\"u{n}\",\"token.id\":\"t{n}\"}}",
                    1_768_204_800_000 + n + of as u64
                );
                let beside = Beside::line(i64::try_from(*n).unwrap());
                stage.work(line.as_bytes(), &beside, &mut routed, &mut dead);
            }
        }
        engine.handle(&Input::Batch(&routed));
        while engine.poll().is_some() {}
    }
    assert!(dead.is_empty());
}
