//! The characters of a JSON text: white space, strings with their escapes, numbers.
//!
//! Knows tokens and no structure. Invariant: the position only moves forward, and every slice it
//! returns lies between two characters of the text.

use super::{Fault, FaultKind, Scalar, Scan};

pub(super) struct Cursor<'t> {
    pub text: &'t str,
    pub bytes: &'t [u8],
    scan: &'t Scan,
    pub at: usize,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// Marks, in the high bit of each byte, a quote, a backslash or a control character; exact up to
/// the first mark, which is all that is used of it.
#[inline]
const fn specials(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    ((quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash) | control) & HIGH
}

impl<'t> Cursor<'t> {
    pub(super) const fn new(text: &'t str, scan: &'t Scan, at: usize) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            scan,
            at,
        }
    }

    /// The current byte, or NUL (which is never valid outside strings) at the end.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn rest(&self) -> &'t [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn space(&mut self) {
        // Written texts mostly have none.
        if self.peek() <= b' ' {
            self.skip_space();
        }
    }

    #[cold]
    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    pub(super) fn fault(&self, what: &'static str) -> Fault {
        let what = if self.at >= self.bytes.len() {
            "the text ends too early"
        } else {
            what
        };
        Fault {
            kind: FaultKind::Syntax(what),
            at: self.at,
        }
    }

    /// From `at`, the position of the next quote, backslash or control character.
    fn next_special(&self, mut at: usize) -> usize {
        while let Some(chunk) = self
            .bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<8>())
        {
            let found = specials(u64::from_le_bytes(*chunk));
            if found != 0 {
                return at + (found.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
        while self
            .bytes
            .get(at)
            .is_some_and(|b| *b >= 0x20 && *b != b'"' && *b != b'\\')
        {
            at += 1;
        }
        at
    }

    /// Reads a string without escapes, quotes and all; where its characters begin and how many
    /// bytes they have. `None`, and nothing read, if it has escapes or a fault.
    #[inline]
    pub(super) fn plain_string(&mut self) -> Option<(usize, usize)> {
        let begin = self.at + 1;
        let end = if self.scan.is_clean() {
            self.scan.next_quote(begin)?
        } else {
            let end = self.next_special(begin);
            if self.bytes.get(end) != Some(&b'"') {
                return None;
            }
            end
        };
        self.at = end + 1;
        Some((begin, end - begin))
    }

    /// Reads a string that may have escapes. Without `keep` they are checked but not written out.
    pub(super) fn escaped_string(&mut self, out: &mut String, keep: bool) -> Result<(), Fault> {
        self.at += 1;
        let mut end = self.next_special(self.at);
        loop {
            if keep {
                out.push_str(self.text.get(self.at..end).unwrap_or_default());
            }
            self.at = end;
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    let c = self.escape()?;
                    if keep {
                        out.push(c);
                    }
                }
                _ => return Err(self.fault("a control character in a string")),
            }
            end = self.next_special(self.at);
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let at = self.at;
        self.at += 1;
        let c = match self.peek() {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode(at);
            }
            _ => return Err(self.fault("an unknown escape")),
        };
        self.at += 1;
        Ok(c)
    }

    /// Reads the four digits after `\u`, and the second half of a surrogate pair.
    fn unicode(&mut self, at: usize) -> Result<char, Fault> {
        let first = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.rest().starts_with(b"\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(Fault {
                    kind: FaultKind::Syntax("a lone surrogate"),
                    at,
                });
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or(Fault {
            kind: FaultKind::Syntax("a lone surrogate"),
            at,
        })
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()).to_digit(16);
            code =
                code * 16 + digit.ok_or_else(|| self.fault("a hexadecimal digit was expected"))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self) -> usize {
        let begin = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at - begin
    }

    /// Reads a whole number of up to 18 digits that nothing follows but the end of a value.
    #[inline]
    fn small_number(&mut self) -> Option<i64> {
        let rest = self.rest();
        let digits = rest
            .iter()
            .take(19)
            .take_while(|b| b.is_ascii_digit())
            .count();
        let leading_zero = rest.first() == Some(&b'0') && digits > 1;
        let after = rest.get(digits).copied().unwrap_or(0);
        if digits == 0 || digits > 18 || leading_zero || matches!(after, b'.' | b'e' | b'E') {
            return None;
        }
        self.at += digits;
        let number = rest
            .iter()
            .take(digits)
            .fold(0i64, |n, b| n * 10 + i64::from(b - b'0'));
        Some(number)
    }

    /// Reads a number: exact if it is whole and fits 64 bits, else the nearest double.
    pub(super) fn number(&mut self) -> Result<Scalar<'static>, Fault> {
        if let Some(n) = self.small_number() {
            return Ok(Scalar::Int(n));
        }
        let begin = self.at;
        let negative = self.peek() == b'-';
        if negative {
            self.at += 1;
        }
        let leading = self.peek();
        let whole = self.digits();
        if whole == 0 || (leading == b'0' && whole > 1) {
            return Err(self.fault("not a JSON number"));
        }
        let mut exact = true;
        if self.peek() == b'.' {
            exact = false;
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.fault("not a JSON number"));
            }
        }
        if matches!(self.peek(), b'e' | b'E') {
            exact = false;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.fault("not a JSON number"));
            }
        }
        let text = self.text.get(begin..self.at).unwrap_or_default();
        if exact
            && text != "-0"
            && let Ok(n) = text.parse::<i64>()
        {
            return Ok(Scalar::Int(n));
        }
        match text.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Scalar::Float(n)),
            _ => Err(Fault {
                kind: FaultKind::Syntax("a number out of range"),
                at: begin,
            }),
        }
    }
}
