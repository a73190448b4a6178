//! Bounds of correlations: operators, aggregates, and whether they can hold at all.
//!
//! Owns the refusal of bounds that would fire on absence, and the lints on bounds that always or
//! never hold. All bounds of one condition must hold together.

use super::{Aggregate, Bound, Kind, REFUSED};
use crate::engine::detector::diagnostic::{Findings, Place, did_you_mean};
use crate::engine::detector::keys;
use crate::engine::detector::plan::{Function, Op};
use crate::engine::detector::section::{Name, Section, names, number_in_quotes, quoted, shown};
use crate::engine::detector::yaml::{Content, Entry, Node, ScalarKind};

const OPS: [Op; 6] = [Op::Gt, Op::Gte, Op::Lt, Op::Lte, Op::Eq, Op::Neq];

/// Fields that may make up one value together.
const FIELDS_MAX: usize = 4;

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "event_count" => Function::Count,
        "value_count" => Function::Distinct,
        "once_share" => Function::OnceShare,
        "value_order" => Function::Order,
        "value_sum" => Function::Sum,
        "value_avg" => Function::Average,
        _ => return None,
    })
}

/// A type with one number: `event_count` and its like.
pub(super) fn simple(
    section: &Section<'_>,
    kind: &str,
    findings: &mut Findings<'_>,
) -> Option<Kind> {
    let entries = condition(section, findings)?;
    let function = function(kind)?;
    let mut bounds = Vec::new();
    let mut fields = Vec::new();
    for entry in entries {
        if entry.key == "field" {
            fields = fields_of(function, &entry.value, findings);
        } else {
            bounds.extend(bound(entry, 0, &[], findings));
        }
    }
    let has_field = entries.iter().any(|e| e.key == "field");
    let place = section.place("condition");
    if function == Function::Count && has_field {
        let hint = "remove `field`, or use value_count";
        findings.fault_hint(place, "event_count counts events, not values", hint);
    } else if function != Function::Count && !has_field {
        let hint = "add `field:` to the condition";
        findings.fault_hint(place, format!("{kind} does not say which field"), hint);
        return None;
    }
    let aggregates = vec![Aggregate {
        name: kind.to_owned(),
        function,
        fields,
        rule: None,
    }];
    let tried = entries.iter().any(|e| e.key != "field");
    check(&aggregates, &bounds, tried, place, findings);
    Some(Kind::Window { aggregates, bounds })
}

/// Several numbers over one window.
pub(super) fn aggregates(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let node = section.node("aggregates")?;
    let Content::Map(entries) = &node.content else {
        let hint = "write `aggregates: {requests: {type: event_count}}`";
        findings.fault_hint(
            node.at,
            format!("`aggregates` cannot be {}", node.word()),
            hint,
        );
        return None;
    };
    let list: Vec<Aggregate> = entries
        .iter()
        .filter_map(|e| aggregate(e, findings))
        .collect();
    let names: Vec<&str> = entries.iter().map(|e| e.key.as_str()).collect();
    let bounds = named(section, &list, &names, findings)?;
    check(&list, &bounds, true, section.place("condition"), findings);
    Some(Kind::Window {
        aggregates: list,
        bounds,
    })
}

/// The bounds that a wider group of a roll-up has of its own: on the same numbers.
pub(super) fn of_wider(
    section: &Section<'_>,
    kind: &Kind,
    findings: &mut Findings<'_>,
) -> Option<Vec<Bound>> {
    let Kind::Window { aggregates, .. } = kind else {
        return None;
    };
    let bounds = match aggregates.as_slice() {
        [one] if function(&one.name).is_some() => condition(section, findings)?
            .iter()
            .filter_map(|entry| bound(entry, 0, &[], findings))
            .collect(),
        several => {
            let names: Vec<&str> = several.iter().map(|a| a.name.as_str()).collect();
            named(section, several, &names, findings)?
        }
    };
    check(
        aggregates,
        &bounds,
        true,
        section.place("condition"),
        findings,
    );
    Some(bounds)
}

