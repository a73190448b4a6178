//! How long a restart takes for each GiB of state: the engine's state to bytes, to a snapshot file, and
//! all the way back.
//!
//! `cargo bench --bench recovery`; TIDEGATE_BENCH_KEYS sets the addresses that are remembered.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time"
)]

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
use tidegate::store::snapshot::{self, Snapshot};

const BATCH: u64 = 1024;
const GIB: f64 = (1u64 << 30) as f64;

fn main() {
    let keys = std::env::var("TIDEGATE_BENCH_KEYS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300_000);
    let sources = detectors::sources(&detectors::files(None).unwrap());
    let plan = Arc::new(compile(&sources, &Options::default()).plan);
    let settings = Settings {
        memory: 2 << 30,
        ..Settings::default()
    };
    let program = Arc::new(Program::new(plan, HashKey::fixed(), settings));
    let mut engine = Engine::new(Arc::clone(&program), 1);
    fill(&mut engine, &program, keys);
    let state: u64 = engine.stats().usage.iter().map(|u| u.bytes).sum();

    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let body = engine.snapshot();
    let encoded = begin.elapsed().as_secs_f64();
    let size = body.len();
    let file = Snapshot {
        generation: 1,
        key_id: program.key.id(),
        frontier: Vec::new(),
        body,
    };
    let begin = Instant::now();
    snapshot::write(folder.path(), "engine", &file).unwrap();
    let written = begin.elapsed().as_secs_f64();
    drop(file);
    let begin = Instant::now();
    let found = snapshot::read(folder.path(), "engine", &program.key.id()).unwrap();
    let body = found.snapshot.unwrap().body;
    let mut restored = Engine::new(program, 1);
    let taken = restored.restore(&body, &["input".to_owned()]).unwrap();
    let read = begin.elapsed().as_secs_f64();
    assert_eq!(taken.fresh, 0);
    let again: u64 = restored.stats().usage.iter().map(|u| u.keys).sum();
    let keys_then: u64 = engine.stats().usage.iter().map(|u| u.keys).sum();
    assert_eq!(again, keys_then);

    let mut out = std::io::stdout().lock();
    let gib = state as f64 / GIB;
    writeln!(
        out,
        "| restart | {keys_then} keys, {:.0} MiB of state, {:.0} MiB as a snapshot | \
         to bytes {:.2} s/GiB, to the file {:.2} s/GiB, back to a running engine {:.2} s/GiB |",
        gib * 1024.0,
        size as f64 / f64::from(1 << 20),
        encoded / gib,
        written / gib,
        read / gib
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
