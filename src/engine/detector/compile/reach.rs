//! Documents that are for other rules: filters, and declared mass events.
//!
//! Owns which rules each of them is for, and the faults of names that cannot be meant.

use super::rules::Builder;
use crate::engine::detector::diagnostic::nearest;
use crate::engine::detector::document::{Body, Correlation, Kind, Name, Reach, expected};
use crate::engine::detector::plan::Expected;
use crate::engine::detector::predicate::Tree;

impl Builder<'_, '_> {
    /// The conditions of all filters that are added to a document.
    pub(super) fn filters_of(&self, doc: usize) -> Vec<Tree> {
        let mut found = Vec::new();
        let Some(own) = self.detection(doc) else {
            return found;
        };
        for (i, filter) in self.docs.iter().enumerate() {
            let Body::Filter { rules, detection } = &filter.document.body else {
                continue;
            };
            let applies = detection.source.includes(&own.source) && self.reaches(rules, doc);
            if applies && !self.is_out(i) {
                found.extend(self.selections.get(i).and_then(|s| s.condition.clone()));
            }
        }
        found
    }

    /// The mass events that documents of their own declare for a spike. What is for any rule is for
    /// those that are grouped by what it is limited to.
    pub(super) fn declared_for(&self, doc: usize, spike: &Correlation) -> Vec<Expected> {
        let declared = self
            .docs
            .iter()
            .enumerate()
            .filter(|(i, _)| !self.is_out(*i));
        let of = |(_, declared): (_, &super::Doc<'_>)| match &declared.document.body {
            Body::Expected { rules, event } if self.reaches(rules, doc) => {
                event.among(&spike.group_by).ok()
            }
            _ => None,
        };
        declared.filter_map(of).collect()
    }

    fn reaches(&self, rules: &Reach, doc: usize) -> bool {
        match rules {
            Reach::Any => true,
            Reach::Named(list) => list.iter().any(|n| self.names.find(&n.text) == Some(doc)),
        }
    }

    /// Finds names that these documents cannot mean.
    pub(super) fn check_reach(&mut self) {
        let docs = self.docs;
        for (i, doc) in docs
            .iter()
            .enumerate()
            .filter(|(i, _)| !self.is_out(*i))
            .collect::<Vec<_>>()
        {
            let (rules, what) = match &doc.document.body {
                Body::Filter { rules, .. } => (rules, "filter"),
                Body::Expected { rules, .. } => (rules, "mass event"),
                Body::Rule(_) | Body::Correlation { .. } => continue,
            };
            let Reach::Named(list) = rules else { continue };
            for name in list {
                match self.names.find(&name.text) {
                    Some(target) => self.check_target(i, target, name),
                    None => self.not_here(i, name, what),
                }
            }
        }
    }

    /// Such documents are often shipped for rules that are not installed here.
    fn not_here(&mut self, doc: usize, name: &Name, what: &str) {
        let message = format!("the {what} names `{}`, which is not here", name.text);
        let hint = nearest(&name.text, self.names.all()).map_or_else(
            || "remove it, or add the rule".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        self.findings(doc).lint(name.at, message, hint);
    }

    fn check_target(&mut self, doc: usize, target: usize, name: &Name) {
        let docs = self.docs;
        let body = |doc: usize| docs.get(doc).map(|d| &d.document.body);
        match (body(doc), body(target)) {
            (Some(Body::Expected { event, .. }), Some(Body::Correlation { correlation, .. })) => {
                // One that cannot be read has a fault already.
                let Some(of) = correlation else { return };
                if !matches!(of.kind, Kind::Spike(..)) {
                    self.no_spike(doc, name);
                } else if let Err(field) = event.among(&of.group_by) {
                    expected::no_group(field, &of.group_by, &mut self.findings(doc));
                }
            }
            (Some(Body::Expected { .. }), _) => self.no_spike(doc, name),
            _ if self.detection(target).is_none() => {
                let message = format!("`{}` has no detection to filter", name.text);
                let hint = "name the rules that it correlates";
                self.findings(doc).fault_hint(name.at, message, hint);
            }
            _ => {}
        }
    }

    fn no_spike(&mut self, doc: usize, name: &Name) {
        let message = format!("`{}` is no spike", name.text);
        let hint = "name correlations of `type: spike`, or `any`";
        self.findings(doc).fault_hint(name.at, message, hint);
    }
}
