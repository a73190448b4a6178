//! What is allowed and looks like a mistake in a correlation: groups that an attacker multiplies,
//! and bounds that no window can reach.
//!
//! Owns lints that need names resolved; those of one map alone are `document`'s. Refuses nothing.

use std::collections::BTreeSet;

use super::rules::Builder;
use crate::engine::detector::document::{Bound, Correlation, Kind};
use crate::engine::detector::plan::{Aggregate, From, Function, Input, Kind as PlanKind};
use crate::engine::detector::predicate::Predicate;
use crate::model::FieldId;
use crate::model::field::{CANONICAL, DEVICE_ID, REQUEST_ID, TRACE_ID, URL_PATH, USER_AGENT};

/// Fields whose value a client makes up anew with each request.
const MADE_UP: [FieldId; 5] = [USER_AGENT, DEVICE_ID, URL_PATH, REQUEST_ID, TRACE_ID];
/// From this `labels.spoofable` on, the author has said that the group is the attacker's choice.
const SPOOFABLE: u8 = 2;

/// Lints a correlation whose inputs and kind are known.
pub(super) fn correlation(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    of: &Correlation,
    inputs: &[Input],
    kind: &PlanKind,
) {
    made_up_groups(builder, doc, of, inputs);
    if let (PlanKind::Window { aggregates, .. }, Kind::Window { bounds, .. }) = (kind, &of.kind) {
        for bound in bounds.iter().filter(|b| b.of.is_none()) {
            if let Some(aggregate) = aggregates.get(bound.aggregate) {
                out_of_reach(builder, doc, bound, aggregate, inputs);
            }
        }
    }
}

/// Groups by nothing but values an attacker makes up: one event each, so that no group ever fills,
/// and each takes its place in the table.
fn made_up_groups(builder: &mut Builder<'_, '_>, doc: usize, of: &Correlation, inputs: &[Input]) {
    let fields = inputs.first().map_or(&[][..], |i| i.group_by.as_slice());
    let made_up =
        |f: &FieldId| MADE_UP.contains(f) || builder.plan.fields.name(*f).starts_with("labels.");
    let known = (builder.docs.get(doc)).is_some_and(|d| d.document.header.spoofable >= SPOOFABLE);
    if fields.is_empty() || known || !fields.iter().all(made_up) {
        return;
    }
    if let Some(name) = of.group_by.first() {
        let message = format!("whoever sends events chooses `{}`", name.text);
        let hint = "group by what costs an attacker something (source.ip, user.target.id), count its \
                    values with value_count, or say `labels: {spoofable: 3}`";
        builder.findings(doc).lint(name.at, message, hint);
    }
}

/// A count of distinct values beyond what the group or the selections leave.
fn out_of_reach(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    bound: &Bound,
    aggregate: &Aggregate,
    inputs: &[Input],
) {
    let (Function::Distinct, &[field]) = (aggregate.function, aggregate.fields.as_slice()) else {
        return;
    };
    let counted = |i: &usize| aggregate.input.is_none_or(|own| own == *i);
    let counted: Vec<&Input> = (0..inputs.len())
        .filter(counted)
        .filter_map(|i| inputs.get(i))
        .collect();
    let grouped = counted.iter().all(|i| i.group_by.contains(&field));
    let most = if grouped {
        Some(1)
    } else {
        values(&builder.plan.predicates, &counted, field)
    };
    let Some(most) = most else { return };
    #[expect(clippy::cast_precision_loss, reason = "a handful of values")]
    let reached = (0..=most).any(|n| bound.op.holds(n as f64, bound.value));
    if !reached {
        let name = builder.plan.fields.name(field).to_owned();
        let (message, hint) = if grouped {
            (
                format!("`{name}` has one value in each of its own groups"),
                "take it out of `group-by`, or count another field",
            )
        } else {
            (
                format!("`{name}` has at most {most} different value(s) here"),
                "the selections allow no others: lower the bound, or count another field",
            )
        };
        builder.findings(doc).lint(bound.at, message, hint);
    }
}

/// How many values of a field the selections leave, where all of them say so.
fn values(predicates: &[Predicate], inputs: &[&Input], field: FieldId) -> Option<usize> {
    if usize::from(field.0) >= CANONICAL.len() {
        return None;
    }
    let mut all = BTreeSet::new();
    for input in inputs {
        let From::Event(predicate) = input.from else {
            return None;
        };
        all.extend(predicates.get(predicate)?.needs(field)?);
    }
    Some(all.len())
}
