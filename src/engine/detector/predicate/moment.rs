//! Parts of a time (UTC): minute, hour, day, ISO week, month, year.
//!
//! Owns the arithmetic from milliseconds since the epoch. Reads no clock.

use crate::model::{EventTime, Value};

/// Which part of a time is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl TimePart {
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("year", Self::Year),
    ];

    /// The smallest and largest value the part can have.
    pub(crate) const fn range(self) -> (i64, i64) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Week => (1, 53),
            Self::Month => (1, 12),
            Self::Year => (1970, 9999),
        }
    }

    pub(super) fn of(self, time: EventTime) -> i64 {
        let minutes = time.0.div_euclid(60_000);
        let days = time.0.div_euclid(86_400_000);
        match self {
            Self::Minute => minutes.rem_euclid(60),
            Self::Hour => minutes.div_euclid(60).rem_euclid(24),
            Self::Day => civil(days).2,
            Self::Month => civil(days).1,
            Self::Year => civil(days).0,
            Self::Week => iso_week(days),
        }
    }
}

/// A field's value as a time: RFC 3339 text or an epoch number.
pub(super) fn time_of(value: Value<'_>) -> Option<EventTime> {
    match value {
        Value::Text(text) => EventTime::parse(text),
        Value::Int(n) => EventTime::from_epoch_int(n),
        Value::Float(n) => EventTime::from_epoch(n),
        Value::Bool(_) | Value::Null => None,
    }
}

/// Year, month and day of a day number (Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(days: i64) -> (i64, i64, i64) {
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

/// The ISO 8601 week: the week of the year that holds this week's Thursday.
const fn iso_week(days: i64) -> i64 {
    let weekday = (days + 3).rem_euclid(7); // Monday is 0; 1970-01-01 was a Thursday.
    let thursday = days - weekday + 3;
    let (year, _, _) = civil(thursday);
    let (mut low, mut high) = (thursday - 366, thursday);
    // The first day of that year, by bisection over civil().
    while low < high {
        let middle = (low + high).div_euclid(2);
        if civil(middle).0 < year {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (thursday - low) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        use TimePart::{Day, Hour, Minute, Month, Week, Year};
        let cases = [
            ("2026-01-12T08:12:03Z", [12, 8, 12, 3, 1, 2026]),
            ("2026-01-01T00:00:00Z", [0, 0, 1, 1, 1, 2026]),
            ("2027-01-01T23:59:59Z", [59, 23, 1, 53, 1, 2027]),
            ("2024-12-30T00:00:00Z", [0, 0, 30, 1, 12, 2024]),
            ("1969-12-31T23:59:00Z", [59, 23, 31, 1, 12, 1969]),
        ];
        for (text, want) in cases {
            let time = EventTime::parse(text).unwrap();
            let got = [Minute, Hour, Day, Week, Month, Year].map(|p| p.of(time));
            assert_eq!(got, want, "{text}");
        }
    }
}