/// The bounds on several numbers, by the number's name. `names` also has those with a fault.
fn named(
    section: &Section<'_>,
    list: &[Aggregate],
    names: &[&str],
    findings: &mut Findings<'_>,
) -> Option<Vec<Bound>> {
    let mut bounds = Vec::new();
    for entry in condition(section, findings)? {
        let Some(index) = list.iter().position(|a| a.name == entry.key) else {
            if !names.contains(&entry.key.as_str()) {
                let message = format!("there is no aggregate `{}`", entry.key);
                let hint = did_you_mean(&entry.key, names.iter().copied());
                findings.fault_hint(entry.at, message, hint);
            }
            continue;
        };
        match &entry.value.content {
            Content::Map(ops) if !ops.is_empty() => {
                bounds.extend(ops.iter().filter_map(|op| bound(op, index, list, findings)));
            }
            Content::Map(_) | Content::Scalar(_) | Content::List(_) => {
                let hint = format!("write `{}: {{gte: 10}}`", entry.key);
                findings.fault_hint(entry.value.at, "an aggregate's bound is a map", hint);
            }
        }
    }
    Some(bounds)
}

fn aggregate(entry: &Entry, findings: &mut Findings<'_>) -> Option<Aggregate> {
    let section = Section::open(&entry.value, &keys::AGGREGATE, findings)?;
    let kind = match section.text("type", findings) {
        Some(name) => match REFUSED.iter().find(|(refused, ..)| *refused == name.text) {
            Some((_, message, hint)) => {
                findings.fault_hint(name.at, *message, *hint);
                return None;
            }
            None => section.one_of("type", findings)?,
        },
        None => {
            let hint = format!("add `type:` with one of {}", keys::FUNCTIONS.join(", "));
            findings.fault_hint(section.at, "the aggregate has no `type`", hint);
            return None;
        }
    };
    let function = function(&kind.text)?;
    let fields = section
        .node("field")
        .map_or_else(Vec::new, |n| fields_of(function, n, findings));
    if function == Function::Count && !fields.is_empty() {
        let hint = "remove `field`, or use value_count";
        findings.fault_hint(
            section.place("field"),
            "event_count counts events, not values",
            hint,
        );
    } else if function != Function::Count && section.node("field").is_none() {
        let message = format!("{} does not say which field", kind.text);
        findings.fault_hint(kind.at, message, "add `field:`");
        return None;
    }
    let rule = section.text("rule", findings);
    Some(Aggregate {
        name: entry.key.clone(),
        function,
        fields,
        rule,
    })
}

/// The fields of one value: several count as one value together, except where it is a number.
fn fields_of(function: Function, node: &Node, findings: &mut Findings<'_>) -> Vec<Name> {
    let fields = some_fields(node, findings);
    let single = match function {
        Function::Sum | Function::Average => Some("are no number"),
        Function::Order => Some("have no order"),
        Function::Count | Function::Distinct | Function::OnceShare => None,
    };
    if let Some(why) = single.filter(|_| fields.len() > 1) {
        let hint = "name one field, or use one aggregate for each";
        let message = format!("several fields together {why}");
        findings.fault_hint(node.at, message, hint);
    }
    fields
}

/// One field or a few.
pub(super) fn some_fields(node: &Node, findings: &mut Findings<'_>) -> Vec<Name> {
    let fields = names(node, "field", findings);
    if fields.len() > FIELDS_MAX {
        let message = format!("a value is made of at most {FIELDS_MAX} fields");
        findings.fault_hint(node.at, message, "name those that tell values apart");
    }
    fields
}

