//! What belongs to each correlation type with keys of its own.
//!
//! Owns the defaults of these keys and the faults one of them alone can show.

use super::{Baseline, Kind, bounds, expected};
use crate::engine::detector::diagnostic::Findings;
use crate::engine::detector::keys;
use crate::engine::detector::plan::{Burst, NewValue, Op, Quiet, Score, Spike};
use crate::engine::detector::section::{Name, Section, shown};
use crate::engine::detector::yaml::{Content, Node, ScalarKind};
use crate::model::Span;

/// Values of one key that a `new_value` remembers: unless it says so, and at most.
const VALUES: u64 = 64;
const VALUES_MAX: u64 = 32_768;

fn required(section: &Section<'_>, key: &str, findings: &mut Findings<'_>) -> Option<Name> {
    if section.node(key).is_none() {
        let hint = format!("add `{key}:` with the name of a rule or selection");
        findings.fault_hint(section.at, format!("the correlation has no `{key}`"), hint);
    }
    section.text(key, findings)
}

pub(super) fn absence(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let after = required(section, "after", findings);
    let expect = required(section, "expect", findings);
    let lookback = section.span("lookback", findings).unwrap_or(Span::ZERO);
    Some(Kind::Absence {
        after: after?,
        expect: expect?,
        lookback,
    })
}

pub(super) fn ratio(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
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
    let baseline = section.node("baseline");
    let bound = match section.node("condition") {
        None if baseline.is_some() => None,
        _ => Some(bounds::one(section, findings)?),
    };
    let baseline = match baseline {
        Some(node) => Some(self::baseline(node, findings)?),
        None => None,
    };
    let (numerator, denominator) = (numerator?, denominator?);
    Some(Kind::Ratio {
        numerator,
        denominator,
        denominator_min: minimum?,
        bound,
        baseline,
    })
}

/// `{gte: 3}` or `{lte: 0.25}`, and how the past is learnt.
fn baseline(node: &Node, findings: &mut Findings<'_>) -> Option<Baseline> {
    let section = Section::open(node, &keys::BASELINE, findings)?;
    let ops = [
        (Op::Gt, "gt"),
        (Op::Gte, "gte"),
        (Op::Lt, "lt"),
        (Op::Lte, "lte"),
    ];
    let mut times = ops
        .into_iter()
        .filter_map(|(op, key)| Some((op, section.node(key)?)))
        .filter_map(|(op, node)| Some((op, bounds::number(node, op.name(), findings)?)));
    let (first, second) = (times.next(), times.next());
    drop(times);
    let Some((op, value)) = first.filter(|(_, v)| second.is_none() && *v > 0.0) else {
        let message = "a baseline has one bound above 0";
        let hint = "write `gte: 3` for three times its past, or `lte: 0.25` for a quarter of it";
        findings.fault_hint(section.at, message, hint);
        return None;
    };
    if matches!(op, Op::Gt | Op::Gte) == (value < 1.0) {
        let hint = "its past is 1: write more for a rise (gte), less for a fall (lte)";
        findings.lint(section.at, "the past itself meets this bound", hint);
    }
    let (warmup, half_life) = memory(&section, findings);
    Some(Baseline {
        times: (op, value),
        warmup,
        half_life,
    })
}

/// `warmup` and `half_life` of what is learnt; a day each, unless said.
fn memory(section: &Section<'_>, findings: &mut Findings<'_>) -> (Span, Span) {
    let warmup = section.span("warmup", findings).unwrap_or(Span::hours(24));
    let half_life = section.span("half_life", findings);
    if half_life == Some(Span::ZERO) {
        findings.fault_hint(
            section.place("half_life"),
            "`half_life` is zero",
            "write `24h`",
        );
    }
    (warmup, half_life.unwrap_or(Span::hours(24)))
}

pub(super) fn spike(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let [factor, count_min, tail_min] = bounds::spike(section, findings)?;
    let (warmup, half_life) = memory(section, findings);
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "from a count"
    )]
    let count_min = count_min as u64;
    let fields = section
        .node("field")
        .map_or_else(Vec::new, |node| bounds::some_fields(node, findings));
    let group_by = section.texts("group-by", findings).unwrap_or_default();
    let expected = expected::list(section, &group_by, findings);
    let spike = Spike {
        fields: Vec::new(),
        expected,
        factor,
        count_min,
        tail_min,
        warmup,
        half_life,
    };
    Some(Kind::Spike(fields, spike))
}

pub(super) fn new_value(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let Some(node) = section.node("field") else {
        let hint = "add `field:` with the field whose new values matter";
        findings.fault_hint(section.at, "the correlation has no `field`", hint);
        return None;
    };
    let fields = bounds::some_fields(node, findings);
    let warmup = section.span("warmup", findings).unwrap_or(Span::ZERO);
    let known_min = section.count("known_min", (1, u64::from(u32::MAX)), findings);
    let one_group = section
        .texts("group-by", findings)
        .is_none_or(|g| g.is_empty());
    if one_group && section.node("warmup").is_none() {
        let hint = "add `warmup: 7d`: what is seen in that time is known from then on";
        let message = "without `warmup` almost every value is new at first";
        findings.lint(section.at, message, hint);
    }
    let usual = if one_group { VALUES_MAX } else { VALUES };
    let values_max = section.count("values_max", (2, VALUES_MAX), findings);
    let burst = burst(section, findings);
    Some(Kind::NewValue(
        fields,
        section.text("learn", findings),
        NewValue {
            fields: Vec::new(),
            warmup,
            known_min: known_min.unwrap_or(1),
            values_max: usize::try_from(values_max.unwrap_or(usual)).unwrap_or(2),
            burst,
        },
    ))
}

