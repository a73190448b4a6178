//! Every key a detector file may hold: one table for reading, suggestions and the editors' schema.
//!
//! Owns names, shapes and one line of documentation each. What a key does is `document`'s. A key
//! that is read but not listed here cannot be reached, because `Section::open` refuses it first.

mod correlation;

pub(super) use correlation::{
    AGGREGATE, BASELINE, CORRELATION, DECLARED, EXPECTED, FUNCTIONS, OPERATORS, PART_OF,
    SPIKE_BOUNDS, STEP, TYPES, WIDER,
};

/// What a key's value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    Bool,
    Number,
    /// A whole number from 0 on.
    Count,
    /// A length of time with its unit: `5m`.
    Span,
    /// A text or a list of texts.
    Texts,
    OneOf(&'static [&'static str]),
    Map(&'static Section),
    List(&'static Section),
    /// A name, or such a map, or a list of them.
    NamesOr(&'static Section),
    /// Free names, each with such a map.
    MapOf(&'static Section),
    /// `{alias: {rule: field}}`.
    Aliases,
    /// Selections and a condition.
    Detection,
    /// Bounds by operator, or by aggregate and operator.
    Bounds,
    /// A number above 0 for each name.
    Weights,
    /// A span, or `{for: SPAN}`.
    Suppress,
    /// Accepted and not read.
    Any,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) doc: &'static str,
}

/// A map with known keys.
#[derive(Debug)]
pub(super) struct Section {
    /// How messages call it.
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

pub(super) const LEVELS: &[&str] = &["informational", "low", "medium", "high", "critical"];
pub(super) const MODES: &[&str] = &["shadow", "alert", "contain"];
pub(super) const VERBS: &[&str] = &[
    "throttle",
    "block",
    "challenge",
    "hold_mail",
    "disable_flow",
    "revoke_tokens",
    "revoke_sessions",
    "require_mfa",
    "freeze_deploys",
    "notify_user",
];

/// A whole document.
pub(super) static DOCUMENT: Section = Section {
    name: "a detector",
    keys: &[
        key(
            "title",
            Shape::Text,
            "what the detector finds, in a few words",
        ),
        key(
            "id",
            Shape::Text,
            "a stable unique id; the detector's id in alerts (default: the name)",
        ),
        key(
            "name",
            Shape::Text,
            "a unique name other documents refer to (default: from the title)",
        ),
        key(
            "version",
            Shape::Count,
            "rises with every change of meaning (default 1)",
        ),
        key(
            "description",
            Shape::Text,
            "what happens when it fires, in a sentence or two",
        ),
        key(
            "level",
            Shape::OneOf(LEVELS),
            "how bad it is (default medium)",
        ),
        key(
            "mode",
            Shape::OneOf(MODES),
            "shadow marks alerts and simulates actions (the default)",
        ),
        key("tags", Shape::Texts, "for example attack.t1110"),
        key(
            "labels",
            Shape::Map(&LABELS),
            "how sure a detection is, and how easily forged",
        ),
        key(
            "logsource",
            Shape::Map(&LOGSOURCE),
            "which events; product tidegate is all of them",
        ),
        key(
            "detection",
            Shape::Detection,
            "selections over one event, and a condition",
        ),
        key(
            "correlation",
            Shape::Map(&CORRELATION),
            "a rule over many events",
        ),
        key(
            "filter",
            Shape::Detection,
            "a condition that is added to other rules",
        ),
        key(
            "expected",
            Shape::Map(&DECLARED),
            "a mass event that is no spike of other rules",
        ),
        key(
            "generate",
            Shape::Bool,
            "alert also where a correlation uses this rule",
        ),
        key(
            "suppress",
            Shape::Suppress,
            "how long the same key stays quiet after an alert closes",
        ),
        key(
            "respond",
            Shape::List(&RESPOND),
            "containment steps to ask for",
        ),
        key(
            "runbook",
            Shape::Text,
            "path or link (default: runbook.md beside the file)",
        ),
        key(
            "late",
            Shape::Bool,
            "evaluate events that come later than the allowed lateness",
        ),
        key(
            "fields",
            Shape::Texts,
            "fields of the last event that an alert shows",
        ),
        key("falsepositives", Shape::Any, "what else may cause it"),
        key("author", Shape::Any, "who wrote it"),
        key("owner", Shape::Any, "who looks after it"),
        key("references", Shape::Any, "where the idea comes from"),
        key("date", Shape::Any, "when it was written"),
        key("modified", Shape::Any, "when it was last changed"),
        key(
            "status",
            Shape::Any,
            "stable, test, experimental, deprecated or unsupported",
        ),
        key("license", Shape::Any, "an SPDX identifier"),
        key("related", Shape::Any, "ids of related rules"),
        key("taxonomy", Shape::Any, "the field naming the rule uses"),
        key(
            "scope",
            Shape::Any,
            "on which machines the rule makes sense",
        ),
        key("simulation", Shape::Any, "how to provoke it"),
        key(
            "regression_tests_path",
            Shape::Any,
            "where the public collection tests it",
        ),
        key("custom", Shape::Any, "anything of your own"),
    ],
};

pub(super) static LABELS: Section = Section {
    name: "labels",
    keys: &[
        key("confidence", Shape::Count, "0 (a hint) to 3 (certain)"),
        key(
            "spoofable",
            Shape::Count,
            "0 (cannot be forged) to 3 (anyone can cause it)",
        ),
    ],
};

pub(super) static LOGSOURCE: Section = Section {
    name: "logsource",
    keys: &[
        key(
            "product",
            Shape::Text,
            "tidegate, or a source schema such as okta or keycloak",
        ),
        key("category", Shape::Text, "Sigma's category; not evaluated"),
        key("service", Shape::Text, "Sigma's service"),
        key("definition", Shape::Any, "how the source must be set up"),
    ],
};

pub(super) static RESPOND: Section = Section {
    name: "a respond step",
    keys: &[
        key(
            "verb",
            Shape::OneOf(VERBS),
            "what enforcers are asked to do",
        ),
        key(
            "target",
            Shape::Text,
            "a group-by field, one of `fields`, or flow (the default)",
        ),
        key("ttl", Shape::Span, "how long it holds"),
    ],
};

pub(super) static SUPPRESS: Section = Section {
    name: "suppress",
    keys: &[
        key(
            "for",
            Shape::Span,
            "how long the same key stays quiet after an alert closes",
        ),
        key(
            "repeat",
            Shape::Span,
            "how soon an alert that goes on is told again; twice as long each time after",
        ),
        key(
            "repeat_max",
            Shape::Span,
            "the longest it then waits (default: 1d)",
        ),
    ],
};

/// A test case beside a detector.
pub(super) static CASE: Section = Section {
    name: "a test case",
    keys: &[
        key("name", Shape::Text, "what the case shows"),
        key("kind", Shape::OneOf(CASE_KINDS), "why it is there"),
        key(
            "events",
            Shape::Any,
            "events as they are, in the order written",
        ),
        key(
            "input",
            Shape::Text,
            "a file of JSON lines beside the case, instead of events",
        ),
        key(
            "generate",
            Shape::List(&GENERATE),
            "streams of events made from templates",
        ),
        key(
            "order",
            Shape::OneOf(ORDERS),
            "time (the default with generate), written or reversed",
        ),
        key(
            "until",
            Shape::Text,
            "event time goes on to here after the last event",
        ),
        key(
            "expect",
            Shape::List(&EXPECT),
            "the alerts, and no others; [] is none",
        ),
    ],
};

pub(super) static GENERATE: Section = Section {
    name: "a generated stream",
    keys: &[
        key("template", Shape::Any, "the fields of every event"),
        key("start", Shape::Text, "the time of the first event"),
        key(
            "time",
            Shape::Text,
            "the field that takes each event's time (default time; published for Okta)",
        ),
        key("every", Shape::Span, "time between two events (default 1s)"),
        key("count", Shape::Count, "how many events"),
        key(
            "vary",
            Shape::Any,
            "fields that change: text with {n}, {n/K}, {n%K} (n from 1), or a list in turn",
        ),
    ],
};

pub(super) static EXPECT: Section = Section {
    name: "an expected alert",
    keys: &[
        key("detector", Shape::Text, "the detector's name or id"),
        key("key", Shape::Any, "the group key, as far as it matters"),
        key("time", Shape::Text, "when it fires"),
        key("count", Shape::Count, "how many such alerts (default 1)"),
    ],
};

pub(super) const CASE_KINDS: &[&str] =
    &["fires", "near_miss", "boundary", "out_of_order", "evasion"];
pub(super) const ORDERS: &[&str] = &["time", "written", "reversed"];
