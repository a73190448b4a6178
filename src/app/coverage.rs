//! What the cases beside detectors exercise: every test of every condition met and not met, every
//! bound reached and not reached.
//!
//! Owns the count of sides. Runs cases event by event in order of time, and looks on at what rules
//! are given; whether cases hold is `trial`'s. A detector is covered only by the cases in
//! its own folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::stage::{Fate, Stage};
use super::trial::is_beside;
use crate::engine::alert::Alert;
use crate::engine::detector::case::Case;
use crate::engine::detector::plan::{From, Function, Kind, Op, Plan, Rule};
use crate::engine::exchange::{Observation, Origin, Routed};
use crate::engine::program::{Program, Settings};
use crate::engine::{Engine, Input, Output};
use crate::enrich::Tables;
use crate::model::{Event, EventTime, HashKey};

/// Something with two sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Point {
    pub what: String,
    /// Met, or reached, at least once.
    pub held: bool,
    /// Not met, or not reached, at least once.
    pub failed: bool,
}

impl Point {
    fn note(&mut self, holds: bool) {
        if holds {
            self.held = true;
        } else {
            self.failed = true;
        }
    }
}

/// The points of one detector.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Covered {
    pub detector: String,
    pub points: Vec<Point>,
    #[serde(skip)]
    watch: Watch,
}

/// `number op value`, or `value` times another number of the window.
#[derive(Clone, Debug)]
struct NumberBound {
    rule: usize,
    number: String,
    op: Op,
    value: f64,
    of: Option<String>,
}

impl NumberBound {
    fn holds(&self, numbers: &[(String, f64)]) -> Option<bool> {
        let of = |name: &str| numbers.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        let times = match &self.of {
            Some(other) => of(other)?,
            None => 1.0,
        };
        Some(self.op.holds(of(&self.number)?, self.value * times))
    }

    fn shown(&self) -> String {
        let of = self.of.as_ref().map(|of| format!(" of {of}"));
        let (number, op, value) = (&self.number, self.op.name(), self.value);
        format!("{number} {op} {value}{}", of.unwrap_or_default())
    }
}

/// Where the points of a detector are found.
#[derive(Clone, Debug, Default)]
struct Watch {
    file: String,
    id: String,
    /// Per predicate: the point of each of its tests.
    tests: BTreeMap<usize, Vec<Option<usize>>>,
    /// Each with its point.
    bounds: Vec<(NumberBound, usize)>,
    /// Whether it fires, where its numbers cannot be asked for.
    fires: Option<usize>,
}

/// See the module's text.
pub struct Coverage {
    program: Arc<Program>,
    detectors: Vec<Covered>,
}

impl Coverage {
    #[must_use]
    pub fn new(mut plan: Plan) -> Self {
        // Rules that serve others must be seen to fire, too.
        for rule in &mut plan.rules {
            rule.alerts = true;
        }
        let detectors = (0..plan.detectors.len())
            .map(|d| covered(&plan, d))
            .collect();
        let settings = Settings {
            sorted: false,
            ..Settings::default()
        };
        let program = Program::new(Arc::new(plan), HashKey::fixed(), settings);
        Self {
            program: Arc::new(program),
            detectors,
        }
    }

    /// Per detector, in the order of the plan.
    #[must_use]
    pub fn detectors(&self) -> &[Covered] {
        &self.detectors
    }

    /// Runs one case and notes what it exercises of the detectors beside it.
    pub fn watch(&mut self, file: &str, case: &Case, input: Option<&str>) {
        let program = Arc::clone(&self.program);
        let mut own: Vec<&mut Covered> = self
            .detectors
            .iter_mut()
            .filter(|d| is_beside(file, &d.watch.file))
            .collect();
        if own.is_empty() {
            return;
        }
        let tables = Arc::new(Tables::default());
        let mut stage = Stage::new(&program, program.projection(&[]), tables);
        let mut engine = Engine::new(Arc::clone(&program), 1);
        engine.look_on();
        let mut events: Vec<(EventTime, Routed)> = Vec::new();
        let mut fired: Vec<bool> = vec![false; own.len()];
        let lines = input.into_iter().flat_map(str::lines);
        let lines = lines.chain(case.events.iter().map(String::as_str));
        for (offset, line) in (1..).zip(lines) {
            stage.each(line.as_bytes(), None, |fate, router| {
                let Fate::Event(event) = fate else { return };
                for covered in &mut own {
                    covered.trace(&program, event);
                }
                let origin = Origin {
                    source: 0,
                    partition: 0,
                    offset,
                };
                let mut routed = Routed::default();
                // What a case says of its times is meant.
                router.route(event, origin, true, &mut routed);
                events.push((event.time, routed));
            });
        }
        // In order of time, as the case is judged; one by one, to see each side of a bound.
        events.sort_by_key(|(time, _)| *time);
        for (_, routed) in &events {
            engine.handle(&Input::Batch(routed));
            note_alerts(&mut engine, &mut own, &mut fired);
            for covered in &mut own {
                covered.probe(&mut engine, &routed.observations);
            }
        }
        engine.handle(&Input::End { until: case.until });
        note_alerts(&mut engine, &mut own, &mut fired);
        for covered in &mut own {
            covered.probe(&mut engine, &[]);
        }
        for (covered, fired) in own.iter_mut().zip(fired) {
            if let Some(point) = covered.watch.fires.and_then(|i| covered.points.get_mut(i)) {
                point.note(fired);
            }
        }
    }
}

