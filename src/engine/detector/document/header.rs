//! What every document says about itself: names, level, mode, responses.
//!
//! Owns reading and defaults of metadata. Names are checked against other documents in `compile`.

use crate::engine::containment::Verb;
use crate::engine::detector::diagnostic::{Findings, Place};
use crate::engine::detector::keys;
use crate::engine::detector::plan::{Mode, Repeat};
use crate::engine::detector::section::{Name, Section, span};
use crate::engine::detector::yaml::Content;
use crate::model::{Level, Span};

/// How seldom an alert that goes on is told at most, where a document does not say.
const REPEAT_MAX: Span = Span::days(1);

/// A document's metadata.
#[derive(Debug)]
pub(in crate::engine::detector) struct Header {
    pub(in crate::engine::detector) at: Place,
    pub(in crate::engine::detector) title: String,
    pub(in crate::engine::detector) id: Option<Name>,
    pub(in crate::engine::detector) name: Option<Name>,
    pub(in crate::engine::detector) description: String,
    pub(in crate::engine::detector) version: u32,
    pub(in crate::engine::detector) level: Level,
    pub(in crate::engine::detector) mode: Mode,
    pub(in crate::engine::detector) tags: Vec<String>,
    pub(in crate::engine::detector) runbook: Option<String>,
    pub(in crate::engine::detector) confidence: u8,
    pub(in crate::engine::detector) spoofable: u8,
    pub(in crate::engine::detector) suppress: Span,
    pub(in crate::engine::detector) repeat: Repeat,
    pub(in crate::engine::detector) respond: Vec<Respond>,
    pub(in crate::engine::detector) fields: Vec<Name>,
    pub(in crate::engine::detector) late: Option<bool>,
    pub(in crate::engine::detector) generate: bool,
}

/// One `respond` step as written.
#[derive(Debug)]
pub(in crate::engine::detector) struct Respond {
    pub(in crate::engine::detector) verb: Verb,
    /// `None` is the flow.
    pub(in crate::engine::detector) target: Option<Name>,
    pub(in crate::engine::detector) ttl: Span,
}

/// Reads the metadata of a document.
pub(super) fn read(section: &Section<'_>, findings: &mut Findings<'_>) -> Header {
    let title = section.text("title", findings);
    if section.node("title").is_none() {
        findings.fault_hint(section.at, "the document has no title", "add `title:`");
    }
    let level = section.one_of("level", findings).and_then(|name| {
        Level::ALL
            .into_iter()
            .find(|level| level.name() == name.text)
    });
    let mode = section
        .one_of("mode", findings)
        .map(|name| match name.text.as_str() {
            "alert" => Mode::Alert,
            "contain" => Mode::Contain,
            _ => Mode::Shadow,
        });
    let (confidence, spoofable) = labels(section, findings);
    let (suppress, repeat) = suppress(section, findings);
    let version = section.count("version", (1, u64::from(u32::MAX)), findings);
    let texts = |list: Option<Vec<Name>>| {
        list.unwrap_or_default()
            .into_iter()
            .map(|n| n.text)
            .collect::<Vec<_>>()
    };
    Header {
        at: title.as_ref().map_or(section.at, |t| t.at),
        title: title.map(|t| t.text).unwrap_or_default(),
        id: section.text("id", findings),
        name: section.text("name", findings),
        description: section
            .text("description", findings)
            .map(|t| t.text)
            .unwrap_or_default(),
        version: version.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        level: level.unwrap_or_default(),
        mode: mode.unwrap_or_default(),
        tags: texts(section.texts("tags", findings)),
        runbook: section.text("runbook", findings).map(|t| t.text),
        confidence,
        spoofable,
        suppress,
        repeat,
        respond: respond(section, findings),
        fields: section.texts("fields", findings).unwrap_or_default(),
        late: section.bool("late", findings),
        generate: section.bool("generate", findings).unwrap_or(false),
    }
}

fn labels(section: &Section<'_>, findings: &mut Findings<'_>) -> (u8, u8) {
    let Some(node) = section.node("labels") else {
        return (0, 0);
    };
    let Some(labels) = Section::open(node, &keys::LABELS, findings) else {
        return (0, 0);
    };
    let mut grade = |key| {
        labels
            .count(key, (0, 3), findings)
            .and_then(|n| u8::try_from(n).ok())
            .unwrap_or(0)
    };
    (grade("confidence"), grade("spoofable"))
}

fn suppress(section: &Section<'_>, findings: &mut Findings<'_>) -> (Span, Repeat) {
    let Some(node) = section.node("suppress") else {
        return (Span::ZERO, Repeat::default());
    };
    if !matches!(node.content, Content::Map(_)) {
        let hold = span(node, "suppress", findings);
        return (hold.unwrap_or_default(), Repeat::default());
    }
    let Some(own) = Section::open(node, &keys::SUPPRESS, findings) else {
        return (Span::ZERO, Repeat::default());
    };
    let hold = own.span("for", findings).unwrap_or_default();
    let first = own.span("repeat", findings).unwrap_or_default();
    let max = own.span("repeat_max", findings);
    if let Some(max) = max.filter(|max| *max < first || first == Span::ZERO) {
        let message = format!("`repeat_max` of {max} is below `repeat`");
        let hint = "give both: `repeat: 30m` and a longer `repeat_max`";
        findings.fault_hint(own.place("repeat_max"), message, hint);
    }
    let max = max.unwrap_or(REPEAT_MAX.max(first));
    (hold, Repeat { first, max })
}

fn respond(section: &Section<'_>, findings: &mut Findings<'_>) -> Vec<Respond> {
    let Some(node) = section.node("respond") else {
        return Vec::new();
    };
    let steps = match &node.content {
        Content::List(steps) => steps.as_slice(),
        Content::Map(_) | Content::Scalar(_) => std::slice::from_ref(node),
    };
    steps
        .iter()
        .filter_map(|step| respond_step(step, findings))
        .collect()
}

fn respond_step(
    node: &crate::engine::detector::yaml::Node,
    findings: &mut Findings<'_>,
) -> Option<Respond> {
    let step = Section::open(node, &keys::RESPOND, findings)?;
    let verb = step.one_of("verb", findings);
    let ttl = step.span("ttl", findings);
    for (key, example) in [("verb", "block"), ("ttl", "1h")] {
        if step.node(key).is_none() {
            let message = format!("the respond step has no `{key}`");
            findings.fault_hint(step.at, message, format!("add `{key}: {example}`"));
        }
    }
    let target = step
        .text("target", findings)
        .filter(|name| name.text != "flow");
    let verb = Verb::ALL
        .into_iter()
        .find(|(name, _)| verb.as_ref().is_some_and(|v| v.text == *name));
    if ttl == Some(Span::ZERO) {
        let hint = "say how long it holds: `1h`";
        findings.fault_hint(
            step.place("ttl"),
            "an action without a length has no effect",
            hint,
        );
    }
    Some(Respond {
        verb: verb?.1,
        target,
        ttl: ttl?,
    })
}
