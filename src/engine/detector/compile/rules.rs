//! Documents to rules of a plan, each behind the rules that feed it.
//!
//! Owns the plan under construction, the order of its rules and the sharing of equal predicates.
//! References are `resolve`'s, metadata and who alerts are `detectors`'.

use std::collections::BTreeMap;

use super::detection::{self, Selections};
use super::inputs::{self, Source};
use super::lints;
use super::names::Names;
use super::roll_up;
use super::temporal;
use super::{Doc, Options};
use crate::engine::detector::diagnostic::{Diagnostic, Findings};
use crate::engine::detector::document::{Body, Correlation, Detection, Kind, Name};
use crate::engine::detector::plan::{
    Aggregate, Bound, From, Input, Kind as PlanKind, NewValue, Plan, Rule, Share, Spike,
};
use crate::engine::detector::predicate::{Predicate, Target, Tree};
use crate::engine::detector::selection;
use crate::engine::detector::value::Scope;
use crate::engine::exchange::VALUES_MAX;
use crate::engine::program::{Slot, slot_of};
use crate::model::field::CANONICAL;
use crate::model::{FieldId, Span};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
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
    builder.check_reach();
    for doc in 0..docs.len() {
        builder.rule(doc);
    }
    builder.finish()
}

/// The plan under construction.
pub(super) struct Builder<'d, 'o> {
    pub(super) docs: &'d [Doc<'d>],
    pub(super) names: &'d Names,
    left_out: &'d [bool],
    /// Names of documents that could not be read, and their files.
    pub(super) broken: &'d BTreeMap<String, usize>,
    options: &'d Options,
    pub(super) out: &'o mut Vec<Diagnostic>,
    pub(super) plan: Plan,
    shared: BTreeMap<String, usize>,
    pub(super) selections: Vec<Selections>,
    pub(super) states: Vec<State>,
    /// Whether a correlation uses the document, and whether one lets it alert all the same.
    pub(super) feeds: Vec<(bool, bool)>,
    pub(super) depth: usize,
}

