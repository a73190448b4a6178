//! Documents to rules and detectors of a plan, each behind the rules that feed it.
//!
//! Owns the walk along references (cycles are faults), the sharing of equal predicates, and the
//! choice of who alerts: a rule that only serves correlations does not, unless told to.

use std::collections::BTreeMap;

use super::detection::{self, Selections};
use super::inputs::{self, Source};
use super::names::Names;
use super::{Doc, Options};
use crate::engine::detector::diagnostic::{Diagnostic, Findings, did_you_mean, nearest};
use crate::engine::detector::document::{Body, Correlation, Detection, Kind, Name, Scope as FilterScope};
use crate::engine::detector::plan::{
    Aggregate, Bound, Detector, From, Input, Kind as PlanKind, Plan, Respond, Rule,
};
use crate::engine::detector::predicate::{Predicate, Target, Tree};
use crate::engine::detector::selection;
use crate::engine::detector::value::Scope;
use crate::model::field::TOKEN_ID;
use crate::model::{FieldId, Span};

/// Correlations may refer to correlations this deep.
const CHAIN_MAX: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    New,
    Open,
    /// Its rule, or `None` if it has a fault.
    Done(Option<usize>),
}

/// Builds one plan from the documents that are not left out.
pub(super) fn plan(
    docs: &[Doc<'_>],
    names: &Names,
    left_out: &[bool],
    broken: &BTreeMap<String, usize>,
    options: &Options,
    out: &mut Vec<Diagnostic>,
) -> Plan {
    let mut builder = Builder {
        docs,
        names,
        left_out,
        broken,
        options,
        out,
        plan: Plan::default(),
        shared: BTreeMap::new(),
        selections: Vec::new(),
        states: vec![State::New; docs.len()],
        feeds: vec![(false, false); docs.len()],
        depth: 0,
    };
    for doc in 0..docs.len() {
        let built = builder.selections_of(doc);
        builder.selections.push(built);
    }
    builder.check_filters();
    for doc in 0..docs.len() {
        builder.rule(doc);
    }
    builder.finish()
}

/// The plan under construction.
pub(super) struct Builder<'d, 'o> {
    docs: &'d [Doc<'d>],
    pub(super) names: &'d Names,
    left_out: &'d [bool],
    broken: &'d BTreeMap<String, usize>,
    options: &'d Options,
    out: &'o mut Vec<Diagnostic>,
    plan: Plan,
    shared: BTreeMap<String, usize>,
    selections: Vec<Selections>,
    states: Vec<State>,
    /// Whether a correlation uses the document, and whether one lets it alert all the same.
    feeds: Vec<(bool, bool)>,
    depth: usize,
}

