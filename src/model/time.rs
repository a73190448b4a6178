//! The two clocks, as types that do not convert into each other, and spans between moments.
//!
//! `EventTime` is when something happened at the platform and drives windows; `WallTime` is now on
//! this machine and drives timeouts and TTLs. Neither is ever read here: both arrive as arguments.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch at which an event happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

/// Milliseconds since the Unix epoch on this machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl EventTime {
    /// Before every event; the start value of a maximum.
    pub const MIN: Self = Self(i64::MIN / 4);
    /// After every event; the start value of a minimum.
    pub const MAX: Self = Self(i64::MAX / 4);

    /// Reads RFC 3339, with the liberties real sources take: a space for the `T`, no zone (UTC),
    /// any number of fraction digits (cut to milliseconds). `None` if it is not a date and time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_rfc3339(text.trim().as_bytes()).map(Self)
    }

    /// Reads an epoch number in seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude: below
    /// 1e11 seconds (until the year 5138), below 1e14 milliseconds, below 1e17 microseconds.
    #[must_use]
    pub fn from_epoch(number: f64) -> Option<Self> {
        let size = number.abs();
        let millis = if !number.is_finite() || size >= 1e20 {
            return None;
        } else if size < 1e11 {
            number * 1e3
        } else if size < 1e14 {
            number
        } else if size < 1e17 {
            number / 1e3
        } else {
            number / 1e6
        };
        #[expect(clippy::cast_possible_truncation, reason = "bounded by 1e17 above")]
        Some(Self(millis.floor() as i64))
    }

    /// The same for a whole number, exact at every magnitude.
    #[must_use]
    pub fn from_epoch_int(number: i64) -> Option<Self> {
        let millis = match number.unsigned_abs() {
            0..100_000_000_000 => number * 1000,
            100_000_000_000..100_000_000_000_000 => number,
            100_000_000_000_000..100_000_000_000_000_000 => number.div_euclid(1000),
            _ => number.div_euclid(1_000_000),
        };
        Some(Self(millis))
    }
}

impl Span {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn seconds(n: i64) -> Self {
        Self(n * 1000)
    }
    #[must_use]
    pub const fn minutes(n: i64) -> Self {
        Self(n * 60_000)
    }
    #[must_use]
    pub const fn hours(n: i64) -> Self {
        Self(n * 3_600_000)
    }
    #[must_use]
    pub const fn days(n: i64) -> Self {
        Self::hours(n * 24)
    }

    /// Reads `15s`, `5m`, `1h`, `7d`, `2w`, `1M` (30 days), `1y` (365 days), `250ms`, also in
    /// sequence (`1h30m`). A number without a unit is refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let mut total: i64 = 0;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: i64 = rest.get(..digits)?.parse().ok()?;
            rest = rest.get(digits..)?;
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = match rest.get(..letters)? {
                "ms" => 1,
                "s" => 1000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 7 * 86_400_000,
                "M" => 30 * 86_400_000,
                "y" => 365 * 86_400_000,
                _ => return None,
            };
            rest = rest.get(letters..)?;
            total = total.checked_add(number.checked_mul(unit)?)?;
        }
        Some(Self(total))
    }
}

impl fmt::Display for Span {
    /// The largest unit that divides it: `90s`, `5m`, `24h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        for (unit, size) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1000),
        ] {
            if ms != 0 && ms % size == 0 && (unit != "d" || ms > size) {
                return write!(f, "{}{unit}", ms / size);
            }
        }
        write!(f, "{ms}ms")
    }
}

macro_rules! moment {
    ($name:ident) => {
        impl Add<Span> for $name {
            type Output = Self;
            fn add(self, span: Span) -> Self {
                Self(self.0.saturating_add(span.0))
            }
        }
        impl Sub<Span> for $name {
            type Output = Self;
            fn sub(self, span: Span) -> Self {
                Self(self.0.saturating_sub(span.0))
            }
        }
        impl Sub for $name {
            type Output = Span;
            fn sub(self, other: Self) -> Span {
                Span(self.0.saturating_sub(other.0))
            }
        }
        impl fmt::Display for $name {
            /// RFC 3339, UTC, milliseconds.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_rfc3339(self.0, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                parse_rfc3339(text.as_bytes())
                    .map(Self)
                    .ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
            }
        }
    };
}
moment!(EventTime);
moment!(WallTime);

/// Days since 1970-01-01 of a civil date (Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The civil date of a day number; the inverse of `days_from_civil`.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + (month <= 2) as i64,
        month,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

