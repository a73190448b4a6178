//! From the regexes of Sigma's authors (PCRE) to those of the `regex` crate.
//!
//! Owns one difference: `\w`, `\d`, `\s` and `\b` are about ASCII there, as PCRE has them unless told
//! otherwise. Over all of Unicode they would also be a hundred times larger once compiled.

/// The same pattern with its classes over ASCII.
pub(super) fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut inside = false;
    while let Some(c) = rest.chars().next() {
        let taken = match (c, inside) {
            ('\\', _) => escape(rest, inside, &mut out),
            ('[', false) => {
                inside = true;
                // A `]` right behind the opening is one of the characters.
                let behind = rest.get(1..).unwrap_or_default();
                let negated = usize::from(behind.starts_with('^'));
                let literal = behind.get(negated..).is_some_and(|b| b.starts_with(']'));
                keep(rest, 1 + negated + usize::from(literal), &mut out)
            }
            ('[', true) if rest.starts_with("[:") => {
                let end = rest.find(":]").map_or(1, |at| at + 2);
                keep(rest, end, &mut out)
            }
            (']', true) => {
                inside = false;
                keep(rest, 1, &mut out)
            }
            _ => keep(rest, c.len_utf8(), &mut out),
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// Writes the first `len` bytes as they are.
fn keep(rest: &str, len: usize, out: &mut String) -> usize {
    out.push_str(rest.get(..len).unwrap_or(rest));
    len
}

/// Writes what a backslash and the character behind it stand for.
fn escape(rest: &str, inside: bool, out: &mut String) -> usize {
    let Some(next) = rest.chars().nth(1) else {
        return keep(rest, 1, out);
    };
    let class = match next {
        'd' => "[:digit:]",
        'D' => "[:^digit:]",
        'w' => "[:word:]",
        'W' => "[:^word:]",
        's' => "[:space:]",
        'S' => "[:^space:]",
        'b' if !inside => {
            out.push_str(r"(?-u:\b)");
            return 2;
        }
        _ => return keep(rest, 1 + next.len_utf8(), out),
    };
    if inside {
        out.push_str(class);
    } else {
        out.push('[');
        out.push_str(class);
        out.push(']');
    }
    2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    #[test]
    fn classes_are_about_ascii() {
        for (pattern, text, want) in [
            (r"^\w+$", "abc_9", true),
            (r"^\w+$", "äbc", false),
            (r"^\d$", "\u{0663}", false),
            (r"^[\w\-]+$", "a-b", true),
            (r"^[^\w]+$", "ä!", true),
            (r"^[]\d]+$", "]3", true),
            (r"^[^]\d]+$", "ab", true),
            (r"^[[:alpha:]\d]+$", "a3", true),
            (r"^\W\S\D$", "ää!", true),
            (r"\bcat\b", "a cat.", true),
            (r"\bcat\b", "concat", false),
            (r"a\\d", r"a\d", true),
            (r"\[\d\]", "[3]", true),
        ] {
            let regex = Regex::new(&ascii_classes(pattern)).unwrap();
            assert_eq!(regex.is_match(text), want, "{pattern} on {text}");
        }
    }

    proptest! {
        /// On ASCII texts nothing changes, and what compiles still compiles.
        #[test]
        fn ascii_texts_see_no_difference(
            pattern in r"(\[wWdDsSb\]\[.]|\[\^?\]?(a|\[wds]|b-d){1,2}\]|[a-d()|+*?.-]){0,8}",
            text in "[a-d0-9 _.-]{0,12}",
        ) {
            if let Ok(plain) = Regex::new(&pattern) {
                let ours = Regex::new(&ascii_classes(&pattern));
                prop_assert_eq!(plain.is_match(&text), ours.unwrap().is_match(&text), "{}", pattern);
            }
        }
    }
}
