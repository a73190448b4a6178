//! Sigma's selections: maps, lists of maps and keyword lists, to trees of tests.
//!
//! Owns the joining (maps AND, lists OR, `|all` AND) and field names. Values and modifiers are
//! `value`'s. Every fault is reported where it stands; a faulty item becomes a constant.

use super::diagnostic::{Findings, Place, nearest};
use super::predicate::{Target, Tree};
use super::value::{self, Scope};
use super::yaml::{Content, Entry, Node, ScalarKind};
use crate::model::field::{ALIASES, CANONICAL, EVENT_KIND};
use crate::model::kind::{CUSTOM, KINDS};

/// Other words for canonical fields, in small letters without `_`, `-` and `.`.
const SPELLINGS: &[(&str, &str)] = &[
    ("asn", "source.as.number"),
    ("clientip", "source.ip"),
    ("countrycode", "source.geo.country_iso_code"),
    ("email", "user.email"),
    ("eventtype", "event.kind"),
    ("ip", "source.ip"),
    ("ipaddress", "source.ip"),
    ("remoteaddr", "source.ip"),
    ("remoteip", "source.ip"),
    ("srcip", "source.ip"),
    ("targetuser", "user.target.id"),
    ("useragent", "user_agent.original"),
    ("username", "user.id"),
];

/// Reads one selection.
pub(super) fn build(node: &Node, scope: &mut Scope<'_>, findings: &mut Findings<'_>) -> Tree {
    match &node.content {
        Content::Map(entries) if entries.is_empty() => {
            findings.fault_hint(node.at, "the selection is empty", "add `field: value`");
            Tree::Const(false)
        }
        Content::Map(entries) => Tree::And(items(entries, scope, findings)),
        Content::List(list) => {
            if list.is_empty() {
                findings.fault_hint(node.at, "the selection is empty", "add `field: value`");
            }
            let mut any = Vec::new();
            let mut keywords = Vec::new();
            for item in list {
                match &item.content {
                    Content::Map(_) => any.push(build(item, scope, findings)),
                    Content::Scalar(_) => keywords.push(item.clone()),
                    Content::List(_) => findings.fault_hint(
                        item.at,
                        "a list inside a list of a selection",
                        "write its items one level up",
                    ),
                }
            }
            if !keywords.is_empty() {
                any.push(value::item(
                    Target::AnyText,
                    &[],
                    node.at,
                    &keywords,
                    scope,
                    findings,
                ));
            }
            Tree::Or(any)
        }
        Content::Scalar(_) => {
            let keyword = std::slice::from_ref(node);
            value::item(Target::AnyText, &[], node.at, keyword, scope, findings)
        }
    }
}

fn items(entries: &[Entry], scope: &mut Scope<'_>, findings: &mut Findings<'_>) -> Vec<Tree> {
    entries
        .iter()
        .map(|entry| item(entry, scope, findings))
        .collect()
}

fn item(entry: &Entry, scope: &mut Scope<'_>, findings: &mut Findings<'_>) -> Tree {
    let mut parts = entry.key.split('|');
    let name = parts.next().unwrap_or_default().trim();
    let mut modifiers = Vec::new();
    let mut offset = entry.key.split('|').next().map_or(0, |n| n.chars().count()) + 1;
    for part in parts {
        let at = Place {
            column: entry.at.column + offset,
            width: part.len().max(1),
            ..entry.at
        };
        offset += part.chars().count() + 1;
        modifiers.push((part.trim().to_ascii_lowercase(), at));
    }
    let target = if name.is_empty() {
        Target::AnyText
    } else {
        let place = Place {
            width: name.chars().count(),
            ..entry.at
        };
        match field(name, place, scope, findings) {
            Some(target) => target,
            None => return Tree::Const(false),
        }
    };
    let single = std::slice::from_ref(&entry.value);
    if scope.canonical && modifiers.is_empty() && matches!(target, Target::Field(EVENT_KIND, _)) {
        unknown_kinds(&entry.value, findings);
    }
    match &entry.value.content {
        Content::Map(_) => {
            findings.fault_hint(
                entry.value.at,
                format!("the value of `{name}` is a map"),
                "write nested fields with dots: `source.ip: …`",
            );
            Tree::Const(false)
        }
        Content::List(values) if values.is_empty() => {
            findings.fault_hint(
                entry.value.at,
                format!("`{name}` has no values"),
                "add a value, or `|exists: true`",
            );
            Tree::Const(false)
        }
        Content::List(values) => value::item(target, &modifiers, entry.at, values, scope, findings),
        Content::Scalar(_) => value::item(target, &modifiers, entry.at, single, scope, findings),
    }
}

/// Lints kinds that no decoder makes: they look mistyped.
fn unknown_kinds(value: &Node, findings: &mut Findings<'_>) {
    let values = match &value.content {
        Content::List(values) => values.as_slice(),
        Content::Scalar(_) | Content::Map(_) => std::slice::from_ref(value),
    };
    let texts = values.iter().filter_map(|v| Some((v, v.scalar()?)));
    for (node, scalar) in texts.filter(|(_, s)| s.kind == ScalarKind::Text) {
        let kind = scalar.text.to_ascii_lowercase();
        let known = KINDS.contains(&kind.as_str()) || kind.starts_with(CUSTOM);
        if known || kind.contains(['*', '?', '\\']) {
            continue;
        }
        let hint = nearest(&kind, KINDS.iter().copied()).map_or_else(
            || format!("kinds of your own begin with `{CUSTOM}`"),
            |near| format!("did you mean `{near}`?"),
        );
        findings.lint(node.at, format!("`{kind}` is no event kind"), hint);
    }
}

/// The field a name stands for; lints names that look like a mistyped canonical one.
pub(super) fn field(
    name: &str,
    at: Place,
    scope: &mut Scope<'_>,
    findings: &mut Findings<'_>,
) -> Option<Target> {
    let known = scope.fields.get(name);
    let is_canonical = known.is_some_and(|id| usize::from(id.0) < CANONICAL.len());
    if scope.canonical
        && !is_canonical
        && let Some(meant) = meant(name)
    {
        let message = format!("`{name}` is not a canonical field");
        findings.lint_cause(at, message, format!("did you mean `{meant}`?"));
    }
    match scope.fields.intern(name) {
        Some(id) => Some(Target::Field(id, name.to_owned())),
        None => {
            findings.fault_hint(
                at,
                "the detectors read too many different fields",
                "remove detectors, or use fewer field names",
            );
            None
        }
    }
}

/// The canonical field that a name which is none seems to mean.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let fold = |name: &str| {
        let letters = name.chars().filter(|c| !"._-".contains(*c));
        letters.collect::<String>().to_ascii_lowercase()
    };
    let folded = fold(name);
    let spelling = SPELLINGS.iter().find(|(word, _)| *word == folded);
    let same = || CANONICAL.iter().find(|known| fold(known) == folded);
    let near = || {
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        let near = nearest(name, CANONICAL.iter().copied().chain(aliases))?;
        let alias = ALIASES.iter().find(|(alias, _)| *alias == near);
        Some(alias.map_or(near, |(_, field)| field))
    };
    spelling
        .map(|(_, field)| *field)
        .or_else(|| same().copied())
        // A short name without a dot is near to anything.
        .or_else(|| name.contains('.').then(near).flatten())
}
