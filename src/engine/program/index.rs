//! Which predicates are worth evaluating for an event: found by what the event says, not by asking
//! each of them.
//!
//! Owns the choice of the field under which a predicate stands, and the look-up. A predicate stands
//! under one field whose exact values it needs (the event's kind, or a more telling one of at most
//! `FIELDS_MAX`), with others that search the same text (`search`), or under none and is always due.
//! So a detector costs other events nothing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

mod search;

use search::Search;

use crate::engine::detector::predicate::{Predicate, StackText};
use crate::model::field::{EVENT_KIND, EVENT_SCHEMA};
use crate::model::{Event, FieldId};

/// Each field costs every event one look-up.
const FIELDS_MAX: usize = 8;
/// A field other than the kind must leave this many times fewer predicates to be worth its look-up.
const BETTER: usize = 8;
/// Larger lists of values are worse to look up than to evaluate.
const VALUES_MAX: usize = 256;

/// See the module's text. Entries are the caller's numbers.
#[derive(Clone, Debug, Default)]
pub struct Index {
    always: Vec<usize>,
    fields: Vec<(FieldId, Values)>,
    searches: Vec<Search>,
    /// Per entry, the only kinds of event it can match.
    kinds: Vec<Option<Box<[String]>>>,
    /// The field that names the product of an event whose schema does not.
    product: Option<FieldId>,
}

/// Values in lower case, sorted by length, then bytes; each with the entries under it.
#[derive(Clone, Debug, Default)]
struct Values(Vec<(Box<str>, Vec<usize>)>);

impl Index {
    /// Puts each predicate in its place; their positions are the entries.
    #[must_use]
    pub fn new(predicates: &[&Predicate], product: Option<FieldId>) -> Self {
        let choices: Vec<Vec<FieldId>> = choices(predicates);
        let kept = kept(&choices);
        let place = |choices: &[FieldId]| choices.iter().copied().find(|f| kept.contains(f));
        let common = |f: FieldId| f == EVENT_KIND || f == EVENT_SCHEMA;
        let numbered = predicates.iter().copied().enumerate().zip(&choices);
        let searching: Vec<(usize, &Predicate)> = numbered
            .filter(|((_, p), choices)| {
                p.constant() != Some(false) && place(choices).is_none_or(common)
            })
            .map(|(numbered, _)| numbered)
            .collect();
        let searches = Search::over(&searching);
        let searched: BTreeSet<usize> = searches.iter().flat_map(Search::entries).collect();
        let mut places: BTreeMap<FieldId, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
        let mut always = Vec::new();
        for (entry, (predicate, choices)) in predicates.iter().zip(&choices).enumerate() {
            if searched.contains(&entry) {
                continue;
            }
            let Some(field) = place(choices) else {
                if predicate.constant() != Some(false) {
                    always.push(entry);
                }
                continue;
            };
            let values = places.entry(field).or_default();
            for value in needed(predicate, field).into_iter().flatten() {
                values.entry(value).or_default().push(entry);
            }
        }
        let fields = places.into_iter().map(|(field, values)| {
            let mut list: Vec<(Box<str>, Vec<usize>)> =
                values.into_iter().map(|(v, e)| (v.into(), e)).collect();
            list.sort_by(|(a, _), (b, _)| order(a, b));
            (field, Values(list))
        });
        Self {
            always,
            fields: fields.collect(),
            searches,
            kinds: predicates
                .iter()
                .map(|p| p.kinds().map(Into::into))
                .collect(),
            product,
        }
    }

    /// Writes the entries that may match the event into `due`, each once.
    pub fn due(&self, event: &Event, due: &mut Vec<usize>) {
        due.clear();
        due.extend_from_slice(&self.always);
        for (field, values) in &self.fields {
            let before = due.len();
            let mut found = 0;
            let mut own = *field;
            if own == EVENT_SCHEMA {
                due.extend_from_slice(values.find(event.schema));
                found = usize::from(due.len() > before);
                own = self.product.unwrap_or(own);
            }
            for value in event.values(own) {
                let entries = StackText::with(value, |text| values.find(text));
                if let Some(entries) = entries.filter(|e| !e.is_empty()) {
                    due.extend_from_slice(entries);
                    found += 1;
                }
            }
            if *field != EVENT_KIND && found > 0 {
                self.keep_kind(event, before, due);
            }
            if found > 1 {
                // Several values of one field may lead to the same entry.
                once(before, due);
            }
        }
        for search in &self.searches {
            let before = due.len();
            if search.find(event, due) {
                once(before, due);
                self.keep_kind(event, before, due);
            }
        }
    }

