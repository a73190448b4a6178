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
use crate::engine::exchange::{Observation, Origin, Routed, is_contained};
use crate::engine::program::{Program, Settings};
use crate::engine::rule::bounds;
use crate::engine::{Engine, Input, Output};
use crate::model::event::Projection;
use crate::model::{Event, HashKey, Value};
use crate::source::{Batch, Polled, Record};
use crate::telemetry::escape::escape;

mod by_time;
mod groups;
mod mutes;

use by_time::{ByTime, is_own};
use groups::{Group, Groups, Happened, key_of};
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
    /// What time has brought meanwhile; the last answer of all may hold nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_time: Vec<ByTime>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    id: String,
    name: String,
    matched: bool,
    /// The first test that failed, if it did not match.
    leaf: Option<String>,
    /// The group that the event is counted in, for people; empty if it has none, or if there is one
    /// for all.
    #[serde(skip)]
    key: Map<String, Json>,
    counter: Map<String, Json>,
    bound: Json,
    outcome: &'static str,
    /// Of a roll-up: the groups around the one that `counter` and `bound` are of, narrow to wide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wider: Vec<Group>,
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
    let mut teller = Teller::new(&program, chosen, mutes);
    let mut stage = Stage::new(&program, Projection::everything(), tables);
    let mut out = stdout();
    let mut all = Vec::new();
    let mut last = 0;
    let mut give = |out: &mut _, explained: Explained| match args.output {
        Format::Ndjson => json_line(out, &explained),
        Format::Json => {
            all.push(explained);
            Ok(())
        }
        Format::Human => print(out, &explained),
    };
    let (mut source, mut batch) = (args.inputs.source()?, Batch::default());
    while source.poll(&mut batch, Duration::from_secs(60))? != Polled::End || !batch.is_empty() {
        for record in batch.records() {
            last = record.offset;
            for explained in teller.record(&mut stage, &record, args.inputs.schema.0) {
                give(&mut out, explained)?;
            }
        }
        batch.clear();
        out.flush()?;
    }
    if let Some(explained) = teller.end(last) {
        give(&mut out, explained)?;
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
    groups: Groups,
}

