//! Rules told as data: detectors as they are written, events a line each, and the alerts that must
//! come, all of them. Every case is also run cut into single events, over three shards, and with a
//! restart in its middle, and as a live stream that is not put in order; none of these may change a byte.

use std::sync::Arc;

use crate::engine::alert::{Alert, Status};
use crate::engine::detector::{Options, SourceFile, compile};
use crate::engine::exchange::{Origin, Routed, Router};
use crate::engine::program::{Program, Settings};
use crate::engine::snapshot::{Kind, Saved};
use crate::engine::{Engine, Input, Output};
use crate::model::{Event, EventTime, Fields, HashKey, Span, Value, field};

mod each;
mod new_value;
mod obligations;
mod peers;
mod quiet;
mod ratio;
mod repeat;
pub(crate) mod roll_up;
mod score;
mod settled;
mod spike;
mod temporal;
mod window;

/// Where a case's clock begins: a full day.
const START: i64 = 1_768_176_000_000;

/// One line of a case: `TIME [xN/STEP] KIND field=value ...`; `{n}` in a value counts from 1.
fn events(fields: &Fields, script: &str) -> (Vec<Event>, Option<EventTime>) {
    let (mut list, mut until) = (Vec::new(), None);
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let mut words = line.split_whitespace().peekable();
        let at = START + Span::parse(words.next().unwrap()).unwrap().0;
        let times = words.next_if(|w| w.starts_with('x')).map_or((1, 0), |w| {
            let (count, step) = w[1..].split_once('/').unwrap();
            (count.parse().unwrap(), Span::parse(step).unwrap().0)
        });
        let kind = words.next().unwrap();
        if kind == "end" {
            until = Some(EventTime(at));
            continue;
        }
        let rest: Vec<&str> = words.collect();
        for n in 0..times.0 {
            let mut event = Event::default();
            event.clear(fields.len());
            event.time = EventTime(at + i64::from(n) * times.1);
            event.set(field::EVENT_KIND, Value::Text(kind));
            for pair in &rest {
                let (name, value) = pair.split_once('=').unwrap();
                let value = value.replace("{n}", &(n + 1).to_string());
                let id = fields
                    .get(name)
                    .unwrap_or_else(|| panic!("no field {name}"));
                event.set(id, Value::Text(&value));
            }
            list.push(event);
        }
    }
    list.sort_by_key(|e| e.time);
    (list, until)
}

fn settings() -> Settings {
    Settings {
        lateness: Span::seconds(1),
        ..Settings::default()
    }
}

fn program(detectors: &str) -> Arc<Program> {
    program_in(detectors, settings())
}

fn program_in(detectors: &str, settings: Settings) -> Arc<Program> {
    let file = SourceFile {
        path: "t.yml".to_owned(),
        text: detectors.to_owned(),
        runbook_exists: true,
        tests_exist: true,
    };
    let compiled = compile(&[file], &Options::default());
    assert!(!compiled.has_faults(), "{:#?}", compiled.diagnostics);
    let plan = Arc::new(compiled.plan);
    Arc::new(Program::new(plan, HashKey::fixed(), settings))
}

/// Runs the events in batches of `cut` over so many shards, restarting after the batch `restart` from a
/// base and an increment for each batch up to there.
fn run(
    program: &Arc<Program>,
    events: &[Event],
    until: Option<EventTime>,
    (cut, shards, restart): (usize, usize, Option<usize>),
) -> Vec<Alert> {
    let mut engine = Engine::new(Arc::clone(program), shards);
    let mut router = Router::new(Arc::clone(program));
    let (mut alerts, mut chain) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for (n, batch) in events.chunks(cut.max(1)).enumerate() {
        let mut routed = Routed::default();
        for event in batch {
            let origin = Origin {
                source: 0,
                partition: 0,
                offset,
            };
            router.route(event, origin, true, &mut routed);
            offset += 1;
        }
        engine.handle(&Input::Batch(&routed));
        drain(&mut engine, &mut alerts);
        if restart.is_some_and(|at| n <= at) {
            let taken = engine.snapshot(Kind::Increment);
            chain.push(taken.body.concat());
        }
        if restart == Some(n) {
            engine = Engine::new(Arc::clone(program), shards);
            let saved = Saved::read(&chain).unwrap();
            engine.restore(saved, &["input".to_owned()]).unwrap();
        }
    }
    engine.handle(&Input::End { until });
    drain(&mut engine, &mut alerts);
    alerts
}

fn drain(engine: &mut Engine, alerts: &mut Vec<Alert>) {
    alerts.extend(std::iter::from_fn(|| engine.poll()).map(|Output::Alert(a)| *a));
}

/// One alert as a line: time (of a closing one, its last event's), status, detector and the sentence.
fn line(alert: &Alert) -> String {
    let (word, time) = match (alert.status, alert.revision) {
        (Status::Open, 0) => ("open", alert.time),
        (Status::Open, _) => ("update", alert.last),
        (Status::Closed, _) => ("closed", alert.window.end),
    };
    let (name, summary) = (&alert.detector.name, &alert.summary);
    format!("{} {word} {name}: {summary}", clock(time.0 - START))
}

/// As cases write times: `2d1m39s`.
fn clock(mut ms: i64) -> String {
    let mut out = String::new();
    if ms == 0 {
        return "0s".to_owned();
    }
    for (unit, width) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ] {
        if ms >= width {
            out.push_str(&format!("{}{unit}", ms / width));
            ms %= width;
        }
    }
    out
}

/// All alerts of a case in sorted input, after making sure that they do not depend on how it is run.
fn sorted(detectors: &str, script: &str) -> Vec<Alert> {
    let program = program(detectors);
    let (events, until) = events(&program.plan.fields, script);
    let plain = run(&program, &events, until, (usize::MAX, 1, None));
    let half = Some(events.len() / 2);
    for way in [(1, 1, None), (1, 3, None), (7, 2, None), (1, 1, half)] {
        assert_eq!(run(&program, &events, until, way), plain, "{way:?}");
    }
    plain
}

/// The same, and a live stream tells them, too.
fn alerts(detectors: &str, script: &str) -> Vec<Alert> {
    let plain = sorted(detectors, script);
    let live = Settings {
        sorted: false,
        ..settings()
    };
    let live = program_in(detectors, live);
    let (events, until) = events(&live.plan.fields, script);
    let half = Some(events.len() / 2);
    let by_id = |mut alerts: Vec<Alert>| {
        alerts.sort_by_key(|a| (a.alert_id, a.revision));
        alerts
    };
    for way in [(usize::MAX, 1, None), (1, 3, None), (7, 2, half)] {
        let told = run(&live, &events, until, way);
        assert_eq!(by_id(told), by_id(plain.clone()), "live, {way:?}");
    }
    plain
}

/// The alerts of a case are these lines and no others.
fn check(detectors: &str, script: &str, expect: &str) {
    compare(&alerts(detectors, script), script, expect);
}

fn compare(alerts: &[Alert], script: &str, expect: &str) {
    let got: Vec<String> = alerts.iter().map(line).collect();
    let want: Vec<&str> = expect
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(got, want, "{script}");
}
