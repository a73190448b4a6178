//! The keys of a correlation and of the maps inside it.
//!
//! The same table as `keys`; apart from it for its length.

use super::{Key, Section, Shape, key};

pub(in crate::engine::detector) const TYPES: &[&str] = &[
    "event_count",
    "value_count",
    "value_sum",
    "value_avg",
    "value_order",
    "temporal",
    "temporal_ordered",
    "absence",
    "ratio",
    "spike",
    "new_value",
    "score",
    "quiet",
    "obligations",
];

pub(in crate::engine::detector) const FUNCTIONS: &[&str] = &[
    "event_count",
    "value_count",
    "once_share",
    "value_order",
    "value_sum",
    "value_avg",
];

pub(in crate::engine::detector) static CORRELATION: Section = Section {
    name: "correlation",
    keys: &[
        key("type", Shape::OneOf(TYPES), "the algorithm"),
        key(
            "rules",
            Shape::Texts,
            "names or ids of rules, or selections of this document",
        ),
        key(
            "group-by",
            Shape::Texts,
            "count apart for each value of these fields; [] is all in one",
        ),
        key(
            "roll-up",
            Shape::NamesOr(&WIDER),
            "wider groups, narrow to wide, for what no alert of a narrower one tells of: source.cidr, source.as.number",
        ),
        key(
            "timespan",
            Shape::Span,
            "the sliding window, or the deadline",
        ),
        key(
            "condition",
            Shape::Bounds,
            "when it fires: gt, gte, lt, lte, eq, neq (all hold)",
        ),
        key(
            "aggregates",
            Shape::MapOf(&AGGREGATE),
            "several numbers over one window, by name",
        ),
        key(
            "aliases",
            Shape::Aliases,
            "one group-by name for different fields of different rules",
        ),
        key(
            "generate",
            Shape::Bool,
            "the rules named here alert themselves, too",
        ),
        key(
            "after",
            Shape::Text,
            "absence: what starts the deadline; score: what must have been seen before",
        ),
        key("expect", Shape::Text, "absence: what should follow"),
        key(
            "lookback",
            Shape::Span,
            "absence: what came this long before counts, too",
        ),
        key("numerator", Shape::Text, "ratio: what is counted"),
        key(
            "denominator",
            Shape::Text,
            "ratio: out of what; NAME/settled for an absence's total",
        ),
        key(
            "denominator_min",
            Shape::Count,
            "ratio: below this many it does not fire",
        ),
        key(
            "baseline",
            Shape::Map(&BASELINE),
            "ratio: bound against its own past instead of, or besides, the condition",
        ),
        key(
            "warmup",
            Shape::Span,
            "spike, new_value: history needed before it may fire; quiet: the time `count_min` is counted over",
        ),
        key(
            "half_life",
            Shape::Span,
            "spike: how fast the expectation forgets; score: how fast evidence does (default never)",
        ),
        key(
            "field",
            Shape::Texts,
            "new_value: the field, or the fields together, whose new values matter; spike: count distinct ones",
        ),
        key(
            "learn",
            Shape::Text,
            "new_value: a rule or selection whose values are learnt, and never new",
        ),
        key(
            "known_min",
            Shape::Count,
            "new_value: observations of the key needed before it may fire (default 1)",
        ),
        key(
            "values_max",
            Shape::Count,
            "new_value: values remembered per key (default 64; 32768 with group-by [])",
        ),
        key(
            "count_min",
            Shape::Count,
            "new_value: the new value must be seen this often within `within`; quiet: events that make a stream expected (default 10)",
        ),
        key(
            "within",
            Shape::Span,
            "new_value: the time `count_min` is counted over, from the first sight",
        ),
        key(
            "expected",
            Shape::List(&EXPECTED),
            "spike: declared mass events, which are no spike up to their size",
        ),
        key(
            "steps",
            Shape::List(&STEP),
            "obligations: what must follow what, each within its time",
        ),
        key(
            "weights",
            Shape::Weights,
            "score: what each rule or selection counts as evidence",
        ),
        key(
            "once",
            Shape::Span,
            "score: one evidence counts again only so long after (default the timespan)",
        ),
    ],
};

pub(in crate::engine::detector) static WIDER: Section = Section {
    name: "a wider group",
    keys: &[
        key("by", Shape::Text, "source.cidr or source.as.number"),
        key(
            "condition",
            Shape::Bounds,
            "its own bounds (default those of the narrowest group)",
        ),
    ],
};

const FROM: Key = key("from", Shape::Text, "when it begins (RFC 3339)");
const UNTIL: Key = key("until", Shape::Text, "when it is over");
const COUNT_MAX: Key = key(
    "count_max",
    Shape::Count,
    "the most that is expected within one timespan",
);
const OF_KEY: Key = key(
    "key",
    Shape::Any,
    "only for these values of group-by fields",
);

/// A mass event of one spike.
pub(in crate::engine::detector) static EXPECTED: Section = Section {
    name: "a mass event",
    keys: &[FROM, UNTIL, COUNT_MAX, OF_KEY],
};

/// A mass event of several spikes: a document of its own.
pub(in crate::engine::detector) static DECLARED: Section = Section {
    name: "a mass event",
    keys: &[
        key("rules", Shape::Texts, "the spikes that it explains, or any"),
        FROM,
        UNTIL,
        COUNT_MAX,
        OF_KEY,
    ],
};

pub(in crate::engine::detector) static STEP: Section = Section {
    name: "a step",
    keys: &[
        key(
            "rule",
            Shape::Text,
            "the rule or selection that is the step",
        ),
        key(
            "within",
            Shape::Span,
            "how long after the step before; not for the first",
        ),
    ],
};

pub(in crate::engine::detector) static PART_OF: Section = Section {
    name: "a bound on another aggregate",
    keys: &[
        key(
            "aggregate",
            Shape::Text,
            "another number of the same window",
        ),
        key("times", Shape::Number, "how many times it (default 1)"),
    ],
};

pub(in crate::engine::detector) static BASELINE: Section = Section {
    name: "a baseline",
    keys: &[
        key("gt", Shape::Number, "more than this many times its past"),
        key("gte", Shape::Number, "this many times its past, or more"),
        key("lt", Shape::Number, "less than this part of its past"),
        key("lte", Shape::Number, "this part of its past, or less"),
        key(
            "warmup",
            Shape::Span,
            "history needed before it may fire (default 24h)",
        ),
        key(
            "half_life",
            Shape::Span,
            "how fast the past fades (default 24h)",
        ),
    ],
};

pub(in crate::engine::detector) static AGGREGATE: Section = Section {
    name: "an aggregate",
    keys: &[
        key(
            "type",
            Shape::OneOf(FUNCTIONS),
            "what is computed over the window",
        ),
        key(
            "field",
            Shape::Texts,
            "the field whose values are aggregated; several are one value together",
        ),
        key("rule", Shape::Text, "only events of this rule or selection"),
    ],
};

/// Keys of a plain condition.
pub(in crate::engine::detector) const OPERATORS: &[&str] = &["gt", "gte", "lt", "lte", "eq", "neq"];

/// Keys of a spike's condition.
pub(in crate::engine::detector) const SPIKE_BOUNDS: &[&str] = &["factor", "count_min", "tail_min"];
