//! A roll-up to rules: the narrowest group is fed by events, each wider one by what the one before
//! it leaves.
//!
//! Owns the wider rules. That their groups hold one another is `document`'s to see.

use super::rules::Builder;
use crate::engine::detector::document::{Body, Correlation};
use crate::engine::detector::plan::{Bound, From, Input, Kind, Rule};
use crate::model::FieldId;

/// The fields a document's rules group by, the narrowest first; empty without a roll-up.
pub(super) fn fields(correlation: &Correlation) -> Vec<String> {
    let wider: Vec<&str> = (correlation.roll_up.iter())
        .map(|wider| wider.by.text.as_str())
        .collect();
    let narrowest = (correlation.narrowest).and_then(|at| correlation.group_by.get(at));
    let narrowest = narrowest.filter(|_| !wider.is_empty());
    let all = narrowest.map(|n| n.text.as_str()).into_iter().chain(wider);
    all.map(str::to_owned).collect()
}

/// Enters the wider groups behind the narrowest one.
pub(super) fn widen(builder: &mut Builder<'_, '_>, doc: usize, narrowest: usize) {
    let docs = builder.docs;
    let Some(Body::Correlation {
        correlation: Some(of),
        ..
    }) = docs.get(doc).map(|d| &d.document.body)
    else {
        return;
    };
    let (Some(place), mut below) = (of.narrowest, narrowest) else {
        return;
    };
    for wider in &of.roll_up {
        let Some(field) = builder.field(doc, &wider.by, &[]) else {
            return;
        };
        let Some(narrower) = builder.plan.rules.get(below) else {
            return;
        };
        let mut rule = one_wider(narrower, below, place, field);
        if let Some(name) = rule.key_names.get_mut(place) {
            name.clone_from(&wider.by.text);
        }
        // Without bounds of its own it has those of the narrowest, not of the one before.
        let first = builder.plan.rules.get(narrowest).map(|r| &r.kind);
        if let (Kind::Window { bounds, .. }, Some(Kind::Window { bounds: same, .. })) =
            (&mut rule.kind, first)
        {
            let own = wider.bounds.as_ref();
            *bounds = own.map_or_else(|| same.clone(), |own| own.iter().map(Bound::from).collect());
        }
        below = builder.plan.rules.len();
        builder.plan.rules.push(rule);
    }
}

fn one_wider(narrower: &Rule, index: usize, place: usize, field: FieldId) -> Rule {
    let input = |input: &Input| {
        let mut group_by = input.group_by.clone();
        if let Some(by) = group_by.get_mut(place) {
            *by = field;
        }
        Input {
            name: input.name.clone(),
            from: From::Rest(index),
            group_by,
            learns: false,
        }
    };
    Rule {
        alerts: true,
        inputs: narrower.inputs.iter().map(input).collect(),
        ..narrower.clone()
    }
}