impl Teller {
    fn new(program: &Arc<Program>, chosen: Vec<usize>, mutes: Mutes) -> Self {
        let mut engine = Engine::new(Arc::clone(program), 1);
        engine.look_on();
        Self {
            engine,
            routed: Routed::default(),
            chosen,
            program: Arc::clone(program),
            mutes,
            groups: Groups::default(),
        }
    }

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
                    by_time: Vec::new(),
                },
            });
        });
        found
    }

    fn tell(&mut self, line: i64, event: &Event) -> Explained {
        let before = self.engine.stats();
        self.engine.handle(&Input::Batch(&self.routed));
        let (own, others): (Vec<Alert>, Vec<Alert>) =
            self.alerts().into_iter().partition(|a| is_own(a, event));
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
            .map(|d| self.verdict(d, event, &own, fate))
            .collect();
        Explained {
            line,
            schema: Some(event.schema.to_owned()),
            event: Some(fields(&self.program, event)),
            dead_letter: None,
            detectors,
            by_time: self.by_time(&others),
        }
    }

    /// The end of the input settles what is still open, as it does for `replay`.
    fn end(&mut self, line: i64) -> Option<Explained> {
        self.engine.handle(&Input::End { until: None });
        let alerts = self.alerts();
        let by_time = self.by_time(&alerts);
        (!by_time.is_empty()).then_some(Explained {
            line,
            schema: None,
            event: None,
            dead_letter: None,
            detectors: Vec::new(),
            by_time,
        })
    }

    fn alerts(&mut self) -> Vec<Alert> {
        let told = std::iter::from_fn(|| self.engine.poll());
        told.map(|Output::Alert(a)| *a).collect()
    }

    /// Those of the chosen detectors.
    fn by_time(&self, alerts: &[Alert]) -> Vec<ByTime> {
        let detectors = &self.program.plan.detectors;
        let chosen = |a: &Alert| {
            let mut all = self.chosen.iter().map(|d| &detectors[*d]);
            all.find(|d| d.id == a.detector.id)
        };
        let told = alerts.iter().filter_map(|a| Some((a, chosen(a)?)));
        told.map(|(a, d)| ByTime::new(a, self.mutes.outcome(a, d)))
            .collect()
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
        // Late for windows; a detector that takes late events has seen it all the same.
        let unseen = fate.filter(|fate| *fate != "late" || !d.late);
        let own = self.observations(d.rule);
        let mut wider = Vec::new();
        for (o, text) in &own {
            let happened = Happened { alerts, unseen };
            wider = self.groups.around(&mut self.engine, (o, text), happened);
        }
        let probe = own
            .first()
            .map(|(o, _)| self.engine.probe(d.rule, o.key, o.time))
            .unwrap_or_default();
        let own_alerts = || alerts.iter().filter(|a| a.detector.id == d.id);
        let muted = own_alerts().find_map(|a| self.mutes.outcome(a, d));
        let text = own.first().map(|(_, text)| text.as_slice());
        let key = text.map(|text| key_of(&program, d.rule, text));
        let held = probe.open || wider.iter().any(|g| g.outcome == "suppressed");
        let keyless = own.is_empty() && meets_directly(&program, rule, event);
        let outcome = match unseen {
            _ if muted.is_some() => muted.unwrap_or_default(),
            _ if own_alerts().any(|a| a.revision == 0) => "alerted",
            _ if own_alerts().next().is_some() => "updated",
            _ if !matched => "no_match",
            Some(unseen) => unseen,
            None if keyless && is_contained(event) => "own_action",
            None if keyless => "missing_key",
            None if held => "suppressed",
            None if !rule.alerts => "feeds_correlation",
            None => "below_bound",
        };
        Verdict {
            id: d.id.clone(),
            name: d.name.clone(),
            matched,
            leaf,
            key: key.unwrap_or_default(),
            counter: numbers(probe.numbers),
            bound: bound(rule),
            outcome,
            wider,
        }
    }

    /// What the rule was given of the event: by itself, or by the rules that feed it.
    fn observations(&self, rule: usize) -> Vec<(Observation, Vec<u8>)> {
        let of_rule = |o: &Observation| usize::from(o.rule) == rule && !o.is_claim();
        let routed = self.routed.observations.iter().filter(|o| of_rule(o));
        let direct: Vec<_> = routed
            .map(|o| (*o, o.text_in(&self.routed.text).to_vec()))
            .collect();
        if !direct.is_empty() {
            return direct;
        }
        let origin = self.routed.marks.first().map(|m| m.origin);
        let fed = self.engine.fed();
        fed.filter(|(o, _)| of_rule(o) && Some(o.origin) == origin)
            .map(|(o, text)| (*o, text.to_vec()))
            .collect()
    }
}

/// Whether the event itself, not a detection that it brings about, feeds the rule.
fn meets_directly(program: &Program, rule: &Rule, event: &Event) -> bool {
    let predicate = |p: usize| program.plan.predicates.get(p);
    let meets = |p: usize| predicate(p).is_some_and(|p| p.matches(event));
    let mut inputs = rule.inputs.iter();
    inputs.any(|i| matches!(i.from, From::Event(p) if meets(p)))
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
    match &explained.schema {
        Some(schema) => writeln!(out, "line {line}: {schema}")?,
        None => writeln!(out, "end of the input, after line {line}")?,
    }
    for (name, value) in event.into_iter().flatten() {
        writeln!(out, "    {name:<30} {}", plain(value))?;
    }
    for v in &explained.detectors {
        writeln!(out, "  {:<32} {}", v.name, v.outcome)?;
        if let Some(leaf) = &v.leaf {
            writeln!(out, "      failed  {leaf}")?;
        }
        for (name, value) in &v.key {
            writeln!(out, "      {name} {}", plain(value))?;
        }
        if !v.counter.is_empty() {
            writeln!(
                out,
                "      counter {}  bound {}",
                Json::Object(v.counter.clone()),
                v.bound
            )?;
        }
        for group in &v.wider {
            print_group(out, group)?;
        }
    }
    for b in &explained.by_time {
        let summary = escape(&b.summary);
        writeln!(
            out,
            "  {:<32} {} by time, {}: {summary}",
            b.name, b.outcome, b.time
        )?;
    }
    Ok(())
}

fn print_group(out: &mut impl Write, group: &Group) -> std::io::Result<()> {
    let (by, outcome) = (&group.by, group.outcome);
    let Some(key) = group.key.get(by) else {
        return writeln!(out, "      {by} {outcome}");
    };
    let claimed = group
        .claimed
        .map_or_else(|| "?".to_owned(), |n| n.to_string());
    writeln!(
        out,
        "      {by} {} {outcome}\n        counter {}  claimed {claimed}  bound {}",
        plain(key),
        Json::Object(group.counter.clone()),
        group.bound
    )
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
