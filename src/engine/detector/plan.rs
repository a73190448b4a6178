//! What compiled detectors are: predicates over one event, rules over many, and the detectors
//! (documents) they belong to. Plain data that the rules run on; made only by `compile`.

use std::ops::Range;

use super::predicate::Predicate;
use crate::engine::alert::Alert;
use crate::engine::containment::Verb;
use crate::model::{EventTime, FieldId, Fields, Level, Span};

/// Everything that is compiled from one set of detector files. Never changes once made.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The names of all fields that any detector reads.
    pub fields: Fields,
    /// The conditions over one event; equal ones are shared and evaluated once per event.
    pub predicates: Vec<Predicate>,
    /// In an order in which every rule stands behind the rules that feed it.
    pub rules: Vec<Rule>,
    /// One per document that is a rule or a correlation.
    pub detectors: Vec<Detector>,
}

impl Plan {
    /// The rules of a detector, by its first: of a roll-up one for each group, narrow to wide.
    #[must_use]
    pub fn rules_of(&self, first: usize) -> Range<usize> {
        let detector = self.rules.get(first).map(|r| r.detector);
        let detector = detector.and_then(|d| self.detectors.get(d));
        first..first + detector.map_or(1, |d| d.roll_up.len().max(1))
    }

    /// The rules that feed an input.
    #[must_use]
    pub fn feeding(&self, from: From) -> Range<usize> {
        match from {
            From::Event(_) => 0..0,
            From::Rule(rule) => self.rules_of(rule),
            From::Settled(rule) | From::Rest(rule) => rule..rule + 1,
        }
    }
}

/// One algorithm with its parameters.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Index into `Plan::detectors`.
    pub detector: usize,
    /// False for a rule that only serves a correlation (and is not marked `generate`).
    pub alerts: bool,
    /// What feeds it. Their order is the order of `rules:` (temporal_ordered), or [after, expect]
    /// (absence), or [numerator, denominator] (ratio).
    pub inputs: Vec<Input>,
    /// `group-by` as written: the names in an alert's `key`. Empty is one group for all.
    pub key_names: Vec<String>,
    /// The length of the window, or the deadline.
    pub timespan: Span,
    pub kind: Kind,
}

/// One stream that feeds a rule.
#[derive(Debug, Clone)]
pub struct Input {
    pub name: String,
    pub from: From,
    /// The fields that give the group key in this stream (they differ between streams only where
    /// `aliases` says so).
    pub group_by: Vec<FieldId>,
    /// It teaches what is known and never fires (new_value).
    pub learns: bool,
}

/// Where an input's observations come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Events that meet `Plan::predicates[i]`.
    Event(usize),
    /// Detections of `Plan::rules[i]`; of a roll-up, whose narrowest it is, those of all its groups.
    Rule(usize),
    /// Every `after` of the absence rule `i` once it is settled, followed or not: the denominator
    /// of a share of unanswered ones.
    Settled(usize),
    /// What `Plan::rules[i]` saw and no alert of it tells of: the same events in wider groups
    /// (`roll-up`).
    Rest(usize),
}

impl From {
    /// The rule that feeds it, if one does.
    #[must_use]
    pub const fn rule(self) -> Option<usize> {
        match self {
            Self::Event(_) => None,
            Self::Rule(rule) | Self::Settled(rule) | Self::Rest(rule) => Some(rule),
        }
    }
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// A plain detection: every matching event is a detection of its own.
    Each,
    /// Aggregates over a sliding window; fires when all `bounds` hold.
    Window {
        aggregates: Vec<Aggregate>,
        bounds: Vec<Bound>,
    },
    /// All inputs occurred within the timespan, in any order or in the order of `inputs`; or, where
    /// `sets` is not empty, all inputs of one of these sets, the smallest first.
    Temporal {
        ordered: bool,
        sets: Vec<Vec<usize>>,
    },
    /// Input 0 was not followed by input 1 with the same key within the timespan; an input 1 up to
    /// `lookback` before counts too.
    Absence {
        lookback: Span,
    },
    /// count(input 0) / count(input 1) meets the bound, with at least `denominator_min` of input 1.
    Ratio {
        bound: Op,
        value: f64,
        denominator_min: u64,
    },
    /// The same against its own past.
    Share(Share),
    Spike(Spike),
    NewValue(NewValue),
    Score(Score),
    Quiet(Quiet),
    /// Each input was not followed by the next within its time; the first begins.
    Obligations {
        within: Vec<Span>,
    },
}

