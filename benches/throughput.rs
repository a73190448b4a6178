//! Where the time of an event goes, in one run on one thread, as ratios to parsing the same lines
//! with `serde_json::Value`: the usual way, and the yardstick that drifts with the machine.
//!
//! `cargo bench` (or `make bench`); TIDEGATE_BENCH_EVENTS sets the number of lines.

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
use tidegate::engine::detector::{Options as CompileOptions, compile};
use tidegate::engine::exchange::Routed;
use tidegate::engine::program::{Program, Settings};
use tidegate::engine::{Engine, Input};
use tidegate::enrich::Tables;
use tidegate::model::HashKey;
use tidegate::simulate::{Options, Scenario, Traffic};

const ROUNDS: usize = 5;
const BATCH: usize = 1024;

fn main() {
    let events = std::env::var("TIDEGATE_BENCH_EVENTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200_000);
    let options = Options::new(Scenario::Mixed, 1, events);
    let lines: Vec<String> = Traffic::new(&options).map(|l| l.json).collect();
    let bytes: usize = lines.iter().map(String::len).sum();
    let sources = detectors::sources(&detectors::files(None).unwrap());
    let plan = Arc::new(compile(&sources, &CompileOptions::default()).plan);
    let program = Arc::new(Program::new(plan, HashKey::fixed(), Settings::default()));
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} events of {} bytes, {} detectors",
        lines.len(),
        bytes / lines.len(),
        program.plan.detectors.len()
    )
    .unwrap();
    writeln!(
        out,
        "{:<34} {:>12} {:>10} {:>8}",
        "step (median of 5, interleaved)", "events/s", "ns/event", "ratio"
    )
    .unwrap();
    let steps: [(&str, &dyn Fn() -> u64); 3] = [
        ("serde_json::Value", &|| parse(&lines)),
        ("decode + enrich + route", &|| route(&program, &lines)),
        ("the whole engine", &|| run(&program, &lines)),
    ];
    let mut times = vec![Vec::new(); steps.len()];
    for _ in 0..ROUNDS {
        for (step, times) in steps.iter().zip(&mut times) {
            let began = Instant::now();
            std::hint::black_box(step.1());
            times.push(began.elapsed().as_secs_f64());
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let base = median(&mut times[0]);
    for (step, times) in steps.iter().zip(&mut times) {
        let seconds = median(times);
        let per_event = seconds / lines.len() as f64;
        writeln!(
            out,
            "{:<34} {:>12.0} {:>10.0} {:>8.2}",
            step.0,
            1.0 / per_event,
            per_event * 1e9,
            base / seconds
        )
        .unwrap();
    }
}

fn parse(lines: &[String]) -> u64 {
    lines
        .iter()
        .filter(|l| serde_json::from_str::<serde_json::Value>(l).is_ok())
        .count() as u64
}

fn batches(program: &Arc<Program>, lines: &[String], mut take: impl FnMut(&Routed)) {
    let tables = Arc::new(Tables::default());
    let mut stage = Stage::new(program, program.projection(&[]), tables);
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    for (n, chunk) in lines.chunks(BATCH).enumerate() {
        routed.clear();
        for (i, line) in chunk.iter().enumerate() {
            let offset = i64::try_from(n * BATCH + i).unwrap();
            stage.work(
                line.as_bytes(),
                &Beside::line(offset),
                &mut routed,
                &mut dead,
            );
        }
        take(&routed);
    }
}

fn route(program: &Arc<Program>, lines: &[String]) -> u64 {
    let mut observations = 0;
    batches(program, lines, |routed| {
        observations += routed.observations.len() as u64
    });
    observations
}

fn run(program: &Arc<Program>, lines: &[String]) -> u64 {
    let mut engine = Engine::new(Arc::clone(program), 1);
    let mut alerts = 0;
    batches(program, lines, |routed| {
        engine.handle(&Input::Batch(routed));
        while engine.poll().is_some() {
            alerts += 1;
        }
    });
    engine.handle(&Input::End { until: None });
    alerts
}