fn note_alerts(engine: &mut Engine, own: &mut [&mut Covered], fired: &mut [bool]) {
    let program = Arc::clone(engine.program());
    while let Some(Output::Alert(alert)) = engine.poll() {
        let all = own.iter_mut().zip(fired.iter_mut());
        for (covered, fired) in all.filter(|(c, _)| c.watch.id == alert.detector.id) {
            *fired = true;
            if alert.revision == 0 {
                covered.crossed(&program, &alert);
            }
        }
    }
}

impl Covered {
    /// How many of the sides were seen, of how many.
    #[must_use]
    pub fn sides(&self) -> (usize, usize) {
        let seen = |p: &Point| usize::from(p.held) + usize::from(p.failed);
        (self.points.iter().map(seen).sum(), 2 * self.points.len())
    }

    fn trace(&mut self, program: &Program, event: &Event) {
        for (predicate, tests) in &self.watch.tests {
            let Some(predicate) = program.plan.predicates.get(*predicate) else {
                continue;
            };
            predicate.trace(event, |test, holds| {
                let point = tests.get(test).copied().flatten();
                if let Some(point) = point.and_then(|p| self.points.get_mut(p)) {
                    point.note(holds);
                }
            });
        }
    }

    /// Notes that all bounds of the group that an alert opens for have held.
    fn crossed(&mut self, program: &Program, alert: &Alert) {
        for (bound, point) in &self.watch.bounds {
            let names = program.plan.rules.get(bound.rule).map(|r| &r.key_names);
            let group = alert.key.0.iter().map(|(name, _)| name);
            if names.is_some_and(|names| names.iter().eq(group))
                && let Some(point) = self.points.get_mut(*point)
            {
                point.held = true;
            }
        }
    }

    /// Notes on which side of its bounds each rule stands that was given something in the last call:
    /// events, detections, or what a narrower group has left to a wider one.
    fn probe(&mut self, engine: &mut Engine, events: &[Observation]) {
        let watched = |o: &Observation| {
            let mut bounds = self.watch.bounds.iter();
            bounds.any(|(b, _)| b.rule == usize::from(o.rule))
        };
        let fed = engine.fed().map(|(o, _)| *o);
        let given = events.iter().copied().chain(fed).filter(watched);
        for o in given.collect::<Vec<_>>() {
            let rule = usize::from(o.rule);
            let numbers = engine.probe(rule, o.key, o.time).numbers;
            for (bound, point) in self.watch.bounds.iter().filter(|(b, _)| b.rule == rule) {
                let holds = bound.holds(&numbers);
                if let (Some(holds), Some(point)) = (holds, self.points.get_mut(*point)) {
                    point.note(holds);
                }
            }
        }
    }
}

/// The points of a detector, none of them seen yet.
fn covered(plan: &Plan, detector: usize) -> Covered {
    let mut points: Vec<Point> = Vec::new();
    let mut add = |what: String| {
        let known = points.iter().position(|p: &Point| p.what == what);
        known.unwrap_or_else(|| {
            let what = Point {
                what,
                ..Point::default()
            };
            points.push(what);
            points.len() - 1
        })
    };
    let mut watch = Watch::default();
    let Some(d) = plan.detectors.get(detector) else {
        return Covered::default();
    };
    (watch.file, watch.id) = (d.file.clone(), d.id.clone());
    if let Some(rule) = plan.rules.get(d.rule) {
        for input in &rule.inputs {
            let From::Event(predicate) = input.from else {
                continue;
            };
            let tests = plan.predicates.get(predicate).map(|p| p.tests());
            let places = tests.into_iter().flatten().map(|t| t.map(&mut add));
            watch.tests.insert(predicate, places.collect());
        }
        if !matches!(rule.kind, Kind::Window { .. } | Kind::Each) {
            watch.fires = Some(add("fires".to_owned()));
        }
    }
    for at in plan.rules_of(d.rule) {
        for bound in plan
            .rules
            .get(at)
            .map(|r| bounds(r, at))
            .unwrap_or_default()
        {
            let group = d.roll_up.get(at - d.rule);
            let group = group.map(|by| format!("{by}: ")).unwrap_or_default();
            let point = add(format!("{group}{}", bound.shown()));
            watch.bounds.push((bound, point));
        }
    }
    Covered {
        detector: d.name.clone(),
        points,
        watch,
    }
}

/// The bounds on numbers that can be asked for, and that have two sides.
fn bounds(rule: &Rule, at: usize) -> Vec<NumberBound> {
    let Kind::Window { aggregates, bounds } = &rule.kind else {
        return Vec::new();
    };
    let named = bounds.iter().filter_map(|b| {
        let aggregate = aggregates.get(b.aggregate)?;
        // A count of all events is at least one whenever it is asked for.
        let any = aggregate.function == Function::Count && aggregate.input.is_none();
        let has_sides =
            !any || b.of.is_some() || !b.op.holds(1.0, b.value) || matches!(b.op, Op::Lt | Op::Lte);
        let of = b.of.and_then(|of| aggregates.get(of));
        has_sides.then(|| NumberBound {
            rule: at,
            number: aggregate.name.clone(),
            op: b.op,
            value: b.value,
            of: of.map(|of| of.name.clone()),
        })
    });
    named.collect()
}

#[cfg(test)]
mod tests;