impl Kind {
    /// Whether its alerts end by being closed. Those of the other kinds are moments: over as soon as
    /// they are told.
    #[must_use]
    pub const fn closes(&self) -> bool {
        match self {
            Self::Each
            | Self::Temporal { .. }
            | Self::Absence { .. }
            | Self::NewValue(_)
            | Self::Obligations { .. } => false,
            Self::Window { .. }
            | Self::Ratio { .. }
            | Self::Share(_)
            | Self::Spike(_)
            | Self::Score(_)
            | Self::Quiet(_) => true,
        }
    }
}

/// One number over a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// How it is called in an alert's `observed` and `bound`: `event_count`, `value_count`, or the name given.
    pub name: String,
    pub function: Function,
    /// The field whose values are aggregated (all functions but `Count`); several are one value together.
    pub fields: Vec<FieldId>,
    /// Only observations of this input; `None` is all inputs.
    pub input: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Count,
    /// Distinct values.
    Distinct,
    /// Share (0 to 1) of the distinct values that were seen exactly once in the window.
    OnceShare,
    /// How improbable it is (-log10 p) that values in no order would turn so seldom, or so often.
    Order,
    Sum,
    Average,
}

/// `aggregates[aggregate] op value`, or `op value * aggregates[of]` of the same window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    pub aggregate: usize,
    pub op: Op,
    pub value: f64,
    pub of: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Neq,
}

impl Op {
    /// Sigma's spelling.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Eq => "eq",
            Self::Neq => "neq",
        }
    }

    /// For people.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Eq => "=",
            Self::Neq => "!=",
        }
    }

    #[must_use]
    #[expect(clippy::float_cmp, reason = "eq means equal: counts are whole numbers")]
    pub fn holds(self, observed: f64, bound: f64) -> bool {
        match self {
            Self::Gt => observed > bound,
            Self::Gte => observed >= bound,
            Self::Lt => observed < bound,
            Self::Lte => observed <= bound,
            Self::Eq => observed == bound,
            Self::Neq => observed != bound,
        }
    }
}

/// Parameters of a rate that leaves its own past.
#[derive(Debug, Clone, PartialEq)]
pub struct Spike {
    /// The value whose distinct ones are counted; empty counts events.
    pub fields: Vec<FieldId>,
    /// Fires when the window's count is at least this many times what is expected ...
    pub factor: f64,
    /// ... and at least this many events ...
    pub count_min: u64,
    /// ... or when -log10 of the tail probability reaches this (and `count_min` holds).
    pub tail_min: f64,
    /// History needed before it may fire.
    pub warmup: Span,
    /// Half-life of the moving average the expectation comes from.
    pub half_life: Span,
    /// Mass events somebody declared.
    pub expected: Vec<Expected>,
}

/// A declared mass event: up to its size it is no spike, and it teaches nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// From the one to before the other.
    pub from: EventTime,
    pub until: EventTime,
    /// The greatest count of one window that is expected.
    pub count_max: u64,
    /// Only of keys with these values, by place in `group-by`.
    pub key: Vec<(usize, String)>,
}

/// Parameters of a share of input 0 in input 1 that leaves its own past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Fires when the share meets this many times (or this part of) what it used to be ...
    pub times: (Op, f64),
    /// ... and this, too, ...
    pub bound: Option<(Op, f64)>,
    /// ... of at least so many of input 1.
    pub denominator_min: u64,
    /// History needed before it may fire.
    pub warmup: Span,
    /// How fast the past fades.
    pub half_life: Span,
}

