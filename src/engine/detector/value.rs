//! The values of one `field|modifier: value` item and what its modifiers make of them.
//!
//! Owns the meaning of every Sigma 2.1 modifier and which of them go together. Produces leaves;
//! reports values that do not fit their modifiers at their own place.

mod encode;
mod modifiers;

pub(super) use modifiers::NAMES as MODIFIERS;

use std::collections::BTreeMap;

use super::diagnostic::{Findings, Place};
use super::plan::Op;
use super::predicate::test::{Number, Relation};
use super::predicate::text::{Pattern, Token};
use super::predicate::{Leaf, Match, TOO_LARGE, Target, Texts, Tree};
use super::yaml::{Content, Node, Scalar, ScalarKind};
use crate::model::Fields;
use crate::model::event::is_missing;
use modifiers::{Modifiers, Part};

/// Longer regexes are refused (DESIGN.md: bounded).
const REGEX_PATTERN_MAX: usize = 1024;
/// Ways to write any character in a regex.
const ANYTHING: [&str; 5] = [".", "[\\s\\S]", "[\\S\\s]", "[\\w\\W]", "[\\d\\D]"];
/// Texts with nothing in common: a regex that finds itself in all of them asks for nothing.
const UNLIKE: [&str; 5] = ["a", "7", " ", "-", "\u{e9}"];
/// How many values placeholders of one value may expand to.
const EXPANDED_MAX: usize = 100_000;

/// What the reading of selections needs to know and to enter.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) fields: &'a mut Fields,
    /// Value lists for `expand`, by name.
    pub(super) lists: &'a BTreeMap<String, Vec<String>>,
    /// Whether names are canonical ones (not raw paths of another schema).
    pub(super) canonical: bool,
}

/// Compiles one item: its values joined by OR, or by AND with `|all`.
pub(super) fn item(
    target: Target,
    names: &[(String, Place)],
    at: Place,
    values: &[Node],
    scope: &mut Scope<'_>,
    findings: &mut Findings<'_>,
) -> Tree {
    let Some(modifiers) = modifiers::read(names, findings) else {
        return Tree::Const(false);
    };
    if modifiers.all && values.len() == 1 {
        findings.lint(at, "`|all` on a single value does nothing", "remove `|all`");
    }
    let mut builder = Builder {
        target,
        modifiers: &modifiers,
        scope,
        findings,
        texts: Vec::new(),
        numbers: Vec::new(),
    };
    let mut trees = Vec::new();
    for node in values {
        let Content::Scalar(scalar) = &node.content else {
            let message = format!("a value cannot be {}", node.word());
            builder
                .findings
                .fault_hint(node.at, message, "write a text, number, bool or null");
            continue;
        };
        let tree = builder.value(scalar, node.at);
        if modifiers.all {
            // Each value stands for itself: its expansions are alternatives.
            let mut any = builder.flush(node.at);
            any.extend(tree);
            trees.push(Tree::Or(any));
        } else {
            trees.extend(tree);
        }
    }
    trees.extend(builder.flush(at));
    let joined = if modifiers.all {
        Tree::And(trees)
    } else {
        Tree::Or(trees)
    };
    if modifiers.neq {
        Tree::Not(Box::new(joined))
    } else {
        joined
    }
}

struct Builder<'b, 's, 'f> {
    target: Target,
    modifiers: &'b Modifiers,
    scope: &'b mut Scope<'s>,
    findings: &'b mut Findings<'f>,
    /// Plain patterns and whole numbers wait here, to become one set test.
    texts: Vec<Pattern>,
    numbers: Vec<i64>,
}

