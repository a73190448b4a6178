//! One leaf of a condition: where its values come from, the test, and how it reads in messages.
//!
//! Owns the making of leaves from typed matches (`Match`), where many literals become one set
//! test. A leaf over a list of values holds if any of them passes.

use aho_corasick::AhoCorasick;
use regex::RegexBuilder;

use super::REGEX_BYTES_MAX;
use super::describe::{SHOW_ALL, describe};
use super::dialect;
use super::moment::TimePart;
use super::net::{self, Networks};
use super::set::{LiteralSet, Part};
use super::test::{Number, Relation, Test, related};
use super::text::{Pattern, Shape, TextTest, quoted};
use crate::engine::detector::plan::Op;
use crate::model::field::{EVENT_KIND, EVENT_SCHEMA, TIME};
use crate::model::{Event, FieldId, Value};

/// What is said of a regex beyond `REGEX_BYTES_MAX`.
pub(in crate::engine::detector) const TOO_LARGE: &str =
    "the regex needs more than 1 MiB once compiled";
/// From this many literals on, one set test replaces a chain of tests.
const SET_MIN: usize = 4;

/// More patterns than this are not searched together with those of other conditions.
const PARTS_MAX: usize = 256;

/// Where a leaf's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Field(FieldId, String),
    /// Where the event comes from: its schema, or what this field (a label) names.
    Product(FieldId),
    /// Every text of the event: Sigma's keyword search.
    AnyText,
}

/// What a file asks of a field, before it is compiled.
#[derive(Clone, Debug)]
pub(crate) enum Match {
    Null,
    /// There, and a marker of no value (`-`, an empty text): sources write them differently.
    Blank,
    Exists(bool),
    Texts(Texts),
    Regex {
        source: String,
        flags: String,
    },
    Number(Op, Number),
    /// Any of these whole numbers.
    Numbers(Vec<i64>),
    Bool(bool),
    Networks(Vec<String>),
    Moment(TimePart, Op, i64),
    Other {
        field: FieldId,
        name: String,
        relation: Relation,
        cased: bool,
    },
}

/// Patterns of which any one must match.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) cased: bool,
}

/// A test on the values of one field.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    target: Target,
    test: Test,
    /// Tells leaves apart.
    identity: Box<str>,
    /// What messages show: the identity, cut.
    shown: Box<str>,
    /// The whole values that pass, where only such do.
    exact: Option<Box<[String]>>,
    /// Literals of which a value that passes must contain one, in lower case.
    parts: Option<Box<[String]>>,
}

impl Leaf {
    /// Compiles one match; the error says what is wrong with its values.
    pub(crate) fn new(target: Target, wanted: &Match) -> Result<Self, String> {
        let name = match &target {
            Target::Field(_, name) => name.as_str(),
            Target::Product(_) => "product",
            Target::AnyText => "any text",
        };
        let identity = format!("{name} {}", describe(wanted, SHOW_ALL));
        let shown = format!("{name} {}", describe(wanted, 5));
        let exact = match (&target, wanted) {
            (Target::Field(TIME, _) | Target::AnyText, _) => None,
            (Target::Field(..) | Target::Product(_), Match::Texts(texts)) => exact(texts),
            (Target::Field(..), Match::Number(Op::Eq, Number::Int(n))) => exact_numbers(&[*n]),
            (Target::Field(..), Match::Numbers(list)) => exact_numbers(list),
            (Target::Field(..), Match::Bool(value)) => Some([value.to_string()].into()),
            _ => None,
        };
        let parts = match (&target, wanted) {
            (Target::Field(EVENT_KIND | EVENT_SCHEMA | TIME, _), _) => None,
            (Target::Field(..), Match::Texts(texts)) => parts(texts),
            _ => None,
        };
        let test = test(wanted)?;
        Ok(Self {
            target,
            test,
            identity: identity.into(),
            shown: shown.into(),
            exact,
            parts,
        })
    }

    #[inline]
    pub(super) fn holds(&self, event: &Event) -> bool {
        match &self.target {
            Target::AnyText => event.searchable().any(|value| self.test.holds(value)),
            Target::Product(label) => {
                self.test.holds(Value::Text(event.schema))
                    || event.values(*label).any(|value| self.test.holds(value))
            }
            Target::Field(EVENT_SCHEMA, _) if !event.schema.is_empty() => self
                .presence(true)
                .unwrap_or_else(|| self.test.holds(Value::Text(event.schema))),
            Target::Field(TIME, _) => match (&self.test, self.presence(true)) {
                (_, Some(present)) => present,
                (Test::Moment(part, op, bound), None) => {
                    op.holds(whole(part.of(event.time)), whole(*bound))
                }
                (other, None) => other.holds(Value::Int(event.time.0)),
            },
            Target::Field(id, _) => match &self.test {
                Test::Null => matches!(event.get(*id), None | Some(Value::Null)),
                Test::Exists(wanted) => event.get(*id).is_some() == *wanted,
                Test::Other {
                    field,
                    relation,
                    cased,
                } => event.values(*id).any(|a| {
                    event
                        .values(*field)
                        .any(|b| related(a, b, *relation, *cased))
                }),
                test => event.values(*id).any(|value| test.holds(value)),
            },
        }
    }

