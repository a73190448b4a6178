//! Why a condition did not match one event: the same tree, walked once more.
//!
//! Owns the choice of the one test to name: in a conjunction the first that fails, in a
//! disjunction the alternative that came nearest. It agrees with `matches` by construction.

use serde::Serialize;

use super::{Leaf, Tree};
use crate::model::Event;

/// The verdict on one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub matched: bool,
    /// The failing test, e.g. `selection: event.kind = 'token.used' (event has 'token.issued')`.
    pub leaf: Option<String>,
}

pub(super) fn explain(tree: &Tree, event: &Event) -> Explanation {
    if tree.holds(event) {
        return Explanation {
            matched: true,
            leaf: None,
        };
    }
    Explanation {
        matched: false,
        leaf: Some(failing(tree, event, None)),
    }
}

fn say(leaf: &Leaf, event: &Event, selection: Option<&str>, not: bool) -> String {
    let not = if not { "not " } else { "" };
    let prefix = selection.map_or_else(String::new, |name| format!("{name}: "));
    format!("{not}{prefix}{} ({})", leaf.shown(), leaf.found(event))
}

/// The test that makes a false tree false.
fn failing(tree: &Tree, event: &Event, selection: Option<&str>) -> String {
    match tree {
        Tree::Const(_) => "the condition can never match".to_owned(),
        Tree::Leaf(leaf) => say(leaf, event, selection, false),
        Tree::Named(name, inner) => failing(inner, event, Some(name)),
        Tree::Not(inner) => holding(inner, event, selection),
        Tree::And(all) => match all.iter().find(|t| !t.holds(event)) {
            Some(child) => failing(child, event, selection),
            None => String::new(),
        },
        Tree::Or(any) => {
            let nearest = any.iter().enumerate().max_by(|(i, a), (j, b)| {
                let order = passed(a, event).total_cmp(&passed(b, event));
                order.then(j.cmp(i))
            });
            match nearest {
                Some((_, child)) => failing(child, event, selection),
                None => "the condition can never match".to_owned(),
            }
        }
    }
}

/// The test that makes a true tree true, where it should have been false.
fn holding(tree: &Tree, event: &Event, selection: Option<&str>) -> String {
    match tree {
        Tree::Const(_) => "the condition can never match".to_owned(),
        Tree::Leaf(leaf) => say(leaf, event, selection, true),
        Tree::Named(name, inner) => holding(inner, event, Some(name)),
        Tree::Not(inner) => failing(inner, event, selection),
        Tree::And(list) | Tree::Or(list) => match list.iter().find(|t| t.holds(event)) {
            Some(child) => holding(child, event, selection),
            None => String::new(),
        },
    }
}

/// The share of a tree's tests that pass: how near it came.
fn passed(tree: &Tree, event: &Event) -> f32 {
    let (mut count, mut all) = (0.0, 0.0);
    tree.leaves(&mut |leaf| {
        all += 1.0;
        if leaf.holds(event) {
            count += 1.0;
        }
    });
    if all == 0.0 { 0.0 } else { count / all }
}
