//! Telephone numbers: what of a text is the number, however it is written.
//!
//! Owns the reading only; what may be kept of a number is `redact`'s business. Invariant: two
//! spellings of one number read alike, and nothing but digits comes out.

/// Most digits of a number, as E.164 has it.
pub const DIGITS_MAX: usize = 15;
/// Fewer digits are no number that somebody could be reached at from outside.
const DIGITS_MIN: usize = 4;

/// The digits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    digits: [u8; DIGITS_MAX],
    len: usize,
    /// Whether it begins with a country's code: it was written with `+` or `00`.
    pub is_international: bool,
}

impl Number {
    /// Reads a number. Spaces, dashes, dots, parentheses and the like between digits say nothing;
    /// a letter, a comma or a semicolon ends it (`ext. 12`, `;phone-context=…`).
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut number = Self {
            digits: [0; DIGITS_MAX],
            len: 0,
            is_international: false,
        };
        let mut rest = without_scheme(text.trim());
        loop {
            // `+44 (0)20 …`: the zero is for callers from inside the country.
            if number.is_international {
                rest = rest.strip_prefix("(0)").unwrap_or(rest);
            }
            let mut chars = rest.chars();
            match chars.next() {
                Some(digit @ '0'..='9') => number.push(digit)?,
                Some('+') if number.len == 0 => number.is_international = true,
                None | Some(',' | ';') => break,
                Some(c) if c.is_alphanumeric() => break,
                Some(_) => {}
            }
            rest = chars.as_str();
        }
        (number.len >= DIGITS_MIN).then_some(number)
    }

    fn push(&mut self, digit: char) -> Option<()> {
        *self.digits.get_mut(self.len)? = u8::try_from(digit).ok()?;
        self.len += 1;
        if self.digits() == b"00" && !self.is_international {
            (self.len, self.is_international) = (0, true);
        }
        Some(())
    }

    /// Its digits as ASCII, without `+` or `00`.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }
}

fn without_scheme(text: &str) -> &str {
    match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => text.get(4..).unwrap_or_default(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, bool)> {
        let number = Number::read(text)?;
        let digits = String::from_utf8(number.digits().to_vec()).unwrap();
        Some((digits, number.is_international))
    }

    #[test]
    fn one_number_however_it_is_written() {
        for text in [
            "+15005550006",
            "+1 500 555 0006",
            " +1 (500) 555-0006 ",
            "+1.500.555.0006",
            "+1\u{a0}500\u{2011}555\u{2013}0006",
            "001 500 555 0006",
            "00 1500/555/0006",
            "tel:+1-500-555-0006",
            "TEL:+1-500-555-0006;ext=12",
            "+1 500 555 0006 ext. 12",
            "+1 500 555 0006, 12#",
            "+1 (0)500 555 0006",
            "(+1) 500 555 0006",
        ] {
            assert_eq!(read(text), Some(("15005550006".into(), true)), "{text}");
        }
        for text in ["15005550006", "1 500 555-0006", "tel:1-500-555-0006"] {
            assert_eq!(read(text), Some(("15005550006".into(), false)), "{text}");
        }
        assert_eq!(read("0151 234567"), Some(("0151234567".into(), false)));
        assert_eq!(read("(0)151 234567"), Some(("0151234567".into(), false)));
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "",
            "+",
            "00",
            "911",
            "none",
            "+one",
            "bob@example.com",
            "+1234567890123456",
            "x+15005550006",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(
            read("+123456789012345"),
            Some(("123456789012345".into(), true))
        );
        assert_eq!(
            read("00123456789012345"),
            Some(("123456789012345".into(), true))
        );
    }
}