fn write_rfc3339(ms: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (y, m, d) = civil_from_days(days);
    let (h, min, s, milli) = (
        rest / 3_600_000,
        rest / 60_000 % 60,
        rest / 1000 % 60,
        rest % 1000,
    );
    write!(f, "{y:04}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}.{milli:03}Z")
}

fn digits(bytes: &[u8], from: usize, count: usize) -> Option<i64> {
    let mut n = 0i64;
    for b in bytes.get(from..from + count)? {
        n = n * 10 + i64::from(b.is_ascii_digit().then(|| b - b'0')?);
    }
    Some(n)
}

fn parse_rfc3339(b: &[u8]) -> Option<i64> {
    let (year, month, day) = (digits(b, 0, 4)?, digits(b, 5, 2)?, digits(b, 8, 2)?);
    if b.get(4) != Some(&b'-') || b.get(7) != Some(&b'-') {
        return None;
    }
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let day_ms = days_from_civil(year, month, day) * 86_400_000;
    if !matches!(b.get(10)?, b'T' | b't' | b' ') || b.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (digits(b, 11, 2)?, digits(b, 14, 2)?);
    let mut at = 16;
    let mut second = 0;
    if b.get(at) == Some(&b':') {
        second = digits(b, 17, 2)?;
        at = 19;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut milli = 0;
    if matches!(b.get(at), Some(b'.' | b',')) {
        let count = b[at + 1..]
            .iter()
            .take_while(|c| c.is_ascii_digit())
            .count();
        if count == 0 {
            return None;
        }
        for i in 0..3 {
            milli = milli * 10
                + if i < count {
                    i64::from(b[at + 1 + i] - b'0')
                } else {
                    0
                };
        }
        at += 1 + count;
    }
    let zone = zone_minutes(b.get(at..)?)?;
    Some(day_ms + ((hour * 60 + minute - zone) * 60 + second) * 1000 + milli)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Minutes east of UTC: ``, `Z`, ` UTC`, `+02:00`, `+0200`, `+02`.
fn zone_minutes(b: &[u8]) -> Option<i64> {
    let b = b.trim_ascii();
    match b {
        b"" | b"Z" | b"z" | b"UTC" | b"GMT" => Some(0),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let hours = digits(rest, 0, 2)?;
            let minutes = match rest.len() {
                2 => 0,
                4 => digits(rest, 2, 2)?,
                5 if rest[2] == b':' => digits(rest, 3, 2)?,
                _ => return None,
            };
            let east = hours * 60 + minutes;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_sources_write() {
        for (text, want) in [
            ("2026-01-12T08:12:03.000Z", "2026-01-12T08:12:03.000Z"),
            ("2026-01-12 08:12:03", "2026-01-12T08:12:03.000Z"),
            ("2026-01-12T08:12:03.123999Z", "2026-01-12T08:12:03.123Z"),
            ("2026-01-12T08:12:03.5+02:00", "2026-01-12T06:12:03.500Z"),
            ("2026-01-12T08:12:03-0530", "2026-01-12T13:42:03.000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(EventTime::parse(text).unwrap().to_string(), want, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-01-12",
        ] {
            assert_eq!(EventTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn epoch_magnitudes() {
        let want = EventTime(1_768_205_523_000);
        for n in [1_768_205_523, 1_768_205_523_000, 1_768_205_523_000_000] {
            assert_eq!(EventTime::from_epoch_int(n), Some(want));
        }
        assert_eq!(
            EventTime::from_epoch(1_768_205_523.25),
            Some(EventTime(want.0 + 250))
        );
        assert_eq!(EventTime::from_epoch(f64::NAN), None);
    }

    #[test]
    fn spans() {
        assert_eq!(Span::parse("1h30m"), Some(Span::minutes(90)));
        assert_eq!(Span::parse("5"), None);
        assert_eq!(Span::parse(""), None);
        assert_eq!(Span::parse("5 m"), None);
        assert_eq!(Span::minutes(90).to_string(), "90m");
        assert_eq!(Span::hours(24).to_string(), "24h");
    }

    proptest! {
        #[test]
        fn written_times_read_back(ms in -60_000_000_000_000i64..250_000_000_000_000) {
            let text = EventTime(ms).to_string();
            prop_assert_eq!(EventTime::parse(&text), Some(EventTime(ms)));
        }

        #[test]
        fn parse_never_panics(text in "\\PC{0,40}") {
            let _ = EventTime::parse(&text);
            let _ = Span::parse(&text);
        }
    }
}
