//! The `correlation:` map: type, window, bounds, aggregates, and what belongs to each type.
//!
//! Owns reading and the faults one map alone can show (missing keys, keys of another type, bounds
//! that would fire on absence). Names are resolved in `compile`.

mod bounds;
mod enough;
pub(in crate::engine::detector) mod expected;
mod kinds;
mod roll_up;

use crate::engine::detector::condition::Expr;
use crate::engine::detector::diagnostic::{Findings, Place, did_you_mean};
use crate::engine::detector::keys;
use crate::engine::detector::plan::{self, Function, NewValue, Op, Quiet, Score, Spike};
use crate::engine::detector::section::{Name, Section, names};
use crate::engine::detector::yaml::{Content, Node};
use crate::model::Span;

/// Sigma's and our correlation types that are known and not built, and why.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "value_percentile",
        "value_percentile needs every value of the window, which a bounded engine does not keep",
        "use value_avg, or count the values above a bound with a selection",
    ),
    (
        "value_median",
        "value_median needs every value of the window, which a bounded engine does not keep",
        "use value_avg, or count the values above a bound with a selection",
    ),
];

pub(in crate::engine::detector) use roll_up::Wider;

/// A correlation as written.
#[derive(Debug)]
pub(in crate::engine::detector) struct Correlation {
    pub(in crate::engine::detector) at: Place,
    pub(in crate::engine::detector) rules: Option<Vec<Name>>,
    pub(in crate::engine::detector) group_by: Vec<Name>,
    /// The place in `group_by` of the group that `roll_up` widens.
    pub(in crate::engine::detector) narrowest: Option<usize>,
    /// Wider groups, the narrowest first.
    pub(in crate::engine::detector) roll_up: Vec<Wider>,
    pub(in crate::engine::detector) timespan: Span,
    /// The rules it refers to alert themselves, too.
    pub(in crate::engine::detector) generate: bool,
    /// Alias, and for each rule the field it stands for there.
    pub(in crate::engine::detector) aliases: Vec<(Name, Vec<(Name, Name)>)>,
    pub(in crate::engine::detector) kind: Kind,
}

#[derive(Debug)]
pub(in crate::engine::detector) enum Kind {
    Window {
        aggregates: Vec<Aggregate>,
        bounds: Vec<Bound>,
    },
    Temporal {
        ordered: bool,
        /// `None` is all rules.
        enough: Option<Enough>,
    },
    Absence {
        after: Name,
        expect: Name,
        lookback: Span,
    },
    Ratio {
        numerator: Name,
        denominator: Name,
        denominator_min: u64,
        /// At least one of the two.
        bound: Option<(Op, f64)>,
        baseline: Option<Baseline>,
    },
    /// The names of its value, and the rest as the plan has it.
    Spike(Vec<Name>, Spike),
    /// The fields' names, what only teaches, and the rest as the plan has it.
    NewValue(Vec<Name>, Option<Name>, NewValue),
    /// The names of `after` (if there is one) and of the evidence, and the rest as the plan has it.
    Score(Vec<Name>, Score),
    Quiet(Quiet),
    /// The steps, and the time of each but the first.
    Obligations(Vec<Name>, Vec<Span>),
}

/// A ratio's own past: how many times (or what part of) it, and how it is learnt.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::detector) struct Baseline {
    pub(in crate::engine::detector) times: (Op, f64),
    pub(in crate::engine::detector) warmup: Span,
    pub(in crate::engine::detector) half_life: Span,
}

/// Which rules of a temporal correlation are enough.
#[derive(Debug)]
pub(in crate::engine::detector) enum Enough {
    /// This many different ones.
    Count(Bound),
    /// `a and (b or c)`.
    Expression(Expr, Place),
}

/// One number over the window.
#[derive(Debug)]
pub(in crate::engine::detector) struct Aggregate {
    pub(in crate::engine::detector) name: String,
    pub(in crate::engine::detector) function: Function,
    pub(in crate::engine::detector) fields: Vec<Name>,
    pub(in crate::engine::detector) rule: Option<Name>,
}

/// `aggregates[aggregate] op value`, or `op value * aggregates[of]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::detector) struct Bound {
    pub(in crate::engine::detector) aggregate: usize,
    pub(in crate::engine::detector) op: Op,
    pub(in crate::engine::detector) value: f64,
    pub(in crate::engine::detector) of: Option<usize>,
    pub(in crate::engine::detector) at: Place,
}

impl From<&Bound> for plan::Bound {
    fn from(written: &Bound) -> Self {
        Self {
            aggregate: written.aggregate,
            op: written.op,
            value: written.value,
            of: written.of,
        }
    }
}

/// Keys that belong to some types only.
const ONLY: &[(&str, &[&str])] = &[
    ("after", &["absence", "score"]),
    ("expect", &["absence"]),
    ("lookback", &["absence"]),
    ("numerator", &["ratio"]),
    ("denominator", &["ratio"]),
    ("denominator_min", &["ratio"]),
    ("baseline", &["ratio"]),
    ("warmup", &["spike", "new_value", "quiet"]),
    ("half_life", &["spike", "score"]),
    ("aggregates", &["aggregates"]),
    ("field", &["new_value", "spike"]),
    ("known_min", &["new_value"]),
    ("learn", &["new_value"]),
    ("values_max", &["new_value"]),
    ("count_min", &["new_value", "quiet"]),
    ("within", &["new_value"]),
    ("expected", &["spike"]),
    ("steps", &["obligations"]),
    ("weights", &["score"]),
    ("once", &["score"]),
    (
        "roll-up",
        &[
            "event_count",
            "value_count",
            "value_sum",
            "value_avg",
            "value_order",
            "aggregates",
        ],
    ),
    (
        "condition",
        &[
            "event_count",
            "value_count",
            "value_sum",
            "value_avg",
            "value_order",
            "aggregates",
            "ratio",
            "spike",
            "temporal",
            "temporal_ordered",
            "score",
        ],
    ),
];