    /// Whether a field with this text alone passes.
    pub(crate) fn passes(&self, text: &str) -> bool {
        self.test.holds(Value::Text(text))
    }

    /// The answer to `null` and `exists` on a field that is always there.
    const fn presence(&self, there: bool) -> Option<bool> {
        match self.test {
            Test::Null => Some(!there),
            Test::Exists(wanted) => Some(wanted == there),
            _ => None,
        }
    }

    pub(super) const fn cost(&self) -> u32 {
        match self.target {
            Target::Field(EVENT_KIND, _) | Target::Product(_) => 0,
            Target::Field(..) => self.test.cost(),
            Target::AnyText => self.test.cost() * 20,
        }
    }

    /// The field and its only values that pass, as texts in lower case.
    pub(super) fn exact(&self) -> Option<(FieldId, &[String])> {
        match &self.target {
            Target::Field(field, _) => Some((*field, self.exact.as_deref()?)),
            Target::Product(_) => Some((EVENT_SCHEMA, self.exact.as_deref()?)),
            Target::AnyText => None,
        }
    }

    /// The field and literals of which a value that passes must contain one.
    pub(super) fn parts(&self) -> Option<(FieldId, &[String])> {
        match &self.target {
            Target::Field(field, _) => Some((*field, self.parts.as_deref()?)),
            Target::Product(_) | Target::AnyText => None,
        }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = FieldId> {
        let own = match &self.target {
            Target::Field(id, _) | Target::Product(id) => Some(*id),
            Target::AnyText => None,
        };
        let other = match &self.test {
            Test::Other { field, .. } => Some(*field),
            _ => None,
        };
        own.into_iter().chain(other)
    }

    pub(super) const fn reads_all_text(&self) -> bool {
        matches!(self.target, Target::AnyText)
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// What the event has where this leaf looks, for messages.
    pub(super) fn found(&self, event: &Event) -> String {
        let id = match &self.target {
            Target::AnyText => return "no text of the event has it".to_owned(),
            Target::Product(label) => match event.get(*label) {
                Some(value) => return format!("event has {}", show(value)),
                None => return format!("event has {}", quoted(event.schema)),
            },
            Target::Field(EVENT_SCHEMA, _) if !event.schema.is_empty() => {
                return format!("event has {}", quoted(event.schema));
            }
            Target::Field(TIME, _) => return format!("event has {}", event.time),
            Target::Field(id, _) => *id,
        };
        let shown: Vec<String> = event.values(id).take(4).map(show).collect();
        let found = match shown.as_slice() {
            [] => "the event has no such field".to_owned(),
            [one] => format!("event has {one}"),
            many => format!("event has {}", many.join(", ")),
        };
        match &self.test {
            Test::Other { field, .. } => {
                let other = event.get(*field).map_or_else(|| "nothing".to_owned(), show);
                format!("{found} and {other}")
            }
            _ => found,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "parts of a time are small")]
const fn whole(n: i64) -> f64 {
    n as f64
}

fn show(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Int(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Null => "null".to_owned(),
    }
}

/// The values as texts, if each is written in one way only: not 0 (-0), not beyond 2^53.
fn exact_numbers(list: &[i64]) -> Option<Box<[String]>> {
    let one_text = |n: &i64| (1..=1 << 53).contains(&n.unsigned_abs());
    list.iter()
        .map(|n| one_text(n).then(|| n.to_string()))
        .collect()
}

/// The values, if all of them are whole texts whose case folds over ASCII only.
fn exact(texts: &Texts) -> Option<Box<[String]>> {
    texts
        .patterns
        .iter()
        .map(|p| {
            p.plain()
                .filter(|t| t.is_ascii())
                .map(str::to_ascii_lowercase)
        })
        .collect()
}

/// A literal of each pattern, if all of them have one that is long enough and folds over ASCII only.
fn parts(texts: &Texts) -> Option<Box<[String]>> {
    if texts.patterns.len() > PARTS_MAX {
        return None;
    }
    let part = |p: &Pattern| Some(p.part(texts.cased)?.to_ascii_lowercase());
    texts.patterns.iter().map(part).collect()
}

fn test(wanted: &Match) -> Result<Test, String> {
    Ok(match wanted {
        Match::Null => Test::Null,
        Match::Blank => Test::Blank,
        Match::Exists(there) => Test::Exists(*there),
        Match::Texts(texts) => text_test(texts)?,
        Match::Regex { source, flags } => {
            let regex = RegexBuilder::new(&dialect::ascii_classes(source))
                .case_insensitive(flags.contains('i'))
                .multi_line(flags.contains('m'))
                .dot_matches_new_line(flags.contains('s'))
                .size_limit(REGEX_BYTES_MAX)
                .dfa_size_limit(REGEX_BYTES_MAX)
                .nest_limit(64)
                .build();
            match regex {
                Ok(regex) => Test::Regex(Box::new(regex)),
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err(TOO_LARGE.to_owned());
                }
                Err(error) => return Err(regex_message(&error)),
            }
        }
        Match::Number(op, number) => Test::Number(*op, *number),
        Match::Numbers(numbers) => {
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            sorted.dedup();
            Test::Numbers(sorted.into_boxed_slice())
        }
        Match::Bool(value) => Test::Bool(*value),
        Match::Networks(list) => {
            let parsed = list
                .iter()
                .map(|text| net::parse(text).map_err(|why| format!("{}: {why}", quoted(text))));
            Test::Networks(Networks::new(parsed.collect::<Result<Vec<_>, _>>()?))
        }
        Match::Moment(part, op, bound) => Test::Moment(*part, *op, *bound),
        Match::Other {
            field,
            relation,
            cased,
            ..
        } => Test::Other {
            field: *field,
            relation: *relation,
            cased: *cased,
        },
    })
}

/// The last line of a regex error says what is wrong; the ones before draw it.
fn regex_message(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let reason = last.strip_prefix("error: ").unwrap_or(last);
    format!("not a regex: {reason}")
}

fn text_test(texts: &Texts) -> Result<Test, String> {
    let too_large = || "the pattern is too large".to_owned();
    if let [one] = texts.patterns.as_slice() {
        return TextTest::new(one, texts.cased)
            .map(Test::Text)
            .ok_or_else(too_large);
    }
    // The caller groups patterns of one shape; ASCII only unless case matters.
    let literals = || {
        texts.patterns.iter().filter_map(|p| match p.shape() {
            Shape::Whole(t) | Shape::Start(t) | Shape::End(t) | Shape::Inside(t) => Some(t),
            Shape::Any | Shape::Other => None,
        })
    };
    let set = |part| {
        let all = literals().map(str::to_owned);
        Ok(Test::Literals(LiteralSet::new(part, texts.cased, all)))
    };
    match texts.patterns.first().map(Pattern::shape) {
        Some(Shape::Whole(_)) => set(Part::Whole),
        Some(Shape::Start(_)) => set(Part::Start),
        Some(Shape::End(_)) => set(Part::End),
        _ => AhoCorasick::builder()
            .ascii_case_insensitive(!texts.cased)
            .build(literals())
            .map(|search| Test::Substrings(Box::new(search)))
            .map_err(|_| too_large()),
    }
}

impl Texts {
    /// Splits into groups that each become one leaf: sets of one shape, or single patterns.
    pub(crate) fn grouped(self) -> Vec<Self> {
        let Self { patterns, cased } = self;
        let mut groups: [Vec<Pattern>; 4] = Default::default();
        let mut single = Vec::new();
        for pattern in patterns {
            let i = match pattern.shape() {
                Shape::Whole(t) if cased || t.is_ascii() => 0,
                Shape::Start(t) if cased || t.is_ascii() => 1,
                Shape::End(t) if cased || t.is_ascii() => 2,
                Shape::Inside(t) if cased || t.is_ascii() => 3,
                _ => 4,
            };
            match groups.get_mut(i) {
                Some(group) => group.push(pattern),
                None => single.push(pattern),
            }
        }
        let mut out = Vec::new();
        for (i, group) in groups.into_iter().enumerate() {
            // Whole values stay together even when few: one leaf names them all.
            if group.len() >= SET_MIN || i == 0 && !group.is_empty() {
                out.push(Self {
                    patterns: group,
                    cased,
                });
            } else {
                single.extend(group);
            }
        }
        out.extend(single.into_iter().map(|p| Self {
            patterns: vec![p],
            cased,
        }));
        out
    }
}
