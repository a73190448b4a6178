//! Sigma's condition grammar: `selection and not (1 of filter_* or keywords)`.
//!
//! Owns lexing, parsing and the place of each fault. Binds tightest to loosest: parentheses,
//! `1 of` / `all of`, `not`, `and`, `or`. What the names stand for is the caller's.

use super::diagnostic::{Findings, Place};

/// Parentheses and `not` may nest this deep.
const DEPTH_MAX: usize = 64;

/// A parsed condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Name(String, Place),
    /// `1 of PATTERN`; `them` is `*`.
    OneOf(String, Place),
    AllOf(String, Place),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

struct Token {
    text: String,
    at: Place,
}

/// Reads a condition; `None` if it has a fault, which is then among the findings.
pub(super) fn parse(
    text: &str,
    at: Place,
    quoted: bool,
    findings: &mut Findings<'_>,
) -> Option<Expr> {
    let tokens = lex(text, at, quoted);
    if tokens.is_empty() {
        findings.fault_hint(at, "the condition is empty", "name a selection");
        return None;
    }
    if let Some(pipe) = tokens.iter().find(|t| t.text == "|") {
        findings.fault_hint(
            pipe.at,
            "aggregation with `|` in a condition is not part of Sigma 2",
            "write a correlation: `correlation: {type: event_count, timespan: …, condition: …}`",
        );
        return None;
    }
    let mut parser = Parser {
        tokens,
        next: 0,
        end: at,
        findings,
    };
    let expr = parser.or(0)?;
    match parser.take() {
        None => Some(expr),
        Some(extra) => {
            let message = format!("expected `and`, `or` or the end, found `{}`", extra.text);
            parser.findings.fault(extra.at, message);
            None
        }
    }
}

fn lex(text: &str, at: Place, quoted: bool) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let one_line = !text.contains('\n');
    let shift = usize::from(quoted);
    let mut open = false;
    for (i, c) in text.chars().enumerate() {
        let alone = matches!(c, '(' | ')' | '|');
        if c.is_whitespace() {
            open = false;
        } else if open && !alone {
            if let Some(last) = tokens.last_mut() {
                last.text.push(c);
                last.at.width += usize::from(one_line);
            }
        } else {
            let at = if one_line {
                Place {
                    line: at.line,
                    column: at.column + shift + i,
                    width: 1,
                }
            } else {
                at
            };
            tokens.push(Token {
                text: c.to_string(),
                at,
            });
            open = !alone;
        }
    }
    tokens
}

struct Parser<'f, 'a> {
    tokens: Vec<Token>,
    next: usize,
    end: Place,
    findings: &'f mut Findings<'a>,
}

impl Parser<'_, '_> {
    fn peek(&self, word: &str) -> bool {
        self.tokens
            .get(self.next)
            .is_some_and(|t| t.text.eq_ignore_ascii_case(word))
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get_mut(self.next)?;
        self.next += 1;
        Some(Token {
            text: std::mem::take(&mut token.text),
            at: token.at,
        })
    }

    fn or(&mut self, depth: usize) -> Option<Expr> {
        self.chain("or", Self::and, Expr::Or, depth)
    }

    fn and(&mut self, depth: usize) -> Option<Expr> {
        self.chain("and", Self::not, Expr::And, depth)
    }

    fn chain(
        &mut self,
        word: &str,
        inner: fn(&mut Self, usize) -> Option<Expr>,
        join: fn(Vec<Expr>) -> Expr,
        depth: usize,
    ) -> Option<Expr> {
        let mut terms = vec![inner(self, depth)?];
        while self.peek(word) {
            self.next += 1;
            terms.push(inner(self, depth)?);
        }
        if terms.len() == 1 {
            terms.pop()
        } else {
            Some(join(terms))
        }
    }

    fn not(&mut self, depth: usize) -> Option<Expr> {
        if depth > DEPTH_MAX {
            self.findings
                .fault(self.end, "the condition is nested too deeply");
            return None;
        }
        if self.peek("not") {
            self.next += 1;
            return Some(Expr::Not(Box::new(self.not(depth + 1)?)));
        }
        self.term(depth)
    }

