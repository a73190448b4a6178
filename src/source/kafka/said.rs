//! Which trouble is news: the same words are not said again for a while, and not too many different ones.
//!
//! Pure. Invariant: within `REPEAT` each detail is said once, and no more than `DETAILS_MAX` are.

use std::time::{Duration, Instant};

/// How long the same trouble is not said again.
const REPEAT: Duration = Duration::from_secs(10);
/// What happens every second is mostly the same few things, in turn.
const DETAILS_MAX: usize = 16;

/// What was said lately, and when.
#[derive(Debug, Default)]
pub(super) struct Said(Vec<(String, Instant)>);

impl Said {
    /// Whether this is to be said now.
    pub(super) fn is_news(&mut self, detail: &str, now: Instant) -> bool {
        self.0
            .retain(|(_, at)| now.saturating_duration_since(*at) <= REPEAT);
        if self.0.len() >= DETAILS_MAX || self.0.iter().any(|(said, _)| said == detail) {
            return false;
        }
        self.0.push((detail.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two that took turns were each said every second.
    #[test]
    fn troubles_that_alternate_are_each_said_once_in_ten_seconds() {
        let (mut said, begun) = (Said::default(), Instant::now());
        let mut count = 0;
        for second in 0..20 {
            let now = begun + Duration::from_secs(second);
            count += u32::from(said.is_news("a", now)) + u32::from(said.is_news("b", now));
        }
        assert_eq!(count, 4);
    }

    #[test]
    fn details_without_end_are_bounded() {
        let (mut said, begun) = (Said::default(), Instant::now());
        let news = |said: &mut Said, now| {
            let words = (0..100).map(|i| i.to_string());
            words.filter(|word| said.is_news(word, now)).count()
        };
        assert_eq!(news(&mut said, begun), DETAILS_MAX);
        assert_eq!(news(&mut said, begun + REPEAT), 0);
        let later = begun + REPEAT + Duration::from_millis(1);
        assert_eq!(news(&mut said, later), DETAILS_MAX);
    }
}
