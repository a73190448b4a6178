//! What one leaf asks of one value: text, number, network, time part, reference.
//!
//! Owns the comparison of values of different types: a number equals the text that writes it in
//! decimal, in both directions. Never allocates, never fails: what does not compare is false.

use aho_corasick::AhoCorasick;
use regex::Regex;

use super::moment::{TimePart, time_of};
use super::net::Networks;
use super::set::LiteralSet;
use super::stack_text::StackText;
use super::text::{TextTest, alike, find_any_case};
use crate::engine::detector::plan::Op;
use crate::model::{FieldId, Value};

/// A number in a detector file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

/// How a value relates to the value of another field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    StartsWith,
    EndsWith,
    Contains,
}

/// One test of a value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// The field is missing or null.
    Null,
    /// The field is there, and null or a marker of no value.
    Blank,
    Exists(bool),
    Text(TextTest),
    Literals(LiteralSet),
    /// Any of many substrings.
    Substrings(Box<AhoCorasick>),
    Regex(Box<Regex>),
    Number(Op, Number),
    /// Any of many whole numbers, sorted.
    Numbers(Box<[i64]>),
    Bool(bool),
    Networks(Networks),
    Moment(TimePart, Op, i64),
    Other {
        field: FieldId,
        relation: Relation,
        cased: bool,
    },
}

impl Test {
    /// Whether a value that is present passes. `Null`, `Exists` and `Other` look at the event
    /// instead and are false here.
    #[inline]
    pub(super) fn holds(&self, value: Value<'_>) -> bool {
        match self {
            Self::Text(test) => match value {
                Value::Text(text) => test.holds(text),
                other => StackText::with(other, |t| test.holds(t)).unwrap_or(false),
            },
            Self::Literals(set) => StackText::with(value, |t| set.contains(t)).unwrap_or(false),
            Self::Substrings(search) => {
                StackText::with(value, |t| search.is_match(t)).unwrap_or(false)
            }
            Self::Regex(regex) => StackText::with(value, |t| regex.is_match(t)).unwrap_or(false),
            Self::Number(op, literal) => number_holds(*op, *literal, value),
            Self::Numbers(sorted) => match value {
                Value::Int(n) => sorted.binary_search(&n).is_ok(),
                Value::Text(text) => {
                    decimal(text).is_some_and(|n| sorted.binary_search(&n).is_ok())
                }
                Value::Float(f) => sorted.iter().any(|n| Op::Eq.holds(f, float(*n))),
                Value::Bool(_) | Value::Null => false,
            },
            Self::Bool(want) => match value {
                Value::Bool(b) => b == *want,
                Value::Text(text) => {
                    text.eq_ignore_ascii_case(if *want { "true" } else { "false" })
                }
                Value::Int(_) | Value::Float(_) | Value::Null => false,
            },
            Self::Networks(networks) => match value {
                Value::Text(text) => networks.contains(text),
                Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Null => false,
            },
            Self::Moment(part, op, bound) => {
                time_of(value).is_some_and(|t| op.holds(float(part.of(t)), float(*bound)))
            }
            Self::Blank => value == Value::Null,
            Self::Null | Self::Exists(_) | Self::Other { .. } => false,
        }
    }

    /// How much work the test is, for the order of a conjunction: 1 is an equality.
    pub(super) const fn cost(&self) -> u32 {
        match self {
            Self::Null | Self::Blank | Self::Exists(_) | Self::Bool(_) => 1,
            Self::Number(..) | Self::Numbers(_) => 2,
            Self::Text(TextTest::Any | TextTest::Whole { .. }) => 2,
            Self::Text(TextTest::Start { .. } | TextTest::End { .. }) => 3,
            Self::Literals(_) => 5,
            Self::Text(TextTest::Inside(_) | TextTest::InsideAnyCase(_)) => 10,
            Self::Other { .. } => 10,
            Self::Text(TextTest::Glob { .. }) => 15,
            Self::Networks(_) | Self::Moment(..) => 20,
            Self::Substrings(_) => 30,
            Self::Regex(_) | Self::Text(TextTest::Regex(_)) => 60,
        }
    }
}

/// Whether two values of one event relate; numbers and texts compare by their text form.
pub(super) fn related(a: Value<'_>, b: Value<'_>, relation: Relation, cased: bool) -> bool {
    if let (Value::Int(a), Value::Int(b), Relation::Equal) = (a, b, relation) {
        return a == b;
    }
    StackText::with(a, |a| {
        StackText::with(b, |b| {
            let (x, y) = (a.as_bytes(), b.as_bytes());
            match relation {
                Relation::Equal => alike(x, y, cased),
                Relation::StartsWith => x.get(..y.len()).is_some_and(|x| alike(x, y, cased)),
                Relation::EndsWith => x
                    .len()
                    .checked_sub(y.len())
                    .and_then(|from| x.get(from..))
                    .is_some_and(|x| alike(x, y, cased)),
                Relation::Contains if cased => memchr::memmem::find(x, y).is_some(),
                Relation::Contains => contains_any_case(x, y),
            }
        })
    })
    .flatten()
    .unwrap_or(false)
}

fn contains_any_case(haystack: &[u8], needle: &[u8]) -> bool {
    match needle.first() {
        Some(first) if first.is_ascii_uppercase() => haystack
            .windows(needle.len())
            .any(|w| w.eq_ignore_ascii_case(needle)),
        _ => find_any_case(haystack, needle),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "whole numbers beyond 2^53 compare as integers"
)]
const fn float(n: i64) -> f64 {
    n as f64
}

/// The number a text writes in plain decimal: no sign but a minus, no leading zeros.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    match digits {
        [b'0'] if digits.len() == text.len() => Some(0),
        [b'1'..=b'9', ..] => text.parse().ok(),
        _ => None,
    }
}

fn number_holds(op: Op, literal: Number, value: Value<'_>) -> bool {
    let equality = matches!(op, Op::Eq | Op::Neq);
    let value = match value {
        Value::Int(n) => Number::Int(n),
        Value::Float(n) => Number::Float(n),
        Value::Text(text) => match (decimal(text), literal) {
            (Some(n), _) => Number::Int(n),
            // `443` is not `0443`; but `2.50` orders, and equals 2.5.
            (None, Number::Int(_)) if equality => return false,
            (None, _) => match text.parse::<f64>() {
                Ok(n) if n.is_finite() => Number::Float(n),
                _ => return false,
            },
        },
        Value::Bool(_) | Value::Null => return false,
    };
    match (value, literal) {
        (Number::Int(a), Number::Int(b)) => match op {
            Op::Gt => a > b,
            Op::Gte => a >= b,
            Op::Lt => a < b,
            Op::Lte => a <= b,
            Op::Eq => a == b,
            Op::Neq => a != b,
        },
        (Number::Int(a), Number::Float(b)) => op.holds(float(a), b),
        (Number::Float(a), Number::Int(b)) => op.holds(a, float(b)),
        (Number::Float(a), Number::Float(b)) => op.holds(a, b),
    }
}
