//! `tidegate explain`: for each event what was read from it, and for each detector why it did or
//! did not alert. The engine that answers is the one that runs.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::input::{Inputs, load_detectors};
use super::output::{Format, json_line, stdout};
use super::{Failure, Outcome};
use crate::app::stage::{Fate, Stage};
use crate::decode::Schema;
use crate::engine::alert::{Alert, Number};
use crate::engine::detector::plan::{From, Rule};
use crate::engine::exchange::{Origin, Routed, is_contained};
use crate::engine::program::{Program, Settings};
use crate::engine::rule::bounds;
use crate::engine::{Engine, Input, Output};
use crate::model::event::Projection;
use crate::model::{Event, HashKey, Value};
use crate::source::{Batch, Polled, Record};
use crate::telemetry::escape::escape;

mod mutes;

use mutes::{Lists, Mutes};

/// Say for each event what each detector made of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate explain --input events.jsonl --detector reset-flood-ip
  tail -n 1 events.jsonl | tidegate explain --input - -o ndjson | jq .")]
pub struct Args {
    #[command(flatten)]
    inputs: Inputs,
    /// Only the detector of this id or name
    #[arg(long, value_name = "ID")]
    detector: Option<String>,
    #[command(flatten)]
    lists: Lists,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

/// One event, or one dead letter, of one line.
#[derive(Debug, Serialize)]
struct Explained {
    line: i64,
    schema: Option<String>,
    event: Option<Json>,
    dead_letter: Option<Json>,
    detectors: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    id: String,
    name: String,
    matched: bool,
    /// The first test that failed, if it did not match.
    leaf: Option<String>,
    counter: Map<String, Json>,
    bound: Json,
    outcome: &'static str,
}

pub fn run(args: &Args) -> Outcome {
    let compiled = load_detectors(args.inputs.detectors.as_deref())?;
    let key = HashKey::fixed();
    let tables = args.inputs.tables(&key)?;
    // As events arrive, like the daemon sees them: an answer per event cannot wait for order.
    let settings = Settings {
        sorted: false,
        ..Settings::default()
    };
    let program = Arc::new(Program::new(Arc::new(compiled.plan), key, settings));
    let chosen = choose(&program, args.detector.as_deref())?;
    let mutes = Mutes::read(&args.lists, &program.key)?;
    let mut teller = Teller {
        mutes,
        engine: Engine::new(Arc::clone(&program), 1),
        routed: Routed::default(),
        chosen,
        program: Arc::clone(&program),
    };
    let mut stage = Stage::new(&program, Projection::everything(), tables);
    let mut out = stdout();
    let mut all = Vec::new();
    let (mut source, mut batch) = (args.inputs.source()?, Batch::default());
    while source.poll(&mut batch, Duration::from_secs(60))? != Polled::End || !batch.is_empty() {
        for record in batch.records() {
            for explained in teller.record(&mut stage, &record, args.inputs.schema.0) {
                match args.output {
                    Format::Ndjson => json_line(&mut out, &explained)?,
                    Format::Json => all.push(explained),
                    Format::Human => print(&mut out, &explained)?,
                }
            }
        }
        batch.clear();
        out.flush()?;
    }
    if args.output == Format::Json {
        serde_json::to_writer_pretty(&mut out, &all)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(0)
}

fn choose(program: &Program, wanted: Option<&str>) -> Result<Vec<usize>, Failure> {
    let all = 0..program.plan.detectors.len();
    let Some(name) = wanted else {
        return Ok(all.collect());
    };
    let is = |i: &usize| {
        let d = &program.plan.detectors[*i];
        d.id == name || d.name == name
    };
    let chosen: Vec<usize> = all.filter(is).collect();
    if chosen.is_empty() {
        let error = anyhow::anyhow!(
            "no detector has the id or name {name}; `tidegate detectors list` shows them"
        );
        return Err(Failure { code: 2, error });
    }
    Ok(chosen)
}

struct Teller {
    engine: Engine,
    routed: Routed,
    chosen: Vec<usize>,
    program: Arc<Program>,
    mutes: Mutes,
}

impl Teller {
    fn record(
        &mut self,
        stage: &mut Stage,
        record: &Record<'_>,
        hint: Option<Schema>,
    ) -> Vec<Explained> {
        let line = record.offset;
        let mut found = Vec::new();
        stage.each(record.payload, hint, |fate, router| {
            found.push(match fate {
                Fate::Event(event) => {
                    let origin = Origin {
                        source: 0,
                        partition: 0,
                        offset: line,
                    };
                    self.routed.clear();
                    // The first time of all would wait for a second event to confirm it.
                    let first = self.engine.counts().events == 0;
                    router.route(event, origin, first, &mut self.routed);
                    self.tell(line, event)
                }
                Fate::Dead(dead) => Explained {
                    line,
                    schema: dead.schema.map(|s| s.name().to_owned()),
                    event: None,
                    dead_letter: Some(json!({"reason": dead.reason.name(), "detail": dead.detail})),
                    detectors: Vec::new(),
                },
            });
        });
        found
    }

    fn tell(&mut self, line: i64, event: &Event) -> Explained {
        let before = self.engine.stats();
        self.engine.handle(&Input::Batch(&self.routed));
        let alerts: Vec<Alert> = std::iter::from_fn(|| self.engine.poll())
            .map(|Output::Alert(a)| *a)
            .collect();
        let late = self.engine.stats().counts.late > before.counts.late;
        let duplicate = self.engine.stats().counts.duplicate > before.counts.duplicate;
        let fate = if duplicate {
            Some("duplicate")
        } else if late {
            Some("late")
        } else {
            None
        };
        let chosen = self.chosen.clone();
        let detectors = chosen
            .into_iter()
            .map(|d| self.verdict(d, event, &alerts, fate))
            .collect();
        Explained {
            line,
            schema: Some(event.schema.to_owned()),
            event: Some(fields(&self.program, event)),
            dead_letter: None,
            detectors,
        }
    }

    fn verdict(
        &mut self,
        detector: usize,
        event: &Event,
        alerts: &[Alert],
        fate: Option<&'static str>,
    ) -> Verdict {
        let program = Arc::clone(&self.program);
        let d = &program.plan.detectors[detector];
        let rule = &program.plan.rules[d.rule];
        let (matched, leaf) = matches(&program, d.rule, event);
        let own = self
            .routed
            .observations
            .iter()
            .find(|o| usize::from(o.rule) == d.rule)
            .copied();
        let probe = own
            .map(|o| self.engine.probe(d.rule, o.key))
            .unwrap_or_default();
        // Without an observation, an event that meets a condition of the rule's own had no key.
        let meets = |p: usize| {
            program
                .plan
                .predicates
                .get(p)
                .is_some_and(|p| p.matches(event))
        };
        let direct = rule
            .inputs
            .iter()
            .any(|i| matches!(i.from, From::Event(p) if meets(p)));
        let own_alerts = || alerts.iter().filter(|a| a.detector.id == d.id);
        let alerted = own_alerts().any(|a| a.revision == 0);
        let updated = own_alerts().next().is_some();
        let muted = own_alerts().find_map(|a| self.mutes.outcome(a, d));
        // Late for windows; a detector that takes late events has seen it all the same.
        let fate = fate.filter(|fate| *fate != "late" || !d.late);
        let outcome = match fate {
            _ if muted.is_some() => muted.unwrap_or_default(),
            _ if alerted => "alerted",
            _ if updated => "updated",
            _ if !matched => "no_match",
            Some(fate) => fate,
            None if direct && own.is_none() && is_contained(event) => "own_action",
            None if direct && own.is_none() => "missing_key",
            None if probe.open => "suppressed",
            None if !rule.alerts => "feeds_correlation",
            None => "below_bound",
        };
        Verdict {
            id: d.id.clone(),
            name: d.name.clone(),
            matched,
            leaf,
            counter: numbers(probe.numbers),
            bound: bound(rule),
            outcome,
        }
    }
}

/// Whether the event meets a condition that feeds the rule, directly or through others; if not,
/// the first test that failed.
fn matches(program: &Program, rule: usize, event: &Event) -> (bool, Option<String>) {
    let mut leaf = None;
    for input in &program.plan.rules[rule].inputs {
        let (matched, why) = match input.from {
            From::Event(p) => program.plan.predicates.get(p).map_or((false, None), |p| {
                let explanation = p.explain(event);
                (explanation.matched, explanation.leaf)
            }),
            From::Rule(p) | From::Settled(p) | From::Rest(p) => matches(program, p, event),
        };
        if matched {
            return (true, None);
        }
        leaf = leaf.or(why);
    }
    (false, leaf)
}

fn numbers(list: impl IntoIterator<Item = (String, f64)>) -> Map<String, Json> {
    let number = |v: f64| serde_json::to_value(Number(v)).unwrap_or(Json::Null);
    list.into_iter()
        .map(|(name, v)| (name, number(v)))
        .collect()
}

/// `{"gte": 5}` for a single count, `{"requests": {"gte": 5}, …}` where there are several numbers.
fn bound(rule: &Rule) -> Json {
    let own =
        |ops: Vec<(&'static str, f64)>| numbers(ops.into_iter().map(|(op, v)| (op.to_owned(), v)));
    let mut all = bounds(rule);
    match all.len() {
        0 => Json::Null,
        1 => all
            .pop()
            .map_or(Json::Null, |(_, ops)| Json::Object(own(ops))),
        _ => Json::Object(
            all.into_iter()
                .map(|(n, ops)| (n, Json::Object(own(ops))))
                .collect(),
        ),
    }
}

/// All fields of the event by name, time and kind first; several values are an array.
fn fields(program: &Program, event: &Event) -> Json {
    let mut map = Map::new();
    map.insert("event.kind".to_owned(), Json::from(event.kind()));
    map.insert("time".to_owned(), Json::from(event.time.to_string()));
    for (name, value) in event.present(&program.plan.fields) {
        if name == "event.kind" || name == "time" {
            continue;
        }
        let value = match value {
            Value::Text(text) => Json::from(text),
            Value::Int(n) => Json::from(n),
            Value::Float(n) => Json::from(n),
            Value::Bool(b) => Json::from(b),
            Value::Null => Json::Null,
        };
        match map.get_mut(name) {
            None => drop(map.insert(name.to_owned(), value)),
            Some(Json::Array(list)) => list.push(value),
            Some(first) => *first = Json::Array(vec![first.take(), value]),
        }
    }
    Json::Object(map)
}

fn print(out: &mut impl Write, explained: &Explained) -> std::io::Result<()> {
    let line = explained.line;
    if let Some(dead) = &explained.dead_letter {
        return writeln!(
            out,
            "line {line}: dead letter, {}: {}",
            plain(&dead["reason"]),
            plain(&dead["detail"])
        );
    }
    let event = explained.event.as_ref().and_then(Json::as_object);
    writeln!(
        out,
        "line {line}: {}",
        explained.schema.as_deref().unwrap_or("?")
    )?;
    for (name, value) in event.into_iter().flatten() {
        writeln!(out, "    {name:<30} {}", plain(value))?;
    }
    for v in &explained.detectors {
        writeln!(out, "  {:<32} {}", v.name, v.outcome)?;
        if let Some(leaf) = &v.leaf {
            writeln!(out, "      failed  {leaf}")?;
        }
        if !v.counter.is_empty() {
            writeln!(
                out,
                "      counter {}  bound {}",
                Json::Object(v.counter.clone()),
                v.bound
            )?;
        }
    }
    Ok(())
}

/// A value as people read it, with nothing in it that a terminal would obey.
fn plain(value: &Json) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    escape(&text).into_owned()
}

#[cfg(test)]
mod tests;
