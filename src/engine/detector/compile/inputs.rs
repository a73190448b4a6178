//! What feeds a correlation: references resolved to events, detections or settled absences.
//!
//! Owns group keys with their aliases. Does not compile what it refers to: it asks the builder.

use super::rules::Builder;
use crate::engine::detector::diagnostic::did_you_mean;
use crate::engine::detector::document::{Correlation, Kind, Name};
use crate::engine::detector::plan::{From, Input};
use crate::engine::detector::selection;
use crate::model::FieldId;

/// A reference that was found.
pub(super) struct Source {
    pub(super) name: Name,
    pub(super) from: From,
    /// The document it stands for, if it is another one.
    pub(super) doc: Option<usize>,
}

/// The references of a correlation in the order of its inputs; `None` after a fault.
pub(super) fn sources(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    correlation: &Correlation,
) -> Option<Vec<Source>> {
    match &correlation.kind {
        Kind::Absence { after, expect, .. } => {
            let (a, b) = (builder.resolve(doc, after), builder.resolve(doc, expect));
            Some(vec![a?, b?])
        }
        Kind::Ratio {
            numerator,
            denominator,
            ..
        } => {
            let top = builder.resolve(doc, numerator);
            let bottom = match denominator.text.strip_suffix("/settled") {
                None => builder.resolve(doc, denominator),
                Some(name) => settled(builder, doc, denominator, name),
            };
            Some(vec![top?, bottom?])
        }
        Kind::Score(names, _) | Kind::Obligations(names, _) => {
            let found: Vec<Option<Source>> = names
                .iter()
                .map(|name| builder.resolve(doc, name))
                .collect();
            found.into_iter().collect()
        }
        Kind::Window { .. }
        | Kind::Temporal { .. }
        | Kind::Spike(..)
        | Kind::NewValue(..)
        | Kind::Quiet(_) => {
            let mut names = rule_names(builder, doc, correlation)?;
            if let Kind::NewValue(_, learn, _) = &correlation.kind {
                names.extend(learn.clone());
            }
            let found: Vec<Option<Source>> = names
                .iter()
                .map(|name| builder.resolve(doc, name))
                .collect();
            found.into_iter().collect()
        }
    }
}

/// `rules`, or the document's own condition, or what its aggregates name.
fn rule_names(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    correlation: &Correlation,
) -> Option<Vec<Name>> {
    let own = Name {
        text: builder.names.name(doc).to_owned(),
        at: correlation.at,
    };
    let temporal = matches!(correlation.kind, Kind::Temporal { .. });
    let ordered = matches!(correlation.kind, Kind::Temporal { ordered: true, .. });
    let names = match &correlation.rules {
        Some(rules) => rules.clone(),
        None if builder.has_condition(doc) => vec![own],
        None => {
            let mut names: Vec<Name> = Vec::new();
            if let Kind::Window { aggregates, .. } = &correlation.kind {
                for rule in aggregates.iter().filter_map(|a| a.rule.as_ref()) {
                    if !names.iter().any(|n| n.text == rule.text) {
                        names.push(rule.clone());
                    }
                }
            }
            names
        }
    };
    let mut findings = builder.findings(doc);
    if names.is_empty() {
        let hint = "add `rules:`, or a `detection:` with a condition";
        findings.fault_hint(correlation.at, "the correlation names no rules", hint);
        return None;
    }
    if temporal && names.len() < 2 {
        let hint = "name at least two rules, or use event_count";
        findings.fault_hint(
            correlation.at,
            "a temporal correlation needs several rules",
            hint,
        );
        return None;
    }
    for (i, name) in names.iter().enumerate() {
        if !ordered && names.iter().take(i).any(|n| n.text == name.text) {
            findings.fault_hint(
                name.at,
                format!("`{}` is named twice", name.text),
                "remove one",
            );
            return None;
        }
    }
    Some(names)
}

fn settled(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    written: &Name,
    name: &str,
) -> Option<Source> {
    let reference = Name {
        text: name.to_owned(),
        at: written.at,
    };
    let source = builder.resolve(doc, &reference)?;
    match source.from {
        From::Rule(rule) if builder.is_absence(rule) => Some(Source {
            name: written.clone(),
            from: From::Settled(rule),
            doc: source.doc,
        }),
        _ => {
            let message = format!("`{name}` is no absence rule, so nothing of it settles");
            let hint = "name a rule of type absence before `/settled`, or leave `/settled` out";
            builder.findings(doc).fault_hint(written.at, message, hint);
            None
        }
    }
}

