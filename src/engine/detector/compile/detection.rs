//! The `detection:` of one document to predicates: its condition, or single selections.
//!
//! Owns log sources, the expansion of `1 of PATTERN`, filters, and the note of which selections
//! are used. A predicate is the log source AND the condition AND every filter that applies.

use std::collections::BTreeSet;

use crate::engine::detector::condition::{self, Expr};
use crate::engine::detector::diagnostic::{Findings, Place, did_you_mean, nearest};
use crate::engine::detector::document::{Detection, LogSource};
use crate::engine::detector::predicate::text::Pattern;
use crate::engine::detector::predicate::{Leaf, Match, Target, Texts, Tree};
use crate::engine::detector::selection;
use crate::engine::detector::value::Scope;
use crate::model::Fields;

/// Products that are schemas of ours.
const SCHEMAS: &[&str] = &["okta", "keycloak", "ses", "github"];

/// The selections of one document, compiled.
#[derive(Debug, Default)]
pub(super) struct Selections {
    list: Vec<(String, Place, Tree)>,
    used: BTreeSet<usize>,
    /// The condition, or `None` if there is none or it has a fault.
    pub(super) condition: Option<Tree>,
    /// The condition is there but faulty: refer to it without another fault.
    pub(super) condition_faulty: bool,
    source: Option<Tree>,
}

/// Compiles all selections and conditions of a detection.
pub(super) fn build(
    detection: &Detection,
    scope: &mut Scope<'_>,
    findings: &mut Findings<'_>,
) -> Selections {
    let mut out = Selections {
        source: log_source(&detection.source, scope.fields),
        ..Selections::default()
    };
    for item in &detection.selections {
        let tree = selection::build(&item.node, scope, findings);
        out.list.push((item.name.text.clone(), item.name.at, tree));
    }
    let mut any = Vec::new();
    for (text, quoted) in &detection.conditions {
        match condition::parse(&text.text, text.at, *quoted, findings) {
            Some(expr) => any.push(out.expand(&expr, findings)),
            None => out.condition_faulty = true,
        }
    }
    if !any.is_empty() && !out.condition_faulty {
        out.condition = Some(Tree::Or(any));
    }
    out
}

impl Selections {
    /// One selection by its name, as a condition of its own.
    pub(super) fn named(&mut self, name: &str) -> Option<Tree> {
        let i = self.list.iter().position(|(n, ..)| n == name)?;
        Some(self.take(i))
    }

    /// The names of all selections.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.list.iter().map(|(name, ..)| name.as_str())
    }

    /// Adds the log source to a condition.
    pub(super) fn with_source(&self, tree: Tree) -> Tree {
        match &self.source {
            Some(source) => Tree::And(vec![source.clone(), tree]),
            None => tree,
        }
    }

    fn take(&mut self, i: usize) -> Tree {
        self.used.insert(i);
        match self.list.get(i) {
            Some((name, _, tree)) => Tree::Named(name.as_str().into(), Box::new(tree.clone())),
            None => Tree::Const(false),
        }
    }

    fn expand(&mut self, expr: &Expr, findings: &mut Findings<'_>) -> Tree {
        match expr {
            Expr::Not(inner) => Tree::Not(Box::new(self.expand(inner, findings))),
            Expr::And(list) => Tree::And(list.iter().map(|e| self.expand(e, findings)).collect()),
            Expr::Or(list) => Tree::Or(list.iter().map(|e| self.expand(e, findings)).collect()),
            Expr::OneOf(pattern, at) => Tree::Or(self.matching(pattern, *at, findings)),
            Expr::AllOf(pattern, at) => Tree::And(self.matching(pattern, *at, findings)),
            Expr::Name(name, at) => match self.named(name) {
                Some(tree) => tree,
                None => {
                    let message = format!("there is no selection `{name}`");
                    let hint = if name.contains('*') {
                        format!("write `1 of {name}` or `all of {name}`")
                    } else {
                        did_you_mean(name, self.names())
                    };
                    findings.fault_hint(*at, message, hint);
                    Tree::Const(false)
                }
            },
        }
    }

    fn matching(&mut self, pattern: &str, at: Place, findings: &mut Findings<'_>) -> Vec<Tree> {
        let chosen: Vec<usize> = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, (name, ..))| {
                if pattern == "*" {
                    !name.starts_with('_')
                } else {
                    like(pattern, name)
                }
            })
            .map(|(i, _)| i)
            .collect();
        if chosen.is_empty() {
            let stem = pattern.trim_end_matches('*');
            let hint = nearest(stem, self.names()).map_or_else(
                || "name selections that exist".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            findings.fault_hint(at, format!("no selection is called like `{pattern}`"), hint);
        }
        chosen.into_iter().map(|i| self.take(i)).collect()
    }

    /// Lints selections that nothing uses.
    pub(super) fn lint_unused(&self, findings: &mut Findings<'_>) {
        for (i, (name, at, _)) in self.list.iter().enumerate() {
            if !self.used.contains(&i) && !name.starts_with('_') {
                let hint = "use it in the condition, or remove it";
                findings.lint(*at, format!("the selection `{name}` is not used"), hint);
            }
        }
    }
}

