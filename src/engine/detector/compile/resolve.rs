//! References of documents to what they mean: a selection, a document's condition, a rule.
//!
//! Owns the order of look-up (own selections, own condition, names, ids), the refusal of cycles
//! and the wording for what is not there.

use super::inputs::Source;
use super::rules::{Builder, State};
use crate::engine::detector::diagnostic::{did_you_mean, nearest};
use crate::engine::detector::document::{Body, Name};
use crate::engine::detector::plan::From;

/// Correlations may refer to correlations this deep.
const CHAIN_MAX: usize = 64;

impl Builder<'_, '_> {
    /// Follows one reference of a document.
    pub(super) fn resolve(&mut self, doc: usize, name: &Name) -> Option<Source> {
        if let Some(tree) = self
            .selections
            .get_mut(doc)
            .and_then(|s| s.named(&name.text))
        {
            let from = From::Event(self.predicate(doc, tree));
            return Some(Source {
                name: name.clone(),
                from,
                doc: None,
            });
        }
        match self.names.find(&name.text) {
            Some(other) if other == doc && self.has_condition(doc) => {
                let tree = self.selections.get(doc)?.condition.clone()?;
                let from = From::Event(self.predicate(doc, tree));
                Some(Source {
                    name: name.clone(),
                    from,
                    doc: None,
                })
            }
            Some(other) if !self.is_out(other) => self.follow(doc, other, name),
            found => {
                self.missing(doc, name, found);
                None
            }
        }
    }

    fn follow(&mut self, doc: usize, other: usize, name: &Name) -> Option<Source> {
        let docs = self.docs;
        let target = docs.get(other)?;
        let generate = match &docs.get(doc)?.document.body {
            Body::Correlation { correlation, .. } => {
                let own = correlation.as_ref().is_some_and(|c| c.generate);
                own || docs.get(doc)?.document.header.generate
            }
            Body::Rule(_) | Body::Filter { .. } | Body::Expected { .. } => false,
        };
        if let Some(feed) = self.feeds.get_mut(other) {
            *feed = (true, feed.1 || generate);
        }
        let from = match &target.document.body {
            Body::Filter { .. } | Body::Expected { .. } => {
                let message = format!("`{}` is no rule: nothing fires there", name.text);
                self.findings(doc)
                    .fault_hint(name.at, message, "name a rule or a correlation");
                return None;
            }
            Body::Rule(_) => {
                let tree = self.selections.get(other)?.condition.clone()?;
                From::Event(self.predicate(other, tree))
            }
            Body::Correlation { .. } => {
                if self.states.get(other) == Some(&State::Open) || self.depth >= CHAIN_MAX {
                    let message = format!("`{}` refers to itself in the end", name.text);
                    let hint = "correlations may not form a circle";
                    self.findings(doc).fault_hint(name.at, message, hint);
                    return None;
                }
                From::Rule(self.rule(other)?)
            }
        };
        Some(Source {
            name: name.clone(),
            from,
            doc: Some(other),
        })
    }

    fn missing(&mut self, doc: usize, name: &Name, found: Option<usize>) {
        let own_file = self.docs.get(doc).map(|d| d.file);
        let file = found
            .and_then(|d| self.docs.get(d))
            .map(|d| d.file)
            .or_else(|| self.broken.get(&name.text).copied());
        if file.is_some() && file == own_file {
            // The fault itself is reported in this very file.
            return;
        }
        if file.is_some() {
            let message = format!("`{}` stands in a file that has faults", name.text);
            self.findings(doc)
                .fault_hint(name.at, message, "mend that file first");
            return;
        }
        let message = format!("there is no rule or selection `{}`", name.text);
        let selections = self.selections.get(doc);
        let mut known: Vec<&str> = selections.map(|s| s.names().collect()).unwrap_or_default();
        known.extend(self.names.all());
        let hint = match nearest(&name.text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.len() <= 6 => did_you_mean(&name.text, known.iter().copied()),
            None => "name a rule by its `name` or `id`, or a selection of this document".to_owned(),
        };
        self.findings(doc).fault_hint(name.at, message, hint);
    }
}