/// The entries of `condition`.
fn condition<'n>(section: &Section<'n>, findings: &mut Findings<'_>) -> Option<&'n [Entry]> {
    let Some(node) = section.node("condition") else {
        let hint = "add `condition: {gte: 10}`";
        findings.fault_hint(section.at, "the correlation has no `condition`", hint);
        return None;
    };
    match &node.content {
        Content::Map(entries) if !entries.is_empty() => Some(entries),
        _ => {
            let message = format!(
                "the condition of a correlation is a map, found {}",
                node.word()
            );
            findings.fault_hint(node.at, message, "write `condition: {gte: 10}`");
            None
        }
    }
}

pub(super) fn bound(
    entry: &Entry,
    aggregate: usize,
    others: &[Aggregate],
    findings: &mut Findings<'_>,
) -> Option<Bound> {
    let Some(op) = OPS.into_iter().find(|op| op.name() == entry.key) else {
        let message = format!("unknown operator `{}`", entry.key);
        let hint = did_you_mean(&entry.key, keys::OPERATORS.iter().copied());
        findings.fault_hint(entry.at, message, hint);
        return None;
    };
    let (value, of) = match &entry.value.content {
        Content::Map(_) if !others.is_empty() => {
            let (value, of) = part_of(&entry.value, others, findings)?;
            (value, Some(of))
        }
        _ => (number(&entry.value, &entry.key, findings)?, None),
    };
    Some(Bound {
        aggregate,
        op,
        value,
        of,
        at: entry.value.at,
    })
}

/// `{aggregate: NAME, times: 0.5}`: so many times another number of the same window.
fn part_of(node: &Node, others: &[Aggregate], findings: &mut Findings<'_>) -> Option<(f64, usize)> {
    let section = Section::open(node, &keys::PART_OF, findings)?;
    let hint = "write `gte: {aggregate: requests, times: 0.5}`";
    let Some(name) = section.text("aggregate", findings) else {
        findings.fault_hint(
            section.at,
            "the bound does not say of which `aggregate`",
            hint,
        );
        return None;
    };
    let of = others.iter().position(|a| a.name == name.text);
    if of.is_none() {
        let message = format!("there is no aggregate `{}`", name.text);
        let known = others.iter().map(|a| a.name.as_str());
        findings.fault_hint(name.at, message, did_you_mean(&name.text, known));
    }
    let times = match section.node("times") {
        Some(times) => number(times, "times", findings)?,
        None => 1.0,
    };
    Some((times, of?))
}

pub(super) fn number(node: &Node, key: &str, findings: &mut Findings<'_>) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds beyond 2^53 have no meaning"
    )]
    match node.scalar().map(|s| s.kind) {
        Some(ScalarKind::Int(n)) => Some(n as f64),
        Some(ScalarKind::Float(n)) => Some(n),
        _ => {
            let (message, hint) = match number_in_quotes(node) {
                Some(number) => quoted(key, number),
                None => (
                    format!("`{key}` must be a number, found {}", shown(node)),
                    format!("write `{key}: 10`"),
                ),
            };
            findings.fault_hint(node.at, message, hint);
            None
        }
    }
}

