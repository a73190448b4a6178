//! What an event must say for a condition to match at all: exact values of fields, or literals in
//! them, by which a plan finds the conditions worth evaluating.
//!
//! Owns the derivation from a tree. Always a superset of what matches: where nothing is known of a
//! field, every value may match. Values are ASCII in lower case, because texts match in any case.

use std::collections::{BTreeMap, BTreeSet};

use super::{Leaf, Tree};
use crate::model::FieldId;
use crate::model::field::EVENT_KIND;

/// Per field, the values of which the event must have one. `None`: no event can match.
pub(super) type Needs<'a> = Option<BTreeMap<FieldId, BTreeSet<&'a str>>>;

/// What a leaf needs: a field, and the texts of which it must have one.
pub(super) type Told = fn(&Leaf) -> Option<(FieldId, &[String])>;

/// What a tree needs, if each leaf needs what `told` says.
pub(super) fn of(tree: &Tree, told: Told) -> Needs<'_> {
    match tree {
        Tree::Const(false) => None,
        Tree::Const(true) | Tree::Not(_) => Some(BTreeMap::new()),
        Tree::Named(_, inner) => of(inner, told),
        Tree::Leaf(leaf) => Some(
            told(leaf)
                .map(|(field, values)| (field, values.iter().map(String::as_str).collect()))
                .into_iter()
                .collect(),
        ),
        Tree::And(all) => {
            let needs = all.iter().map(|t| of(t, told));
            needs.reduce(both).unwrap_or_default()
        }
        Tree::Or(any) => any.iter().map(|t| of(t, told)).fold(None, either),
    }
}

fn both<'a>(a: Needs<'a>, b: Needs<'a>) -> Needs<'a> {
    let (mut a, b) = (a?, b?);
    for (field, values) in b {
        match a.get_mut(&field) {
            None => {
                a.insert(field, values);
            }
            // An event has one kind; of other fields it may have several values.
            Some(known) if field == EVENT_KIND => known.retain(|v| values.contains(v)),
            Some(known) if values.len() < known.len() => *known = values,
            Some(_) => {}
        }
    }
    let impossible = a.get(&EVENT_KIND).is_some_and(BTreeSet::is_empty);
    (!impossible).then_some(a)
}

fn either<'a>(a: Needs<'a>, b: Needs<'a>) -> Needs<'a> {
    let (mut a, b) = match (a, b) {
        (None, only) | (only, None) => return only,
        (Some(a), Some(b)) => (a, b),
    };
    a.retain(|field, values| match b.get(field) {
        Some(more) => {
            values.extend(more);
            true
        }
        None => false,
    });
    Some(a)
}
