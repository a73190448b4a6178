//! The `correlation:` map: type, window, bounds, aggregates, and what belongs to each type.
//!
//! Owns reading and the faults one map alone can show (missing keys, keys of another type, bounds
//! that would fire on absence). Names are resolved in `compile`.

mod bounds;

use crate::engine::detector::condition::{self, Expr};
use crate::engine::detector::diagnostic::{Findings, Place, did_you_mean};
use crate::engine::detector::keys;
use crate::engine::detector::plan::{Function, Op, Spike};
use crate::engine::detector::section::{Name, Section, names};
use crate::engine::detector::yaml::{Content, Node};
use crate::model::Span;

/// Sigma's and our correlation types that are known but not built (yet), and why.
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
    (
        "new_value",
        "new_value is not supported yet",
        "use value_count over a longer timespan",
    ),
    (
        "quiet",
        "quiet is not supported yet",
        "use absence of the expected event",
    ),
    (
        "score",
        "score is not supported yet",
        "use several detectors and temporal",
    ),
];

/// A correlation as written.
#[derive(Debug)]
pub(in crate::engine::detector) struct Correlation {
    pub(in crate::engine::detector) at: Place,
    pub(in crate::engine::detector) rules: Option<Vec<Name>>,
    pub(in crate::engine::detector) group_by: Vec<Name>,
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
        bound: Op,
        value: f64,
        denominator_min: u64,
    },
    Spike(Spike),
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
    pub(in crate::engine::detector) field: Option<Name>,
    pub(in crate::engine::detector) rule: Option<Name>,
}

/// `aggregates[aggregate] op value`.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::detector) struct Bound {
    pub(in crate::engine::detector) aggregate: usize,
    pub(in crate::engine::detector) op: Op,
    pub(in crate::engine::detector) value: f64,
    pub(in crate::engine::detector) at: Place,
}

/// Keys that belong to some types only.
const ONLY: &[(&str, &[&str])] = &[
    ("after", &["absence"]),
    ("expect", &["absence"]),
    ("lookback", &["absence"]),
    ("numerator", &["ratio"]),
    ("denominator", &["ratio"]),
    ("denominator_min", &["ratio"]),
    ("warmup", &["spike"]),
    ("half_life", &["spike"]),
    ("aggregates", &["aggregates"]),
    (
        "condition",
        &[
            "event_count",
            "value_count",
            "value_sum",
            "value_avg",
            "aggregates",
            "ratio",
            "spike",
            "temporal",
            "temporal_ordered",
        ],
    ),
];

/// Reads a correlation; `None` if its type or a necessary part is faulty.
pub(super) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Correlation> {
    let section = Section::open(node, &keys::CORRELATION, findings)?;
    let kind_name = kind_name(&section, findings);
    let rules = section.texts("rules", findings);
    let group_by = section.texts("group-by", findings).unwrap_or_default();
    let aliases = aliases(&section, findings);
    let timespan = section.span("timespan", findings);
    if section.node("timespan").is_none() {
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
        "temporal" => temporal(&section, false, rules.as_deref(), findings),
        "temporal_ordered" => temporal(&section, true, rules.as_deref(), findings),
        "absence" => absence(&section, findings)?,
        "ratio" => ratio(&section, findings)?,
        "spike" => spike(&section, findings)?,
        "aggregates" => bounds::aggregates(&section, findings)?,
        simple => bounds::simple(&section, simple, findings)?,
    };
    if matches!(kind, Kind::Absence { .. } | Kind::Ratio { .. }) && rules.is_some() {
        let hint = "remove `rules`: the rules are named by the type's own keys";
        findings.fault_hint(section.place("rules"), "`rules` does not belong here", hint);
    }
    let timespan = timespan?;
    Some(Correlation {
        at: section.at,
        rules,
        group_by,
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

/// Temporal types fire when all rules were seen, or those of the condition: a number of different
/// rules, or an expression over their names.
fn temporal(
    section: &Section<'_>,
    ordered: bool,
    rules: Option<&[Name]>,
    findings: &mut Findings<'_>,
) -> Kind {
    let enough = section
        .node("condition")
        .and_then(|node| enough(node, findings));
    let all = rules.map_or(0, <[Name]>::len);
    if ordered
        && let Some(enough) = &enough
        && !enough.is_all(all)
    {
        findings.fault_hint(
            section.place("condition"),
            "a sequence needs all of its rules",
            "remove `condition`, or use `type: temporal`",
        );
    }
    let enough = enough.filter(|_| !ordered);
    Kind::Temporal { ordered, enough }
}

fn enough(node: &Node, findings: &mut Findings<'_>) -> Option<Enough> {
    match &node.content {
        Content::Map(entries) if entries.len() == 1 => {
            let entry = entries.first()?;
            bounds::bound(entry, 0, findings).map(Enough::Count)
        }
        Content::Scalar(text) => {
            let expr = condition::parse(&text.text, node.at, text.quoted, findings)?;
            Some(Enough::Expression(expr, node.at))
        }
        Content::Map(_) | Content::List(_) => {
            findings.fault_hint(
                node.at,
                "a temporal condition is one bound, or an expression",
                "write `condition: {gte: 2}`, or `condition: a and (b or c)`",
            );
            None
        }
    }
}

impl Enough {
    /// Whether it says no more than that all rules are needed.
    fn is_all(&self, rules: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a handful of rules")]
        let rules_all = rules as f64;
        match self {
            Self::Count(b) => matches!(b.op, Op::Gte | Op::Eq) && Op::Eq.holds(b.value, rules_all),
            Self::Expression(Expr::And(list), _) => {
                list.len() == rules && list.iter().all(|e| matches!(e, Expr::Name(..)))
            }
            Self::Expression(..) => false,
        }
    }
}

fn required(section: &Section<'_>, key: &str, findings: &mut Findings<'_>) -> Option<Name> {
    if section.node(key).is_none() {
        let hint = format!("add `{key}:` with the name of a rule or selection");
        findings.fault_hint(section.at, format!("the correlation has no `{key}`"), hint);
    }
    section.text(key, findings)
}

fn absence(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let after = required(section, "after", findings);
    let expect = required(section, "expect", findings);
    let lookback = section.span("lookback", findings).unwrap_or(Span::ZERO);
    Some(Kind::Absence {
        after: after?,
        expect: expect?,
        lookback,
    })
}

fn ratio(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let numerator = required(section, "numerator", findings);
    let denominator = required(section, "denominator", findings);
    let minimum = section.count("denominator_min", (1, u64::MAX), findings);
    if section.node("denominator_min").is_none() {
        findings.fault_hint(
            section.at,
            "the ratio has no `denominator_min`",
            "add `denominator_min: 50`: a share of few events says little",
        );
    }
    let (op, value) = bounds::one(section, findings)?;
    let (numerator, denominator) = (numerator?, denominator?);
    Some(Kind::Ratio {
        numerator,
        denominator,
        bound: op,
        value,
        denominator_min: minimum?,
    })
}

fn spike(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let [factor, count_min, tail_min] = bounds::spike(section, findings)?;
    let warmup = section.span("warmup", findings).unwrap_or(Span::hours(24));
    let half_life = section
        .span("half_life", findings)
        .unwrap_or(Span::hours(24));
    if half_life == Span::ZERO {
        findings.fault_hint(
            section.place("half_life"),
            "`half_life` is zero",
            "write `24h`",
        );
    }
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "from a count"
    )]
    let count_min = count_min as u64;
    Some(Kind::Spike(Spike {
        factor,
        count_min,
        tail_min,
        warmup,
        half_life,
    }))
}