/// `count_min` and `within`, which make no sense alone.
fn burst(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Burst> {
    let count = section.count("count_min", (2, u64::from(u32::MAX)), findings);
    let within = section.span("within", findings);
    for (key, other) in [("count_min", "within"), ("within", "count_min")] {
        if section.node(key).is_some() && section.node(other).is_none() {
            let message = format!("`{key}` without `{other}`");
            let hint = "say both: `count_min: 100` and `within: 10m`";
            findings.fault_hint(section.place(key), message, hint);
        }
    }
    Some(Burst {
        count_min: count?,
        within: within?,
    })
}

/// Events a stream may need to be expected: their times are kept.
const COUNT_MAX: u64 = 1024;

/// Evidence one score may be made of.
const EVIDENCE_MAX: usize = 32;

pub(super) fn score(
    section: &Section<'_>,
    timespan: Option<Span>,
    findings: &mut Findings<'_>,
) -> Option<Kind> {
    let (mut names, weights) = weights(section, findings)?;
    let after = section.text("after", findings);
    let half_life = section.span("half_life", findings);
    if half_life == Some(Span::ZERO) {
        let hint = "write `6h`, or leave it out: then evidence keeps its weight";
        findings.fault_hint(section.place("half_life"), "`half_life` is zero", hint);
    }
    let once = section.span("once", findings).or(timespan)?;
    let (op, value) = bounds::one(section, findings)?;
    if !matches!(op, Op::Gt | Op::Gte) || value <= 0.0 {
        let hint = "write `condition: {gte: 70}`";
        let message = "a score has a lower bound above 0";
        findings.fault_hint(section.place("condition"), message, hint);
        return None;
    }
    if half_life.is_none() && once.0 >= timespan?.0 && weights.iter().sum::<f64>() < value {
        let message = "all evidence together does not reach this bound";
        let hint = "lower the bound, raise a weight, or let evidence count more than `once`";
        findings.lint(section.place("condition"), message, hint);
    }
    let is_after = after.is_some();
    names.splice(0..0, after);
    Some(Kind::Score(
        names,
        Score {
            weights,
            after: is_after,
            half_life,
            once,
            op,
            value,
        },
    ))
}

/// `weights: {NAME: NUMBER}`.
fn weights(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<(Vec<Name>, Vec<f64>)> {
    let hint = "write `weights: {new-device: 30, new-country: 40}`";
    let Some(node) = section.node("weights") else {
        findings.fault_hint(section.at, "the score has no `weights`", hint);
        return None;
    };
    let entries = match &node.content {
        Content::Map(entries) if (1..=EVIDENCE_MAX).contains(&entries.len()) => entries,
        _ => {
            let message = format!("`weights` must be a map of 1 to {EVIDENCE_MAX} names");
            findings.fault_hint(node.at, message, hint);
            return None;
        }
    };
    let (mut names, mut weights) = (Vec::new(), Vec::new());
    for entry in entries {
        #[expect(
            clippy::cast_precision_loss,
            reason = "weights beyond 2^53 have no meaning"
        )]
        let weight = match entry.value.scalar().map(|s| s.kind) {
            Some(ScalarKind::Int(n)) => Some(n as f64),
            Some(ScalarKind::Float(n)) => Some(n),
            _ => None,
        };
        let Some(weight) = weight.filter(|w| *w > 0.0 && w.is_finite()) else {
            let message = format!(
                "a weight must be a number above 0, found {}",
                shown(&entry.value)
            );
            findings.fault_hint(entry.value.at, message, hint);
            continue;
        };
        weights.push(weight);
        names.push(Name {
            text: entry.key.clone(),
            at: entry.at,
        });
    }
    Some((names, weights))
}

pub(super) fn quiet(section: &Section<'_>, findings: &mut Findings<'_>) -> Quiet {
    let count_min = section.count("count_min", (1, COUNT_MAX), findings);
    let warmup = section.span("warmup", findings);
    if warmup == Some(Span::ZERO) {
        let hint = "write `warmup: 1h`: the stream must have been there to be missed";
        findings.fault_hint(section.place("warmup"), "`warmup` is zero", hint);
    }
    Quiet {
        count_min: count_min.unwrap_or(10),
        warmup: warmup.unwrap_or(Span::hours(1)),
    }
}

/// Steps one chain of obligations may have.
const STEPS_MAX: usize = 16;

/// `steps: [{rule: a}, {rule: b, within: 2m}]`.
pub(super) fn obligations(section: &Section<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let hint = "write `steps: [{rule: asked}, {rule: issued, within: 2m}]`";
    let items = match section.node("steps").map(|n| &n.content) {
        Some(Content::List(items)) if (2..=STEPS_MAX).contains(&items.len()) => items,
        _ => {
            let message = format!("obligations need a list of 2 to {STEPS_MAX} `steps`");
            findings.fault_hint(section.place("steps"), message, hint);
            return None;
        }
    };
    let (mut names, mut within) = (Vec::new(), Vec::new());
    for (i, item) in items.iter().enumerate() {
        let step = Section::open(item, &keys::STEP, findings)?;
        names.extend(required(&step, "rule", findings));
        let span = step.span("within", findings);
        match (i, span) {
            (0, None) => {}
            (0, Some(_)) => {
                let message = "the first step follows nothing, so it has no `within`";
                findings.fault_hint(step.place("within"), message, hint);
            }
            (_, Some(span)) if span > Span::ZERO => within.push(span),
            _ => findings.fault_hint(step.at, "the step does not say `within` what time", hint),
        }
    }
    let whole = names.len() == items.len() && within.len() + 1 == items.len();
    whole.then_some(Kind::Obligations(names, within))
}
