//! Conditions that search the text of one field: which of them an event may meet, found in one pass
//! over the text however many they are.
//!
//! Owns the automaton over the literals of all of them. A condition stands here with texts of which
//! the field's value must contain one; whether it does meet is for the condition to say.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::engine::detector::predicate::{Predicate, StackText};
use crate::model::{Event, FieldId};

/// Fewer conditions on a field than this are asked one by one.
const CONDITIONS_MIN: usize = 8;
/// More literals of one condition than this are worse to keep than to ask.
const LITERALS_MAX: usize = 256;

/// One field's automaton; entries are the caller's numbers.
#[derive(Clone, Debug)]
pub(super) struct Search {
    field: FieldId,
    literals: AhoCorasick,
    /// Per literal, who searches for it.
    entries: Vec<Vec<usize>>,
    /// The only kinds of event that any of them can match, sorted; `None` if some takes all.
    kinds: Option<Vec<String>>,
}

impl Search {
    /// Automata for the fields that enough of these predicates search.
    pub(super) fn over(predicates: &[(usize, &Predicate)]) -> Vec<Self> {
        let mut fields: BTreeMap<FieldId, Vec<(usize, &Predicate)>> = BTreeMap::new();
        for (entry, predicate) in predicates {
            if let Some(field) = searched(predicate) {
                fields.entry(field).or_default().push((*entry, predicate));
            }
        }
        let enough = fields
            .into_iter()
            .filter(|(_, list)| list.len() >= CONDITIONS_MIN);
        enough
            .filter_map(|(field, list)| Self::new(field, &list))
            .collect()
    }

    fn new(field: FieldId, list: &[(usize, &Predicate)]) -> Option<Self> {
        let mut literals: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (entry, predicate) in list {
            for literal in predicate.parts(field).into_iter().flatten() {
                literals.entry(literal).or_default().push(*entry);
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(literals.keys());
        let all: Option<Vec<&[String]>> = list.iter().map(|(_, p)| p.kinds()).collect();
        let kinds = all.map(|all| {
            let mut kinds = all.concat();
            kinds.sort_unstable();
            kinds.dedup();
            kinds
        });
        Some(Self {
            field,
            // Too many literals: its conditions are asked one by one then.
            literals: automaton.ok()?,
            entries: literals.into_values().collect(),
            kinds,
        })
    }

    /// Those that stand here.
    pub(super) fn entries(&self) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().flatten().copied()
    }

    /// Appends those whose literals the event has, some perhaps more than once; tells whether any.
    pub(super) fn find(&self, event: &Event, found: &mut Vec<usize>) -> bool {
        let before = found.len();
        if let Some(kinds) = &self.kinds {
            let kind = event.kind();
            if !kinds.iter().any(|k| k.eq_ignore_ascii_case(kind)) {
                return false;
            }
        }
        for value in event.values(self.field) {
            StackText::with(value, |text| {
                for literal in self.literals.find_overlapping_iter(text) {
                    if let Some(entries) = self.entries.get(literal.pattern().as_usize()) {
                        found.extend_from_slice(entries);
                    }
                }
            });
        }
        found.len() > before
    }
}

/// The field that a predicate searches with the fewest literals.
fn searched(predicate: &Predicate) -> Option<FieldId> {
    let fields = predicate.searched().filter_map(|field| {
        let count = predicate.parts(field)?.len();
        (count <= LITERALS_MAX).then_some((count, field))
    });
    fields.min().map(|(_, field)| field)
}
