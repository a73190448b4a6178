//! Which tests of a condition an event was put to, and how each went: what coverage counts.
//!
//! Goes the way of evaluation, so a test behind a failed one is not asked. Tests are numbered in the
//! order in which `names` tells them.

use super::Tree;
use crate::model::Event;

/// Evaluates the tree from test number `next` on, and tells each test that is asked.
pub(super) fn trace(
    tree: &Tree,
    event: &Event,
    next: &mut usize,
    told: &mut impl FnMut(usize, bool),
) -> bool {
    match tree {
        Tree::Const(value) => *value,
        Tree::Leaf(leaf) => {
            let holds = leaf.holds(event);
            told(*next, holds);
            *next += 1;
            holds
        }
        Tree::Not(inner) => !trace(inner, event, next, told),
        Tree::Named(_, inner) => trace(inner, event, next, told),
        Tree::And(list) => until(list, false, event, next, told),
        Tree::Or(list) => until(list, true, event, next, told),
    }
}

/// Asks one after the other until one is `end`; the rest is passed over.
fn until(
    list: &[Tree],
    end: bool,
    event: &Event,
    next: &mut usize,
    told: &mut impl FnMut(usize, bool),
) -> bool {
    let mut decided = false;
    for tree in list {
        if decided {
            tree.leaves(&mut |_| *next += 1);
        } else {
            decided = trace(tree, event, next, told) == end;
        }
    }
    decided == end
}

/// The tests as messages show them, each with its selection; those of the log source are nobody's.
pub(super) fn names(tree: &Tree, selection: Option<&str>, out: &mut Vec<Option<String>>) {
    match tree {
        Tree::Const(_) => {}
        Tree::Leaf(leaf) => out.push(match selection {
            Some("logsource") => None,
            Some(name) => Some(format!("{name}: {}", leaf.shown())),
            None => Some(leaf.shown().to_owned()),
        }),
        Tree::Not(inner) => names(inner, selection, out),
        Tree::Named(name, inner) => names(inner, Some(name), out),
        Tree::And(list) | Tree::Or(list) => list.iter().for_each(|t| names(t, selection, out)),
    }
}
