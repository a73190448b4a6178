//! A condition over one event, compiled: a tree of tests on fields.
//!
//! Owns evaluation, the event kinds and fields a condition needs, and its identity (equal
//! conditions are shared in a plan). How files say it is `selection` and `condition`. Evaluation
//! never allocates; a missing field makes every positive test false.

mod describe;
mod explain;
mod leaf;
pub(crate) mod moment;
mod net;
mod set;
mod stack_text;
pub(crate) mod test;
pub(crate) mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::model::{Event, FieldId};

pub use explain::Explanation;
pub(super) use leaf::{Leaf, Match, Target, Texts};

/// Compiled size of one regex: a pattern of 1 KiB with Unicode classes stays below.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;

/// A condition as a tree. `Named` marks a selection, so that explanations can name it.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Const(bool),
    Leaf(Box<Leaf>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Named(Box<str>, Box<Self>),
}

impl Tree {
    #[inline]
    fn holds(&self, event: &Event) -> bool {
        match self {
            Self::Const(value) => *value,
            Self::Leaf(leaf) => leaf.holds(event),
            Self::Not(inner) => !inner.holds(event),
            Self::And(all) => all.iter().all(|t| t.holds(event)),
            Self::Or(any) => any.iter().any(|t| t.holds(event)),
            Self::Named(_, inner) => inner.holds(event),
        }
    }

    /// Flat, without constants, the cheapest test first.
    fn simplify(self) -> Self {
        match self {
            Self::Const(_) | Self::Leaf(_) => self,
            Self::Not(inner) => match inner.simplify() {
                Self::Const(value) => Self::Const(!value),
                Self::Not(inner) => *inner,
                other => Self::Not(Box::new(other)),
            },
            Self::Named(name, inner) => match inner.simplify() {
                Self::Const(value) => Self::Const(value),
                other => Self::Named(name, Box::new(other)),
            },
            Self::And(children) => Self::join(children, true),
            Self::Or(children) => Self::join(children, false),
        }
    }

    fn join(children: Vec<Self>, and: bool) -> Self {
        let mut flat = Vec::new();
        for child in children {
            match (child.simplify(), and) {
                (Self::Const(value), _) if value == and => {}
                (Self::Const(value), _) => return Self::Const(value),
                (Self::And(inner), true) | (Self::Or(inner), false) => flat.extend(inner),
                (other, _) => flat.push(other),
            }
        }
        flat.sort_by_key(Self::cost);
        match flat.pop() {
            None => Self::Const(and),
            Some(only) if flat.is_empty() => only,
            Some(last) => {
                flat.push(last);
                if and { Self::And(flat) } else { Self::Or(flat) }
            }
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Self::Const(_) => 0,
            Self::Leaf(leaf) => leaf.cost(),
            Self::Not(inner) | Self::Named(_, inner) => inner.cost(),
            Self::And(list) | Self::Or(list) => {
                list.iter().map(Self::cost).fold(0, u32::saturating_add)
            }
        }
    }

    /// A superset of the kinds that can match; `None` is every kind.
    fn kinds(&self) -> Option<BTreeSet<&str>> {
        match self {
            Self::Const(true) | Self::Not(_) => None,
            Self::Const(false) => Some(BTreeSet::new()),
            Self::Leaf(leaf) => leaf.kinds().map(|k| k.iter().map(String::as_str).collect()),
            Self::Named(_, inner) => inner.kinds(),
            Self::And(all) => all.iter().filter_map(Self::kinds).reduce(|a, b| &a & &b),
            Self::Or(any) => any
                .iter()
                .map(Self::kinds)
                .try_fold(BTreeSet::new(), |mut all, k| {
                    all.extend(k?);
                    Some(all)
                }),
        }
    }

    fn leaves<'a>(&'a self, visit: &mut impl FnMut(&'a Leaf)) {
        match self {
            Self::Const(_) => {}
            Self::Leaf(leaf) => visit(leaf),
            Self::Not(inner) | Self::Named(_, inner) => inner.leaves(visit),
            Self::And(list) | Self::Or(list) => list.iter().for_each(|t| t.leaves(visit)),
        }
    }
}

/// The identity of a tree: equal texts are equal conditions.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, word: &str, items: &[Self]| {
            f.write_str(word)?;
            for item in items {
                write!(f, "({item})")?;
            }
            Ok(())
        };
        match self {
            Self::Const(value) => write!(f, "{value}"),
            Self::Leaf(leaf) => f.write_str(leaf.identity()),
            Self::Not(inner) => write!(f, "not({inner})"),
            Self::And(items) => list(f, "and", items),
            Self::Or(items) => list(f, "or", items),
            Self::Named(name, inner) => write!(f, "{name}:({inner})"),
        }
    }
}

/// A compiled condition over one event.
#[derive(Clone)]
pub struct Predicate {
    tree: Tree,
    identity: String,
    kinds: Option<Vec<String>>,
    fields: Vec<FieldId>,
    all_text: bool,
}

impl Predicate {
    pub(super) fn new(tree: Tree) -> Self {
        let tree = tree.simplify();
        let identity = tree.to_string();
        let kinds = tree
            .kinds()
            .map(|set| set.into_iter().map(str::to_owned).collect());
        let mut fields = BTreeSet::new();
        let mut all_text = false;
        tree.leaves(&mut |leaf| {
            fields.extend(leaf.fields());
            all_text |= leaf.reads_all_text();
        });
        let fields = fields.into_iter().collect();
        Self {
            tree,
            identity,
            kinds,
            fields,
            all_text,
        }
    }

    /// Whether the event meets the condition.
    #[inline]
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.tree.holds(event)
    }

    /// The event kinds outside which it can never match, sorted and in lower case; `None` if
    /// there is no such set.
    #[must_use]
    pub fn kinds(&self) -> Option<&[String]> {
        self.kinds.as_deref()
    }

    /// The fields it reads, in the order of their numbers.
    #[must_use]
    pub fn fields(&self) -> &[FieldId] {
        &self.fields
    }

    /// Whether it searches all text values (Sigma's keywords), so that every field must be kept.
    #[must_use]
    pub const fn reads_all_text(&self) -> bool {
        self.all_text
    }

    /// `Some(true)` if every event meets it, `Some(false)` if none can.
    #[must_use]
    pub fn constant(&self) -> Option<bool> {
        match (&self.tree, &self.kinds) {
            (Tree::Const(value), _) => Some(*value),
            (_, Some(kinds)) if kinds.is_empty() => Some(false),
            _ => None,
        }
    }

    /// Whether the event meets the condition, and if not, which test failed.
    #[must_use]
    pub fn explain(&self, event: &Event) -> Explanation {
        explain::explain(&self.tree, event)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predicate({})", self.identity)
    }
}

impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Predicate {}

impl Hash for Predicate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

#[cfg(test)]
mod tests;
