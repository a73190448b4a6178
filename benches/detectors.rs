//! What the hundredth detector costs: 1, 10, 100 and 1,000 detectors over the same events, as
//! ratios to one detector in the same run. Events of another kind must cost nothing more.
//!
//! `cargo bench --bench detectors`; TIDEGATE_BENCH_EVENTS sets the number of events.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time"
)]

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use tidegate::app::stage::{Beside, Stage};
use tidegate::engine::detector::{Options, SourceFile, compile};
use tidegate::engine::exchange::Routed;
use tidegate::engine::program::{Program, Settings};
use tidegate::engine::{Engine, Input};
use tidegate::enrich::Tables;
use tidegate::model::HashKey;

const COUNTS: [usize; 4] = [1, 10, 100, 1000];
const ROUNDS: usize = 7;
const BATCH: usize = 1024;

/// One curve: detectors by number, and the kind of the events they are given.
struct Curve {
    name: &'static str,
    selection: fn(usize) -> String,
    source: &'static str,
    kind: &'static str,
}

const CURVES: [Curve; 5] = [
    Curve {
        name: "another kind",
        selection: |n| format!("event.kind: token.used, user.id: u{n}"),
        source: "tidegate",
        kind: "recovery.requested",
    },
    Curve {
        name: "another source's raw types",
        selection: |n| format!("eventType: user.type{n}, outcome.result: FAILURE"),
        source: "okta",
        kind: "recovery.requested",
    },
    Curve {
        name: "same kind, nothing matches",
        selection: |n| format!("event.kind: recovery.requested, user.id: v{n}"),
        source: "tidegate",
        kind: "recovery.requested",
    },
    Curve {
        name: "same kind, ten words searched",
        selection: |n| {
            let words: Vec<String> = (0..10).map(|w| format!("w{n}x{w}")).collect();
            format!(
                "event.kind: recovery.requested, user_agent.original|contains: [{}]",
                words.join(", ")
            )
        },
        source: "tidegate",
        kind: "recovery.requested",
    },
    Curve {
        name: "same kind, all of them count",
        selection: |_| "event.kind: recovery.requested".to_owned(),
        source: "tidegate",
        kind: "recovery.requested",
    },
];

fn main() {
    let events = std::env::var("TIDEGATE_BENCH_EVENTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_000);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{events} events; decode, route and count, median of {ROUNDS} interleaved rounds"
    )
    .unwrap();
    writeln!(
        out,
        "{:<34} {:>9} {:>10} {:>8} {:>14}",
        "events of", "detectors", "ns/event", "ratio", "ns/detector"
    )
    .unwrap();
    for curve in &CURVES {
        let lines: Vec<String> = (0..events).map(|n| line(curve.kind, n)).collect();
        let programs: Vec<Arc<Program>> = COUNTS.iter().map(|n| program(curve, *n)).collect();
        let mut times = vec![Vec::new(); programs.len()];
        for _ in 0..ROUNDS {
            for (program, times) in programs.iter().zip(&mut times) {
                let began = Instant::now();
                std::hint::black_box(run(program, &lines));
                times.push(began.elapsed().as_secs_f64() * 1e9 / lines.len() as f64);
            }
        }
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let base = median(&mut times[0]);
        for (count, times) in COUNTS.iter().zip(&mut times) {
            let each = median(times);
            let more = (each - base) / (*count as f64 - 1.0).max(1.0);
            writeln!(
                out,
                "{:<34} {count:>9} {each:>10.0} {:>8.2} {more:>14.1}",
                curve.name,
                each / base
            )
            .unwrap();
        }
    }
}

fn line(kind: &str, n: usize) -> String {
    let seconds = 1_767_945_600 + n / 100;
    format!(
        r#"{{"event.kind":"{kind}","time":{seconds},"source.ip":"203.0.{}.{}","user.id":"u{}","user_agent.original":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}}"#,
        n / 250 % 250,
        n % 250,
        n % 5000
    )
}

fn program(curve: &Curve, count: usize) -> Arc<Program> {
    let file = |n: usize| SourceFile {
        path: format!("{n}.yml"),
        text: format!(
            "title: d{n}\nlogsource: {{product: {}}}\ndetection:\n  s: {{{}}}\n  condition: s\ncorrelation:\n  \
             type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {{gte: {}}}\n",
            curve.source,
            (curve.selection)(n),
            1000 + n
        ),
        runbook_exists: true,
        tests_exist: true,
    };
    let files: Vec<SourceFile> = (0..count).map(file).collect();
    let compiled = compile(&files, &Options::default());
    assert!(!compiled.has_faults(), "{:?}", compiled.diagnostics);
    Arc::new(Program::new(
        Arc::new(compiled.plan),
        HashKey::fixed(),
        Settings::default(),
    ))
}

fn run(program: &Arc<Program>, lines: &[String]) -> u64 {
    let tables = Arc::new(Tables::default());
    let mut stage = Stage::new(program, program.projection(&[]), tables);
    let mut engine = Engine::new(Arc::clone(program), 1);
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    let mut alerts = 0;
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
        engine.handle(&Input::Batch(&routed));
        while engine.poll().is_some() {
            alerts += 1;
        }
    }
    assert!(dead.is_empty());
    alerts
}