/// The single bound of a ratio.
pub(super) fn one(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<(Op, f64)> {
    let entries = condition(section, findings)?;
    let bounds: Vec<Bound> = entries
        .iter()
        .filter_map(|e| bound(e, 0, &[], findings))
        .collect();
    let place = section.place("condition");
    if entries.len() > 1 {
        findings.fault_hint(
            place,
            "this type has one bound",
            "keep one, for example `gte: 0.9`",
        );
        return None;
    }
    let bound = bounds.first()?;
    // A numerator may exceed its denominator where it does not come from it; below 0 it cannot be.
    range_lint(Function::Sum, &bounds, bound.at, findings);
    Some((bound.op, bound.value))
}

/// A spike's `factor`, `count_min` and `tail_min`.
pub(super) fn spike(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<[f64; 3]> {
    let mut values = [3.0, 100.0, 9.0];
    let lowest = [1.0, 1.0, 1.0];
    for entry in condition(section, findings)? {
        let Some(i) = keys::SPIKE_BOUNDS.iter().position(|k| *k == entry.key) else {
            let message = format!("unknown key `{}` in a spike's condition", entry.key);
            let hint = did_you_mean(&entry.key, keys::SPIKE_BOUNDS.iter().copied());
            findings.fault_hint(entry.at, message, hint);
            continue;
        };
        let Some(value) = number(&entry.value, &entry.key, findings) else {
            continue;
        };
        let low = lowest.get(i).copied().unwrap_or(0.0);
        if value < low {
            let message = format!("`{}` must be {low} or more", entry.key);
            findings.fault_hint(entry.value.at, message, "below it everything is a spike");
        } else if let Some(place) = values.get_mut(i) {
            *place = value;
        }
    }
    Some(values)
}

fn check(
    aggregates: &[Aggregate],
    bounds: &[Bound],
    tried: bool,
    at: Place,
    findings: &mut Findings<'_>,
) {
    if bounds.is_empty() && tried {
        return;
    }
    if bounds.is_empty() {
        let hint = "add a bound: `gte: 10`";
        findings.fault_hint(at, "the condition has no bound", hint);
        return;
    }
    if bounds.iter().all(|b| b.of.is_some()) {
        let hint = "add a bound with a number: of nothing, every share is met";
        findings.fault_hint(at, "the condition compares, and asks for no number", hint);
        return;
    }
    let function = |i: usize| aggregates.get(i).map_or(Function::Count, |a| a.function);
    let on_absence = bounds.iter().all(|b| {
        let counts = matches!(function(b.aggregate), Function::Count | Function::Distinct);
        counts
            && b.of.is_none()
            && matches!(b.op, Op::Lt | Op::Lte | Op::Eq)
            && b.op.holds(0.0, b.value)
    });
    if let Some(first) = bounds.first().filter(|_| on_absence) {
        findings.fault_hint(
            first.at,
            "this holds when nothing happens, and nothing is no event that could fire it",
            "use `type: absence` with `after:` and `expect:`, or add a lower bound",
        );
        return;
    }
    for (i, aggregate) in aggregates.iter().enumerate() {
        let own: Vec<Bound> = bounds
            .iter()
            .copied()
            .filter(|b| b.aggregate == i && b.of.is_none())
            .collect();
        range_lint(
            aggregate.function,
            &own,
            own.first().map_or(at, |b| b.at),
            findings,
        );
    }
}

/// Lints bounds on one number that no value, or every value, meets.
fn range_lint(function: Function, bounds: &[Bound], at: Place, findings: &mut Findings<'_>) {
    let counts = matches!(function, Function::Count | Function::Distinct);
    let top = if function == Function::OnceShare {
        1.0
    } else {
        f64::INFINITY
    };
    let bottom = match function {
        Function::Count | Function::Distinct | Function::OnceShare | Function::Order => 0.0,
        Function::Sum | Function::Average => f64::NEG_INFINITY,
    };
    // Values at, just below and just above each bound are enough to find one that passes or not.
    let step = if counts { 1.0 } else { 1e-6 };
    let mut probes = vec![bottom.max(-1e300), top.min(1e300)];
    for bound in bounds {
        let whole = if counts {
            bound.value.floor()
        } else {
            bound.value
        };
        probes.extend([whole - step, whole, whole + step]);
    }
    probes.retain(|p| (bottom..=top).contains(p));
    let holds = |p: &f64| bounds.iter().all(|b| b.op.holds(*p, b.value));
    if bounds.is_empty() {
        return;
    }
    if !probes.iter().any(holds) {
        findings.lint(
            at,
            "no value can meet this bound",
            "the detector never fires; check it",
        );
    } else if probes.iter().all(holds) {
        findings.lint(
            at,
            "every value meets this bound",
            "the detector always fires; check it",
        );
    }
}
