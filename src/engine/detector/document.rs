//! Documents of detector files as they are written: typed, placed, names not yet resolved.
//!
//! Owns which kinds of documents there are (rule, correlation, both in one, filter,
//! mass event). Resolving
//! and compiling is `compile`'s. A document that cannot be typed at all is left out; every other
//! fault is reported and reading goes on.

mod correlation;
mod header;

use super::diagnostic::{Findings, Place};
use super::keys;
pub(super) use super::section::Name;
use super::section::{self, Section};
use super::yaml::{Content, Node};
pub(super) use correlation::expected::{self, MassEvent};
pub(super) use correlation::{Bound, Correlation, Enough, Kind};
pub(super) use header::Header;

/// One document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) header: Header,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    /// A condition over one event.
    Rule(Detection),
    /// A rule over many events, maybe with selections of its own.
    Correlation {
        own: Option<Detection>,
        /// `None` if it has a fault; the selections are checked all the same.
        correlation: Option<Box<Correlation>>,
    },
    /// A condition that is added to other rules.
    Filter { rules: Reach, detection: Detection },
    /// A declared mass event that is no spike of other rules.
    Expected { rules: Reach, event: MassEvent },
}

/// Which rules a filter or a mass event is for.
#[derive(Debug)]
pub(super) enum Reach {
    Any,
    Named(Vec<Name>),
}

/// `logsource`, `detection` and its condition, not yet compiled.
#[derive(Debug)]
pub(super) struct Detection {
    pub(super) at: Place,
    pub(super) source: LogSource,
    pub(super) selections: Vec<Selection>,
    /// Alternatives; empty if there is no condition.
    pub(super) conditions: Vec<(Name, bool)>,
}

#[derive(Debug)]
pub(super) struct Selection {
    pub(super) name: Name,
    pub(super) node: Node,
}

/// Sigma's logsource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogSource {
    pub(super) product: Option<String>,
    pub(super) service: Option<String>,
    pub(super) category: Option<String>,
}

impl LogSource {
    /// Whether field names are canonical ones: no product, or our own.
    pub(super) fn is_canonical(&self) -> bool {
        self.product.as_deref().is_none_or(|p| p == "tidegate")
    }

    /// Whether this (a filter's) includes that (a rule's): each part it names is the same there.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let part = |a: &Option<String>, b: &Option<String>| a.is_none() || a == b;
        part(&self.product, &other.product)
            && part(&self.service, &other.service)
            && part(&self.category, &other.category)
    }
}

/// Reads one document; `None` if it is no detector at all.
pub(super) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Document> {
    let section = Section::open(node, &keys::DOCUMENT, findings)?;
    if let Some(action) = node.get("action") {
        findings.fault_hint(
            action.at,
            "`action:` collections are not part of Sigma 2",
            "write each rule as a document of its own, separated by `---`",
        );
        return None;
    }
    let header = header::read(&section, findings);
    let source = source(&section, findings);
    let own = section
        .node("detection")
        .and_then(|n| detection(n, source.clone(), findings));
    let correlation = section.node("correlation");
    let filter = section.node("filter");
    let expected = section.node("expected");
    if let Some(node) = expected.filter(|_| own.is_some() || correlation.or(filter).is_some()) {
        let hint = "put it into a document of its own, or below `correlation:`";
        findings.fault_hint(node.at, "a rule cannot hold a mass event", hint);
    }
    let body = match (correlation, filter) {
        (Some(node), Some(filter)) => {
            let hint = "put the filter into a document of its own";
            findings.fault_hint(filter.at, "a correlation cannot hold a filter", hint);
            let correlation = correlation::read(node, findings).map(Box::new);
            Body::Correlation { own, correlation }
        }
        (Some(node), None) => {
            let correlation = correlation::read(node, findings).map(Box::new);
            Body::Correlation { own, correlation }
        }
        (None, Some(node)) => filter_body(node, source, findings)?,
        (None, None) if expected.is_some() && own.is_none() => expected_body(expected?, findings)?,
        (None, None) => match own {
            Some(detection) => {
                if detection.conditions.is_empty() {
                    findings.fault_hint(
                        detection.at,
                        "the detection has no condition",
                        "add `condition:` with the name of a selection",
                    );
                }
                Body::Rule(detection)
            }
            None => {
                if section.node("detection").is_none() {
                    findings.fault_hint(
                        node.at,
                        "this document has neither `detection:` nor `correlation:`, `filter:` or `expected:`",
                        "add one of them",
                    );
                }
                return None;
            }
        },
    };
    Some(Document { header, body })
}

