//! A plan made ready to run: which conditions an event may meet, text layouts, and who feeds whom.
//!
//! Everything here is computed once when detectors are (re)loaded; nothing changes while running.

mod feed;
mod index;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::detector::plan::{Detector, From, Input, Kind, Plan};
use crate::engine::detector::predicate::Predicate;
use crate::engine::exchange::VALUES_INLINE;
use crate::model::event::Projection;
use crate::model::{Event, FieldId, HashKey, Span, field};
pub use feed::slot_of;
use feed::{carry, lasts, levels, narrower, pools, slots, waits};
use index::Index;

/// Text of a key: the group-by fields, the fields carried for alerts and later rules, and last the
/// values that find no room in an observation, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextLayout {
    pub fields: Vec<FieldId>,
    /// How many of `fields` are the key.
    pub keys: usize,
    pub values: Vec<Slot>,
}

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// As a fingerprint: to tell it from others.
    Identity,
    /// As a number: to add up.
    Number,
    /// As its place among others.
    Place,
}

/// A value a rule reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Several fields are one value together; it is missing where one of them is.
    pub fields: Vec<FieldId>,
    pub read: Read,
}

/// A predicate and the rule inputs it feeds.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Index into `Plan::predicates`.
    pub index: usize,
    pub targets: Vec<EventTarget>,
}

#[derive(Clone, Debug)]
pub struct EventTarget {
    pub rule: u16,
    pub input: u8,
    /// Index into `Program::layouts`.
    pub layout: usize,
    pub slots: Vec<Slot>,
}

/// What of another rule feeds a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Detections,
    /// Detections, and again as long as they hold.
    Presence,
    /// Everything settled (answered or not), not only detections.
    Settled,
    /// The observations no alert tells of, as they were.
    Rest,
}

/// A rule fed by another rule, and where its parts stand in the producer's text.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub rule: u16,
    pub input: u8,
    pub takes: Takes,
    /// For each part of the consumer's text, its index in the producer's; `None` where the producer cannot know it.
    pub parts: Vec<Option<usize>>,
    /// For each value, where its fields stand, and how it is read.
    pub slots: Vec<(Vec<Option<usize>>, Read)>,
}

/// What a rule needs while running, beside `Plan::rules`.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub consumers: Vec<Consumer>,
    /// Names of the parts of its text: key names, then carried fields.
    pub parts: Vec<String>,
    /// How many of `parts` are the key.
    pub keys: usize,
    pub slots: Vec<Slot>,
    /// Of a wider group (`roll-up`): which parts name the narrower groups, the narrowest first.
    pub narrower: Vec<usize>,
    /// It does not tell its inputs apart: an event that meets several of them is one.
    pub pools: bool,
    /// It looks at event time in order, so its observations wait for the watermark.
    pub waits: bool,
}

/// Settings of the engine that do not come from detectors.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Allowed lateness of events.
    pub lateness: Span,
    /// Observations are put in order of event time (replay, backlog files); otherwise rules see
    /// them as they arrive.
    pub sorted: bool,
    /// Byte budget for all keyed state.
    pub memory: usize,
    /// Names of the sources, as `Origin::source` numbers them.
    pub sources: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lateness: Span::minutes(5),
            sorted: true,
            memory: 512 << 20,
            sources: vec!["input".to_owned()],
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Program {
    pub plan: Arc<Plan>,
    pub key: HashKey,
    pub settings: Settings,
    pub specs: Vec<Spec>,
    pub layouts: Vec<TextLayout>,
    dispatches: Vec<Dispatch>,
    index: Index,
    /// Per rule: 0 if events alone feed it, else one more than the rules that do.
    levels: Vec<usize>,
}

impl Program {
    #[must_use]
    pub fn new(plan: Arc<Plan>, key: HashKey, settings: Settings) -> Self {
        let mut specs: Vec<Spec> = plan.rules.iter().map(|_| Spec::default()).collect();
        for (spec, waits) in specs.iter_mut().zip(waits(&plan)) {
            spec.waits = waits;
        }
        let mut carried: Vec<Vec<FieldId>> = vec![Vec::new(); plan.rules.len()];
        for (r, rule) in plan.rules.iter().enumerate().rev() {
            carried[r] = carry(&plan, &carried, r);
            specs[r].slots = slots(rule);
            specs[r].keys = rule.key_names.len();
            specs[r].pools = pools(&rule.kind);
            let names = carried[r].iter().map(|f| plan.fields.name(*f).to_owned());
            specs[r].parts = rule.key_names.iter().cloned().chain(names).collect();
            let carried = |f: FieldId| carried[r].iter().position(|c| *c == f);
            let at = narrower(&plan, r).into_iter().filter_map(carried);
            specs[r].narrower = at.map(|at| specs[r].keys + at).collect();
        }
        let mut program = Self {
            plan: Arc::clone(&plan),
            key,
            settings,
            specs,
            layouts: Vec::new(),
            dispatches: Vec::new(),
            index: Index::default(),
            levels: levels(&plan),
        };
        for (r, rule) in plan.rules.iter().enumerate() {
            for (i, input) in rule.inputs.iter().enumerate() {
                program.connect(r, i, input, &carried);
            }
        }
        program.index = Index::new(&program.conditions(), plan.fields.get("labels.product"));
        program
    }

