//! Rules to detectors: metadata, responses, who alerts, and what is missing around a file.
//!
//! Owns the defaults that depend on the rule (late events, runbook). A rule that only serves
//! correlations does not alert, unless it or the correlation says `generate: true`.

use std::collections::BTreeSet;

use super::rules::{Builder, State};
use super::{Doc, roll_up};
use crate::engine::detector::diagnostic::{Findings, did_you_mean};
use crate::engine::detector::document::{Body, Header};
use crate::engine::detector::plan::{Detector, Kind as PlanKind, Mode, Plan, Respond, Rule};
use crate::model::FieldId;
use crate::model::field::TOKEN_ID;

impl Builder<'_, '_> {
    /// Enters a rule and the detector it belongs to.
    pub(super) fn detector(&mut self, doc: usize, mut rule: Rule) -> Option<usize> {
        let docs = self.docs;
        let Doc {
            source, document, ..
        } = docs.get(doc)?;
        let header = &document.header;
        let mut fields = Vec::new();
        for name in &header.fields {
            fields.extend(self.field(doc, name, &[]));
        }
        // What is new is shown, and may be a target.
        if let PlanKind::NewValue(new) = &rule.kind {
            let more = new.fields.iter().filter(|f| !fields.contains(f));
            fields.extend(more.copied().collect::<Vec<_>>());
        }
        let roll_up = match &document.body {
            Body::Correlation {
                correlation: Some(of),
                ..
            } => roll_up::fields(of),
            _ => Vec::new(),
        };
        let groups = rule.key_names.iter().chain(&roll_up).cloned().collect();
        let respond = self.respond(doc, header, groups, &fields);
        if header.mode == Mode::Contain && respond.is_empty() {
            let hint = "add `respond:`, or use `mode: alert`";
            self.findings(doc).lint(
                header.at,
                "mode contain without `respond` does nothing",
                hint,
            );
        }
        let by_token = rule.inputs.iter().any(|i| i.group_by.contains(&TOKEN_ID));
        let folder = source
            .path
            .rsplit_once(['/', '\\'])
            .map_or("", |(folder, _)| folder);
        let beside = || match folder {
            "" => "runbook.md".to_owned(),
            folder => format!("{folder}/runbook.md"),
        };
        let runbook = header
            .runbook
            .clone()
            .or_else(|| source.runbook_exists.then(beside));
        let index = self.plan.rules.len();
        rule.detector = self.plan.detectors.len();
        let plain = matches!(rule.kind, PlanKind::Each);
        self.plan.detectors.push(Detector {
            id: self.names.id(doc).to_owned(),
            name: self.names.name(doc).to_owned(),
            title: header.title.clone(),
            description: header.description.clone(),
            version: header.version,
            level: header.level,
            mode: header.mode,
            tags: header.tags.clone(),
            runbook,
            confidence: header.confidence,
            spoofable: header.spoofable,
            suppress: header.suppress,
            repeat: header.repeat,
            respond,
            fields,
            late: header.late.unwrap_or(plain || by_token),
            file: source.path.clone(),
            line: header.at.line,
            rule: index,
            roll_up,
        });
        self.plan.rules.push(rule);
        Some(index)
    }

    /// The responses, whose targets must be known when an alert is made.
    fn respond(
        &mut self,
        doc: usize,
        header: &Header,
        groups: Vec<String>,
        fields: &[FieldId],
    ) -> Vec<Respond> {
        let written = header.fields.iter().map(|f| f.text.clone());
        let mut keys: Vec<String> = groups.into_iter().chain(written).collect();
        for field in fields {
            let name = self.plan.fields.name(*field);
            if !keys.iter().any(|k| k == name) {
                keys.push(name.to_owned());
            }
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut respond = Vec::new();
        for step in &header.respond {
            if let Some(name) = &step.target
                && !keys.contains(&name.text.as_str())
            {
                let message = format!(
                    "`{}` is neither a group-by field nor in `fields`",
                    name.text
                );
                let hint = if keys.is_empty() {
                    "leave `target` out for the whole flow, or add the field to `group-by` or `fields`"
                        .to_owned()
                } else {
                    did_you_mean(&name.text, keys.iter().copied())
                };
                self.findings(doc).fault_hint(name.at, message, hint);
            }
            let target = step.target.as_ref().map(|name| name.text.clone());
            respond.push(Respond {
                verb: step.verb,
                target,
                ttl: step.ttl,
            });
        }
        respond
    }

    /// Decides who alerts, and says what is missing around those who do.
    pub(super) fn finish(mut self) -> Plan {
        let docs = self.docs;
        let mut seen_files = BTreeSet::new();
        for (i, doc) in docs.iter().enumerate() {
            if self.is_out(i) {
                continue;
            }
            let file = doc.source.path.as_str();
            let mut findings = Findings {
                file,
                list: self.out,
            };
            if let Some(selections) = self.selections.get(i) {
                selections.lint_unused(&mut findings);
            }
            let header = &doc.document.header;
            let (fed, generated) = self.feeds.get(i).copied().unwrap_or_default();
            let alerts = !fed || generated || header.generate;
            let Some(State::Done(Some(rule))) = self.states.get(i).copied() else {
                continue;
            };
            for group in self.plan.rules_of(rule) {
                if let Some(rule) = self.plan.rules.get_mut(group) {
                    rule.alerts = alerts;
                }
            }
            if !alerts || !seen_files.insert(doc.file) {
                continue;
            }
            if header.runbook.is_none() && !doc.source.runbook_exists {
                let hint = "write what it means, how to check, what to do, what is benign";
                findings.lint(header.at, "there is no runbook.md beside the file", hint);
            }
            if !doc.source.tests_exist {
                let hint = "add tests/fires.yml and tests/near_miss.yml";
                findings.lint(header.at, "there are no tests beside the file", hint);
            }
        }
        self.plan
    }
}