fn source(section: &Section<'_>, findings: &mut Findings<'_>) -> LogSource {
    let Some(node) = section.node("logsource") else {
        return LogSource::default();
    };
    let Some(inner) = Section::open_free(node, &keys::LOGSOURCE, findings) else {
        return LogSource::default();
    };
    let mut part = |key| {
        inner
            .text(key, findings)
            .map(|name| name.text.to_ascii_lowercase())
    };
    LogSource {
        product: part("product"),
        service: part("service"),
        category: part("category"),
    }
}

/// Reads selections and conditions; keys in `skip` are not selections.
fn detection(node: &Node, source: LogSource, findings: &mut Findings<'_>) -> Option<Detection> {
    let Content::Map(entries) = &node.content else {
        let message = format!("expected selections and a condition, found {}", node.word());
        findings.fault_hint(
            node.at,
            message,
            "write `detection: {selection: {…}, condition: …}`",
        );
        return None;
    };
    let mut out = Detection {
        at: node.at,
        source,
        selections: Vec::new(),
        conditions: Vec::new(),
    };
    for entry in entries {
        match entry.key.as_str() {
            "condition" => out.conditions = conditions(&entry.value, findings),
            "rules" if source_is_filter(node) => {}
            "timeframe" => findings.lint(
                entry.at,
                "`timeframe` has no effect on a single event",
                "write a correlation with `timespan`",
            ),
            _ => out.selections.push(Selection {
                name: Name {
                    text: entry.key.clone(),
                    at: entry.at,
                },
                node: entry.value.clone(),
            }),
        }
    }
    Some(out)
}

/// A filter's map has `rules` beside its selections; a detection's may call a selection so.
fn source_is_filter(node: &Node) -> bool {
    node.get("rules")
        .is_some_and(|n| !matches!(n.content, Content::Map(_)))
}

fn conditions(node: &Node, findings: &mut Findings<'_>) -> Vec<(Name, bool)> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        Content::Scalar(_) | Content::Map(_) => std::slice::from_ref(node),
    };
    let mut out = Vec::new();
    for item in items {
        match item.scalar() {
            Some(s) if !item.is_null() => {
                out.push((
                    Name {
                        text: s.text.clone(),
                        at: item.at,
                    },
                    s.quoted,
                ));
            }
            _ => {
                let message = format!("a condition cannot be {}", item.word());
                findings.fault_hint(item.at, message, "write `condition: selection`");
            }
        }
    }
    out
}

fn filter_body(node: &Node, source: LogSource, findings: &mut Findings<'_>) -> Option<Body> {
    let detection = detection(node, source, findings)?;
    let rules = reach(node, "the filter", findings)?;
    if detection.conditions.is_empty() {
        let hint = "add `condition:`, for example `not selection`";
        findings.fault_hint(node.at, "the filter has no condition", hint);
    }
    Some(Body::Filter { rules, detection })
}

fn expected_body(node: &Node, findings: &mut Findings<'_>) -> Option<Body> {
    let section = Section::open(node, &keys::DECLARED, findings)?;
    let rules = reach(node, "the mass event", findings);
    let event = expected::one(&section, findings)?;
    Some(Body::Expected {
        rules: rules?,
        event,
    })
}

fn reach(node: &Node, what: &str, findings: &mut Findings<'_>) -> Option<Reach> {
    let Some(rules) = node.get("rules") else {
        let hint = "add `rules:`, or `rules: any`";
        findings.fault_hint(node.at, format!("{what} names no rules"), hint);
        return None;
    };
    let any = rules
        .scalar()
        .is_some_and(|s| s.text.eq_ignore_ascii_case("any"));
    Some(match any {
        true => Reach::Any,
        false => Reach::Named(section::names(rules, "rules", findings)),
    })
}