/// Parameters of a value first seen for its key within the timespan.
#[derive(Debug, Clone, PartialEq)]
pub struct NewValue {
    /// The fields whose value it is; several are one value together.
    pub fields: Vec<FieldId>,
    /// How long the key must have been known before it may fire ...
    pub warmup: Span,
    /// ... and how many observations it must have had.
    pub known_min: u64,
    /// Values remembered per key.
    pub values_max: usize,
    /// The new value must also come in such numbers.
    pub burst: Option<Burst>,
}

/// Parameters of weighted evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// What each input weighs, in order; without the first one where that is `after`.
    pub weights: Vec<f64>,
    /// Input 0 weighs nothing: evidence counts only within the timespan after it.
    pub after: bool,
    /// How long evidence takes to lose half its weight; `None` keeps it whole.
    pub half_life: Option<Span>,
    /// One evidence counts again only so long after it last counted.
    pub once: Span,
    /// `Gt` or `Gte` ...
    pub op: Op,
    /// ... this score.
    pub value: f64,
}

/// Parameters of a stream that must not fall silent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quiet {
    /// Only a key that had this many events ...
    pub count_min: u64,
    /// ... in this long up to its last one is expected to go on.
    pub warmup: Span,
}

/// This often within this long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    pub count_min: u64,
    pub within: Span,
}

/// What a detector may do when it fires.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Alerts are marked and actions simulated: the default.
    #[default]
    Shadow,
    /// Alerts, no actions.
    Alert,
    /// Alerts and real actions (if the deployment allows containment).
    Contain,
}

impl Mode {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Alert => "alert",
            Self::Contain => "contain",
        }
    }
}

/// One document: its metadata and what to do when it fires.
#[derive(Debug, Clone, Default)]
pub struct Detector {
    pub id: String,
    pub name: String,
    pub title: String,
    pub description: String,
    pub version: u32,
    pub level: Level,
    pub mode: Mode,
    pub tags: Vec<String>,
    /// `runbook.md` beside the detector file, as a path below the detectors' folder's parent; or as written.
    pub runbook: Option<String>,
    pub confidence: u8,
    pub spoofable: u8,
    /// After an alert closes, the same key raises no new one for this long; what is held back is counted.
    pub suppress: Span,
    pub repeat: Repeat,
    pub respond: Vec<Respond>,
    /// Sigma's `fields`: values of the last contributing event that an alert shows as `context`.
    pub fields: Vec<FieldId>,
    /// Evaluated for late events too (honeytokens, tokens).
    pub late: bool,
    /// Where it stands: file and line.
    pub file: String,
    pub line: usize,
    /// Index into `Plan::rules`; of a roll-up the narrowest, which the wider ones follow.
    pub rule: usize,
    /// The fields a roll-up groups by, the narrowest first; empty without one. A response that
    /// targets one of them is for alerts of that group only.
    pub roll_up: Vec<String>,
}

impl Detector {
    /// Whether a response is meant for an alert: in a roll-up one that targets a group is for the
    /// alerts of that group, not for those of the narrower groups inside it.
    #[must_use]
    pub fn asks(&self, respond: &Respond, alert: &Alert) -> bool {
        let group = respond.target.as_ref();
        let group = group.filter(|target| self.roll_up.contains(target));
        group.is_none_or(|group| alert.key.get(group).is_some())
    }
}

/// When an alert that goes on is told again: after `first`, then after twice as long each time, up
/// to `max`. Nothing is told again where `first` is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repeat {
    pub first: Span,
    pub max: Span,
}

/// One containment step a detector asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Respond {
    pub verb: Verb,
    /// Which part of the key (or `context`) is the target, e.g. `source.ip`; `None` for the flow.
    pub target: Option<String>,
    pub ttl: Span,
}