    fn term(&mut self, depth: usize) -> Option<Expr> {
        let Some(token) = self.take() else {
            let hint = "name a selection, or remove the last word";
            self.findings
                .fault_hint(self.end, "the condition ends too early", hint);
            return None;
        };
        if token.text == "(" {
            let inner = self.or(depth + 1)?;
            if self.peek(")") {
                self.next += 1;
                return Some(inner);
            }
            let hint = "add `)`";
            self.findings
                .fault_hint(token.at, "this parenthesis is not closed", hint);
            return None;
        }
        if self.peek("of") {
            return self.of(token);
        }
        let word = token.text.to_ascii_lowercase();
        if matches!(word.as_str(), "and" | "or" | "of" | "not" | ")") {
            let message = format!("expected a selection, found `{}`", token.text);
            self.findings.fault(token.at, message);
            return None;
        }
        Some(Expr::Name(token.text, token.at))
    }

    /// The rest of `1 of PATTERN` or `all of PATTERN`.
    fn of(&mut self, quantity: Token) -> Option<Expr> {
        self.next += 1;
        let Some(pattern) = self.take() else {
            let hint = "write `1 of selection_*`, `all of selection_*` or `1 of them`";
            self.findings.fault_hint(quantity.at, "`of` what?", hint);
            return None;
        };
        let name = if pattern.text.eq_ignore_ascii_case("them") {
            "*".to_owned()
        } else {
            pattern.text
        };
        match quantity.text.to_ascii_lowercase().as_str() {
            "1" | "any" | "one" => Some(Expr::OneOf(name, pattern.at)),
            "all" => Some(Expr::AllOf(name, pattern.at)),
            _ => {
                let message = format!("`{} of` is not part of Sigma", quantity.text);
                self.findings
                    .fault_hint(quantity.at, message, "write `1 of` or `all of`");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(expr: &Expr) -> String {
        let join = |word: &str, list: &[Expr]| {
            format!("({})", list.iter().map(show).collect::<Vec<_>>().join(word))
        };
        match expr {
            Expr::Name(n, _) => n.clone(),
            Expr::OneOf(p, _) => format!("1 of {p}"),
            Expr::AllOf(p, _) => format!("all of {p}"),
            Expr::Not(e) => format!("!{}", show(e)),
            Expr::And(l) => join(" & ", l),
            Expr::Or(l) => join(" | ", l),
        }
    }

    fn read(text: &str) -> Result<String, (usize, String)> {
        let mut list = Vec::new();
        let at = Place {
            line: 3,
            column: 10,
            width: 1,
        };
        let expr = parse(
            text,
            at,
            false,
            &mut Findings {
                file: "t",
                list: &mut list,
            },
        );
        expr.map(|e| show(&e)).ok_or_else(|| {
            list.pop()
                .map(|d| (d.column - 10, d.message))
                .unwrap_or_default()
        })
    }

    #[test]
    fn precedence() {
        for (text, want) in [
            ("a", "a"),
            ("a and b or c", "((a & b) | c)"),
            ("a or b and not c", "(a | (b & !c))"),
            ("not a and b", "(!a & b)"),
            ("not (a or b)", "!(a | b)"),
            ("not not a", "!!a"),
            (
                "1 of sel_* and not 1 of filter*",
                "(1 of sel_* & !1 of filter*)",
            ),
            ("all of them", "all of *"),
            ("1 of them or ALL OF sel*", "(1 of * | all of sel*)"),
            ("((a))", "a"),
            ("a AND\n  b", "(a & b)"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn faults_have_places() {
        for (text, column, message) in [
            ("", 0, "the condition is empty"),
            ("a and", 0, "the condition ends too early"),
            ("a b", 2, "expected `and`, `or` or the end, found `b`"),
            ("a and (b or c", 6, "this parenthesis is not closed"),
            ("a and or b", 6, "expected a selection, found `or`"),
            ("2 of sel*", 0, "`2 of` is not part of Sigma"),
            (
                "a | count() by ip > 5",
                2,
                "aggregation with `|` in a condition is not part of Sigma 2",
            ),
            ("1 of", 0, "`of` what?"),
            (") a", 0, "expected a selection, found `)`"),
        ] {
            assert_eq!(read(text), Err((column, message.to_owned())), "{text}");
        }
        assert!(read(&"(".repeat(10_000)).is_err());
        assert!(read(&"not ".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(1 of|all of|them|and|or|not|[ab(*)|]| |\\PC){0,20}") {
            let _ = read(&text);
        }
    }
}
