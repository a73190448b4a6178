//! A condition over one event, compiled: a tree of tests on fields.
//!
//! Owns evaluation, the event kinds and fields a condition needs, and its identity (equal
//! conditions are shared in a plan). How files say it is `selection` and `condition`. Evaluation
//! never allocates; a missing field makes every positive test false.

mod describe;
mod dialect;
mod explain;
mod leaf;
pub(crate) mod moment;
mod needs;
mod net;
mod set;
mod stack_text;
pub(crate) mod test;
pub(crate) mod text;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::model::field::EVENT_KIND;
use crate::model::{Event, FieldId};

pub use explain::Explanation;
pub(super) use leaf::{Leaf, Match, TOO_LARGE, Target, Texts};
pub(crate) use stack_text::StackText;

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

    /// Whether it asks for something and for its opposite.
    fn contradicts(&self) -> bool {
        match self {
            Self::Named(_, inner) => inner.contradicts(),
            Self::Or(any) => !any.is_empty() && any.iter().all(Self::contradicts),
            Self::And(all) => {
                let asked: BTreeSet<String> =
                    all.iter().map(|t| format!("{:?}", t.bare())).collect();
                let denied = |t: &Self| match t.bare() {
                    Self::Not(inner) => asked.contains(&format!("{:?}", inner.bare())),
                    _ => false,
                };
                all.iter().any(|t| denied(t) || t.contradicts())
            }
            Self::Const(_) | Self::Leaf(_) | Self::Not(_) => false,
        }
    }

    /// Without the names of selections around it.
    fn bare(&self) -> &Self {
        match self {
            Self::Named(_, inner) => inner.bare(),
            other => other,
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
    /// Per field, the exact values of which an event must have one; `None` if none can match.
    needs: Option<BTreeMap<FieldId, Vec<String>>>,
    /// Per field, literals of which a value must contain one, in lower case.
    parts: BTreeMap<FieldId, Vec<String>>,
    fields: Vec<FieldId>,
    all_text: bool,
}

impl Predicate {
    pub(super) fn new(tree: Tree) -> Self {
        let tree = tree.simplify();
        let identity = tree.to_string();
        let owned = |values: BTreeSet<&str>| values.into_iter().map(str::to_owned).collect();
        let of = |told| {
            let needs = needs::of(&tree, told)?.into_iter();
            Some(needs.map(|(f, v)| (f, owned(v))).collect())
        };
        let needs = of(Leaf::exact);
        let parts = of(Leaf::parts).unwrap_or_default();
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
            needs,
            parts,
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

    /// The values of which an event must have one in this field, sorted and in lower case; `None`
    /// if the field does not decide, or if no event can match.
    #[must_use]
    pub fn needs(&self, field: FieldId) -> Option<&[String]> {
        Some(self.needs.as_ref()?.get(&field)?)
    }

    /// The fields of which it needs certain values.
    pub fn telling(&self) -> impl Iterator<Item = FieldId> + '_ {
        self.needs.iter().flat_map(|n| n.keys().copied())
    }

    /// Literals of which some value of this field must contain one in any case; `None` if it does not
    /// search it.
    #[must_use]
    pub fn parts(&self, field: FieldId) -> Option<&[String]> {
        Some(self.parts.get(&field)?)
    }

    /// The fields it searches.
    pub fn searched(&self) -> impl Iterator<Item = FieldId> + '_ {
        self.parts.keys().copied()
    }

    /// The event kinds outside which it can never match.
    #[must_use]
    pub fn kinds(&self) -> Option<&[String]> {
        self.needs(EVENT_KIND)
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
        match (&self.tree, &self.needs) {
            (_, None) => Some(false),
            (Tree::Const(value), _) => Some(*value),
            (tree, _) if tree.contradicts() => Some(false),
            _ => None,
        }
    }

    /// Its tests as messages show them; `None` for those of the log source.
    #[must_use]
    pub fn tests(&self) -> Vec<Option<String>> {
        let mut names = Vec::new();
        trace::names(&self.tree, None, &mut names);
        names
    }

    /// Evaluates, and tells of each test that is asked whether it holds, by its number in `tests`.
    pub fn trace(&self, event: &Event, mut told: impl FnMut(usize, bool)) -> bool {
        trace::trace(&self.tree, event, &mut 0, &mut told)
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
