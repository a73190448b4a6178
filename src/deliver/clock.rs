//! The two readings of time that delivery needs, behind a trait as small as they are.
//!
//! The only clock of this folder. `now` never jumps, so a stepped host clock ends no time limit
//! early; `stamp` is what the world says, because receivers compare signatures with their own clock.

#![expect(clippy::disallowed_methods, reason = "this is the clock")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::WallTime;

/// Where the worker gets the time.
pub trait Clock: Send + Sync {
    /// Wall time that only ever goes forward, for waits and ends.
    fn now(&self) -> WallTime;
    /// Seconds since the epoch as the world counts them, for signatures.
    fn stamp(&self) -> i64;
}

/// The machine's clocks: wall time as read at the start, carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
    at_start: WallTime,
}

impl SystemClock {
    /// Reads the clock once; clones carry the same time on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            at_start: WallTime(millis_since_epoch()),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> WallTime {
        let passed = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        WallTime(self.at_start.0.saturating_add(passed))
    }

    fn stamp(&self) -> i64 {
        millis_since_epoch().div_euclid(1000)
    }
}

fn millis_since_epoch() -> i64 {
    // A clock before 1970 reads as 1970: signatures fail then, and say why.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