    fn connect(&mut self, rule: usize, index: usize, input: &Input, carried: &[Vec<FieldId>]) {
        let (r, i) = (
            u16::try_from(rule).unwrap_or(u16::MAX),
            u8::try_from(index).unwrap_or(u8::MAX),
        );
        let fields: Vec<FieldId> = input
            .group_by
            .iter()
            .chain(&carried[rule])
            .copied()
            .collect();
        let slots = self.specs[rule].slots.clone();
        match input.from {
            From::Event(predicate) => {
                let layout = TextLayout {
                    fields,
                    keys: input.group_by.len(),
                    values: slots.iter().skip(VALUES_INLINE).cloned().collect(),
                };
                let layout = self
                    .layouts
                    .iter()
                    .position(|l| *l == layout)
                    .unwrap_or_else(|| {
                        self.layouts.push(layout);
                        self.layouts.len() - 1
                    });
                let target = EventTarget {
                    rule: r,
                    input: i,
                    layout,
                    slots,
                };
                let all = &mut self.dispatches;
                match all.iter_mut().find(|d| d.index == predicate) {
                    Some(dispatch) => dispatch.targets.push(target),
                    None => all.push(Dispatch {
                        index: predicate,
                        targets: vec![target],
                    }),
                }
            }
            // One way is enough for all that is passed on: it keeps the number of its input.
            From::Rest(_) if index > 0 => {}
            from => {
                let takes = match from {
                    From::Settled(_) => Takes::Settled,
                    From::Rest(_) => Takes::Rest,
                    From::Rule(_) if lasts(&self.plan.rules[rule].kind, index) => Takes::Presence,
                    From::Rule(_) | From::Event(_) => Takes::Detections,
                };
                for producer in self.plan.feeding(from) {
                    let find = |f: &FieldId| self.place(producer, takes, *f, &carried[producer]);
                    let consumer = Consumer {
                        rule: r,
                        input: i,
                        takes,
                        parts: fields.iter().map(find).collect(),
                        slots: slots
                            .iter()
                            .map(|s| (s.fields.iter().map(find).collect(), s.read))
                            .collect(),
                    };
                    self.specs[producer].consumers.push(consumer);
                }
            }
        }
    }

    /// Where a field stands in the text of a rule that carries these behind its key.
    fn place(
        &self,
        producer: usize,
        takes: Takes,
        field: FieldId,
        carried: &[FieldId],
    ) -> Option<usize> {
        // A detection of a wider group is of none of the narrower ones inside it.
        if takes != Takes::Rest && narrower(&self.plan, producer).contains(&field) {
            return None;
        }
        let producing = &self.plan.rules[producer];
        let in_key = |p: &Input| p.group_by.iter().position(|g| *g == field);
        producing.inputs.iter().find_map(in_key).or_else(|| {
            let at = carried.iter().position(|c| *c == field)?;
            Some(producing.key_names.len() + at)
        })
    }

    fn conditions(&self) -> Vec<&Predicate> {
        let predicates = self.dispatches.iter().map(|d| d.index);
        predicates
            .filter_map(|i| self.plan.predicates.get(i))
            .collect()
    }

    /// Writes into `due` which of `dispatch` may match the event; no other one can.
    pub fn due(&self, event: &Event, due: &mut Vec<usize>) {
        self.index.due(event, due);
    }

    /// A predicate and what it feeds, by a number that `due` gave.
    #[must_use]
    pub fn dispatch(&self, number: usize) -> Option<(&Predicate, &[EventTarget])> {
        let dispatch = self.dispatches.get(number)?;
        let predicate = self.plan.predicates.get(dispatch.index)?;
        Some((predicate, &dispatch.targets))
    }

    /// The fields that decoding has to keep for this program, and for what else reads events.
    #[must_use]
    pub fn projection(&self, also: &[FieldId]) -> Projection {
        if self.plan.predicates.iter().any(Predicate::reads_all_text) {
            return Projection::everything();
        }
        let identity = [
            field::EVENT_KIND,
            field::EVENT_ID,
            field::CONTAINMENT_ACTION,
            field::USER_TARGET_ID,
            field::USER_EMAIL,
        ];
        let predicates = self
            .plan
            .predicates
            .iter()
            .flat_map(|p| p.fields().iter().copied());
        let keys = self.layouts.iter().flat_map(|l| l.fields.iter().copied());
        let values = self
            .specs
            .iter()
            .flat_map(|s| s.slots.iter().flat_map(|slot| slot.fields.iter().copied()));
        let all = identity
            .into_iter()
            .chain(predicates)
            .chain(keys)
            .chain(values);
        Projection::of(all.chain(also.iter().copied()))
    }