/// Whether a name fits a pattern with `*`.
pub(super) fn like(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    match last {
        None => rest.is_empty(),
        Some(last) => last.is_empty() || name.ends_with(last),
    }
}

/// The test that a log source is; `None` for our own, which is every event. The product must be
/// the event's schema or its `labels.product`; category and service only exclude events that name
/// another one.
fn log_source(source: &LogSource, fields: &mut Fields) -> Option<Tree> {
    if source.product.as_deref() == Some("tidegate") {
        return None;
    }
    let mut all = Vec::new();
    if let Some(product) = source.product.as_deref() {
        all.push(product_is(product, source.service.as_deref(), fields));
    }
    let is_schema = |p: &str| SCHEMAS.contains(&p);
    if !source.product.as_deref().is_some_and(is_schema) {
        for (name, part) in [
            ("labels.category", &source.category),
            ("labels.service", &source.service),
        ] {
            if let (Some(part), Some(id)) = (part, fields.intern(name)) {
                let label = || Target::Field(id, name.to_owned());
                let missing = leaf(label(), &Match::Null);
                all.push(Tree::Or(vec![equals(label(), vec![part.clone()]), missing]));
            }
        }
    }
    (!all.is_empty()).then(|| Tree::Named("logsource".into(), Box::new(Tree::And(all))))
}

fn product_is(product: &str, service: Option<&str>, fields: &mut Fields) -> Tree {
    let mut names = vec![product.to_owned()];
    // Sigma writes a cloud's services as product and service; ours is the service's schema.
    if let (false, Some(service)) = (SCHEMAS.contains(&product), service) {
        names.extend([service.to_owned(), format!("{product}_{service}")]);
    }
    match fields.intern("labels.product") {
        Some(label) => equals(Target::Product(label), names),
        None => Tree::Const(false),
    }
}

fn equals(target: Target, names: Vec<String>) -> Tree {
    let patterns = names.into_iter().map(Pattern::literal).collect();
    let cased = false;
    leaf(target, &Match::Texts(Texts { patterns, cased }))
}

fn leaf(target: Target, wanted: &Match) -> Tree {
    Leaf::new(target, wanted).map_or(Tree::Const(false), |leaf| Tree::Leaf(Box::new(leaf)))
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_of_names() {
        for (pattern, name, want) in [
            ("sel_*", "sel_a", true),
            ("sel_*", "sel", false),
            ("*_a", "sel_a", true),
            ("s*_*a", "sel_xa", true),
            ("s*l*b", "sel_a", false),
            ("sel", "sel_a", false),
            ("*", "x", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(like(pattern, name), want, "{pattern} {name}");
        }
    }
}
