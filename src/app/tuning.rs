//! Bounds from recorded events: what the keys of a detector reach, and what other bounds would mean.
//!
//! Owns copies of one rule with other bounds, run side by side by the engine that runs in production,
//! and the per-key maxima. Only windows fed by events can be asked for their numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::detector::plan::{Aggregate, Bound, From, Function, Kind, Op, Plan};
use crate::engine::exchange::Routed;
use crate::engine::program::{Program, Settings};
use crate::engine::rule::window::measure::EXACT_MAX;
use crate::engine::{Engine, Input, Output};
use crate::model::{EventTime, HashKey};

/// More keys than this are not told apart; the maxima then are those of the first ones.
const KEYS_MAX: usize = 2_000_000;
/// A key that reached this many times what the one before it did stands apart from it.
const JUMP: f64 = 5.0;
/// Keys of a version's alerts that are kept by name.
const NAMED_MAX: usize = 5;
/// A bound no window reaches, so that counts are not cut at it.
const BEYOND: f64 = 1e12;

/// Several versions of one rule, and what came of them.
pub struct Versions {
    program: Arc<Program>,
    engine: Engine,
    alerts: Vec<u64>,
    named: Vec<BTreeSet<String>>,
    first: Option<EventTime>,
    last: Option<EventTime>,
}

/// Why a detector cannot be tuned.
pub type Refusal = &'static str;

/// The numbers and bounds of a detector that can be tuned.
pub fn window(plan: &Plan, detector: usize) -> Result<(&[Aggregate], &[Bound]), Refusal> {
    let rule = plan.detectors.get(detector).map(|d| d.rule);
    let rule = rule.and_then(|r| plan.rules.get(r));
    let rule = rule.ok_or("there is no such detector")?;
    if !rule.inputs.iter().all(|i| matches!(i.from, From::Event(_))) {
        return Err("it is fed by other detectors: tune those");
    }
    match &rule.kind {
        Kind::Window { aggregates, bounds } if bounds.iter().any(|b| rises(b, aggregates)) => {
            Ok((aggregates, bounds))
        }
        kind => Err(untunable(kind)),
    }
}

/// Why what the keys reach proposes no bound.
const fn untunable(kind: &Kind) -> Refusal {
    match kind {
        Kind::Each => "it fires on every event it matches, and has no bound",
        Kind::Window { .. } => "none of its bounds is a number that fires when keys exceed it",
        Kind::Temporal { .. } => "it asks whether events occur, not how many",
        Kind::Absence { .. } | Kind::Quiet(_) | Kind::Obligations { .. } => {
            "it has deadlines, not a bound: look how long the step takes in your events"
        }
        Kind::Ratio { .. } | Kind::Share(_) => {
            "a share of few events is high by nature: raise `denominator_min`, or the bound by hand"
        }
        Kind::Spike(_) => {
            "its bound follows from the key's own past: change `factor` or `tail_min`"
        }
        Kind::NewValue(_) => "it asks whether a value is new: change `known_min` or `warmup`",
        Kind::Score(_) => "its bound is a sum of weights that you choose",
    }
}

/// Whether a bound is one to tune: what is above it fires. A share of few events is high by nature,
/// so what keys reach says nothing about its bound.
#[must_use]
pub fn rises(bound: &Bound, aggregates: &[Aggregate]) -> bool {
    let share = aggregates
        .get(bound.aggregate)
        .is_some_and(|a| a.function == Function::OnceShare);
    matches!(bound.op, Op::Gt | Op::Gte) && bound.of.is_none() && !share
}

impl Versions {
    /// The detector's rule once for each list of bounds.
    #[must_use]
    pub fn new(plan: &Plan, detector: usize, versions: &[Vec<Bound>]) -> Self {
        let mut copies = Plan {
            fields: plan.fields.clone(),
            predicates: plan.predicates.clone(),
            ..Plan::default()
        };
        let own = plan.detectors.get(detector);
        let rule = own.and_then(|d| plan.rules.get(d.rule));
        for (i, version) in versions.iter().enumerate() {
            let (Some(mut own), Some(mut rule)) = (own.cloned(), rule.cloned()) else {
                break;
            };
            (own.id, own.rule) = (i.to_string(), i);
            (rule.detector, rule.alerts) = (i, true);
            if let Kind::Window { bounds, .. } = &mut rule.kind {
                bounds.clone_from(version);
            }
            copies.detectors.push(own);
            copies.rules.push(rule);
        }
        // As events arrive: a number per event cannot wait for order.
        let settings = Settings {
            sorted: false,
            ..Settings::default()
        };
        let program = Arc::new(Program::new(Arc::new(copies), HashKey::fixed(), settings));
        Self {
            engine: Engine::new(Arc::clone(&program), 1),
            alerts: vec![0; versions.len()],
            named: vec![BTreeSet::new(); versions.len()],
            first: None,
            last: None,
            program,
        }
    }

    /// What routes events to the copies.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Takes in what one event, or a batch of them, was routed to.
    pub fn take(&mut self, routed: &Routed) {
        for mark in &routed.marks {
            let time = EventTime(mark.time);
            self.first = Some(self.first.map_or(time, |t| t.min(time)));
            self.last = Some(self.last.map_or(time, |t| t.max(time)));
        }
        self.engine.handle(&Input::Batch(routed));
        while let Some(Output::Alert(alert)) = self.engine.poll() {
            let version = alert.detector.id.parse::<usize>().unwrap_or(usize::MAX);
            let of = self
                .alerts
                .get_mut(version)
                .zip(self.named.get_mut(version));
            if let Some((count, named)) = of.filter(|_| alert.revision == 0) {
                *count += 1;
                if named.len() < NAMED_MAX {
                    let parts = alert.key.0.iter().map(|(_, value)| value.as_str());
                    named.insert(parts.collect::<Vec<_>>().join(" "));
                }
            }
        }
    }

