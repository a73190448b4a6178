//! `roll-up:` of a window: wider groups for what no narrower one has told of.
//!
//! Owns the ladder of groups that hold one another, and the refusal of what is not on it. Building a
//! rule per group is `compile`'s.

use super::{Bound, Kind, bounds};
use crate::engine::detector::diagnostic::{Findings, did_you_mean};
use crate::engine::detector::keys;
use crate::engine::detector::plan::Function;
use crate::engine::detector::section::{Name, Section, shown};
use crate::engine::detector::yaml::{Content, Node};
use crate::engine::rule::window::claims::EVENTS_MAX;

/// Each is part of exactly one of the next.
const LADDER: [&str; 3] = ["source.ip", "source.cidr", "source.as.number"];

/// One wider group.
#[derive(Debug)]
pub(in crate::engine::detector) struct Wider {
    pub(in crate::engine::detector) by: Name,
    /// Its own bounds, where they are not those of the narrowest group.
    pub(in crate::engine::detector) bounds: Option<Vec<Bound>>,
}

/// Reads the wider groups of a window, the narrowest first; with the place in `group-by` of the one
/// they widen.
pub(super) fn read(
    section: &Section<'_>,
    group_by: &[Name],
    kind: &Kind,
    findings: &mut Findings<'_>,
) -> Option<(usize, Vec<Wider>)> {
    let (Some(node), Kind::Window { aggregates, bounds }) = (section.node("roll-up"), kind) else {
        return None;
    };
    if aggregates.iter().any(|a| a.function == Function::Order) {
        let hint = "write a rule of its own for the order of values";
        let message = "a roll-up does not keep the order of what happens in one moment";
        findings.fault_hint(section.place("roll-up"), message, hint);
        return None;
    }
    let step_of = |name: &Name| LADDER.iter().position(|step| *step == name.text);
    let places = group_by.iter().enumerate();
    let own: Vec<(usize, usize)> = places
        .filter_map(|(place, name)| Some((place, step_of(name)?)))
        .collect();
    let [(place, mut below)] = own[..] else {
        let hint = "group by source.ip (or source.cidr), and roll up to wider groups";
        let message = "`roll-up` needs one address among the `group-by` fields";
        findings.fault_hint(section.place("roll-up"), message, hint);
        return None;
    };
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        Content::Scalar(_) | Content::Map(_) => std::slice::from_ref(node),
    };
    let mut found = Vec::new();
    for item in items {
        let Some(wider) = wider(item, kind, findings) else {
            continue;
        };
        match step_of(&wider.by) {
            Some(step) if step > below => below = step,
            Some(_) => {
                let message = format!("`{}` is no wider group than the one before", wider.by.text);
                let hint = format!("from narrow to wide: {}", LADDER.join(", "));
                findings.fault_hint(wider.by.at, message, hint);
                continue;
            }
            None => {
                let message = format!("nothing rolls up to `{}`", wider.by.text);
                let hint = did_you_mean(&wider.by.text, LADDER.iter().copied());
                findings.fault_hint(wider.by.at, message, hint);
                continue;
            }
        }
        for bound in wider.bounds.as_ref().unwrap_or(bounds) {
            refuse_beyond_memory(bound, findings);
        }
        found.push(wider);
    }
    Some((place, found))
}

/// A name, or `{by: NAME, condition: {…}}`.
fn wider(node: &Node, kind: &Kind, findings: &mut Findings<'_>) -> Option<Wider> {
    if let Some(scalar) = node.scalar().filter(|_| !node.is_null()) {
        let by = Name {
            text: scalar.text.clone(),
            at: node.at,
        };
        return Some(Wider { by, bounds: None });
    }
    let group = Section::open(node, &keys::WIDER, findings)?;
    let Some(by) = group.text("by", findings) else {
        let message = format!("the wider group has no `by`, found {}", shown(node));
        findings.fault_hint(node.at, message, "write `{by: source.cidr}`");
        return None;
    };
    let bounds = match group.node("condition") {
        None => None,
        Some(_) => Some(bounds::of_wider(&group, kind, findings)?),
    };
    Some(Wider { by, bounds })
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn refuse_beyond_memory(bound: &Bound, findings: &mut Findings<'_>) {
    if bound.of.is_none() && bound.value > EVENTS_MAX as f64 {
        let message = format!("a wider group remembers {EVENTS_MAX} events, this bound needs more");
        let hint =
            "lower the bound, shorten the timespan, or write a rule of its own for the group";
        findings.fault_hint(bound.at, message, hint);
    }
}
