//! Sigma's text patterns (wildcards, escapes, any case) and their compiled tests.
//!
//! Owns the pattern's tokens and the choice of the cheapest test: equality, beginning, ending,
//! search, glob, and a regex only where letters beyond ASCII must match in any case. Tests never
//! allocate. Case folds over ASCII, and over Unicode where the pattern itself has such letters.

use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};

/// What begins a command line flag: hyphen first, so that it is plain in a regex's class.
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// Shorter literals are found in too many texts.
const PART_MIN: usize = 3;

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Text(String),
    /// `*`: any number of characters.
    Many,
    /// `?`: one character.
    One,
    /// `windash`: any of the characters that begin a command line flag.
    Dash,
}

/// A text with wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) Vec<Token>);

/// What a pattern amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// Matches every text.
    Any,
    Whole(&'a str),
    Start(&'a str),
    End(&'a str),
    Inside(&'a str),
    Other,
}

impl Pattern {
    /// A text without wildcards.
    pub(crate) fn literal(text: impl Into<String>) -> Self {
        Self(vec![Token::Text(text.into())])
    }

    /// Reads Sigma's notation: `*` and `?` are wildcards; a backslash makes them, or another
    /// backslash, plain; any other backslash is itself.
    pub(crate) fn sigma(text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let wildcard = match c {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => {
                    plain.push(
                        chars
                            .next_if(|n| matches!(n, '*' | '?' | '\\'))
                            .unwrap_or(c),
                    );
                    continue;
                }
                _ => {
                    plain.push(c);
                    continue;
                }
            };
            if !plain.is_empty() {
                tokens.push(Token::Text(std::mem::take(&mut plain)));
            }
            if wildcard != Token::Many || tokens.last() != Some(&Token::Many) {
                tokens.push(wildcard);
            }
        }
        if !plain.is_empty() || tokens.is_empty() {
            tokens.push(Token::Text(plain));
        }
        Self(tokens)
    }

    /// The text, if there is no wildcard in it.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Token::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// With `*` before and behind, or only one of them.
    #[must_use]
    pub(crate) fn open(mut self, before: bool, behind: bool) -> Self {
        if before && self.0.first() != Some(&Token::Many) {
            self.0.insert(0, Token::Many);
        }
        if behind && self.0.last() != Some(&Token::Many) {
            self.0.push(Token::Many);
        }
        self.0
            .retain(|t| !matches!(t, Token::Text(text) if text.is_empty()));
        self.0
            .dedup_by(|a, b| *a == Token::Many && *b == Token::Many);
        if self.0.is_empty() {
            self.0.push(Token::Text(String::new()));
        }
        self
    }

    /// Puts `Dash` where a flag of a command line begins: one of `DASHES` that stands neither behind
    /// nor before another sign of its kind and is followed by a letter or digit.
    #[must_use]
    pub(crate) fn any_dash(self) -> Self {
        let mut tokens = Vec::new();
        for token in self.0 {
            let Token::Text(text) = token else {
                tokens.push(token);
                continue;
            };
            let mut plain = String::new();
            let mut behind_word = false;
            let mut chars = text.chars().peekable();
            while let Some(c) = chars.next() {
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                let flag = DASHES.contains(&c) && !behind_word;
                if flag && chars.peek().copied().is_some_and(is_word) {
                    if !plain.is_empty() {
                        tokens.push(Token::Text(std::mem::take(&mut plain)));
                    }
                    tokens.push(Token::Dash);
                } else {
                    plain.push(c);
                }
                behind_word = is_word(c);
            }
            if !plain.is_empty() {
                tokens.push(Token::Text(plain));
            }
        }
        Self(tokens)
    }

    pub(super) fn shape(&self) -> Shape<'_> {
        match self.0.as_slice() {
            [Token::Many] => Shape::Any,
            [Token::Text(t)] => Shape::Whole(t),
            [Token::Text(t), Token::Many] => Shape::Start(t),
            [Token::Many, Token::Text(t)] => Shape::End(t),
            [Token::Many, Token::Text(t), Token::Many] => Shape::Inside(t),
            _ => Shape::Other,
        }
    }

    /// The longest literal that each text it matches contains, in any case of ASCII letters; none if
    /// there is no telling one, or if it matches in any case of other letters (K is also a kelvin).
    pub(super) fn part(&self, cased: bool) -> Option<&str> {
        let telling = |text: &&str| text.is_ascii() && text.len() >= PART_MIN;
        let texts = self.0.iter().filter_map(|t| match t {
            Token::Text(text) => Some(text.as_str()),
            Token::Many | Token::One | Token::Dash => None,
        });
        let longest = texts.filter(telling).max_by_key(|text| text.len());
        longest.filter(|_| cased || self.is_ascii())
    }

    fn is_ascii(&self) -> bool {
        self.0.iter().all(|t| match t {
            Token::Text(t) => t.is_ascii(),
            Token::Many | Token::One => true,
            Token::Dash => false,
        })
    }

    /// The pattern as it would be written, for messages and for telling patterns apart.
    pub(crate) fn written(&self) -> String {
        let mut out = String::new();
        for token in &self.0 {
            match token {
                Token::Text(text) => {
                    for c in text.chars() {
                        if matches!(c, '*' | '?') {
                            out.push('\\');
                        }
                        out.push(c);
                    }
                }
                Token::Many => out.push('*'),
                Token::One => out.push('?'),
                Token::Dash => out.push('-'),
            }
        }
        out
    }

    fn regex(&self, cased: bool) -> Option<Regex> {
        let mut source = String::from(r"\A");
        for token in &self.0 {
            match token {
                Token::Text(text) => source.push_str(&regex::escape(text)),
                Token::Many => source.push_str(".*"),
                Token::One => source.push('.'),
                Token::Dash => {
                    source.push('[');
                    source.extend(DASHES);
                    source.push(']');
                }
            }
        }
        source.push_str(r"\z");
        RegexBuilder::new(&source)
            .case_insensitive(!cased)
            .dot_matches_new_line(true)
            .size_limit(super::REGEX_BYTES_MAX)
            .build()
            .ok()
    }
}

/// A test of one text.
#[derive(Clone, Debug)]
pub(super) enum TextTest {
    Any,
    Whole {
        text: Box<str>,
        cased: bool,
    },
    Start {
        text: Box<str>,
        cased: bool,
    },
    End {
        text: Box<str>,
        cased: bool,
    },
    Inside(Box<Finder<'static>>),
    /// Lower-cased ASCII, searched in any case.
    InsideAnyCase(Box<[u8]>),
    Glob {
        tokens: Box<[Token]>,
        cased: bool,
    },
    Regex(Box<Regex>),
}

impl TextTest {
    /// The cheapest test for a pattern; `None` if it is too large.
    pub(super) fn new(pattern: &Pattern, cased: bool) -> Option<Self> {
        if !cased && !pattern.is_ascii() || pattern.0.contains(&Token::Dash) {
            return pattern.regex(cased).map(|r| Self::Regex(Box::new(r)));
        }
        Some(match pattern.shape() {
            Shape::Any => Self::Any,
            Shape::Whole(text) => Self::Whole {
                text: text.into(),
                cased,
            },
            Shape::Start(text) => Self::Start {
                text: text.into(),
                cased,
            },
            Shape::End(text) => Self::End {
                text: text.into(),
                cased,
            },
            Shape::Inside(text) if cased => {
                Self::Inside(Box::new(Finder::new(text.as_bytes()).into_owned()))
            }
            Shape::Inside(text) => {
                Self::InsideAnyCase(text.to_ascii_lowercase().into_bytes().into_boxed_slice())
            }
            Shape::Other => Self::Glob {
                tokens: pattern.0.clone().into_boxed_slice(),
                cased,
            },
        })
    }

    /// Whether the text passes.
    #[inline]
    pub(super) fn holds(&self, value: &str) -> bool {
        let bytes = value.as_bytes();
        match self {
            Self::Any => true,
            Self::Whole { text, cased } => {
                bytes.len() == text.len() && alike(bytes, text.as_bytes(), *cased)
            }
            Self::Start { text, cased } => bytes
                .get(..text.len())
                .is_some_and(|s| alike(s, text.as_bytes(), *cased)),
            Self::End { text, cased } => bytes
                .len()
                .checked_sub(text.len())
                .and_then(|from| bytes.get(from..))
                .is_some_and(|e| alike(e, text.as_bytes(), *cased)),
            Self::Inside(finder) => finder.find(bytes).is_some(),
            Self::InsideAnyCase(text) => find_any_case(bytes, text),
            Self::Glob { tokens, cased } => glob(tokens, value, *cased),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

#[inline]
pub(super) fn alike(a: &[u8], b: &[u8], cased: bool) -> bool {
    if cased {
        a == b
    } else {
        a.eq_ignore_ascii_case(b)
    }
}

/// Searches for a lower-cased ASCII literal in any case.
pub(super) fn find_any_case(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(&first) = needle.first() else {
        return true;
    };
    let here = |at: usize| {
        haystack
            .get(at..at + needle.len())
            .is_some_and(|h| h.eq_ignore_ascii_case(needle))
    };
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), haystack).any(here)
}

/// Matches a glob with one point of return: the last `*`.
fn glob(tokens: &[Token], value: &str, cased: bool) -> bool {
    let bytes = value.as_bytes();
    let (mut token, mut at) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        let step = match tokens.get(token) {
            None if at == bytes.len() => return true,
            Some(Token::Many) => {
                token += 1;
                again = Some((token, at));
                continue;
            }
            Some(Token::Text(text)) => bytes
                .get(at..at + text.len())
                .filter(|b| alike(b, text.as_bytes(), cased))
                .map(<[u8]>::len),
            Some(Token::One) => char_at(bytes, at),
            Some(Token::Dash) | None => None,
        };
        match (step, again) {
            (Some(len), _) => {
                at += len;
                token += 1;
            }
            (None, Some((from, start))) => {
                let Some(len) = char_at(bytes, start) else {
                    return false;
                };
                again = Some((from, start + len));
                (token, at) = (from, start + len);
            }
            (None, None) => return false,
        }
    }
}

/// The length of the UTF-8 character that begins at `at`.
fn char_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(match bytes.get(at)? {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    })
}

/// `'a'` in quotes, for messages.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    let mut left = 60;
    for c in text.chars() {
        if left == 0 {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        left -= 1;
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(pattern: &str, value: &str) -> bool {
        TextTest::new(&Pattern::sigma(pattern), false)
            .unwrap()
            .holds(value)
    }

    #[test]
    fn wildcards_and_escapes() {
        // The specification's table of backslashes, then wildcards.
        for (pattern, value, want) in [
            (r"a\b", r"a\b", true),
            (r"a\\b", r"a\b", true),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            (r"a\\*b", r"a\xxb", true),
            (r"a\\*b", "axb", false),
            (r"a\\\*b", r"a\*b", true),
            (r"a\\\b", r"a\\b", true),
            (r"a\\\\b", r"a\\b", true),
            (r"ends\", r"ends\", true),
            ("prog?.exe", "progA.exe", true),
            ("prog?.exe", "prog.exe", false),
            ("prog?.exe", "progÄ.exe", true),
            ("antivirus_V*.exe", "antivirus_V21.2.1.exe", true),
            ("*a*b*", "xxAxxBxx", true),
            ("*ab", "aab", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
            ("**", "x", true),
            ("?*", "", false),
            ("", "", true),
            ("", "x", false),
            ("RECOVERY.*", "recovery.requested", true),
            ("münchen", "MÜNCHEN", true),
            ("*ünch*", "MÜNCHEN", true),
        ] {
            assert_eq!(holds(pattern, value), want, "{pattern} on {value}");
        }
    }

    #[test]
    fn dashes() {
        let p = Pattern::sigma("-param-name /x a/b").any_dash();
        let test = TextTest::new(&p, false).unwrap();
        for value in [
            "-param-name /x a/b",
            "/PARAM-name -x a/b",
            "–param-name ―x a/b",
        ] {
            assert!(test.holds(value), "{value}");
        }
        let en_dash = Pattern::sigma("–enc").any_dash();
        assert!(TextTest::new(&en_dash, false).unwrap().holds("/ENC"));
        assert!(!test.holds("-param/name /x a/b"));
        assert!(!test.holds("-param-name /x a-b"));
    }

    proptest! {
        #[test]
        fn agrees_with_the_regex(pattern in r"[aB?*\\]{0,8}", value in r"[abAB*?\\]{0,10}", cased: bool) {
            let pattern = Pattern::sigma(&pattern);
            let want = pattern.regex(cased).unwrap().is_match(&value);
            prop_assert_eq!(TextTest::new(&pattern, cased).unwrap().holds(&value), want);
        }

        #[test]
        fn never_panics(pattern in "\\PC{0,20}", value in "\\PC{0,20}") {
            let pattern = Pattern::sigma(&pattern).any_dash().open(true, true);
            let _ = TextTest::new(&pattern, false).unwrap().holds(&value);
        }
    }
}
