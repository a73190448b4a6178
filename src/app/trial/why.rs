//! Why an alert that a case expects did not come, as far as the case itself shows it.
//!
//! Owns the second look at a case that failed: what its events met, and how far the numbers came.
//! Judges nothing: whether a case holds is decided before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Trial, lines};
use crate::app::stage::{Fate, Stage};
use crate::engine::alert::Alert;
use crate::engine::detector::case::{Case, Expectation};
use crate::engine::detector::plan::{Detector, From, Plan, Rule};
use crate::engine::exchange::{Origin, Routed};
use crate::engine::program::{Program, Settings};
use crate::engine::rule::bounds;
use crate::engine::watermark::Counts;
use crate::engine::{Engine, Input, Output};
use crate::enrich::Tables;
use crate::yaml::nearest;

/// Alerts of another key that are named; more say no more.
const OTHERS_MAX: usize = 3;

/// The reasons, the most telling first; none where the case does not show one.
pub(super) fn reasons(
    trial: &Trial<'_>,
    case: &Case,
    expect: &Expectation,
    alerts: &[Alert],
    counts: &Counts,
) -> Vec<String> {
    let plan = &trial.program.plan;
    let name = &expect.detector;
    let is = |d: &&Detector| d.name == *name || d.id == *name;
    let Some(detector) = plan.detectors.iter().find(is) else {
        let near = nearest(name, plan.detectors.iter().map(|d| d.name.as_str()));
        let near = near.map_or_else(String::new, |near| format!(", did you mean {near}?"));
        return vec![format!("there is no detector {name}{near}")];
    };
    let Some(rule) = plan.rules.get(detector.rule) else {
        return Vec::new();
    };
    if !rule.alerts {
        return vec!["it serves others and does not alert; `generate: true` lets it".to_owned()];
    }
    let own = alerts.iter().filter(|a| a.detector.id == detector.id);
    let others: Vec<String> = own
        .take(OTHERS_MAX)
        .map(|a| format!("it fired for {} at {}", shown(a), a.time))
        .collect();
    if !others.is_empty() {
        return others;
    }
    let mut reasons = Vec::new();
    if counts.late > 0 && !detector.late {
        let lateness = trial.program.settings.lateness;
        reasons.push(format!(
            "{} event(s) came more than {lateness} after a newer one and are too late to count",
            counts.late
        ));
    }
    if counts.duplicate > 0 {
        let n = counts.duplicate;
        reasons.push(format!("{n} event(s) have the event.id of another"));
    }
    reasons.extend(Look::at(trial, case, detector, rule).told(plan, rule));
    reasons
}

fn shown(alert: &Alert) -> String {
    let parts = alert.key.0.iter().map(|(name, v)| format!("{name}: {v}"));
    format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
}

/// What one rule saw of a case.
#[derive(Default)]
struct Look {
    /// Per input: events that met it, or detections of the rule that it is.
    met: Vec<u64>,
    keyless: u64,
    /// Per key and number: the least and the most it was.
    reached: BTreeMap<u64, BTreeMap<String, (f64, f64)>>,
}

impl Look {
    /// Runs the case once more, event by event, with every rule alerting.
    fn at(trial: &Trial<'_>, case: &Case, detector: &Detector, rule: &Rule) -> Self {
        let mut plan = trial.program.plan.as_ref().clone();
        for rule in &mut plan.rules {
            rule.alerts = true;
        }
        // As events arrive: a number per event cannot wait for order.
        let settings = Settings {
            sorted: false,
            ..trial.program.settings.clone()
        };
        let program = Program::new(Arc::new(plan), trial.program.key.clone(), settings);
        let program = Arc::new(program);
        let mut stage = Stage::new(
            &program,
            program.projection(&[]),
            Arc::new(Tables::default()),
        );
        let mut engine = Engine::new(Arc::clone(&program), 1);
        let mut routed = Routed::default();
        let mut look = Self {
            met: vec![0; rule.inputs.len()],
            ..Self::default()
        };
        for (offset, line) in (1..).zip(lines(trial.input, case)) {
            stage.each(line.as_bytes(), None, |fate, router| {
                let Fate::Event(event) = fate else { return };
                for (input, met) in rule.inputs.iter().zip(&mut look.met) {
                    let From::Event(p) = input.from else { continue };
                    let predicate = program.plan.predicates.get(p);
                    *met += u64::from(predicate.is_some_and(|p| p.matches(event)));
                }
                let origin = Origin {
                    offset,
                    ..Origin::default()
                };
                routed.clear();
                // What a case says of its times is meant.
                router.route(event, origin, true, &mut routed);
                engine.handle(&Input::Batch(&routed));
                look.note(&mut engine, &routed, detector.rule);
                look.note_detections(&mut engine, &program.plan, rule);
            });
        }
        engine.handle(&Input::End { until: case.until });
        look.note_detections(&mut engine, &program.plan, rule);
        look
    }

    fn note(&mut self, engine: &mut Engine, routed: &Routed, rule: usize) {
        self.keyless += routed.keyless.get(rule).copied().unwrap_or_default();
        let own = |rule: usize, of: u16| usize::from(of) == rule;
        for o in routed.observations.iter().filter(|o| own(rule, o.rule)) {
            for (name, value) in engine.probe(rule, o.key, o.time).numbers {
                let of_key = self.reached.entry(o.key).or_default();
                let (least, most) = of_key.entry(name).or_insert((value, value));
                (*least, *most) = (least.min(value), most.max(value));
            }
        }
    }

    fn note_detections(&mut self, engine: &mut Engine, plan: &Plan, rule: &Rule) {
        while let Some(Output::Alert(alert)) = engine.poll() {
            for (input, met) in rule.inputs.iter().zip(&mut self.met) {
                let feeds = feeder(plan, input.from).is_some_and(|d| d.id == alert.detector.id);
                *met += u64::from(feeds && alert.revision == 0);
            }
        }
    }

    fn told(&self, plan: &Plan, rule: &Rule) -> Vec<String> {
        let unmet = rule.inputs.iter().zip(&self.met).filter(|(_, n)| **n == 0);
        let mut told: Vec<String> = unmet
            .map(|(input, _)| match feeder(plan, input.from) {
                None => format!("no event meets {}", input.name),
                Some(fed) => format!("{} did not fire", fed.name),
            })
            .collect();
        if self.keyless > 0 {
            let keys = rule.key_names.join(", ");
            told.push(format!("{} event(s) have no {keys}", self.keyless));
        }
        told.extend(self.numbers(rule));
        told
    }

    /// How far the key came that came furthest.
    fn numbers(&self, rule: &Rule) -> Option<String> {
        let bounds = bounds(rule);
        let (first, _) = bounds.first()?;
        let most = |of: &BTreeMap<String, (f64, f64)>| of.get(first).map_or(0.0, |(_, most)| *most);
        let mut keys = self.reached.values();
        let mut furthest = keys.next()?;
        for key in keys.filter(|k| most(k) > most(furthest)) {
            furthest = key;
        }
        let mut parts = Vec::new();
        for (name, ops) in &bounds {
            let (least, most) = furthest.get(name)?;
            for (op, bound) in ops {
                let value = if op.starts_with('l') { least } else { most };
                parts.push(format!("{name} reached {value}, the bound is {op} {bound}"));
            }
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The detector whose detections an input is made of.
fn feeder(plan: &Plan, from: From) -> Option<&Detector> {
    match from {
        From::Event(_) => None,
        From::Rule(rule) | From::Settled(rule) | From::Rest(rule) => {
            plan.detectors.iter().find(|d| d.rule == rule)
        }
    }
}