impl Builder<'_, '_, '_> {
    fn leaf(&mut self, wanted: &Match, at: Place) -> Tree {
        match Leaf::new(self.target.clone(), wanted) {
            Ok(leaf) => Tree::Leaf(Box::new(leaf)),
            Err(message) => {
                let hint = match wanted {
                    Match::Networks(_) => "write a network like `10.0.0.0/8` or `2001:db8::/32`",
                    Match::Regex { .. } => regex_hint(&message),
                    _ => "shorten it",
                };
                self.findings.fault_hint(at, message, hint);
                Tree::Const(false)
            }
        }
    }

    /// The waiting patterns and numbers as leaves.
    fn flush(&mut self, at: Place) -> Vec<Tree> {
        let patterns = std::mem::take(&mut self.texts);
        let numbers = std::mem::take(&mut self.numbers);
        let mut out = Vec::new();
        match numbers.as_slice() {
            [] => {}
            [one] => out.push(self.leaf(&Match::Number(Op::Eq, Number::Int(*one)), at)),
            _ => out.push(self.leaf(&Match::Numbers(numbers), at)),
        }
        for texts in (Texts {
            patterns,
            cased: self.modifiers.cased,
        })
        .grouped()
        {
            out.push(self.leaf(&Match::Texts(texts), at));
        }
        out
    }

    /// Reads one value; `None` if it waits for `flush` or was faulty.
    fn value(&mut self, scalar: &Scalar, at: Place) -> Option<Tree> {
        let m = self.modifiers;
        if m.exists {
            return self.exists(scalar, at);
        }
        if m.compare.is_some() || m.part.is_some() {
            return self.compare(scalar, at);
        }
        if m.fieldref {
            return self.fieldref(scalar, at);
        }
        if m.cidr {
            return self.cidr(scalar, at);
        }
        if m.regex {
            return self.regex(scalar, at);
        }
        let texty = m.part_of_text.is_some() || m.windash || m.expand || !m.encodings.is_empty();
        match scalar.kind {
            ScalarKind::Null if texty || self.target == Target::AnyText => {
                self.findings
                    .fault_hint(at, "null does not fit here", "write a text");
                None
            }
            ScalarKind::Null => Some(self.leaf(&Match::Null, at)),
            ScalarKind::Int(n) if !texty && self.target != Target::AnyText => {
                self.numbers.push(n);
                None
            }
            ScalarKind::Float(n) if !texty && self.target != Target::AnyText => {
                Some(self.leaf(&Match::Number(Op::Eq, Number::Float(n)), at))
            }
            ScalarKind::Bool(b) if !texty && self.target != Target::AnyText => {
                Some(self.leaf(&Match::Bool(b), at))
            }
            _ => {
                self.text(&scalar.text, at);
                // What stands for no value is one and the same by the time an event is read.
                let blank = !texty && self.target != Target::AnyText && is_missing(&scalar.text);
                blank.then(|| self.leaf(&Match::Blank, at))
            }
        }
    }

    fn text(&mut self, text: &str, at: Place) {
        let m = self.modifiers;
        let mut patterns = vec![Pattern::sigma(text)];
        if m.expand {
            match self.expand(text, at) {
                Some(expanded) => patterns = expanded,
                None => return,
            }
        }
        if m.windash {
            patterns = patterns.into_iter().map(Pattern::any_dash).collect();
        }
        if !m.encodings.is_empty() {
            let mut encoded = Vec::new();
            for pattern in &patterns {
                match encode::encode(pattern, &m.encodings) {
                    Ok(texts) => encoded.extend(texts),
                    Err((message, hint)) => {
                        self.findings.fault_hint(at, message, hint);
                        return;
                    }
                }
            }
            patterns = encoded;
        }
        let (before, behind) = match (m.part_of_text, &self.target) {
            (Some(Part::Inside), _) | (None, Target::AnyText) => (true, true),
            (Some(Part::Start), _) => (false, true),
            (Some(Part::End), _) => (true, false),
            (None, Target::Field(..) | Target::Product(_)) => (false, false),
        };
        for pattern in patterns {
            let had_wildcard = pattern.0.contains(&Token::Many);
            let open = pattern.open(before, behind);
            if open.0 == [Token::Many] {
                let empty = !had_wildcard;
                self.findings.lint(
                    at,
                    if empty {
                        "an empty text is found everywhere"
                    } else {
                        "`*` alone matches every value"
                    },
                    "use `|exists: true`, or say which values",
                );
            }
            self.texts.push(open);
        }
    }

    /// Replaces each `%name%` by the values of that list.
    fn expand(&mut self, text: &str, at: Place) -> Option<Vec<Pattern>> {
        let mut results = vec![String::new()];
        let mut rest = text;
        let mut used = false;
        while let Some((before, after)) = rest.split_once('%') {
            if let Some(before) = before.strip_suffix('\\') {
                append(&mut results, &format!("{before}%"));
                rest = after;
                continue;
            }
            append(&mut results, before);
            let Some((name, behind)) = after.split_once('%') else {
                append(&mut results, "%");
                rest = after;
                continue;
            };
            rest = behind;
            used = true;
            let Some(values) = self.scope.lists.get(name) else {
                let known = self.scope.lists.keys().map(String::as_str);
                let hint = super::diagnostic::nearest(name, known).map_or_else(
                    || format!("define a list called `{name}`, or remove `|expand`"),
                    |near| format!("did you mean `%{near}%`?"),
                );
                self.findings
                    .fault_hint(at, format!("there is no value list `{name}`"), hint);
                return None;
            };
            if results.len().saturating_mul(values.len()) > EXPANDED_MAX {
                self.findings.fault(
                    at,
                    format!("this expands to more than {EXPANDED_MAX} values"),
                );
                return None;
            }
            results = results
                .iter()
                .flat_map(|prefix| values.iter().map(move |v| format!("{prefix}{v}")))
                .collect();
        }
        append(&mut results, rest);
        if !used {
            let hint = "write a placeholder like `%admins%`, or remove `|expand`";
            self.findings
                .lint(at, "`|expand` without a placeholder does nothing", hint);
        }
        Some(results.iter().map(|t| Pattern::sigma(t)).collect())
    }

    fn exists(&mut self, scalar: &Scalar, at: Place) -> Option<Tree> {
        let ScalarKind::Bool(there) = scalar.kind else {
            let hint = "write `true` or `false`";
            self.findings
                .fault_hint(at, "`|exists` takes true or false", hint);
            return None;
        };
        Some(self.leaf(&Match::Exists(there), at))
    }

    fn compare(&mut self, scalar: &Scalar, at: Place) -> Option<Tree> {
        let op = self.modifiers.compare.unwrap_or(Op::Eq);
        let number = match scalar.kind {
            ScalarKind::Int(n) => Number::Int(n),
            ScalarKind::Float(n) => Number::Float(n),
            _ => match scalar.text.parse::<i64>() {
                Ok(n) => Number::Int(n),
                Err(_) => {
                    let message = format!("`{}` is not a number", scalar.text);
                    let hint = "comparisons and time parts take a number";
                    self.findings.fault_hint(at, message, hint);
                    return None;
                }
            },
        };
        let Some(part) = self.modifiers.part else {
            return Some(self.leaf(&Match::Number(op, number), at));
        };
        let (low, high) = part.range();
        match number {
            Number::Int(n) if (low..=high).contains(&n) => {
                Some(self.leaf(&Match::Moment(part, op, n), at))
            }
            Number::Int(_) | Number::Float(_) => {
                let message = format!("`{}` is outside {low} to {high}", scalar.text);
                self.findings
                    .fault_hint(at, message, "times are compared in UTC");
                None
            }
        }
    }

    fn fieldref(&mut self, scalar: &Scalar, at: Place) -> Option<Tree> {
        if scalar.text.is_empty() || scalar.text.contains('*') {
            let hint = "write the other field's name";
            self.findings
                .fault_hint(at, "`|fieldref` takes a field name", hint);
            return None;
        }
        let target = super::selection::field(&scalar.text, at, self.scope, self.findings)?;
        let Target::Field(field, name) = target else {
            return None;
        };
        let relation = match self.modifiers.part_of_text {
            None => Relation::Equal,
            Some(Part::Inside) => Relation::Contains,
            Some(Part::Start) => Relation::StartsWith,
            Some(Part::End) => Relation::EndsWith,
        };
        let cased = self.modifiers.cased;
        Some(self.leaf(
            &Match::Other {
                field,
                name,
                relation,
                cased,
            },
            at,
        ))
    }

    fn cidr(&mut self, scalar: &Scalar, at: Place) -> Option<Tree> {
        let mut networks = vec![scalar.text.clone()];
        if self.modifiers.expand {
            let expanded = self.expand(&scalar.text, at)?;
            networks = expanded.iter().map(Pattern::written).collect();
        }
        Some(self.leaf(&Match::Networks(networks), at))
    }

    fn regex(&mut self, scalar: &Scalar, at: Place) -> Option<Tree> {
        let source = scalar.text.clone();
        if source.len() > REGEX_PATTERN_MAX {
            let message = format!("the regex is longer than {REGEX_PATTERN_MAX} bytes");
            self.findings
                .fault_hint(at, message, "split it into several values");
            return None;
        }
        if searches_much(&source) {
            self.findings.lint(
                at,
                "a regex with much `.*` is slow and matches more than meant",
                "a regex is searched anywhere: leave out `.*` at its ends, or use `|contains|all`",
            );
        }
        let flags = self.modifiers.flags.clone();
        let leaf = self.leaf(&Match::Regex { source, flags }, at);
        if matches!(&leaf, Tree::Leaf(leaf) if leaf.passes("")) {
            self.findings.lint(
                at,
                "the regex matches an empty text, so it is found in every value",
                "ask for at least one character, or use `|exists: true`",
            );
        } else if matches!(&leaf, Tree::Leaf(leaf) if UNLIKE.iter().all(|t| leaf.passes(t))) {
            self.findings.lint(
                at,
                "the regex is found in every value that is not empty",
                "say which values, or use `|exists: true`",
            );
        }
        Some(leaf)
    }
}