    /// How many levels of rules there are, at least one.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.levels.iter().max().map_or(1, |l| l + 1)
    }

    #[must_use]
    pub fn level(&self, rule: usize) -> usize {
        self.levels.get(rule).copied().unwrap_or(0)
    }

    /// Whether a rule is a plain detection, to which each event is one.
    #[must_use]
    pub fn tells_each(&self, rule: u16) -> bool {
        let rule = self.plan.rules.get(usize::from(rule));
        rule.is_some_and(|r| matches!(r.kind, Kind::Each))
    }

    /// Per rule: whether it still wants observations that come too late for windows.
    #[must_use]
    pub fn late_ok(&self) -> Vec<bool> {
        (0..self.plan.rules.len())
            .map(|r| self.detector(r).late)
            .collect()
    }

    /// The identity of each rule, in order.
    #[must_use]
    pub fn identities(&self) -> Vec<u64> {
        (0..self.plan.rules.len())
            .map(|r| self.identity(r))
            .collect()
    }

    /// Per rule, the number it had among `identities`, if it was there.
    #[must_use]
    pub fn keep(&self, identities: &[u64]) -> Vec<Option<usize>> {
        let now = self.identities();
        let find = |id: &u64| identities.iter().position(|other| other == id);
        now.iter().map(find).collect()
    }

    /// What a rule is, as a number: equal before and after a reload exactly if neither the rule
    /// nor anything that feeds it has changed, nor what its text carries for others.
    #[must_use]
    pub fn identity(&self, rule: usize) -> u64 {
        let Some(r) = self.plan.rules.get(rule) else {
            return 0;
        };
        let detector = self.detector(rule);
        // A mass event is declared without losing the past it is held against.
        let mut kind = r.kind.clone();
        if let Kind::Spike(spike) = &mut kind {
            spike.expected.clear();
        }
        let mut text = format!(
            "{}|{}|{:?}|{:?}|{:?}",
            detector.id, detector.version, kind, r.timespan, r.key_names
        );
        for input in &r.inputs {
            let fields: Vec<&str> = input
                .group_by
                .iter()
                .map(|f| self.plan.fields.name(*f))
                .collect();
            let from = match input.from {
                From::Event(p) => format!("{:?}", self.plan.predicates.get(p)),
                // The widest of a roll-up says what the narrower ones are.
                From::Rule(p) => {
                    let widest = self.plan.rules_of(p).last().unwrap_or(p);
                    format!("rule {}", self.identity(widest))
                }
                From::Settled(p) => format!("settled {}", self.identity(p)),
                From::Rest(p) => format!("rest {}", self.identity(p)),
            };
            let learns = if input.learns { "learns" } else { "" };
            text.push_str(&format!("|{fields:?}{from}{learns}"));
        }
        text.push_str(&format!("|{:?}", self.specs[rule].parts));
        self.key.fingerprint(self.named(&text).as_bytes()).0
    }

    /// Per detector's id what it is, as a number: equal as long as each of its rules is.
    #[must_use]
    pub fn definitions(&self) -> BTreeMap<String, u64> {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for rule in 0..self.plan.rules.len() {
            let definition = all.entry(self.detector(rule).id.clone()).or_default();
            *definition = definition.rotate_left(1) ^ self.identity(rule);
        }
        all
    }

    /// A debugging text with fields by name: their numbers depend on what else is loaded.
    fn named(&self, text: &str) -> String {
        let mut parts = text.split("FieldId(");
        let mut named = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (number, rest) = part.split_once(')').unwrap_or((part, ""));
            let field = number
                .parse()
                .ok()
                .map(|n| self.plan.fields.name(FieldId(n)));
            named.push_str(field.unwrap_or(number));
            named.push_str(rest);
        }
        named
    }

    #[must_use]
    pub fn detector(&self, rule: usize) -> &Detector {
        &self.plan.detectors[self.plan.rules[rule].detector]
    }

    /// The longest time after an event at which some rule may still speak of it.
    #[must_use]
    pub fn longest_deadline(&self) -> Span {
        let reach = |r: usize| self.reach(r);
        (0..self.plan.rules.len())
            .map(reach)
            .max()
            .unwrap_or_default()
    }

    fn reach(&self, rule: usize) -> Span {
        let own = match self.plan.rules[rule].kind {
            Kind::Absence { .. } | Kind::Obligations { .. } => self.plan.rules[rule].timespan,
            _ => Span::ZERO,
        };
        let fed = self.plan.rules[rule]
            .inputs
            .iter()
            .filter_map(|i| i.from.rule())
            .map(|p| self.reach(p));
        Span(own.0 + fed.max().unwrap_or_default().0)
    }
}
