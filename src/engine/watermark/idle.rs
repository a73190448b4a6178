//! How much time has passed, by the clock, with nothing to read that moves event time.
//!
//! Owns the amount and what it takes for watched; reads no clock. Invariant: time counts only once the ends of
//! all logs are known behind it, and a clock that leaps, or that nobody looked at for long, adds no more
//! than `WATCHED_MAX`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Between two looks at the clock no more than this passes: who stood still, or could not look, does
/// not know what came meanwhile (ms).
const WATCHED_MAX: i64 = 2000;

/// See the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    passed: i64,
    /// The clock at the last look.
    looked: Option<i64>,
    /// What was watched since all logs were last known to be read to their ends. `None` where that is not
    /// all that was to be known since.
    pending: Option<i64>,
}

impl Idle {
    /// The clock says `now`; `at_ends` is whether all logs are known to be read to their ends.
    pub(super) fn look(&mut self, now: i64, at_ends: bool) {
        let step = now.saturating_sub(self.looked.replace(now).unwrap_or(now));
        self.pending = self.pending.map(|p| p + step.clamp(0, WATCHED_MAX));
        if at_ends {
            self.passed += self.pending.replace(0).unwrap_or(0);
        }
    }

    /// Time that has passed since the latest event (ms).
    pub(super) const fn passed(&self) -> i64 {
        self.passed
    }

    /// There is an event later than all others: from here on time passes anew.
    pub(super) const fn begin(&mut self) {
        (self.passed, self.pending) = (0, None);
    }

    /// An end is not known, for another reason than that its log goes on: nobody knows what is written
    /// until it is, and that time does not count. What has passed has.
    pub(super) const fn interrupt(&mut self) {
        self.pending = None;
    }
}

/// Stored is the amount alone, below zero. Above it stands, in the same place, what form 4 had there at first: since
/// when, by the clock, nothing had come, which says nothing after a restart.
impl Serialize for Idle {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (self.passed > 0).then_some(-self.passed).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Idle {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let stored = Option::<i64>::deserialize(d)?.unwrap_or(0);
        Ok(Self {
            passed: stored.saturating_neg().max(0),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_stored_and_a_time_of_the_clock_is_none() {
        let read = |since: Option<i64>| -> Idle {
            let bytes = postcard::to_stdvec(&since).unwrap();
            postcard::from_bytes(&bytes).unwrap()
        };
        for (stored, passed) in [
            (None, 0),
            (Some(-7), 7),
            (Some(1_790_000_000_000), 0),
            (Some(i64::MIN), i64::MAX),
        ] {
            assert_eq!(read(stored).passed(), passed);
        }
        for stored in [None, Some(-7)] {
            let bytes = postcard::to_stdvec(&read(stored)).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&stored).unwrap());
        }
    }

    /// (clock, at its ends) look by look, and what has passed then.
    fn check(looks: &[(i64, bool)], passed: i64) {
        let mut idle = Idle::default();
        for (now, at_ends) in looks {
            idle.look(*now, *at_ends);
        }
        assert_eq!(idle.passed(), passed, "{looks:?}");
    }

    #[test]
    fn time_counts_where_the_ends_are_known_behind_it() {
        check(&[(100, true)], 0);
        check(&[(100, true), (600, true), (1100, true)], 1000);
        check(&[(100, false), (600, false), (1100, true)], 0);
        check(&[(100, true), (600, false), (1100, false)], 0);
        check(&[(100, true), (600, false), (1100, true)], 1000);
        check(&[(100, true), (9_000_100, true), (9_000_200, true)], 2100);
        check(&[(100, true), (0, true), (50, true)], 50);
    }

    #[test]
    fn what_was_not_known_does_not_count_and_what_has_passed_has() {
        let mut idle = Idle::default();
        let look =
            |idle: &mut Idle, clock: [i64; 2]| clock.iter().for_each(|at| idle.look(*at, true));
        look(&mut idle, [0, 1000]);
        look(&mut idle, [1500, 2000]);
        idle.interrupt();
        idle.look(3000, false);
        look(&mut idle, [4000, 5000]);
        assert_eq!(idle.passed(), 3000);
        idle.begin();
        assert_eq!(idle.passed(), 0);
        look(&mut idle, [6000, 7000]);
        assert_eq!(idle.passed(), 1000);
    }
}
