//! How a test reads in messages and how tests are told apart: `= 'a'`, `in [1, 2]`, `>= 5`.
//!
//! Owns wording only. With `SHOW_ALL` the text is complete and unambiguous, an identity.

use super::Match;
use super::leaf::Texts;
use super::moment::TimePart;
use super::test::{Number, Relation};
use super::text::{Pattern, Token, quoted};

/// No cut: the identity of a test.
pub(super) const SHOW_ALL: usize = usize::MAX;

/// How a match reads, with at most so many values of a list.
pub(super) fn describe(wanted: &Match, shown_max: usize) -> String {
    match wanted {
        Match::Blank => "is blank".to_owned(),
        Match::Null => "= null".to_owned(),
        Match::Exists(true) => "exists".to_owned(),
        Match::Exists(false) => "does not exist".to_owned(),
        Match::Texts(texts) => of_texts(texts, shown_max),
        Match::Regex { source, flags } if flags.is_empty() => format!("matches /{source}/"),
        Match::Regex { source, flags } => format!("matches /{source}/{flags}"),
        Match::Number(op, number) => format!("{} {}", op.sign(), number_text(*number)),
        Match::Numbers(numbers) => {
            let shown = numbers.iter().take(shown_max).map(i64::to_string).collect();
            list(shown, numbers.len())
        }
        Match::Bool(value) => format!("= {value}"),
        Match::Networks(networks) => match networks.as_slice() {
            [one] => format!("in network {one}"),
            many => {
                let shown = many.iter().take(shown_max).cloned().collect();
                format!("of networks {}", list(shown, many.len()))
            }
        },
        Match::Moment(part, op, bound) => {
            let name = TimePart::ALL
                .iter()
                .find(|(_, p)| p == part)
                .map_or("", |(n, _)| n);
            format!("({name}) {} {bound}", op.sign())
        }
        Match::Other {
            name,
            relation,
            cased,
            ..
        } => {
            let word = match relation {
                Relation::Equal => "= field",
                Relation::StartsWith => "starts with field",
                Relation::EndsWith => "ends with field",
                Relation::Contains => "contains field",
            };
            format!("{word} {name}{}", if *cased { " (cased)" } else { "" })
        }
    }
}

fn of_texts(texts: &Texts, shown_max: usize) -> String {
    let text = |p: &Pattern| {
        let written = p.written();
        if shown_max == SHOW_ALL {
            format!("{written:?}")
        } else {
            quoted(&written)
        }
    };
    let cased = if texts.cased { " (cased)" } else { "" };
    match texts.patterns.as_slice() {
        [one] if one.plain().is_some() => format!("= {}{cased}", text(one)),
        [one] => {
            // A dash of any kind is written like a plain one, but is not the same.
            let dash = if one.0.contains(&Token::Dash) {
                " (any dash)"
            } else {
                ""
            };
            format!("like {}{dash}{cased}", text(one))
        }
        many => {
            let shown = many.iter().take(shown_max).map(text).collect();
            format!("{}{cased}", list(shown, many.len()))
        }
    }
}

fn list(shown: Vec<String>, count: usize) -> String {
    let more = if count > shown.len() {
        format!(", … {count} in all")
    } else {
        String::new()
    };
    format!("in [{}{more}]", shown.join(", "))
}

fn number_text(number: Number) -> String {
    match number {
        Number::Int(n) => n.to_string(),
        Number::Float(n) => n.to_string(),
    }
}
