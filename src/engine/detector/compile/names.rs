//! What documents are called: ids, names, and who is meant by a reference.
//!
//! Owns defaults (a name from the title, an id from the name) and the faults of duplicates.
//! References follow names first, then ids.

use std::collections::BTreeMap;

use super::Doc;
use crate::engine::detector::diagnostic::{Diagnostic, Findings};
use crate::engine::detector::document::Name;
use crate::engine::detector::yaml::Node;

/// Names and ids of all documents.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By document: (id, name).
    of: Vec<(String, String)>,
    by_name: BTreeMap<String, usize>,
    by_id: BTreeMap<String, usize>,
}

impl Names {
    pub(super) fn new(docs: &[Doc<'_>], diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut names = Self::default();
        let mut ids: BTreeMap<String, usize> = BTreeMap::new();
        let mut given: BTreeMap<String, usize> = BTreeMap::new();
        for (i, doc) in docs.iter().enumerate() {
            let header = &doc.document.header;
            for (what, name, seen) in [
                ("id", &header.id, &mut ids),
                ("name", &header.name, &mut given),
            ] {
                let Some(name) = name else { continue };
                match seen.get(&name.text) {
                    Some(&first) => duplicate(what, name, docs, (first, i), diagnostics),
                    None => {
                        seen.insert(name.text.clone(), i);
                    }
                }
            }
        }
        for (i, doc) in docs.iter().enumerate() {
            let header = &doc.document.header;
            let name = match &header.name {
                Some(name) => name.text.clone(),
                None => free_slug(&header.title, i, |s| {
                    given.contains_key(s) || names.by_name.contains_key(s)
                }),
            };
            let id = header
                .id
                .as_ref()
                .map_or_else(|| name.clone(), |id| id.text.clone());
            names.by_name.entry(name.clone()).or_insert(i);
            names.by_id.entry(id.clone()).or_insert(i);
            names.of.push((id, name));
        }
        names
    }

    pub(super) fn id(&self, doc: usize) -> &str {
        self.of.get(doc).map_or("", |(id, _)| id)
    }

    pub(super) fn name(&self, doc: usize) -> &str {
        self.of.get(doc).map_or("", |(_, name)| name)
    }

    /// The document a reference means.
    pub(super) fn find(&self, reference: &str) -> Option<usize> {
        self.by_name
            .get(reference)
            .or_else(|| self.by_id.get(reference))
            .copied()
    }

    /// All names, for suggestions.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> + Clone {
        self.by_name.keys().map(String::as_str)
    }
}

fn duplicate(
    what: &str,
    name: &Name,
    docs: &[Doc<'_>],
    (first, second): (usize, usize),
    diagnostics: &mut Vec<Diagnostic>,
) {
    let (Some(first), Some(second)) = (docs.get(first), docs.get(second)) else {
        return;
    };
    let mut findings = Findings {
        file: &second.source.path,
        list: diagnostics,
    };
    let line = first.document.header.at.line;
    let message = format!("the {what} `{}` is taken", name.text);
    let hint = format!(
        "choose another {what}; the first is at {}:{line}",
        first.source.path
    );
    findings.fault_hint(name.at, message, hint);
}

/// A name from the title: `Reset flood from one IP` is `reset-flood-from-one-ip`.
fn free_slug(title: &str, doc: usize, taken: impl Fn(&str) -> bool) -> String {
    let mut slug = String::new();
    for c in title.chars().take(120) {
        if c.is_alphanumeric() {
            slug.extend(c.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    while slug.ends_with('-') {
        slug.pop();
    }
    if slug.is_empty() {
        slug = format!("document-{}", doc + 1);
    }
    let mut name = slug.clone();
    let mut n = 2;
    while taken(&name) {
        name = format!("{slug}-{n}");
        n += 1;
    }
    name
}

/// Enters what a document that could not be read calls itself.
pub(super) fn of_broken(node: &Node, file: usize, broken: &mut BTreeMap<String, usize>) {
    for key in ["name", "id"] {
        if let Some(scalar) = node.get(key).and_then(Node::scalar) {
            broken.entry(scalar.text.trim().to_owned()).or_insert(file);
        }
    }
}