    /// Takes out those from `from` on that want another kind of event.
    fn keep_kind(&self, event: &Event, from: usize, due: &mut Vec<usize>) {
        let kind = event.kind();
        let fits = |entry: &usize| match self.kinds.get(*entry) {
            Some(Some(kinds)) => kinds.iter().any(|k| k.eq_ignore_ascii_case(kind)),
            _ => true,
        };
        let mut at = 0;
        due.retain(|entry| {
            at += 1;
            at <= from || fits(entry)
        });
    }
}

/// Leaves each of those from `from` on once.
fn once(from: usize, due: &mut Vec<usize>) {
    let mut own = due.split_off(from);
    own.sort_unstable();
    own.dedup();
    due.append(&mut own);
}

impl Values {
    fn find(&self, text: &str) -> &[usize] {
        self.0
            .binary_search_by(|(value, _)| order(value, text))
            .ok()
            .and_then(|at| self.0.get(at))
            .map_or(&[], |(_, entries)| entries)
    }
}

/// By length, then bytes in any case; most comparisons end at the length.
fn order(a: &str, b: &str) -> Ordering {
    let lower = |text: &str, i: usize| text.as_bytes().get(i).map(u8::to_ascii_lowercase);
    a.len().cmp(&b.len()).then_with(|| {
        (0..a.len())
            .map(|i| lower(a, i).cmp(&lower(b, i)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

/// The values a predicate needs of a field, if that narrows it enough.
fn needed(predicate: &Predicate, field: FieldId) -> Option<&[String]> {
    predicate
        .needs(field)
        .filter(|values| values.len() <= VALUES_MAX)
}

/// Per predicate, the fields it could stand under, the best first: where the fewest others would
/// be found with it.
fn choices(predicates: &[&Predicate]) -> Vec<Vec<FieldId>> {
    let mut crowds: BTreeMap<(FieldId, &str), usize> = BTreeMap::new();
    let told = |predicate: &&Predicate| predicate.telling().collect::<Vec<_>>();
    for predicate in predicates {
        for field in told(predicate) {
            for value in needed(predicate, field).into_iter().flatten() {
                *crowds.entry((field, value)).or_default() += 1;
            }
        }
    }
    let crowd = |predicate: &Predicate, field: FieldId| {
        let values = needed(predicate, field)?.iter();
        values
            .filter_map(|v| crowds.get(&(field, v.as_str())).copied())
            .max()
    };
    let ranked = |predicate: &&Predicate| {
        let mut fields: Vec<(usize, bool, bool, FieldId)> = told(predicate)
            .into_iter()
            .filter_map(|f| {
                let crowd = crowd(predicate, f)?;
                let crowd = if f == EVENT_KIND {
                    crowd / BETTER
                } else {
                    crowd
                };
                Some((crowd, f != EVENT_KIND, f == EVENT_SCHEMA, f))
            })
            .collect();
        fields.sort_unstable();
        fields.into_iter().map(|(.., field)| field).collect()
    };
    predicates.iter().map(ranked).collect()
}

/// Kind and product, and the fields that are the best choice of the most predicates.
fn kept(choices: &[Vec<FieldId>]) -> Vec<FieldId> {
    let always = [EVENT_KIND, EVENT_SCHEMA];
    let mut votes: BTreeMap<FieldId, usize> = BTreeMap::new();
    for best in choices.iter().filter_map(|c| c.first()) {
        *votes.entry(*best).or_default() += usize::from(!always.contains(best));
    }
    let mut fields: Vec<(FieldId, usize)> = votes.into_iter().filter(|(_, n)| *n > 0).collect();
    fields.sort_by_key(|(field, votes)| (std::cmp::Reverse(*votes), *field));
    let best = fields.into_iter().map(|(field, _)| field);
    always.into_iter().chain(best).take(FIELDS_MAX).collect()
}

#[cfg(test)]
mod tests;
