//! When to try again: exponential backoff with jitter, and what a `Retry-After` asks for.
//!
//! Pure: randomness comes from a seed, time as an argument, so every schedule can be tested.

use crate::model::{EventTime, Span, WallTime};

/// Longest wait a receiver may ask for.
pub const RETRY_AFTER_MAX: Span = Span::hours(1);

/// Waits that double from the first to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Span,
    pub longest: Span,
}

impl Backoff {
    /// The wait after the n-th failure (from 1): between half and all of the doubled first wait.
    /// Endpoints that failed together do not come back together, as `salt` differs.
    #[must_use]
    pub fn wait(self, failures: u32, salt: u64) -> Span {
        let doublings = failures.saturating_sub(1).min(40);
        let full = self
            .first
            .0
            .max(1)
            .saturating_mul(1 << doublings)
            .min(self.longest.0.max(1));
        let half = full / 2;
        let spread = u64::try_from(full - half).unwrap_or(0) + 1;
        let jitter = i64::try_from(mix(salt ^ u64::from(failures)) % spread).unwrap_or(0);
        Span(half + jitter)
    }
}

/// Scatters a number (the finaliser of splitmix64): enough for jitter, useless for secrets.
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let mut n = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Reads a `Retry-After` header: seconds, or a date as HTTP writes it. Never longer than
/// `RETRY_AFTER_MAX`; `None` when it is neither.
#[must_use]
pub fn retry_after(text: &str, now: WallTime) -> Option<Span> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        Span(
            text.parse::<i64>()
                .map_or(i64::MAX, |s| s.saturating_mul(1000)),
        )
    } else {
        http_date(text)? - now
    };
    Some(wait.max(Span::ZERO).min(RETRY_AFTER_MAX))
}

/// `Wed, 21 Oct 2015 07:28:00 GMT`.
fn http_date(text: &str) -> Option<WallTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, date) = text.split_once(", ")?;
    let mut parts = date.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (time, zone) = (parts.next()?, parts.next()?);
    if zone != "GMT" || parts.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    EventTime::parse(&format!("{year}-{month:02}-{day}T{time}Z")).map(|t| WallTime(t.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff {
        first: Span::seconds(1),
        longest: Span::seconds(30),
    };

    #[test]
    fn waits_double_up_to_the_longest() {
        let full = [1, 2, 4, 8, 16, 30, 30];
        for (failures, seconds) in (1u32..).zip(full) {
            for salt in 0..100 {
                let wait = BACKOFF.wait(failures, salt).0;
                assert!(
                    (seconds * 500..=seconds * 1000).contains(&wait),
                    "{failures}: {wait}"
                );
            }
        }
        let different: std::collections::BTreeSet<i64> =
            (0..100).map(|salt| BACKOFF.wait(5, salt).0).collect();
        assert!(different.len() > 90, "jitter spreads");
        assert_eq!(BACKOFF.wait(5, 7), BACKOFF.wait(5, 7));
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now = WallTime(1_445_412_470_000);
        for (text, want) in [
            ("120", Some(Span::seconds(120))),
            (" 0 ", Some(Span::ZERO)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(Span::seconds(10))),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(Span::ZERO)),
            ("99999999999999999999", Some(RETRY_AFTER_MAX)),
            ("86400", Some(RETRY_AFTER_MAX)),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("Wed, 21 Oct 2015 07:28:00 CET", None),
        ] {
            assert_eq!(retry_after(text, now), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}", failures: u32, salt: u64, first: i64, longest: i64) {
            let asked = retry_after(&text, WallTime(0));
            prop_assert!(asked.is_none_or(|a| a >= Span::ZERO && a <= RETRY_AFTER_MAX));
            let backoff = Backoff { first: Span(first), longest: Span(longest) };
            prop_assert!(backoff.wait(failures, salt).0 >= 0);
        }
    }
}