impl<'d> Builder<'d, '_> {
    pub(super) fn findings(&mut self, doc: usize) -> Findings<'_> {
        let file = self.docs.get(doc).map_or("", |d| d.source.path.as_str());
        Findings { file, list: self.out }
    }

    fn is_out(&self, doc: usize) -> bool {
        let file = self.docs.get(doc).map(|d| d.file);
        file.and_then(|f| self.left_out.get(f)).copied().unwrap_or(true)
    }

    fn detection(&self, doc: usize) -> Option<&'d Detection> {
        let docs: &'d [Doc<'d>] = self.docs;
        match &docs.get(doc)?.document.body {
            Body::Rule(detection) | Body::Filter { detection, .. } => Some(detection),
            Body::Correlation { own, .. } => own.as_ref(),
        }
    }

    fn selections_of(&mut self, doc: usize) -> Selections {
        if self.is_out(doc) {
            return Selections::default();
        }
        let Some(detection) = self.detection(doc) else { return Selections::default() };
        let file = self.docs.get(doc).map_or("", |d| d.source.path.as_str());
        let mut scope = Scope {
            fields: &mut self.plan.fields,
            lists: &self.options.lists,
            canonical: detection.source.is_canonical(),
        };
        detection::build(detection, &mut scope, &mut Findings { file, list: self.out })
    }

    /// Whether a document has a condition of its own over one event.
    pub(super) fn has_condition(&self, doc: usize) -> bool {
        self.detection(doc).is_some_and(|d| !d.conditions.is_empty())
    }

    pub(super) fn is_absence(&self, rule: usize) -> bool {
        self.plan.rules.get(rule).is_some_and(|r| matches!(r.kind, PlanKind::Absence { .. }))
    }

    /// Enters a field's name; lints it where it looks mistyped.
    pub(super) fn field(
        &mut self,
        doc: usize,
        name: &Name,
        sources: Option<&[Source]>,
    ) -> Option<FieldId> {
        let is_canonical = |d: usize| self.detection(d).is_none_or(|d| d.source.is_canonical());
        let canonical = is_canonical(doc)
            && sources.unwrap_or_default().iter().filter_map(|s| s.doc).all(is_canonical);
        let file = self.docs.get(doc).map_or("", |d| d.source.path.as_str());
        let lists = &self.options.lists;
        let mut scope = Scope { fields: &mut self.plan.fields, lists, canonical };
        let mut findings = Findings { file, list: self.out };
        match selection::field(&name.text, name.at, &mut scope, &mut findings)? {
            Target::Field(id, _) => Some(id),
            Target::AnyText => None,
        }
    }

    /// Shares equal conditions.
    fn predicate(&mut self, doc: usize, tree: Tree) -> usize {
        let mut all = Vec::new();
        if let Some(selections) = self.selections.get(doc) {
            all.push(selections.with_source(tree));
        }
        all.extend(self.filters_of(doc));
        let predicate = Predicate::new(Tree::And(all));
        let identity = format!("{predicate:?}");
        if let Some(i) = self.shared.get(&identity) {
            return *i;
        }
        let i = self.plan.predicates.len();
        self.plan.predicates.push(predicate);
        self.shared.insert(identity, i);
        i
    }

    /// The conditions of all filters that are added to a document.
    fn filters_of(&self, doc: usize) -> Vec<Tree> {
        let mut found = Vec::new();
        let Some(own) = self.detection(doc) else { return found };
        for (i, filter) in self.docs.iter().enumerate() {
            let Body::Filter { rules, detection } = &filter.document.body else { continue };
            let applies = detection.source.includes(&own.source)
                && match rules {
                    FilterScope::Any => true,
                    FilterScope::Named(list) => {
                        list.iter().any(|n| self.names.find(&n.text) == Some(doc))
                    }
                };
            if applies && !self.is_out(i) {
                found.extend(self.selections.get(i).and_then(|s| s.condition.clone()));
            }
        }
        found
    }

    fn check_filters(&mut self) {
        let docs = self.docs;
        for (i, doc) in docs.iter().enumerate() {
            let Body::Filter { rules: FilterScope::Named(list), .. } = &doc.document.body else {
                continue;
            };
            if self.is_out(i) {
                continue;
            }
            for name in list {
                match self.names.find(&name.text) {
                    // Filters are often shipped for rules that are not installed here.
                    None => {
                        let message = format!("the filter names `{}`, which is not here", name.text);
                        let hint = nearest(&name.text, self.names.all()).map_or_else(
                            || "remove it, or add the rule".to_owned(),
                            |near| format!("did you mean `{near}`?"),
                        );
                        self.findings(i).lint(name.at, message, hint);
                    }
                    Some(target) if self.detection(target).is_none() => {
                        let message = format!("`{}` has no detection to filter", name.text);
                        let hint = "name the rules it correlates";
                        self.findings(i).fault_hint(name.at, message, hint);
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Follows one reference of a document.
    pub(super) fn resolve(&mut self, doc: usize, name: &Name) -> Option<Source> {
        if let Some(tree) = self.selections.get_mut(doc).and_then(|s| s.named(&name.text)) {
            let from = From::Event(self.predicate(doc, tree));
            return Some(Source { name: name.clone(), from, doc: None });
        }
        match self.names.find(&name.text) {
            Some(other) if other == doc && self.has_condition(doc) => {
                let tree = self.selections.get(doc)?.condition.clone()?;
                let from = From::Event(self.predicate(doc, tree));
                Some(Source { name: name.clone(), from, doc: None })
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
                correlation.generate || docs.get(doc)?.document.header.generate
            }
            Body::Rule(_) | Body::Filter { .. } => false,
        };
        if let Some(feed) = self.feeds.get_mut(other) {
            *feed = (true, feed.1 || generate);
        }
        let from = match &target.document.body {
            Body::Filter { .. } => {
                let message = format!("`{}` is a filter, not a rule", name.text);
                self.findings(doc).fault_hint(name.at, message, "name a rule or a correlation");
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
                    self.findings(doc).fault_hint(inputs::place(name), message, hint);
                    return None;
                }
                From::Rule(self.rule(other)?)
            }
        };
        Some(Source { name: name.clone(), from, doc: Some(other) })
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
            self.findings(doc).fault_hint(name.at, message, "mend that file first");
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

    /// The rule of a document, compiled on first use.
    fn rule(&mut self, doc: usize) -> Option<usize> {
        if let Some(State::Done(rule)) = self.states.get(doc) {
            return *rule;
        }
        if let Some(state) = self.states.get_mut(doc) {
            *state = State::Open;
        }
        self.depth += 1;
        let rule = if self.is_out(doc) { None } else { self.rule_new(doc) };
        self.depth -= 1;
        if let Some(state) = self.states.get_mut(doc) {
            *state = State::Done(rule);
        }
        rule
    }

    fn rule_new(&mut self, doc: usize) -> Option<usize> {
        let docs = self.docs;
        let rule = match &docs.get(doc)?.document.body {
            Body::Filter { .. } => return None,
            Body::Rule(_) => {
                let tree = self.selections.get(doc)?.condition.clone()?;
                let predicate = self.predicate(doc, tree);
                self.lint_constant(doc, predicate);
                let name = self.names.name(doc).to_owned();
                let from = From::Event(predicate);
                Rule {
                    detector: 0,
                    alerts: false,
                    inputs: vec![Input { name, from, group_by: Vec::new() }],
                    key_names: Vec::new(),
                    timespan: Span::ZERO,
                    kind: PlanKind::Each,
                }
            }
            Body::Correlation { correlation, .. } => self.correlation(doc, correlation)?,
        };
        self.detector(doc, rule)
    }

    fn correlation(&mut self, doc: usize, correlation: &Correlation) -> Option<Rule> {
        let sources = inputs::sources(self, doc, correlation);
        // Groups and fields are checked also where a reference is missing.
        let known = sources.as_deref().unwrap_or_default();
        let inputs = inputs::group(self, doc, correlation, known);
        let kind = self.kind(doc, correlation, known);
        for source in known {
            if let From::Event(predicate) = source.from {
                self.lint_constant(doc, predicate);
            }
        }
        sources.as_ref()?;
        Some(Rule {
            detector: 0,
            alerts: false,
            inputs: inputs?,
            key_names: correlation.group_by.iter().map(|n| n.text.clone()).collect(),
            timespan: correlation.timespan,
            kind: kind?,
        })
    }

    fn kind(&mut self, doc: usize, of: &Correlation, sources: &[Source]) -> Option<PlanKind> {
        Some(match &of.kind {
            Kind::Temporal { ordered } => PlanKind::Temporal { ordered: *ordered },
            Kind::Absence { lookback, .. } => PlanKind::Absence { lookback: *lookback },
            Kind::Ratio { bound, value, denominator_min, .. } => PlanKind::Ratio {
                bound: *bound,
                value: *value,
                denominator_min: *denominator_min,
            },
            Kind::Spike(spike) => PlanKind::Spike(*spike),
            Kind::Window { aggregates, bounds } => {
                let mut out = Vec::new();
                for a in aggregates {
                    let field = match &a.field {
                        Some(name) => Some(self.field(doc, name, Some(sources))?),
                        None => None,
                    };
                    let input = match &a.rule {
                        Some(rule) if !sources.is_empty() => {
                            Some(inputs::position(self, doc, sources, rule)?)
                        }
                        _ => None,
                    };
                    let name = a.name.clone();
                    out.push(Aggregate { name, function: a.function, field, input });
                }
                let bounds = bounds
                    .iter()
                    .map(|b| Bound { aggregate: b.aggregate, op: b.op, value: b.value })
                    .collect();
                PlanKind::Window { aggregates: out, bounds }
            }
        })
    }

    fn lint_constant(&mut self, doc: usize, predicate: usize) {
        let constant = self.plan.predicates.get(predicate).and_then(Predicate::constant);
        let at = self.docs.get(doc).map(|d| d.document.header.at).unwrap_or_default();
        match constant {
            Some(true) => self.findings(doc).lint(
                at,
                "the condition matches every event",
                "add a selection, for example of event.kind",
            ),
            Some(false) => self.findings(doc).lint(
                at,
                "the condition can never match",
                "check which event.kind its parts ask for",
            ),
            None => {}
        }
    }

    fn detector(&mut self, doc: usize, mut rule: Rule) -> Option<usize> {
        let docs = self.docs;
        let Doc { source, document, .. } = docs.get(doc)?;
        let header = &document.header;
        let mut fields = Vec::new();
        for name in &header.fields {
            fields.extend(self.field(doc, name, None));
        }
        let mut respond = Vec::new();
        for step in &header.respond {
            let target = step.target.as_ref();
            let known = |t: &&str| *t == target.map_or("", |n| n.text.as_str());
            let keys = rule.key_names.iter().chain(header.fields.iter().map(|f| &f.text));
            let keys: Vec<&str> = keys.map(String::as_str).collect();
            if let Some(name) = target.filter(|_| !keys.iter().any(|k| known(&k))) {
                let message = format!("`{}` is neither a group-by field nor in `fields`", name.text);
                let hint = if keys.is_empty() {
                    "leave `target` out for the whole flow, or add the field to `fields:`".to_owned()
                } else {
                    did_you_mean(&name.text, keys.iter().copied())
                };
                self.findings(doc).fault_hint(name.at, message, hint);
            }
            let target = target.map(|name| name.text.clone());
            respond.push(Respond { verb: step.verb, target, ttl: step.ttl });
        }
        let by_token = rule.inputs.iter().any(|i| i.group_by.contains(&TOKEN_ID));
        let folder = source.path.rsplit_once(['/', '\\']).map_or("", |(folder, _)| folder);
        let beside = || match folder {
            "" => "runbook.md".to_owned(),
            folder => format!("{folder}/runbook.md"),
        };
        let runbook = header.runbook.clone().or_else(|| source.runbook_exists.then(beside));
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
            respond,
            fields,
            late: header.late.unwrap_or(plain || by_token),
            file: source.path.clone(),
            line: header.at.line,
            rule: index,
        });
        self.plan.rules.push(rule);
        Some(index)
    }

    /// Decides who alerts, and says what is missing around those who do.
    fn finish(mut self) -> Plan {
        let docs = self.docs;
        let mut seen_files = Vec::new();
        for (i, doc) in docs.iter().enumerate() {
            if self.is_out(i) {
                continue;
            }
            let file = doc.source.path.as_str();
            let mut findings = Findings { file, list: self.out };
            if let Some(selections) = self.selections.get(i) {
                selections.lint_unused(&mut findings);
            }
            let header = &doc.document.header;
            let (fed, generated) = self.feeds.get(i).copied().unwrap_or_default();
            let alerts = !fed || generated || header.generate;
            let Some(State::Done(Some(rule))) = self.states.get(i).copied() else { continue };
            if let Some(rule) = self.plan.rules.get_mut(rule) {
                rule.alerts = alerts;
            }
            if !alerts || seen_files.contains(&doc.file) {
                continue;
            }
            seen_files.push(doc.file);
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
