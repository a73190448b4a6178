//! What an event must say for a condition to match at all: exact values of fields, by which a plan
//! finds the conditions worth evaluating.
//!
//! Owns the derivation from a tree. Always a superset of what matches: where nothing is known of a
//! field, every value may match. Values are ASCII in lower case, because texts match in any case.

use std::collections::{BTreeMap, BTreeSet};

use super::Tree;
use crate::model::FieldId;
use crate::model::field::EVENT_KIND;

/// Per field, the values of which the event must have one. `None`: no event can match.
pub(super) type Needs<'a> = Option<BTreeMap<FieldId, BTreeSet<&'a str>>>;

pub(super) fn of(tree: &Tree) -> Needs<'_> {
    match tree {
        Tree::Const(false) => None,
        Tree::Const(true) | Tree::Not(_) => Some(BTreeMap::new()),
        Tree::Named(_, inner) => of(inner),
        Tree::Leaf(leaf) => Some(
            leaf.exact()
                .map(|(field, values)| (field, values.iter().map(String::as_str).collect()))
                .into_iter()
                .collect(),
        ),
        Tree::And(all) => all.iter().map(of).reduce(both).unwrap_or_default(),
        Tree::Or(any) => any.iter().map(of).fold(None, either),
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
