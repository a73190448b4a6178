//! Declared mass events: in the list of one spike, or a document of their own for several.
//!
//! Owns how one is written. Which spikes a document of its own is for is `compile`'s.

use crate::engine::detector::diagnostic::{Findings, Place, did_you_mean};
use crate::engine::detector::keys;
use crate::engine::detector::plan::Expected;
use crate::engine::detector::section::{Name, Section};
use crate::engine::detector::yaml::{Content, Node};
use crate::model::EventTime;

const HINT: &str =
    "write `- {from: 2026-03-02T08:00:00Z, until: 2026-03-02T12:00:00Z, count_max: 50000}`";

/// One mass event as written.
#[derive(Debug)]
pub(in crate::engine::detector) struct MassEvent {
    from: EventTime,
    until: EventTime,
    count_max: u64,
    /// Fields of `group-by`, and their values.
    key: Vec<(Name, String)>,
}

impl MassEvent {
    /// What it is to a rule of these groups; `Err` is a field that is none of them.
    pub(in crate::engine::detector) fn among(&self, group_by: &[Name]) -> Result<Expected, &Name> {
        let mut key = Vec::new();
        for (field, value) in &self.key {
            let place = group_by.iter().position(|g| g.text == field.text);
            key.push((place.ok_or(field)?, value.clone()));
        }
        Ok(Expected {
            from: self.from,
            until: self.until,
            count_max: self.count_max,
            key,
        })
    }
}

/// The `expected` of a spike.
pub(super) fn list(
    spike: &Section<'_>,
    group_by: &[Name],
    findings: &mut Findings<'_>,
) -> Vec<Expected> {
    let Some(node) = spike.node("expected") else {
        return Vec::new();
    };
    let Content::List(items) = &node.content else {
        let message = format!("`expected` must be a list, found {}", node.word());
        findings.fault_hint(node.at, message, HINT);
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in items {
        let event = Section::open(item, &keys::EXPECTED, findings).and_then(|s| one(&s, findings));
        let Some(event) = event else { continue };
        match event.among(group_by) {
            Ok(expected) => out.push(expected),
            Err(field) => no_group(field, group_by, findings),
        }
    }
    out
}

/// Says that a mass event is limited by a field that is no group of a rule.
pub(in crate::engine::detector) fn no_group(
    field: &Name,
    group_by: &[Name],
    findings: &mut Findings<'_>,
) {
    let message = format!("`{}` is no field of `group-by`", field.text);
    let known = group_by.iter().map(|g| g.text.as_str());
    findings.fault_hint(field.at, message, did_you_mean(&field.text, known));
}

/// One mass event, wherever it stands.
pub(in crate::engine::detector) fn one(
    section: &Section<'_>,
    findings: &mut Findings<'_>,
) -> Option<MassEvent> {
    let mut time = |key: &str| {
        let written = section.text(key, findings);
        let time = written.as_ref().and_then(|w| EventTime::parse(&w.text));
        if time.is_none() {
            let message = format!("`{key}` of a mass event must be a date and time");
            let at = written.map_or(section.at, |w| w.at);
            findings.fault_hint(at, message, HINT);
        }
        time
    };
    let (from, until) = (time("from"), time("until"));
    let count_max = section.count("count_max", (1, u64::MAX), findings);
    if section.node("count_max").is_none() {
        let message = "the mass event does not say how large it is";
        findings.fault_hint(section.at, message, HINT);
    }
    if from >= until && from.is_some() && until.is_some() {
        let message = "the mass event ends before it begins";
        findings.fault_hint(section.at, message, HINT);
    }
    Some(MassEvent {
        key: section
            .node("key")
            .map_or_else(Vec::new, |node| key(node, findings)),
        from: from?,
        until: until?,
        count_max: count_max?,
    })
}

fn key(node: &Node, findings: &mut Findings<'_>) -> Vec<(Name, String)> {
    let Content::Map(entries) = &node.content else {
        let message = format!("`key` must be a map, found {}", node.word());
        findings.fault_hint(
            node.at,
            message,
            "write `key: {source.geo.country_iso_code: DE}`",
        );
        return Vec::new();
    };
    let mut out = Vec::new();
    for entry in entries {
        let (text, at): (_, Place) = (entry.key.clone(), entry.at);
        match entry.value.scalar() {
            Some(value) => out.push((Name { text, at }, value.text.clone())),
            None => {
                let message = format!("`{text}` must have one value, found {}", entry.value.word());
                findings.fault_hint(at, message, "write one mass event for each value");
            }
        }
    }
    out
}