/// Whether a regex takes in anything at its ends, or three times.
fn searches_much(source: &str) -> bool {
    // Flags in front: `(?s).*x`.
    let flags = source.strip_prefix("(?").and_then(|s| s.split_once(')'));
    let body = match flags {
        Some((flags, body)) if flags.chars().all(|c| "imsxUu-".contains(c)) => body,
        _ => source,
    };
    let anything =
        |ends: fn(&str, &str) -> bool| ANYTHING.iter().any(|any| ends(body, &format!("{any}*")));
    let often: usize = (ANYTHING.iter())
        .map(|any| {
            body.matches(&format!("{any}*")).count() + body.matches(&format!("{any}+")).count()
        })
        .sum();
    often >= 3 || anything(|s, any| s.starts_with(any)) || anything(|s, any| s.ends_with(any))
}

/// What to do about a regex that could not be built.
fn regex_hint(message: &str) -> &'static str {
    if message == TOO_LARGE {
        "shorten its repeats (`{100}`), or split it into several values"
    } else if message.contains("not supported") {
        "say the same with two selections and `not`: matching is held to linear time"
    } else {
        "a sign meant as itself needs a `\\` before it: `\\(`"
    }
}

fn append(results: &mut [String], text: &str) {
    for result in results {
        result.push_str(text);
    }
}