/// Reads a correlation; `None` if its type or a necessary part is faulty.
pub(super) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Correlation> {
    let section = Section::open(node, &keys::CORRELATION, findings)?;
    let kind_name = kind_name(&section, findings);
    let rules = section.texts("rules", findings);
    let group_by = section.texts("group-by", findings).unwrap_or_default();
    if section.node("group-by").is_none() {
        let message = "the correlation has no `group-by`: it counts over everything";
        let hint = "add `group-by: [source.ip]`, or `group-by: []` if that is meant";
        findings.lint(section.at, message, hint);
    }
    let aliases = aliases(&section, findings);
    let timespan = section.span("timespan", findings);
    let owes = kind_name.as_deref() == Some("obligations");
    if owes && section.node("timespan").is_some() {
        let hint = "remove it: each of `steps` has a time of its own";
        findings.fault_hint(
            section.place("timespan"),
            "`timespan` does not belong to obligations",
            hint,
        );
    } else if section.node("timespan").is_none() && !owes {
        findings.fault_hint(
            section.at,
            "the correlation has no `timespan`",
            "add `timespan: 5m`",
        );
    } else if timespan == Some(Span::ZERO) {
        findings.fault_hint(
            section.place("timespan"),
            "`timespan` is zero",
            "write `5m`",
        );
    }
    let generate = section.bool("generate", findings).unwrap_or(false);
    let kind_name = kind_name?;
    for (key, types) in ONLY {
        if section.node(key).is_some() && !types.contains(&kind_name.as_str()) {
            let message = format!("`{key}` does not belong to {kind_name}");
            let hint = format!(
                "it belongs to {}; remove it, or change the type",
                types.join(", ")
            );
            findings.fault_hint(section.place(key), message, hint);
        }
    }
    let kind = match kind_name.as_str() {
        "temporal" => enough::temporal(&section, false, rules.as_deref(), findings),
        "temporal_ordered" => enough::temporal(&section, true, rules.as_deref(), findings),
        "absence" => kinds::absence(&section, findings)?,
        "ratio" => kinds::ratio(&section, findings)?,
        "spike" => kinds::spike(&section, findings)?,
        "new_value" => kinds::new_value(&section, findings)?,
        "obligations" => kinds::obligations(&section, findings)?,
        "quiet" => Kind::Quiet(kinds::quiet(&section, findings)),
        "score" => kinds::score(&section, timespan, findings)?,
        "aggregates" => bounds::aggregates(&section, findings)?,
        simple => bounds::simple(&section, simple, findings)?,
    };
    let named = matches!(
        kind,
        Kind::Absence { .. } | Kind::Ratio { .. } | Kind::Score(..) | Kind::Obligations(..)
    );
    if named && rules.is_some() {
        let hint = "remove `rules`: the rules are named by the type's own keys";
        findings.fault_hint(section.place("rules"), "`rules` does not belong here", hint);
    }
    let (narrowest, roll_up) = roll_up::read(&section, &group_by, &kind, findings).unzip();
    let timespan = match &kind {
        Kind::Obligations(_, within) => Span(within.iter().map(|s| s.0).sum()),
        _ => timespan?,
    };
    Some(Correlation {
        at: section.at,
        rules,
        group_by,
        narrowest,
        roll_up: roll_up.unwrap_or_default(),
        timespan,
        generate,
        aliases,
        kind,
    })
}

fn kind_name(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let aggregates = section.node("aggregates").is_some();
    let Some(name) = section.text("type", findings) else {
        if aggregates {
            return Some("aggregates".to_owned());
        }
        let hint = format!("add `type:` with one of {}", keys::TYPES.join(", "));
        findings.fault_hint(section.at, "the correlation has no `type`", hint);
        return None;
    };
    let text = name.text.as_str();
    if aggregates {
        let hint = "remove `type`: each aggregate has its own";
        findings.fault_hint(name.at, "`type` and `aggregates` exclude each other", hint);
        return None;
    }
    if keys::TYPES.contains(&text) {
        return Some(name.text);
    }
    match REFUSED.iter().find(|(refused, ..)| *refused == text) {
        Some((_, message, hint)) => findings.fault_hint(name.at, *message, *hint),
        None => {
            let message = format!("there is no correlation type `{text}`");
            findings.fault_hint(
                name.at,
                message,
                did_you_mean(text, keys::TYPES.iter().copied()),
            );
        }
    }
    None
}

fn aliases(section: &Section<'_>, findings: &mut Findings<'_>) -> Vec<(Name, Vec<(Name, Name)>)> {
    let Some(node) = section.node("aliases") else {
        return Vec::new();
    };
    let hint = "write `aliases: {ip: {rule_a: source.ip, rule_b: client.ip}}`";
    let Content::Map(entries) = &node.content else {
        findings.fault_hint(
            node.at,
            format!("`aliases` cannot be {}", node.word()),
            hint,
        );
        return Vec::new();
    };
    let mut out = Vec::new();
    for entry in entries {
        let Content::Map(fields) = &entry.value.content else {
            let message = format!("the alias `{}` is not a map", entry.key);
            findings.fault_hint(entry.value.at, message, hint);
            continue;
        };
        let mut pairs = Vec::new();
        for field in fields {
            let rule = Name {
                text: field.key.clone(),
                at: field.at,
            };
            let mut one = names(&field.value, &field.key, findings);
            if let Some(name) = one.pop() {
                pairs.push((rule, name));
            }
        }
        out.push((
            Name {
                text: entry.key.clone(),
                at: entry.at,
            },
            pairs,
        ));
    }
    out
}