    /// Alerts of each version so far.
    #[must_use]
    pub fn alerts(&self) -> &[u64] {
        &self.alerts
    }

    /// Some keys of each version's alerts.
    #[must_use]
    pub fn named(&self) -> &[BTreeSet<String>] {
        &self.named
    }

    /// The hours of event time seen so far, at least one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    pub fn hours(&self) -> f64 {
        let length = self.first.zip(self.last).map_or(0, |(a, b)| (b - a).0);
        (length as f64 / 3_600_000.0).max(1.0)
    }
}

/// The largest value of each number of the window, per key.
pub struct Maxima {
    versions: Versions,
    names: Vec<String>,
    keys: BTreeMap<u64, Vec<f64>>,
}

impl Maxima {
    /// # Errors
    /// Why the detector has no numbers to ask for.
    pub fn new(plan: &Plan, detector: usize) -> Result<Self, Refusal> {
        let (aggregates, bounds) = window(plan, detector)?;
        let names = aggregates.iter().map(|a| a.name.clone()).collect();
        // Counts are exact up to a bound; beyond the largest exact one, to a part of the window.
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        let versions = [EXACT_MAX as f64, BEYOND].map(|value| {
            let raised = bounds.iter().map(|b| Bound {
                op: Op::Gte,
                value,
                of: None,
                ..*b
            });
            raised.collect()
        });
        Ok(Self {
            versions: Versions::new(plan, detector, &versions),
            names,
            keys: BTreeMap::new(),
        })
    }

    /// What routes events to the rule.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        self.versions.program()
    }

    /// Takes in one event.
    pub fn take(&mut self, routed: &Routed) {
        self.versions.take(routed);
        for o in routed.observations.iter().filter(|o| o.rule == 0) {
            if self.keys.len() >= KEYS_MAX && !self.keys.contains_key(&o.key) {
                continue;
            }
            let engine = &mut self.versions.engine;
            let numbers = [0, 1].map(|rule| engine.probe(rule, o.key, o.time).numbers);
            let known = self.keys.entry(o.key).or_default();
            known.resize(self.names.len(), 0.0);
            for (name, known) in self.names.iter().zip(known) {
                let of = |list: &[(String, f64)]| {
                    list.iter()
                        .find(|(n, _)| n == name)
                        .map_or(0.0, |(_, v)| *v)
                };
                let [exact, coarse] = numbers.each_ref().map(|list| of(list));
                #[expect(clippy::cast_precision_loss, reason = "a thousand")]
                let value = if exact < EXACT_MAX as f64 {
                    exact
                } else {
                    coarse.max(exact)
                };
                *known = known.max(value);
            }
        }
    }

    /// The maxima of one number over all keys, the smallest first.
    #[must_use]
    pub fn of(&self, aggregate: usize) -> Vec<f64> {
        let values = self.keys.values().filter_map(|v| v.get(aggregate).copied());
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// The value below which this share of the sorted values lies.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    let place = place.clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).copied().unwrap_or(0.0)
}

/// Where some keys stand apart from the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// The most that the others reached.
    pub below: f64,
    /// The least that those beyond it reached.
    pub from: f64,
    /// How many those are.
    pub keys: usize,
}

/// The first jump among the upper half of the sorted values that ends beyond the bound of now: what
/// lies there alerts already, and may be the attack itself.
#[must_use]
pub fn jump(sorted: &[f64], now: &Bound) -> Option<Jump> {
    let half = sorted.len() / 2;
    let pairs = sorted.windows(2).enumerate().skip(half.saturating_sub(1));
    let mut apart = pairs.filter_map(|(i, pair)| match *pair {
        [below, from] if from >= JUMP * below.max(1.0) && now.op.holds(from, now.value) => {
            let keys = sorted.len() - i - 1;
            Some(Jump { below, from, keys })
        }
        _ => None,
    });
    apart.next()
}

/// The bound that what lies at `value` does not reach: counts go up by one, shares and means by a
/// hundredth of themselves.
#[must_use]
pub fn above(value: f64, bound: &Bound) -> f64 {
    let whole = value.fract() == 0.0 && bound.value.fract() == 0.0;
    match (bound.op, whole) {
        (Op::Gt, true) => value,
        (_, true) => value + 1.0,
        (_, false) => (value * 101.0).ceil() / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_what_lies_above() {
        let sorted: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.999), 999.0);
        assert_eq!(quantile(&sorted, 1.0), 1000.0);
        assert_eq!(quantile(&sorted, 0.0), 1.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
        let bound = |op, value| Bound {
            aggregate: 0,
            op,
            value,
            of: None,
        };
        assert_eq!(above(7.0, &bound(Op::Gte, 10.0)), 8.0);
        assert_eq!(above(7.0, &bound(Op::Gt, 10.0)), 7.0);
        assert_eq!(above(0.5, &bound(Op::Gte, 0.8)), 0.51);
    }

    #[test]
    fn what_stands_apart() {
        let now = Bound {
            aggregate: 0,
            op: Op::Gte,
            value: 10.0,
            of: None,
        };
        let found = |below, from, keys| Some(Jump { below, from, keys });
        let few = [1.0, 1.0, 2.0, 2.0, 811.0, 900.0];
        assert_eq!(jump(&few, &now), found(2.0, 811.0, 2));
        assert_eq!(jump(&[1.0, 1.0, 2.0, 9.0], &now), None, "no alert today");
        assert_eq!(jump(&[4.0, 8.0, 16.0, 32.0, 64.0], &now), None, "no jump");
        assert_eq!(jump(&[50.0], &now), None);
        assert_eq!(jump(&[], &now), None);
    }
}
