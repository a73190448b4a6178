//! What rules must be told so that they, and the rules behind them, can do their work: fields carried
//! beside the key, and values read.
//!
//! Owns who stands behind whom. Plain functions of a plan, asked once when detectors are (re)loaded.

use super::{Read, Slot};
use crate::engine::detector::plan::{Aggregate, From, Function, Input, Kind, Plan, Rule};
use crate::model::FieldId;

/// Per rule: 0 if events alone feed it, else one more than the rules that do.
pub(super) fn levels(plan: &Plan) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::with_capacity(plan.rules.len());
    for rule in &plan.rules {
        let feeding = rule.inputs.iter().flat_map(|i| plan.feeding(i.from));
        let below = feeding.filter_map(|p| levels.get(p).map(|l| l + 1));
        levels.push(below.max().unwrap_or(0));
    }
    levels
}

/// Per rule: whether its observations wait until event time has passed. So do those of a rule that is
/// fed by what comes only then: its other events would long be there, and what they followed forgotten.
pub(super) fn waits(plan: &Plan) -> Vec<bool> {
    let mut waits: Vec<bool> = Vec::with_capacity(plan.rules.len());
    for rule in &plan.rules {
        let in_order = matches!(
            rule.kind,
            Kind::Ratio { .. }
                | Kind::Share(_)
                | Kind::Spike(_)
                | Kind::Quiet(_)
                | Kind::Obligations { .. }
        );
        let at_deadlines = |p: usize| matches!(plan.rules[p].kind, Kind::Absence { .. });
        let mut feeding = rule.inputs.iter().flat_map(|i| plan.feeding(i.from));
        waits.push(in_order || feeding.any(|p| at_deadlines(p) || waits.get(p) == Some(&true)));
    }
    waits
}

/// Fields a rule's text carries behind its key: its detector's `fields`, and what later rules need.
pub(super) fn carry(plan: &Plan, carried: &[Vec<FieldId>], rule: usize) -> Vec<FieldId> {
    let own = &plan.rules[rule];
    let mut fields = plan.detectors[own.detector].fields.clone();
    fields.extend(narrower(plan, rule));
    for (c, consumer) in plan.rules.iter().enumerate().skip(rule + 1) {
        let feeds = |i: &&Input| plan.feeding(i.from).contains(&rule);
        for input in consumer.inputs.iter().filter(feeds) {
            fields.extend(&input.group_by);
            fields.extend(slots(consumer).into_iter().flat_map(|s| s.fields));
            fields.extend(&carried[c]);
        }
    }
    let mut kept: Vec<FieldId> = Vec::new();
    for f in fields {
        let in_key = own.inputs.iter().any(|i| i.group_by.contains(&f));
        if !in_key && !kept.contains(&f) {
            kept.push(f);
        }
    }
    kept
}

/// The fields by which the rules that a wider group rolls up are grouped in its place, the narrowest
/// first; empty for a rule that is no wider group.
pub(super) fn narrower(plan: &Plan, rule: usize) -> Vec<FieldId> {
    let first = |r: usize| plan.rules[r].inputs.first();
    let Some((own, From::Rest(below))) = first(rule).map(|i| (&i.group_by, i.from)) else {
        return Vec::new();
    };
    let mut fields = narrower(plan, below);
    let below = first(below).map_or(&[][..], |i| &i.group_by);
    let replaced = below.iter().zip(own).filter(|(b, o)| b != o);
    fields.extend(replaced.map(|(b, _)| *b));
    fields
}

/// Whether a rule of this kind counts events whatever input they come by.
pub(super) fn pools(kind: &Kind) -> bool {
    match kind {
        Kind::Window { aggregates, .. } => aggregates.iter().all(|a| a.input.is_none()),
        Kind::Spike(_) | Kind::Quiet(_) => true,
        _ => false,
    }
}

/// The values a rule reads; `compile` refuses more than `VALUES_MAX`.
pub(super) fn slots(rule: &Rule) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    match &rule.kind {
        Kind::Window { aggregates, .. } => {
            for slot in aggregates.iter().filter_map(slot_of) {
                if !slots.contains(&slot) {
                    slots.push(slot);
                }
            }
        }
        Kind::Spike(spike) if !spike.fields.is_empty() => slots.push(Slot {
            fields: spike.fields.clone(),
            read: Read::Identity,
        }),
        Kind::NewValue(new) => slots.push(Slot {
            fields: new.fields.clone(),
            read: Read::Identity,
        }),
        _ => {}
    }
    slots
}

/// The value an aggregate reads, if any.
#[must_use]
pub fn slot_of(aggregate: &Aggregate) -> Option<Slot> {
    let read = match aggregate.function {
        Function::Sum | Function::Average => Read::Number,
        Function::Order => Read::Place,
        Function::Count | Function::Distinct | Function::OnceShare => Read::Identity,
    };
    (!aggregate.fields.is_empty()).then(|| Slot {
        fields: aggregate.fields.clone(),
        read,
    })
}

/// Whether an input of a rule of this kind stands for as long as what feeds it holds: where things are
/// to hold together. What is to follow something else is to begin after it, so only its beginning counts.
pub(super) const fn lasts(kind: &Kind, input: usize) -> bool {
    match kind {
        Kind::Temporal { ordered, .. } => !*ordered || input == 0,
        _ => false,
    }
}