/// Adds the group key's fields to each source.
pub(super) fn group(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    correlation: &Correlation,
    sources: &[Source],
) -> Option<Vec<Input>> {
    unused_aliases(builder, doc, correlation);
    unread_keys(builder, doc, correlation, sources);
    let mut inputs = Vec::new();
    for source in sources {
        let mut group_by: Vec<FieldId> = Vec::new();
        for name in &correlation.group_by {
            let field = aliased(builder, doc, correlation, source, name)?;
            group_by.push(builder.field(doc, &field, sources)?);
        }
        inputs.push(Input {
            name: source.name.text.clone(),
            from: source.from,
            group_by,
            learns: matches!(&correlation.kind, Kind::NewValue(_, Some(learn), _) if learn.at == source.name.at),
        });
    }
    Some(inputs)
}

/// The field that a group-by name stands for in one source.
fn aliased(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    correlation: &Correlation,
    source: &Source,
    name: &Name,
) -> Option<Name> {
    let Some((_, fields)) = correlation
        .aliases
        .iter()
        .find(|(alias, _)| alias.text == name.text)
    else {
        return Some(name.clone());
    };
    let means = |rule: &Name| {
        let by_document = source.doc.is_some() && builder.names.find(&rule.text) == source.doc;
        rule.text == source.name.text || by_document
    };
    if let Some((_, field)) = fields.iter().find(|(rule, _)| means(rule)) {
        return Some(field.clone());
    }
    let message = format!(
        "the alias `{}` does not say which field of `{}` it is",
        name.text, source.name.text
    );
    let hint = format!("add `{}: FIELD` to the alias", source.name.text);
    builder.findings(doc).fault_hint(name.at, message, hint);
    None
}

fn unused_aliases(builder: &mut Builder<'_, '_>, doc: usize, correlation: &Correlation) {
    for (alias, _) in &correlation.aliases {
        if !correlation.group_by.iter().any(|g| g.text == alias.text) {
            let message = format!("the alias `{}` is not used", alias.text);
            builder
                .findings(doc)
                .lint(alias.at, message, "name it in `group-by`, or remove it");
        }
    }
}

/// Lints group-by names that neither we nor any selection here knows: events without the field are
/// not counted, so a mistyped name makes a detector that never fires. `fields` of that kind show
/// nothing.
fn unread_keys(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    correlation: &Correlation,
    sources: &[Source],
) {
    let is_alias =
        |name: &&Name| (correlation.aliases.iter()).any(|(alias, _)| alias.text == name.text);
    let keys = correlation.group_by.iter().filter(|name| !is_alias(name));
    let hint = "events without it are not counted: check the name";
    unread(builder, doc, keys, sources, hint);
    let docs = builder.docs;
    let shown = docs.get(doc).map_or(&[][..], |d| &d.document.header.fields);
    let hint = "alerts have nothing to show for it: check the name";
    unread(builder, doc, shown.iter(), sources, hint);
}

fn unread<'n>(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    names: impl Iterator<Item = &'n Name>,
    sources: &[Source],
    hint: &str,
) {
    let mut read = Vec::new();
    for source in sources {
        match source.from {
            From::Event(predicate) if builder.is_canonical(source.doc.unwrap_or(doc)) => {
                read.extend(builder.fields_of(predicate));
            }
            From::Event(_) | From::Rule(_) | From::Settled(_) | From::Rest(_) => return,
        }
    }
    for name in names {
        let known = builder.is_canonical_name(&name.text) || selection::meant(&name.text).is_some();
        if !known && !read.contains(&name.text) {
            let message = format!(
                "`{}` is no canonical field and no selection reads it",
                name.text
            );
            builder.findings(doc).lint_cause(name.at, message, hint);
        }
    }
}

/// Which input a name in an aggregate means.
pub(super) fn position(
    builder: &mut Builder<'_, '_>,
    doc: usize,
    sources: &[Source],
    rule: &Name,
) -> Option<usize> {
    let target = builder.names.find(&rule.text);
    let found = sources
        .iter()
        .position(|s| s.name.text == rule.text)
        .or_else(|| {
            sources
                .iter()
                .position(|s| s.doc.is_some() && s.doc == target)
        });
    if found.is_none() {
        let known: Vec<&str> = sources.iter().map(|s| s.name.text.as_str()).collect();
        let message = format!("`{}` is not among the rules of this correlation", rule.text);
        let hint = did_you_mean(&rule.text, known.iter().copied());
        builder.findings(doc).fault_hint(rule.at, message, hint);
    }
    found
}