impl<'d> Builder<'d, '_> {
    pub(super) fn findings(&mut self, doc: usize) -> Findings<'_> {
        Findings {
            file: self.path(doc),
            list: self.out,
        }
    }

    fn path(&self, doc: usize) -> &'d str {
        self.docs.get(doc).map_or("", |d| d.source.path.as_str())
    }

    pub(super) fn is_out(&self, doc: usize) -> bool {
        let file = self.docs.get(doc).map(|d| d.file);
        file.and_then(|f| self.left_out.get(f))
            .copied()
            .unwrap_or(true)
    }

    pub(super) fn detection(&self, doc: usize) -> Option<&'d Detection> {
        match &self.docs.get(doc)?.document.body {
            Body::Rule(detection) | Body::Filter { detection, .. } => Some(detection),
            Body::Correlation { own, .. } => own.as_ref(),
            Body::Expected { .. } => None,
        }
    }

    fn selections_of(&mut self, doc: usize) -> Selections {
        if self.is_out(doc) {
            return Selections::default();
        }
        let Some(detection) = self.detection(doc) else {
            return Selections::default();
        };
        let mut findings = Findings {
            file: self.path(doc),
            list: self.out,
        };
        let mut scope = Scope {
            fields: &mut self.plan.fields,
            lists: &self.options.lists,
            canonical: detection.source.is_canonical(),
        };
        detection::build(detection, &mut scope, &mut findings)
    }

    /// Whether a document's field names are canonical ones.
    pub(super) fn is_canonical(&self, doc: usize) -> bool {
        self.detection(doc).is_none_or(|d| d.source.is_canonical())
    }

    /// Whether a name is one of ours, or another spelling of one.
    pub(super) fn is_canonical_name(&self, name: &str) -> bool {
        self.plan
            .fields
            .get(name)
            .is_some_and(|id| usize::from(id.0) < CANONICAL.len())
    }

    /// The names of the fields a predicate reads.
    pub(super) fn fields_of(&self, predicate: usize) -> Vec<String> {
        let fields = self
            .plan
            .predicates
            .get(predicate)
            .map_or(&[][..], Predicate::fields);
        fields
            .iter()
            .map(|f| self.plan.fields.name(*f).to_owned())
            .collect()
    }

    /// Whether a document has a condition of its own over one event.
    pub(super) fn has_condition(&self, doc: usize) -> bool {
        self.detection(doc)
            .is_some_and(|d| !d.conditions.is_empty())
    }

    pub(super) fn is_absence(&self, rule: usize) -> bool {
        self.plan
            .rules
            .get(rule)
            .is_some_and(|r| matches!(r.kind, PlanKind::Absence { .. }))
    }

    /// Enters a field's name; lints it where it looks mistyped.
    pub(super) fn field(&mut self, doc: usize, name: &Name, sources: &[Source]) -> Option<FieldId> {
        let is_canonical = |d: usize| self.is_canonical(d);
        let canonical = is_canonical(doc) && sources.iter().filter_map(|s| s.doc).all(is_canonical);
        let mut findings = Findings {
            file: self.path(doc),
            list: self.out,
        };
        let lists = &self.options.lists;
        let mut scope = Scope {
            fields: &mut self.plan.fields,
            lists,
            canonical,
        };
        match selection::field(&name.text, name.at, &mut scope, &mut findings)? {
            Target::Field(id, _) => Some(id),
            Target::AnyText | Target::Product(_) => None,
        }
    }

    /// Enters the fields of one value.
    fn fields(&mut self, doc: usize, names: &[Name], sources: &[Source]) -> Option<Vec<FieldId>> {
        names
            .iter()
            .map(|name| self.field(doc, name, sources))
            .collect()
    }

    /// The predicate of a condition of a document, with its log source and filters; equal ones
    /// are shared.
    pub(super) fn predicate(&mut self, doc: usize, tree: Tree) -> usize {
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

    /// The rule of a document, compiled on first use.
    pub(super) fn rule(&mut self, doc: usize) -> Option<usize> {
        if let Some(State::Done(rule)) = self.states.get(doc) {
            return *rule;
        }
        self.enter(doc, State::Open);
        self.depth += 1;
        let rule = if self.is_out(doc) {
            None
        } else {
            self.rule_new(doc)
        };
        let rule = rule.and_then(|rule| self.detector(doc, rule));
        if let Some(rule) = rule {
            roll_up::widen(self, doc, rule);
        }
        self.depth -= 1;
        self.enter(doc, State::Done(rule));
        rule
    }

    fn enter(&mut self, doc: usize, state: State) {
        if let Some(place) = self.states.get_mut(doc) {
            *place = state;
        }
    }

    fn rule_new(&mut self, doc: usize) -> Option<Rule> {
        let docs = self.docs;
        match &docs.get(doc)?.document.body {
            Body::Filter { .. } | Body::Expected { .. } => None,
            Body::Correlation { correlation, .. } => correlation
                .as_deref()
                .and_then(|c| self.correlation(doc, c)),
            Body::Rule(_) => {
                let tree = self.selections.get(doc)?.condition.clone()?;
                let predicate = self.predicate(doc, tree);
                self.lint_constant(doc, predicate);
                let name = self.names.name(doc).to_owned();
                let from = From::Event(predicate);
                Some(Rule {
                    detector: 0,
                    alerts: false,
                    inputs: vec![Input {
                        name,
                        from,
                        group_by: Vec::new(),
                        learns: false,
                    }],
                    key_names: Vec::new(),
                    timespan: Span::ZERO,
                    kind: PlanKind::Each,
                })
            }
        }
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
        if let (Some(inputs), Some(kind)) = (&inputs, &kind) {
            lints::correlation(self, doc, correlation, inputs, kind);
        }
        sources.as_ref()?;
        Some(Rule {
            detector: 0,
            alerts: false,
            inputs: inputs?,
            key_names: correlation
                .group_by
                .iter()
                .map(|n| n.text.clone())
                .collect(),
            timespan: correlation.timespan,
            kind: kind?,
        })
    }

    fn kind(&mut self, doc: usize, of: &Correlation, sources: &[Source]) -> Option<PlanKind> {
        Some(match &of.kind {
            Kind::Temporal { ordered, enough } => {
                let names: Vec<&str> = sources.iter().map(|s| s.name.text.as_str()).collect();
                let sets = enough
                    .as_ref()
                    .map(|enough| temporal::sets(enough, &names, &mut self.findings(doc)));
                PlanKind::Temporal {
                    ordered: *ordered,
                    sets: sets.unwrap_or_default(),
                }
            }
            Kind::Absence { lookback, .. } => PlanKind::Absence {
                lookback: *lookback,
            },
            Kind::Ratio {
                bound,
                denominator_min,
                baseline: Some(past),
                ..
            } => PlanKind::Share(Share {
                times: past.times,
                bound: *bound,
                denominator_min: *denominator_min,
                warmup: past.warmup,
                half_life: past.half_life,
            }),
            Kind::Ratio {
                bound,
                denominator_min,
                ..
            } => {
                let (bound, value) = (*bound)?;
                PlanKind::Ratio {
                    bound,
                    value,
                    denominator_min: *denominator_min,
                }
            }
            Kind::Spike(names, spike) => PlanKind::Spike(Spike {
                fields: self.fields(doc, names, sources)?,
                expected: [spike.expected.clone(), self.declared_for(doc, of)].concat(),
                ..spike.clone()
            }),
            Kind::Obligations(_, within) => PlanKind::Obligations {
                within: within.clone(),
            },
            Kind::Quiet(quiet) => PlanKind::Quiet(*quiet),
            Kind::Score(_, score) => PlanKind::Score(score.clone()),
            Kind::NewValue(names, _, new) => PlanKind::NewValue(NewValue {
                fields: self.fields(doc, names, sources)?,
                ..new.clone()
            }),
            Kind::Window { aggregates, bounds } => {
                let mut out = Vec::new();
                for a in aggregates {
                    let fields = self.fields(doc, &a.fields, sources)?;
                    let input = match &a.rule {
                        Some(rule) if !sources.is_empty() => {
                            Some(inputs::position(self, doc, sources, rule)?)
                        }
                        _ => None,
                    };
                    let name = a.name.clone();
                    out.push(Aggregate {
                        name,
                        function: a.function,
                        fields,
                        input,
                    });
                }
                self.check_values(doc, of, &out);
                PlanKind::Window {
                    aggregates: out,
                    bounds: bounds.iter().map(Bound::from).collect(),
                }
            }
        })
    }

    fn check_values(&mut self, doc: usize, of: &Correlation, aggregates: &[Aggregate]) {
        let mut values: Vec<Slot> = Vec::new();
        for slot in aggregates.iter().filter_map(slot_of) {
            if !values.contains(&slot) {
                values.push(slot);
            }
        }
        if values.len() > VALUES_MAX {
            let message = format!("one window can read {VALUES_MAX} different values");
            let hint = "split it into two correlations, and join them with `temporal`";
            self.findings(doc).fault_hint(of.at, message, hint);
        }
    }

    fn lint_constant(&mut self, doc: usize, predicate: usize) {
        let constant = self
            .plan
            .predicates
            .get(predicate)
            .and_then(Predicate::constant);
        let at = self
            .docs
            .get(doc)
            .map(|d| d.document.header.at)
            .unwrap_or_default();
        let (message, hint) = match constant {
            Some(true) => (
                "the condition matches every event",
                "add a selection, for example of event.kind",
            ),
            Some(false) => (
                "the condition can never match",
                "check which event.kind its parts ask for",
            ),
            None => return,
        };
        self.findings(doc).lint(at, message, hint);
    }
}
